"""Describe JSON: what is at the top, its keys, how many members, schema hints."""

from __future__ import annotations

import json
from typing import Any

from autoops.describe import shape
from autoops.describe.encoding import decoded
from autoops.model import JSON

NAME = "json"
VERSION = 1
TYPES = ("application/json", "application/*+json")

_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
_BY_FIRST = {"{": "object", "[": "array", '"': "string"}


def extract(data: bytes, truncated: bool) -> JSON:
    """Return the outline of a JSON text; one that was cut is only named by its first character."""
    text = decoded(data)[0].removeprefix("\ufeff")
    if truncated:
        return {"root": _BY_FIRST.get(text.lstrip()[:1], "unknown")}
    try:
        root = json.loads(text)
    except json.JSONDecodeError as error:
        return shape.fault(error.msg, error.lineno)
    except (ValueError, RecursionError) as error:  # a number of more than 4,300 digits; nested too deeply
        return shape.fault(error)
    return {"root": _NAMES[type(root)], **_members(root)}


def _members(root: Any) -> JSON:
    if isinstance(root, dict):
        return {"count": len(root), **shape.outline(root)}
    if isinstance(root, list):
        first = root[0] if root else None
        return {"count": len(root), **(shape.listed("item_keys", list(first)) if isinstance(first, dict) else {})}
    return {}
