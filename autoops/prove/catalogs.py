"""Do the catalogs still say what the registry says, and are their files what was written?

`check` is for whoever looks for disagreements: it yields `catalog_stale` for a catalog whose slice is another one now, or that was
never built, or was declared otherwise, and `catalog_checksum` for a file that is not what metadata.json says. `behind` is what a
builder and a check both need to know: which parts of a catalog the commits since then touched.
Reads catalogs/ and the registry; writes nothing. Everything of a catalog is read through one opened directory, so that a new
generation, put in its place meanwhile, is never mixed with the one that is looked at.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import itertools
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from autoops import names
from autoops.config import CatalogConfig
from autoops.core import digest
from autoops.core.catalog import (
    MAX_METADATA_BYTES,
    METADATA,
    Made,
    Metadata,
    Range,
    Slice,
    Touch,
    concerns,
    metadata_of,
    part_digest,
    parts_of,
    range_of,
    slice_digest,
    touches,
)
from autoops.core.digest import leaf_of
from autoops.core.spoken import counted
from autoops.files.opening import plain
from autoops.model import JSON
from autoops.state import State
from autoops.store.records import UNFIT, digest_after, id_of, patches_of, said_by, unreadable
from autoops.store.registry import Registry
from autoops.store.slices import Slices

STALE = "catalog_stale"
CHECKSUM = "catalog_checksum"
Found = tuple[str, str, JSON]  # kind, name of the catalog, detail
How = Literal["sizes", "hashes"]

# One more when a format's lines change: then its catalogs are built from nothing.
GENERATORS = {"jsonl": 1, "csv": 1, "markdown": 1, "html": 1, "hashdeep": 1, "bagit": 1, "command": 1}
_PLACED = ("hashdeep",)  # formats that write where a root is

_MOST_COMMITS = 10_000  # what happened in more of them is not looked up: all is read anew
_MOST_TOUCHED = 100_000
_ASKED = 1000  # entries in one query
_LOOKS = 3  # at a catalog that is replaced while it is looked at
FILES_TOLD = 100  # of one catalog


class Behind(NamedTuple):
    """What happened since a catalog was built."""

    commits: int = 0  # all of them, whatever they touched
    since: str = ""  # when the first of them was
    parts: tuple[int, ...] = ()  # the numbers of its parts that may be others now
    all: str = ""  # why none of its parts can be relied on, "" when they can


# what is declared


def slice_of(table: CatalogConfig) -> Slice:
    """Return the slice that a [[catalog]] table declares."""
    return Slice(table.root, table.class_name, table.status)


def generator_of(table: CatalogConfig) -> str:
    """Return the format and its version."""
    return f"{table.format}/{GENERATORS[table.format]}"


def declared_of(table: CatalogConfig, places: Mapping[str, bytes]) -> JSON:
    """Return what the lines of a catalog depend on besides the entries; `places` says where each root is."""
    found: JSON = {"class": table.class_name, "format": table.format, "root": table.root, "status": table.status}
    if table.format == "command":
        found["command"] = list(table.command)
    if table.format in _PLACED:
        found["places"] = {root: names.text(path) for root, path in places.items() if table.root in ("", root)}
    return found


# looking at one catalog


@contextlib.contextmanager
def opened(state: State, name: str) -> Iterator[int | None]:
    """Give the opened directory of a catalog, None when there is none."""
    try:
        fd = os.open(state.catalogs / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def read(fd: int) -> Metadata:
    """Return what the metadata.json in an opened directory says. Raises OSError, ValueError."""
    with open_file(fd, METADATA) as file:
        raw = file.read(MAX_METADATA_BYTES + 1)
    if len(raw) > MAX_METADATA_BYTES:
        raise ValueError("it is too large")
    return metadata_of(raw)


def open_file(fd: int, name: str) -> io.BufferedReader:
    """Open a file in an opened directory, without following a link. Raises OSError, also when it is no plain file."""
    return plain(names.to_bytes(name), fd)


def faulty_files(fd: int, made: Metadata, how: How) -> Iterator[tuple[str, JSON]]:
    """Yield (file, detail) of every file that is not what metadata.json says, is missing, or was added."""
    for name, wanted in made.files.items():
        try:
            found = _looked_at(fd, name, wanted, how)
        except OSError as error:
            yield name, {"reason": "it is missing" if error.errno == errno.ENOENT else f"it cannot be read: {error.strerror}"}
            continue
        if found.size_bytes != wanted.size_bytes:
            yield name, {"found_bytes": found.size_bytes, "reason": "its size is another", "wanted_bytes": wanted.size_bytes}
        elif found != wanted:
            yield name, {"found": found.sha256, "reason": "its content is another", "wanted": wanted.sha256}
    known = {os.fsencode(METADATA), *map(names.to_bytes, made.files)}
    for there in sorted(map(os.fsencode, os.listdir(fd))):
        if there not in known:
            yield names.text(there), {"reason": "it was added"}


def _looked_at(fd: int, name: str, wanted: Made, how: How) -> Made:
    there = os.stat(names.to_bytes(name), dir_fd=fd, follow_symlinks=False)
    if not stat.S_ISREG(there.st_mode):
        raise OSError(errno.EINVAL, "it is no file")
    if how == "sizes" or there.st_size != wanted.size_bytes:
        return Made(there.st_size, wanted.sha256)
    with open_file(fd, name) as file:
        return Made(there.st_size, hashlib.file_digest(file, "sha256").hexdigest())


# against the registry


def behind(registry: Registry, made: Metadata, table: CatalogConfig) -> Behind:
    """Return what happened since a catalog was built, from the ledger. Raises StorageError."""
    head = registry.head()
    if made.generator != generator_of(table):
        return Behind(all=f"it was made by {made.generator}")
    if made.declared != declared_of(table, registry.root_paths()):
        return Behind(all="it is declared otherwise now")
    if slice_digest(made.parts) != made.digest or sum(part.entries for part in made.parts) != made.entries:
        return Behind(all="its metadata.json contradicts itself")
    if made.sequence > head.sequence or _digest_at(registry, made.sequence) != made.registry_digest:
        return Behind(all=f"the registry has no such commit {made.sequence}: it is another one, or an older copy of it")
    if head.sequence - made.sequence > _MOST_COMMITS:
        return Behind(head.sequence - made.sequence, all=f"{counted(head.sequence - made.sequence, 'commit')} came after it")
    return _touched(registry, made, slice_of(table), head.sequence)


def _digest_at(registry: Registry, sequence: int) -> str:
    if sequence == 0:
        return digest.Tree().root().hex()
    record = registry.record(sequence)
    try:
        return digest_after(record.text).hex() if record else ""
    except ValueError:
        raise unreadable(sequence) from None


def _touched(registry: Registry, made: Metadata, slice_: Slice, until: int) -> Behind:
    known: dict[str, Touch] = {}
    since = ""
    for record in registry.records(made.sequence):
        try:
            since = since or said_by(record).at
            touches([(id_of(patch), patch) for patch in patches_of(record)], known)
        except UNFIT:
            raise unreadable(record.sequence) from None
        if len(known) > _MOST_TOUCHED:
            return Behind(until - made.sequence, since, all=f"more than {_MOST_TOUCHED} entries were changed after it")
    ids = sorted(known)
    concerned: list[str] = []
    for at in range(0, len(ids), _ASKED):
        now = registry.by_id(ids[at : at + _ASKED])
        concerned += [one for one in ids[at : at + _ASKED] if concerns(slice_, now.get(one), known[one])]
    return Behind(until - made.sequence, since, tuple(parts_of(made.parts, concerned)))


def members(slices: Slices, slice_: Slice, where: Range) -> tuple[int, str]:
    """Return (entries, digest) of the entries with these IDs, as the registry has them."""
    pairs = b"".join(line.id.encode() + leaf_of(line.text) for line in slices.lines(slice_, where))
    return len(pairs) // digest.MEMBER_BYTES, part_digest(pairs)


def _differs(slices: Slices, slice_: Slice, made: Metadata, number: int) -> bool:
    part = made.parts[number]
    return members(slices, slice_, range_of(made.parts, number)) != (part.entries, part.digest)


# checks


def check(
    state: State, registry: Registry, declared: Sequence[CatalogConfig], *, how: How = "hashes", every_part: bool = False
) -> Iterator[Found]:
    """Yield (kind, catalog, detail) for every catalog that is not what the registry says, or not what was written.

    how: "sizes" leaves the contents of files unread. every_part: read the whole slice, not only what the ledger says was touched.
    Give it a registry that is not in a snapshot taken before: a catalog of a later commit would be taken for one of another
    registry. Raises StorageError.
    """
    for table in declared:
        for _ in range(_LOOKS):
            try:
                with opened(state, table.name) as fd:
                    found = list(_faults(fd, registry, table, how, every_part=every_part))
                    if not found or not _was_replaced(fd, state, table.name):
                        break
            except OSError as error:
                found = [(CHECKSUM, table.name, {"file": METADATA, "reason": f"it cannot be read: {error.strerror}"})]
        yield from found


def _was_replaced(fd: int | None, state: State, name: str) -> bool:
    """Tell whether another generation stands in the place of the one that was looked at."""
    with opened(state, name) as now:
        if fd is None or now is None:
            return fd is not now
        return os.fstat(fd).st_ino != os.fstat(now).st_ino


def _faults(fd: int | None, registry: Registry, table: CatalogConfig, how: How, *, every_part: bool) -> Iterator[Found]:
    if fd is None:
        yield STALE, table.name, {"reason": "it was never built"}
        return
    try:
        made = read(fd)
    except (OSError, ValueError) as error:
        yield CHECKSUM, table.name, {"file": METADATA, "reason": f"it cannot be read: {names.show(str(error))}"}
        return
    for file, detail in itertools.islice(faulty_files(fd, made, how), FILES_TOLD):
        yield CHECKSUM, table.name, {"file": file, **detail}
    stale = staleness(registry, Slices(registry.reader), made, table, every_part=every_part)
    if stale is not None:
        yield STALE, table.name, stale


def staleness(registry: Registry, slices: Slices, made: Metadata, table: CatalogConfig, *, every_part: bool = False) -> JSON | None:
    """Return in what a catalog is not the registry's any more, None when it is. Raises StorageError."""
    found = behind(registry, made, table)
    if found.all:
        return {"commits": found.commits, "reason": found.all}
    numbers = range(len(made.parts)) if every_part else found.parts
    parts = [number for number in numbers if _differs(slices, slice_of(table), made, number)]
    if not parts:
        return None
    told = {"parts": len(parts), "parts_total": len(made.parts), "sequence": made.sequence}
    if not set(parts) <= set(found.parts):
        return {**told, "commits": found.commits, "reason": "its entries are others, though no commit changed them"}
    return {**told, "commits": found.commits, "reason": "its entries were changed", "since": found.since}


def present(state: State, name: str) -> Metadata | None:
    """Return what the present generation of a catalog says of itself, None when that cannot be read."""
    try:
        with opened(state, name) as fd:
            return None if fd is None else read(fd)
    except (OSError, ValueError):
        return None  # `check` says why
