"""From TOML text to dataclasses, with every fault at once, each with its line.

One checker over the fields of schema.py. tomllib gives no line numbers, so they are found by scanning the text for the key
inside its table; where a key stands in an inline table, the line of the nearest key around it is given.
"""

from __future__ import annotations

import functools
import os
import re
import tomllib
from dataclasses import Field, fields, is_dataclass
from typing import Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from autoops import names

Where = tuple[str | int, ...]  # ("root", 0, "path"): the second part counts the tables of an array
T = TypeVar("T")

_PART = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_PART}(?:\s*\.\s*{_PART})*)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")
_KINDS = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false", bytes: "a path in quotes"}


class Fault(NamedTuple):
    """One thing that is wrong. `line` 0: not in any line."""

    line: int
    key: str
    what: str

    def said(self, source: str) -> str:
        """Return the fault as people and editors read it: FILE:LINE: key: what."""
        place = f"{source}:{self.line}" if self.line else source
        return names.show(f"{place}: {self.key}: {self.what}" if self.key else f"{place}: {self.what}")


def parse(raw: bytes, form: type[T]) -> tuple[T, list[Fault]]:
    """Return what a file says, as a `form` in which faulty keys have their defaults, and all its faults by line."""
    try:
        text = raw.decode()
        data = tomllib.loads(text)
    except UnicodeDecodeError as error:
        return form(), [Fault(raw.count(b"\n", 0, error.start) + 1, "", "not UTF-8")]
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        line = int(found[1]) if found else text.count("\n") + 1  # "(at end of document)"
        return form(), [Fault(line, "", f"not TOML: {str(error)[: found.start()] if found else error}")]
    checker = Checker(form, find_lines(text))
    made: T = checker.table(form, data, ())
    return made, sorted(checker.faults)


def key_of(field: Field[Any]) -> str:
    """Return a field's key in the file."""
    return field.metadata.get("name") or field.name


def find_lines(text: str) -> dict[Where, int]:
    """Return the line of every table and key that begins one, counted from 1."""
    lines: dict[Where, int] = {}
    table: Where = ()
    counts: dict[Where, int] = {}
    quoted = ""  # the end of the multi-line text we are in
    for number, line in enumerate(text.split("\n"), 1):
        if quoted:
            quoted = "" if line.count(quoted) % 2 else quoted
            continue
        if header := _HEADER.match(line):
            table = _parts(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            lines.setdefault(table, number)
        elif found := _KEY.match(line):
            lines.setdefault(table + _parts(found[1]), number)
        quoted = next((mark for mark in ('"""', "'''") if line.count(mark) % 2), "")
    return lines


def _parts(dotted: str) -> Where:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))


