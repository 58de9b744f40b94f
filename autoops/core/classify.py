"""Give a file its class by rules: on its path, its type, its shebang, its first bytes, what its descriptor says.

Every condition that a rule gives must hold; the first rule that holds decides, the operator's before the built-in ones; the
verdict names it. Globs on paths: `*` and `?` stay within one directory, `**` crosses directories, `[…]` is one character; a
glob without a slash is asked about the name alone. Globs on types, interpreters and descriptor values: `*` is anything.

Guarantee: pure; rules are compiled once, and each type is tried against the rules' types once. Reads and writes nothing.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from autoops.core.class_rules import BUILTIN
from autoops.core.shebang import interpreter
from autoops.model import JSON, ClassRule

HEAD_BYTES = 4096  # as much of the content as a rule sees
_CACHED_TYPES = 1024  # a ZIP may call itself what it likes: the cache must not grow with hostile files

Matcher = Callable[[str], re.Match[str] | None]


class Verdict(NamedTuple):
    """The class of one file, and which rule gave it."""

    class_name: str
    rule: str
    confidence: int  # percent
    tags: tuple[str, ...]


class _Compiled(NamedTuple):
    verdict: Verdict
    by_name: Matcher | None
    by_path: Matcher | None
    by_type: Matcher | None
    by_shebang: Matcher | None
    by_content: Matcher | None
    by_field: tuple[tuple[tuple[str, ...], Matcher], ...]


class Classifier:
    """The rules of one configuration, ready to be asked a million times."""

    def __init__(self, rules: Sequence[ClassRule] = (), builtin: Sequence[ClassRule] = BUILTIN) -> None:
        """Compile the operator's rules, then the built-in ones.

        Raises re.error: a rule's `content` is no regular expression (the configuration's check says so first).
        """
        self._rules = tuple(_compiled(rule) for rule in (*rules, *builtin))
        self._by_mime: dict[str, tuple[_Compiled, ...]] = {}

    def classify(self, path: bytes, mime: str, head: bytes = b"", descriptor: JSON | None = None) -> Verdict | None:
        """Return the verdict of the first rule that holds, None when none does (the built-in rules end with one that does).

        `path` is below the root; `head` are the first bytes of the content, `HEAD_BYTES` at most are looked at; without a
        descriptor every rule on one fails.
        """
        whole = path.decode("utf-8", "surrogateescape")
        name = whole.rpartition("/")[2]
        for rule in self._candidates(mime):
            is_by_place = rule.by_name or rule.by_path
            if is_by_place and not ((rule.by_name and rule.by_name(name)) or (rule.by_path and rule.by_path(whole))):
                continue
            if _content_holds(rule, head) and _fields_hold(rule, descriptor):
                return rule.verdict
        return None

    def _candidates(self, mime: str) -> tuple[_Compiled, ...]:
        found = self._by_mime.get(mime)
        if found is None:
            if len(self._by_mime) >= _CACHED_TYPES:
                self._by_mime.clear()
            found = tuple(rule for rule in self._rules if rule.by_type is None or rule.by_type(mime))
            self._by_mime[mime] = found
        return found


def _compiled(rule: ClassRule) -> _Compiled:
    return _Compiled(
        verdict=Verdict(rule.class_name, rule.rule, rule.confidence, rule.tags),
        by_name=_any_of(_path_pattern(glob) for glob in rule.glob if "/" not in glob),
        by_path=_any_of(_path_pattern(glob.lstrip("/")) for glob in rule.glob if "/" in glob),
        by_type=_any_of(fnmatch.translate(glob) for glob in rule.type),
        by_shebang=_any_of(fnmatch.translate(glob) for glob in rule.shebang),
        by_content=re.compile(rule.content).search if rule.content else None,
        by_field=tuple((tuple(field.split(".")), re.compile(fnmatch.translate(glob)).match) for field, glob in rule.descriptor),
    )


def _any_of(patterns: Iterable[str]) -> Matcher | None:
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return re.compile(joined).match if joined else None


_NOTHING = "(?!)"
_GLOB_TOKEN = re.compile(r"(\*\*/)|(\*\*)|(\*)|(\?)|\[(!?)(\]?[^\]]+|\])\]|(.)", re.DOTALL)


def _path_pattern(glob: str) -> str:
    return "".join(_glob_piece(token) for token in _GLOB_TOKEN.finditer(glob)) + r"\Z"


def _glob_piece(token: re.Match[str]) -> str:
    if token[1]:
        return r"(?:[^/]*/)*"
    if token[2]:
        return r"(?s:.*)"
    if token[3]:
        return r"[^/]*"
    if token[4]:
        return r"[^/]"
    if token[7]:
        return re.escape(token[7])
    members = re.sub(r"(.)-(.)", lambda span: span[0] if span[1] <= span[2] else "", token[6], flags=re.DOTALL)  # [z-a] is empty
    members = re.sub(r"([\\\]\[&~|^])", r"\\\1", members)
    return f"[{'^/' if token[5] else ''}{members}]" if members or token[5] else _NOTHING


def _content_holds(rule: _Compiled, head: bytes) -> bool:
    if rule.by_shebang:
        program = interpreter(head)
        if not (program and rule.by_shebang(program)):
            return False
    return rule.by_content is None or rule.by_content(head[:HEAD_BYTES].decode("utf-8", "replace")) is not None


def _fields_hold(rule: _Compiled, descriptor: JSON | None) -> bool:
    return all(any(match(value) for value in _values(descriptor, field)) for field, match in rule.by_field)


def _values(node: Any, field: tuple[str, ...]) -> Iterator[str]:
    """Yield what stands at a dotted field, as text; a list on the way stands for each of its members."""
    if isinstance(node, list):
        for member in node:
            yield from _values(member, field)
    elif field:
        if isinstance(node, dict) and field[0] in node:
            yield from _values(node[field[0]], field[1:])
    elif isinstance(node, bool):
        yield "true" if node else "false"
    elif isinstance(node, str | int):
        yield str(node)
