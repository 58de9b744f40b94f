"""The formats whose files are cut by ID, line by line: jsonl, csv, hashdeep, html. Pure: an entry in, its line out.

Every file of them stands for itself (a header of its own), and its bytes depend on its entries alone, so that what no commit
touched is taken over as it is.
"""

from __future__ import annotations

import csv
import datetime
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from autoops import names
from autoops.catalog import page
from autoops.config import CatalogConfig
from autoops.core.catalog import Part
from autoops.model import Entry

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ORDERS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet may take for the beginning of a formula
_CSV_COLUMNS = (
    "id", "rev", "root", "path", "kind", "size_bytes", "modified", "mtime_ns", "sha256", "mime", "status", "since",
    "class", "confidence", "tags",
)  # fmt: skip

LineOf = Callable[[Entry], str]
Front = Callable[[str, Sequence[Part]], dict[str, str]]


class Cut(NamedTuple):
    """One format for one catalog."""

    stem: str  # of the names of its files
    suffix: str
    header: str = ""
    footer: str = ""
    line: LineOf | None = None  # "" for an entry that has none; None: the canonical text is the line
    front: Front = lambda _name, _parts: {}  # files beside the parts, by name


def cut_of(table: CatalogConfig, places: Mapping[str, bytes]) -> Cut | None:
    """Return the form of a catalog whose files are cut by ID, None when they are not. `places` says where each root is."""
    match table.format:
        case "jsonl":
            return Cut(table.name, ".jsonl")
        case "csv":
            return Cut(table.name, ".csv", csv_row(_CSV_COLUMNS), line=csv_line)
        case "hashdeep":
            header = "%%%% HASHDEEP-1.0\n%%%% size,sha256,filename\n## a catalog of autoops\n"
            return Cut(table.name, ".hashdeep", header, line=lambda entry: hashdeep_line(entry, places))
        case "html":
            return Cut("data", ".js", "entries.push(\n", ");\n", page_line, front)
    return None


# csv (RFC 4180)


class _Same:
    """A file for csv.writer that gives back what is written into it."""

    def write(self, text: str) -> str:
        """Return the text."""
        return text


_row = csv.writer(_Same(), lineterminator="\r\n").writerow


def csv_row(cells: Sequence[object]) -> str:
    """Return one row."""
    return str(_row(cells))


def cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet takes for a formula: with an apostrophe in front where one might.

    A text that begins with an apostrophe gets one too. So to come back: take away one apostrophe at the beginning.
    """
    return f"'{text}" if text.startswith(("'", *_ORDERS)) else text


def csv_line(entry: Entry) -> str:
    """Return the row of an entry. Names are in their shown form: one line, and reversible."""
    seen, described = entry.observation, entry.described
    confidence = "" if described.confidence is None else described.confidence
    return csv_row(
        (
            entry.id,
            entry.rev,
            cell(names.show(entry.root)),
            cell(names.show(entry.path)),
            seen.kind,
            seen.size_bytes,
            when(seen.mtime_ns // 1_000_000_000),
            seen.mtime_ns,
            seen.sha256.hex() if seen.sha256 else "",
            cell(names.show(seen.mime)),
            entry.status,
            when(entry.since_s),
            cell(names.show(described.class_name or "")),
            confidence,
            cell(names.show(" ".join(described.tags))),
        )
    )


def when(at_s: int) -> str:
    """Return a time as 2026-01-31T23:59:59Z, "" when it is out of the calendar."""
    try:
        return f"{(_EPOCH + datetime.timedelta(seconds=at_s)).isoformat()[:19]}Z"  # strftime takes four times as long
    except OverflowError:
        return ""


# hashdeep


def hashdeep_line(entry: Entry, places: Mapping[str, bytes]) -> str:
    """Return the line that `hashdeep -a -k FILE` audits against; "" for what has no content."""
    seen = entry.observation
    if seen.kind != "file" or seen.sha256 is None:
        return ""
    path = os.path.join(places.get(entry.root, b""), entry.path)
    # the format has no escape: a name with a newline is written in its shown form, which no file has
    name = names.show(path) if b"\n" in path or b"\r" in path else os.fsdecode(path)
    return f"{seen.size_bytes},{seen.sha256.hex()},{name}\n"


# html


def page_line(entry: Entry) -> str:
    """Return the element of the page's data: plain ASCII, so that no name ends a script or a line of it."""
    seen, described = entry.observation, entry.described
    value = (
        entry.id,
        names.show(entry.root),
        names.show(entry.path),
        names.show(described.class_name or ""),
        entry.status,
        seen.size_bytes,
        when(seen.mtime_ns // 1_000_000_000),
        seen.sha256.hex() if seen.sha256 else "",
    )
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c") + ",\n"


def front(name: str, parts: Sequence[Part]) -> dict[str, str]:
    """Return the page itself, which loads the data of every part."""
    return {"index.html": page.text(name, [part.file for part in parts], sum(part.entries for part in parts))}
