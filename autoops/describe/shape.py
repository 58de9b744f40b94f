"""The shape of a descriptor: what may stand in it, and how large it may become.

Guarantee: what `finished` returns is JSON of objects, lists, strings, integers of 64 bits, booleans and null; its strings are
valid UTF-8 in one line without control or direction characters; its UTF-8 JSON is at most `MAX_DESCRIPTOR_BYTES`. No floats,
because canonical JSON has none. Pure; reads and writes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autoops.model import JSON

MAX_DESCRIPTOR_BYTES = 16 * 1024
MAX_CHARACTERS = 300  # of one string
MAX_ITEMS = 200  # of one list or object
MAX_NESTED_ITEMS = 40  # of a list inside a list
MAX_DEPTH = 6

# Controls, line and paragraph separators, direction overrides and isolates (a title must not reorder what stands beside
# it), byte order marks, lone surrogates. A fixed list, so that every Python gives the same answer.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")

# Top-level keys whose values say which schema or what thing a JSON, YAML or TOML file is.
HINT_KEYS = ("$schema", "$id", "$ref", "apiVersion", "kind", "openapi", "asyncapi", "type", "name", "title", "version")


def line(text: str) -> str:
    """Return a text as one clean line of at most `MAX_CHARACTERS` characters."""
    if len(text) <= MAX_CHARACTERS and text.isascii() and text.isprintable():
        return text
    text = " ".join(text[: MAX_CHARACTERS * 4].split())
    if len(text) > MAX_CHARACTERS:
        text = text[: MAX_CHARACTERS - 1] + "…"
    return _UNFIT.sub("\ufffd", text)


def fault(message: object, line_number: int | None = None) -> JSON:
    """Return the field that tells of a fault in the file: {"error": {"line": 3, "message": …}}, lines counted from 1."""
    error: JSON = {"line": line_number} if line_number else {}
    error["message"] = line(str(message)) or type(message).__name__
    return {"error": error}


def listed(field: str, items: Sequence[Any], limit: int = MAX_ITEMS) -> JSON:
    """Return a list, cut, beside how many there were: {"functions": […], "functions_total": 812}; nothing when empty."""
    return {field: list(items[:limit]), f"{field}_total": len(items)} if items else {}


def distinct(items: Iterable[str]) -> list[str]:
    """Return the items without repetition, in the order in which they came first."""
    return list(dict.fromkeys(items))


def outline(mapping: Mapping[Any, Any]) -> JSON:
    """Return the top-level keys of a document, and the values of those that say what it is."""
    hints = {key: mapping[key] for key in HINT_KEYS if isinstance(mapping.get(key), str | int)}
    return {**listed("keys", [str(key) for key in mapping]), **({"hints": hints} if hints else {})}


def finished(descriptor: Mapping[str, Any]) -> JSON:
    """Return a descriptor cleaned and cut to size.

    The longest list is halved until all fits; each list that was cut has its true length beside it.
    """
    cut: JSON = {}
    for name, value in list(descriptor.items())[:MAX_ITEMS]:
        if isinstance(value, list | tuple) and len(value) > MAX_ITEMS:
            cut[line(str(name)) + "_total"] = len(value)
        cut[line(str(name))] = _cleaned(value, 1)
    while _size_bytes(cut) > MAX_DESCRIPTOR_BYTES:
        lists = [(_size_bytes(value), name) for name, value in cut.items() if isinstance(value, list) and value]
        if not lists:
            return _least(cut)
        name = max(lists)[1]
        cut.setdefault(f"{name}_total", len(cut[name]))
        del cut[name][len(cut[name]) // 2 :]
    return cut


def _least(cut: JSON) -> JSON:
    """Return what is kept of a descriptor that has no list to cut."""
    marks = {name: cut[name] for name in ("kind", "extractor", "type") if isinstance(cut.get(name), str)}
    told = {"error": cut["error"]} if "error" in cut else {}
    return marks | (told if _size_bytes(marks | told) <= MAX_DESCRIPTOR_BYTES else fault("the fault itself is too large"))


def _cleaned(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return line(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else line(hex(value))
    if depth < MAX_DEPTH:
        if isinstance(value, dict):
            pairs = list(value.items())[:MAX_ITEMS]
            return {line(str(name)): _cleaned(member, depth + 1) for name, member in pairs}
        if isinstance(value, list | tuple):
            limit = MAX_ITEMS if depth == 1 else MAX_NESTED_ITEMS
            return [_cleaned(member, depth + 1) for member in value[:limit]]
    return line(str(value)[: MAX_CHARACTERS * 4])


def _size_bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())