class Checker:
    """Collects faults while it turns tables into dataclasses."""

    def __init__(self, form: type, lines: dict[Where, int]) -> None:
        self.faults: list[Fault] = []
        self._form, self._lines = form, lines

    def table(self, form: Any, data: Any, where: Where) -> Any:
        """Return a `form` (a dataclass) made of one table."""
        if not isinstance(data, dict):
            self._fault(where, f"must be a table, got {_got(data)}")
            return form()
        hints = hints_of(form)
        known = {key_of(field): field for field in fields(form)}
        for unknown in data.keys() - known.keys():
            self._fault((*where, unknown), "unknown key" + self._unknown_hint(unknown, tuple(known)))
        for name, field in known.items():
            if field.metadata.get("required") and name not in data:
                self._fault((*where, name), "is missing; this table cannot do without it")
        return form(
            **{
                field.name: self._value(hints[field.name], field, data[name], (*where, name))
                for name, field in known.items()
                if name in data
            }
        )

    def _value(self, hint: Any, field: Field[Any], value: Any, where: Where) -> Any:
        before = len(self.faults)
        inner = get_args(hint)[0] if get_origin(hint) is tuple else None
        if is_dataclass(hint):
            return self.table(hint, value, where)
        if is_dataclass(inner):
            if isinstance(value, list) and all(isinstance(item, dict) for item in value):
                return tuple(self.table(inner, item, (*where, number)) for number, item in enumerate(value))
            self._fault(where, f"must be written [[{where[-1]}]], got {_got(value)}")
        elif get_origin(inner) is tuple:
            return self._pairs(field, value, where)
        elif inner is str:
            return self._texts(field, value, where)
        else:
            scalar = self._scalar(hint if hint in _KINDS else str, field, value, where)
            if len(self.faults) == before:
                return scalar
        return field.default

    def _pairs(self, field: Field[Any], value: Any, where: Where) -> Any:
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            self._fault(where, f'must be a table of texts such as {{ kind = "python" }}, got {_got(value)}')
            return field.default
        for name, item in value.items():
            self._text(field, item, (*where, name))
        return tuple(value.items())

    def _texts(self, field: Field[Any], value: Any, where: Where) -> Any:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._fault(where, f'must be a list of texts such as ["a", "b"], got {_got(value)}')
            return field.default
        for item in value:
            self._text(field, item, where)
        return tuple(value)

    def _scalar(self, kind: type, field: Field[Any], value: Any, where: Where) -> Any:
        fits = type(value) is kind or (kind is float and type(value) is int) or (kind is bytes and type(value) is str)
        if not fits:
            self._fault(where, f"must be {_KINDS[kind]}, got {_got(value)}")
        elif kind is bytes:
            return self._path(value, where)
        elif kind is str:
            self._text(field, value, where)
        elif kind is not bool:
            low, high = field.metadata["low"], field.metadata["high"]
            if not low <= value <= high:  # nan is nowhere
                self._fault(where, f"must be between {low:.16g} and {high:.16g}, got {value}")
            return kind(value)
        return value

    def _path(self, value: str, where: Where) -> bytes:
        path = names.to_bytes(value)
        if not path.startswith(b"/"):
            self._fault(where, f"must be an absolute path, got {value!r}")
        if b"\0" in path:
            self._fault(where, "a path cannot hold a NUL")
        return b"/" + os.path.normpath(path).lstrip(b"/")  # POSIX lets // at the start stay

    def _text(self, field: Field[Any], value: str, where: Where) -> None:
        choices, check = field.metadata["choices"], field.metadata["check"]
        if choices and value not in choices:
            self._fault(where, f"must be one of {', '.join(choices)}; got {value!r}{did_you_mean(value, choices)}")
        elif check and (wrong := check(value)):
            self._fault(where, wrong if field.metadata["secret"] else f"{wrong}; got {value!r}")

    def _unknown_hint(self, unknown: str, known: tuple[str, ...]) -> str:
        if near := did_you_mean(unknown, known):
            return near
        homes = _homes(self._form).get(unknown, ())
        return f"; did you mean '{homes[0]}'?" if homes else "; known here: " + ", ".join(known)

    def _fault(self, where: Where, what: str) -> None:
        near = next((self._lines[where[:size]] for size in range(len(where), 0, -1) if where[:size] in self._lines), 1)
        self.faults.append(Fault(near, ".".join(part for part in where if isinstance(part, str)), what))


def did_you_mean(word: str, known: tuple[str, ...]) -> str:
    """Return "; did you mean 'x'?" when something known is near, else ""."""
    import difflib  # needed for a fault only

    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


@functools.cache  # 1 ms each
def hints_of(form: Any) -> dict[str, Any]:
    """Return the types of a dataclass's fields."""
    return get_type_hints(form)


def _homes(form: Any, prefix: str = "") -> dict[str, tuple[str, ...]]:
    """Return in which tables each key is at home: {"settle_s": ("watch.settle_s",)}."""
    found: dict[str, tuple[str, ...]] = {}
    hints = hints_of(form)
    for field in fields(form):
        hint = hints[field.name]
        inner = get_args(hint)[0] if get_origin(hint) is tuple else hint
        if is_dataclass(inner):
            for name, places in _homes(inner, f"{key_of(field)}.").items():
                found[name] = found.get(name, ()) + places
        elif prefix:
            found[key_of(field)] = (prefix + key_of(field),)
    return found


def _got(value: Any) -> str:
    kinds = {str: "text", bool: "the truth value", int: "the number", float: "the number", list: "the list", dict: "the table"}
    return f"{kinds.get(type(value), 'the time')} {value!r}"[:200]
