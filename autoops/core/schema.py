"""The entry's JSON Schema, versioned and shipped beside this file, and the check against it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from importlib import resources

from autoops.core.canonical import canonical
from autoops.errors import PatchInvalid
from autoops.model import JSON

MAX_ENTRY_BYTES = 64 * 1024  # a hostile descriptor cannot grow the registry without bound


@functools.cache
def _check() -> Callable[[JSON], JSON]:
    import fastjsonschema  # 15 ms, and only stage two and people's patches need it

    text = resources.files("autoops.core").joinpath("entry.schema.json").read_text()
    compiled: Callable[[JSON], JSON] = fastjsonschema.compile(json.loads(text))
    return compiled


def fault(entry: JSON) -> str | None:
    """Return what is wrong with an entry's JSON value, None when it satisfies the schema."""
    import fastjsonschema

    try:
        _check()(entry)
    except fastjsonschema.JsonSchemaException as error:
        return str(error).replace("data.", "")
    size_bytes = len(canonical(entry).encode())
    if size_bytes > MAX_ENTRY_BYTES:
        return f"the entry is {size_bytes} bytes long, {MAX_ENTRY_BYTES} are allowed"
    return None


def require_valid(entry: JSON) -> None:
    """Raise PatchInvalid unless an entry's JSON value satisfies the schema."""
    wrong = fault(entry)
    if wrong:
        raise PatchInvalid(detail=f"entry {entry.get('id')}: {wrong}")
