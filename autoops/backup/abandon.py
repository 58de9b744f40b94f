"""What happens to the backups when an older state is put back: the history that was left stays, in a place of its own.

Guarantee: nothing is lost. The whole backup directory is linked to `abandoned/STAMP/` before anything is taken out of it; that
directory is a backup directory too. Reads and writes a backup directory, under its lock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from bisect import bisect_left
from pathlib import Path
from typing import NamedTuple

from autoops.backup.errors import BackupUnsound
from autoops.backup.manifest import Manifest
from autoops.backup.place import Place
from autoops.backup.segments import Segments
from autoops.backup.shelf import Shelf
from autoops.backup.shipping import parting
from autoops.backup.snapshot import remove
from autoops.core.ids import is_id
from autoops.core.signing import Verifier
from autoops.files import durable
from autoops.store.records import UNFIT, Records, patches_of
from autoops.store.registry import Registry
from autoops.trace import trace

_OPEN = ".jsonl"  # the segment that is being written


class Other(NamedTuple):
    """What a backup directory has of another history than a registry's."""

    common: int  # the last commit that both have
    last: int  # the last one that was shipped, -1 when that cannot be read
    snapshots: list[Manifest]
    hash: bytes = b""  # of that last one

    @property
    def is_any(self) -> bool:
        """Whether there is anything."""
        return self.last != self.common or bool(self.snapshots)


def other_history(place: Place, registry: Records, verifier: Verifier) -> Other:
    """Return what in a backup directory is not of the history of a registry. What is damaged is not."""
    snapshots = [one for one in Shelf(place, verifier).good() if registry.hash_of(one.head.sequence) != one.head.hash]
    segments = Segments(place.ledger)
    try:
        last, hashed = segments.last()
        common = last if not last or registry.hash_of(last) == hashed else parting(registry, segments)
    except BackupUnsound:
        return Other(0, -1, snapshots)
    return Other(common, last, snapshots, hashed)


class Left(NamedTuple):
    """A history that is left: where it parts from the one that goes on, and its last commit."""

    common: int
    sequence: int
    hash: bytes


def left_behind(live: Registry | None, fresh: Registry, other: Other) -> Left | None:
    """Return the history that is left for that of `fresh`: of the registry there is, or what was shipped, whichever is longer."""
    shipped = Left(other.common, other.last, other.hash) if other.last > other.common else None
    head = live.head() if live else None
    if live is None or head is None or not head.sequence or fresh.hash_of(head.sequence) == head.hash:
        return shipped
    if shipped and shipped.sequence > head.sequence:
        return shipped
    numbers = range(1, head.sequence + 1)
    common = bisect_left(numbers, True, key=lambda number: live.hash_of(number) != fresh.hash_of(number))
    return Left(common, head.sequence, head.hash)


def given_in(place: Place, other: Other) -> str:
    """Return the greatest ID that was given in another history, as far as it can be read; "" for none."""
    given = ""
    with contextlib.suppress(BackupUnsound, *UNFIT):
        for record in Segments(place.ledger).records(other.common):
            created = (str(patch["entry"]["id"]) for patch in patches_of(record) if patch["op"] == "create")
            given = max([given, *filter(is_id, created)])
    return given


def keep(place: Place, stamp: str) -> Place:
    """Link all that there is to `abandoned/STAMP/`, durably. Raises OSError; then nothing is there."""
    kept = Place(place.abandoned / stamp)
    begun = place.abandoned / ".begun"
    shutil.rmtree(begun, ignore_errors=True)
    place.abandoned.mkdir(mode=0o700, exist_ok=True)
    try:
        begun.mkdir(mode=0o700)
        for top in (place.snapshots, place.ledger):
            if top.is_dir():
                _link(top, begun / top.name)
        begun.rename(kept.directory)
    except BaseException:
        shutil.rmtree(begun, ignore_errors=True)
        raise
    durable.sync_directory(place.abandoned)
    return kept


def _link(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    for path in sorted(source.iterdir()):
        if path.name.startswith("."):
            continue  # being taken, or removed
        if path.is_dir() and not path.is_symlink():
            _link(path, target / path.name)
        elif path.suffix == _OPEN:  # written where it stands, and so would a link to it be
            _copied(path, target / path.name)
        else:
            _linked(path, target / path.name)
    durable.sync_directory(target)


def _linked(path: Path, target: Path) -> None:
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError:  # a file system without links, or too many of them
        _copied(path, target)


def _copied(path: Path, target: Path) -> None:
    with path.open("rb") as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())


def leave(place: Place, other: Other) -> None:
    """Take another history out of a backup directory, when it is kept elsewhere. Raises OSError, SegmentUnsound."""
    for one in other.snapshots:
        remove(place, one.name)
        trace("abandon:snapshot")
    if other.last < 0:  # damaged: what holds is shipped anew
        for path in sorted(place.ledger.iterdir(), reverse=True):
            path.unlink()
        durable.sync_directory(place.ledger)
    elif other.last != other.common:
        Segments(place.ledger).cut(other.common)
    trace("abandon:left")


def tidy(place: Place) -> None:
    """Remove what was begun and not ended."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(place.abandoned / ".begun")
