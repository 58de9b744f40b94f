"""Are the lines of a catalog of format jsonl what they have to be: one valid, canonical entry each, and together its digest?

Reads catalogs/; writes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from autoops import names
from autoops.core import digest, schema
from autoops.core.canonical import canonical, parse
from autoops.core.catalog import METADATA, Metadata, Part, part_digest
from autoops.core.digest import leaf_of
from autoops.model import JSON
from autoops.prove.catalogs import FILES_TOLD, open_file, opened, read
from autoops.state import State

_MAX_LINE_BYTES = schema.MAX_ENTRY_BYTES + 1
_FAULTS_SHOWN = 20  # of the lines of one file


def line_faults(state: State, name: str) -> list[tuple[str, JSON]]:
    """Return (file, detail) of what is wrong with the lines of a catalog of format jsonl, the first hundred."""
    try:
        with opened(state, name) as fd:
            return [] if fd is None else list(itertools.islice(faulty_lines(fd, read(fd)), FILES_TOLD))
    except (OSError, ValueError) as error:
        return [(METADATA, {"reason": f"it cannot be read: {names.show(str(error))}"})]


def faulty_lines(fd: int, made: Metadata) -> Iterator[tuple[str, JSON]]:
    """Yield (file, detail) of what is wrong with the lines of a catalog of format jsonl: each is one valid, canonical entry."""
    for part in made.parts:
        try:
            yield from _faulty_part(fd, part)
        except OSError as error:
            yield part.file, {"reason": f"it cannot be read: {error.strerror}"}


def _faulty_part(fd: int, part: Part) -> Iterator[tuple[str, JSON]]:
    pairs = bytearray()
    faults = 0
    with open_file(fd, part.file) as file:
        for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE_BYTES), b""), 1):
            wrong = line_fault(line)
            if wrong is None:
                text = line[:-1].decode()
                pairs += parse(text)["id"].encode() + leaf_of(text)
            elif faults < _FAULTS_SHOWN:
                faults += 1
                yield part.file, {"line": number, "reason": wrong}
    if not faults and (len(pairs) // digest.MEMBER_BYTES, part_digest(bytes(pairs))) != (part.entries, part.digest):
        yield part.file, {"reason": "its entries do not give the digest that metadata.json has"}


def line_fault(line: bytes) -> str | None:
    """Return what is wrong with one line of a catalog of format jsonl, None when nothing is."""
    if not line.endswith(b"\n"):
        return "it is cut off, or longer than an entry may be"
    try:
        value = parse(line[:-1])
    except (ValueError, RecursionError) as error:
        return f"no JSON: {names.show(str(error))}"
    if not isinstance(value, dict):
        return "no object"
    wrong = schema.fault(value)
    if wrong is None and canonical(value).encode() != line[:-1]:
        return "not canonical"
    return wrong
