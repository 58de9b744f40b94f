"""Describe YAML: documents, top-level keys, schema hints. Also reads the front matter of other formats.

The stream of events is read, and nothing is built from it: aliases that would unfold to gigabytes stay names, tags construct
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoops.describe import shape
from autoops.describe.encoding import decoded
from autoops.model import JSON

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "yaml"
VERSION = 1
TYPES = ("application/yaml", "application/x-yaml", "text/yaml")

_MAX_CHARACTERS = 512 * 1024  # about a second of events; what follows is not looked at
_MAX_NESTING = 100  # libyaml's time is quadratic in the depth
_COMPOUND = {"MappingStartEvent": "{…}", "SequenceStartEvent": "[…]"}


def extract(data: bytes, truncated: bool) -> JSON:
    """Return the top-level keys of the first document that has some, and how many documents there are."""
    text = decoded(data)[0]
    keys: JSON = {}
    documents = 0
    found: JSON = {}
    try:
        for root in _roots(text[:_MAX_CHARACTERS]):
            documents += 1
            found.setdefault("root", type(root).__name__ if isinstance(root, dict | list) else "scalar")
            keys = keys or (root if isinstance(root, dict) else {})
    except _fault_types() as error:
        if not truncated and len(text) <= _MAX_CHARACTERS:
            found |= _fault(error, 1)
    names = {"dict": "mapping", "list": "sequence"}
    found["root"] = names.get(found.get("root", ""), found.get("root"))
    return {"documents": documents, **found, **shape.outline(keys)}


def fields(text: str, first_line: int = 1) -> tuple[JSON, JSON]:
    """Return (top-level fields of a YAML mapping, {} or the fault in it).

    A field is its text, a list of texts, or "{…}" for what is nested deeper; `first_line` is where the text stands in its file.
    """
    try:
        root = next(_roots(text), None)
    except _fault_types() as error:
        return {}, _fault(error, first_line)
    return (root, {}) if isinstance(root, dict) else ({}, {})


def _fault_types() -> tuple[type[Exception], ...]:
    import yaml

    return (yaml.YAMLError, ValueError, RecursionError)


def _fault(error: Exception, first_line: int) -> JSON:
    mark = getattr(error, "problem_mark", None)
    message = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return shape.fault(message, mark.line + first_line if mark else None)


def _roots(text: str) -> Iterator[Any]:
    """Yield the outermost node of each document: a scalar's text, or its fields or items, two levels deep."""
    events = _events(text)
    for event in events:
        if type(event).__name__ == "DocumentStartEvent":
            yield _node(next(events), events, 0)


def _events(text: str) -> Iterator[Any]:
    import yaml  # imported here: a process that meets no YAML need not hold it

    return iter(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def _node(event: Any, events: Iterator[Any], depth: int) -> Any:
    kind = type(event).__name__
    if kind == "ScalarEvent":
        return shape.line(event.value)
    if kind == "AliasEvent":
        return "*" + shape.line(event.anchor)
    if depth == 2:
        return _skipped(kind, events)
    if kind == "SequenceStartEvent":
        return _items(events, depth)
    members = iter(_items(events, depth))
    return {str(key): value for key, value in zip(members, members, strict=False)}


def _items(events: Iterator[Any], depth: int) -> list[Any]:
    found: list[Any] = []
    for event in events:
        if type(event).__name__ in ("SequenceEndEvent", "MappingEndEvent"):
            break
        found.append(_node(event, events, depth + 1))
    return found


def _skipped(kind: str, events: Iterator[Any]) -> str:
    """Pass over a nested node, however deep, without recursion."""
    open_nodes = 1
    for event in events:
        name = type(event).__name__
        open_nodes += (name in _COMPOUND) - (name in ("SequenceEndEvent", "MappingEndEvent"))
        if not open_nodes:
            break
        if open_nodes > _MAX_NESTING:
            raise ValueError("nested too deeply")
    return _COMPOUND[kind]
