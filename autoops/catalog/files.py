"""The files of a new generation once its parts are known: their final names, what is taken over, and what is no part."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from autoops import names
from autoops.catalog import command, whole
from autoops.catalog.cut import Cut
from autoops.catalog.generation import Generation
from autoops.catalog.parts import Written, write_file
from autoops.config import CatalogConfig
from autoops.core.catalog import LeftOut, Made, Metadata, Part, Slice, file_name
from autoops.store.slices import Slices

_ALIVE_LINES = 10_000


class Source(NamedTuple):
    """What the files of one catalog are made from."""

    table: CatalogConfig
    slice: Slice
    slices: Slices
    page_entries: int
    made_at: str
    cut: Cut | None


class Complete(NamedTuple):
    """A generation but for its metadata.json."""

    parts: tuple[Part, ...]
    files: dict[str, Made]
    left_out: LeftOut


def complete(
    generation: Generation, source: Source, old: Metadata | None, written: list[Written], alive: Callable[[], None]
) -> Complete:
    """Make the generation complete. `written` has all parts in order: made anew, or as the old generation has them."""
    if source.cut is not None:
        return _cut(generation, source.table.name, source.cut, written)
    parts = tuple(one.part for one in written)
    if old is None or parts != old.parts:
        return Complete(parts, *_whole(generation, source, alive))
    for name in old.files:
        there = os.fsdecode(names.to_bytes(name))
        generation.take_over(there, there)
    return Complete(parts, dict(old.files), old.left_out)


def _cut(generation: Generation, catalog: str, cut: Cut, written: list[Written]) -> Complete:
    files: dict[str, Made] = {}
    parts = []
    for number, (part, made) in enumerate(written):
        name = file_name(cut.stem, cut.suffix, number, len(written))
        if part.file.startswith("."):
            (generation.directory / part.file).rename(generation.directory / name)
        else:
            generation.take_over(part.file, name)
        assert made is not None
        files[name] = made
        parts.append(part._replace(file=name))
    for empty in generation.directory.glob(".*"):  # parts that have no entries any more
        empty.unlink()
    for name, text in cut.front(catalog, parts).items():
        files[name] = write_file(generation.directory / name, [text])
    return Complete(tuple(parts), files, {})


def _whole(generation: Generation, source: Source, alive: Callable[[], None]) -> tuple[dict[str, Made], LeftOut]:
    table = source.table
    if table.format == "command":
        lines = (f"{line.text}\n".encode() for line in source.slices.lines(source.slice))
        made = command.make(table, lines, generation.directory, alive)
        return {name: measured(generation.directory / os.fsdecode(names.to_bytes(name))) for name in made}, {}
    files: dict[str, Made] = {}

    def write(name: str, lines: Iterable[str]) -> None:
        files[name] = write_file(generation.directory / name, _while_alive(lines, alive))

    asked = whole.Asked(table.name, source.slice, source.slices, source.page_entries, source.made_at)
    left_out = whole.FORMATS[table.format](asked, write)
    return files, dict(left_out)


def _while_alive(lines: Iterable[str], alive: Callable[[], None]) -> Iterator[str]:
    """Yield the lines, and say now and then that it goes on."""
    for number, line in enumerate(lines):
        if number % _ALIVE_LINES == 0:
            alive()
        yield line


def measured(path: Path) -> Made:
    """Return what a file is that somebody else wrote. Raises OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        hashed = hashlib.file_digest(file, "sha256").hexdigest()
        return Made(os.fstat(file.fileno()).st_size, hashed)
