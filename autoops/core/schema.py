"""The entry's JSON Schema, versioned and shipped beside this file, and the check against it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from importlib import resources

from autoops.core.canonical import canonical
from autoops.errors import PatchInvalid
from autoops.model import JSON

MAX_ENTRY_BYTES = 64 * 1024  # a hostile descriptor cannot grow the registry without bound
MAX_DEPTH = 64  # nor make a reader run out of stack


@functools.cache
def _check() -> Callable[[JSON], JSON]:
    import fastjsonschema  # 15 ms, and only stage two and people's patches need it

    text = resources.files("autoops.core").joinpath("entry.schema.json").read_text()
    compiled: Callable[[JSON], JSON] = fastjsonschema.compile(json.loads(text))
    return compiled


def fault(entry: JSON) -> str | None:
    """Return what is wrong with an entry's JSON value, None when it satisfies the schema."""
    import fastjsonschema

    wrong = unfit(entry)
    if wrong:
        return wrong
    try:
        _check()(entry)
    except fastjsonschema.JsonSchemaException as error:
        return str(error).replace("data.", "")
    return too_large(entry)


def too_large(entry: JSON) -> str | None:
    """Return what is wrong with the size of an entry's JSON value."""
    size_bytes = len(canonical(entry).encode())
    if size_bytes > MAX_ENTRY_BYTES:
        return f"the entry is {size_bytes} bytes long, {MAX_ENTRY_BYTES} are allowed"
    return None


def unfit(value: object) -> str | None:
    """Return why a JSON value has no canonical form that every program can read, None when it has one."""
    level = [value]
    for _ in range(MAX_DEPTH):
        if any(isinstance(one, float) for one in level):
            return "it holds a number with a fraction"
        level = [member for one in level for member in _members(one)]
        if not level:
            break
    else:
        return f"it is nested deeper than {MAX_DEPTH} levels"
    try:
        canonical(value).encode()
    except UnicodeEncodeError:
        return "it holds half a character (a lone surrogate), which is no UTF-8"
    return None


def _members(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def require_valid(entry: JSON) -> None:
    """Raise PatchInvalid unless an entry's JSON value satisfies the schema."""
    wrong = fault(entry)
    if wrong:
        raise PatchInvalid(detail=f"entry {entry.get('id')}: {wrong}")
