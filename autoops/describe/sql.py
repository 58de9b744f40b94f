"""Describe SQL: the tables, views, indexes, triggers and functions it creates.

A scanner that passes over comments, strings and dollar-quoted bodies; what it finds is what a statement names, in whatever
dialect. In a file with back-quoted names (MySQL) a backslash escapes a quote.
"""

from __future__ import annotations

import re

from autoops.describe import shape
from autoops.describe.encoding import decoded
from autoops.model import JSON

NAME = "sql"
VERSION = 1
TYPES = ("application/sql", "text/x-sql")

_NAME = r'(?:"[^"\n]{1,200}"|`[^`\n]{1,200}`|\[[^\]\n]{1,200}\]|[\w$]{1,200}+)'
_CREATE = rf"""
    \bcreate\s++(?:or\s++replace\s++)?
    (?:(?:unique|temp|temporary|global|local|virtual|materialized|unlogged|external|foreign|recursive|constraint)\s++){{0,4}}
    (?P<what>table|view|index|trigger|function|procedure)\s++
    (?:concurrently\s++)?(?:if\s++not\s++exists\s++)?
    (?P<name>{_NAME}(?:\s{{0,4}}\.\s{{0,4}}{_NAME}){{0,3}})"""
_SKIPPED = r"""--[^\n]*+ | /\*.*?(?:\*/|\Z) | "[^"]*+(?:"|\Z) | \$(?P<tag>\w{0,60})\$.*?(?:\$(?P=tag)\$|\Z)"""
_FLAGS = re.IGNORECASE | re.DOTALL | re.VERBOSE
_STANDARD = re.compile(rf"{_SKIPPED} | '[^']*+(?:'|\Z) | {_CREATE}", _FLAGS)
_MYSQL = re.compile(rf"{_SKIPPED} | '(?:[^'\\]|\\.?)*+(?:'|\Z) | `[^`]*+(?:`|\Z) | \#[^\n]*+ | {_CREATE}", _FLAGS)
_FIELDS = {
    "table": "tables",
    "view": "views",
    "index": "indexes",
    "trigger": "triggers",
    "function": "functions",
    "procedure": "functions",
}


def extract(data: bytes, truncated: bool) -> JSON:
    """Return the names that a script creates, by kind, in the order of the script."""
    text = decoded(data)[0]
    found: dict[str, list[str]] = {}
    for match in (_MYSQL if "`" in text else _STANDARD).finditer(text):
        if match["what"]:
            found.setdefault(_FIELDS[match["what"].lower()], []).append(_bare(match["name"]))
    fields: JSON = {}
    for field in dict.fromkeys(_FIELDS.values()):
        fields |= shape.listed(field, found.get(field, []))
    return fields


def _bare(name: str) -> str:
    """Return a name without its quotes: `"main"."a b"` is main.a b."""
    return ".".join(part.strip('"`[]') for part in re.findall(_NAME, name))
