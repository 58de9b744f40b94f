"""One part of a catalog from the registry: its digest, and its file when the format is cut by ID. Writes the new generation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from autoops.catalog.cut import Cut
from autoops.core.catalog import Made, Part, Range, Slice, part_digest, piece_entries
from autoops.core.digest import MEMBER_BYTES, leaf_of
from autoops.store.slices import Slices

_LINES = 256  # joined before they are written
Pair = tuple[bytes, str]  # (ID | leaf), line


class Written(NamedTuple):
    """A part as it was written. `part.file` is its name in the new generation, still without its number."""

    part: Part
    made: Made | None  # None: it has no file


def write_range(slices: Slices, slice_: Slice, cut: Cut | None, directory: Path, where: Range, part_entries: int) -> list[Written]:
    """Write the entries with these IDs: as one part, or as several when they have become too many for one."""
    size = piece_entries(slices.count(slice_, where), part_entries)
    pairs = _pairs(slices, slice_, cut, where)
    written: list[Written] = []
    first = where.first
    while piece := list(islice(pairs, size)):
        written.append(_written(first if not written else piece[0][0][:16].decode(), piece, cut, directory))
    return written or [_written(first, [], cut, directory)]


def _pairs(slices: Slices, slice_: Slice, cut: Cut | None, where: Range) -> Iterator[Pair]:
    if cut is None or cut.line is None:
        for entry_id, text in slices.lines(slice_, where):
            yield entry_id.encode() + leaf_of(text), text + "\n"
    else:
        line_of = cut.line
        for entry, text in slices.entries(slice_, where):
            yield entry.id.encode() + leaf_of(text), line_of(entry)


def _written(first: str, piece: list[Pair], cut: Cut | None, directory: Path) -> Written:
    members = b"".join(member for member, _ in piece)
    part = Part(first, len(members) // MEMBER_BYTES, part_digest(members))
    if cut is None:
        return Written(part, None)
    name = f".{first}"
    made = write_file(directory / name, [cut.header, *(line for _, line in piece), cut.footer])
    return Written(part._replace(file=name), made)


def write_file(path: Path, lines: Iterable[str]) -> Made:
    """Write a new file from texts; a byte that is no UTF-8 is a surrogate in them (PEP 383). It is synced when it is published."""
    hashed, size_bytes = sha256(), 0
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb", buffering=0) as out:
        rest = iter(lines)
        while chunk := list(islice(rest, _LINES)):
            data = "".join(chunk).encode("utf-8", "surrogateescape")
            hashed.update(data)
            size_bytes += len(data)
            while data:
                data = data[out.write(data) :]
    return Made(size_bytes, hashed.hexdigest())
