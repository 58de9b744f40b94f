"""Choose the extractor of a file by its type, and return its descriptor.

Guarantee: always a descriptor, whatever the content and whatever a third party's extractor does, short of not coming back;
its shape and size are those of `shape.finished`. Content in, value out: no file is opened.
"""

from __future__ import annotations

import fnmatch
import functools
from typing import cast

from autoops.describe import (
    binary,
    csv_table,
    html_page,
    image,
    json_text,
    markdown,
    node,
    pdf,
    python,
    shape,
    shell,
    sql,
    text,
    third_party,
    toml_text,
    yaml_text,
)
from autoops.describe.third_party import Extractor
from autoops.model import JSON

MAX_DESCRIPTOR_BYTES = shape.MAX_DESCRIPTOR_BYTES

# In this order; the last one takes everything.
_BUILTIN = cast(
    tuple[Extractor, ...],
    (python, markdown, json_text, yaml_text, toml_text, sql, shell, html_page, csv_table, image, pdf, text, binary),
)
_NAMES = frozenset((node.NAME, *(extractor.NAME for extractor in _BUILTIN)))


def describe(name: bytes, mime: str, data: bytes, truncated: bool) -> JSON:
    """Return the descriptor of one content.

    `name` is the file's name, `mime` what `sniff` called it, `data` the content, or the first part of it if `truncated`, or the
    target of a link. The descriptor always has "kind", "type" and "extractor" (name/version); a fault in the file, or in a
    third party's extractor, is its "error".
    """
    found = node.described(mime, data)
    if found is not None:
        return shape.finished({**found, "type": mime, "extractor": f"{node.NAME}/{node.VERSION}"})
    trouble: JSON = {}
    for extractor in _theirs(mime):
        try:
            return _finished(extractor, {}, mime, data, truncated)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is not our code: the file falls back to the built-in extractor
            trouble = trouble or _blame(extractor.NAME, f"{type(error).__name__}: {error}")
    for entry_point, reason in third_party.loaded(_NAMES).faults[:1]:
        trouble = trouble or _blame(entry_point, reason)
    return _finished(_ours(mime), trouble, mime, data, truncated)


def versions() -> dict[str, int]:
    """Return the version of every extractor that can be used, by name: a descriptor made by another one is out of date."""
    usable = (*_BUILTIN, *third_party.loaded(_NAMES).extractors)
    return {node.NAME: node.VERSION, **{extractor.NAME: extractor.VERSION for extractor in usable}}


def faults() -> tuple[tuple[str, str], ...]:
    """Return the third parties' extractors that cannot be used: (entry point, reason)."""
    return third_party.loaded(_NAMES).faults


def _blame(extractor: str, message: str) -> JSON:
    return {"error": {"extractor": extractor, "message": message}}


def _finished(extractor: Extractor, trouble: JSON, mime: str, data: bytes, truncated: bool) -> JSON:
    most_bytes: int = getattr(extractor, "MAX_BYTES", len(data))
    truncated = truncated or len(data) > most_bytes
    found = extractor.extract(data[:most_bytes], truncated)
    if not isinstance(found, dict):
        raise TypeError(f"extract returned {type(found).__name__}, not a dict")
    fields = {**trouble, **found}
    marks: JSON = {"type": mime, "extractor": f"{extractor.NAME}/{extractor.VERSION}"}
    if truncated:
        marks["truncated"] = True
    kind = fields.get("kind")
    return shape.finished({**fields, "kind": kind if isinstance(kind, str) and kind else extractor.NAME, **marks})


@functools.lru_cache(maxsize=256)
def _theirs(mime: str) -> tuple[Extractor, ...]:
    return tuple(extractor for extractor in third_party.loaded(_NAMES).extractors if _takes(extractor, mime))


@functools.lru_cache(maxsize=256)
def _ours(mime: str) -> Extractor:
    return next(extractor for extractor in _BUILTIN if _takes(extractor, mime))


def _takes(extractor: Extractor, mime: str) -> bool:
    return any(fnmatch.fnmatchcase(mime, glob) for glob in extractor.TYPES)
