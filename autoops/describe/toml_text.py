"""Describe TOML: top-level keys, which of them are tables, schema hints."""

from __future__ import annotations

import re

from autoops.describe import shape
from autoops.describe.encoding import decoded
from autoops.model import JSON

NAME = "toml"
VERSION = 1
TYPES = ("application/toml",)
MAX_BYTES = 512 * 1024  # tomllib takes 5 s and 160 MiB for 4 MiB

_WHERE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)\Z")


def extract(data: bytes, truncated: bool) -> JSON:
    """Return the top-level keys of a TOML document."""
    import tomllib  # imported here: a process that meets no TOML need not hold it

    text = decoded(data)[0].removeprefix("\ufeff")
    if truncated:
        text = text[: text.rfind("\n[") + 1]  # what stands before the last table, which may be cut
    try:
        root = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError; a number of more than 4,300 digits; nested too deeply
        message = str(error)
        where = _WHERE.search(message)
        last = where is not None and where[1] is None
        number = text.count("\n") + 1 if last else int(where[1]) if where else None
        return shape.fault(_WHERE.sub("", message) or error, number)
    tables = [name for name, value in root.items() if isinstance(value, dict)]
    return {**shape.outline(root), **shape.listed("tables", tables)}
