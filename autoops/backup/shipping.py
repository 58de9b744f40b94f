"""The ledger on its way into the backup directory: what is there already, what is not, and where the two part."""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from autoops.backup.errors import BackupUnwritable, LedgerForked
from autoops.backup.place import Place
from autoops.backup.segment_files import Segment
from autoops.backup.segments import Segments
from autoops.model import JSON
from autoops.state import State
from autoops.store.records import Record, Records

_BATCH_BYTES, _BATCH_RECORDS = 8 << 20, 1000  # of one look into the registry: as long as it lasts, the WAL cannot begin anew


class Shipped(NamedTuple):
    """What was shipped: the commits after one, up to and with another."""

    after: int
    until: int

    @property
    def commits(self) -> int:
        """How many."""
        return self.until - self.after


def ship(registry: Records, place: Place) -> Shipped:
    """Append what the ledger has grown by to the segments; the caller holds the lock of the place.

    Raises LedgerForked when the registry's ledger does not go on where the segments end, SegmentUnsound, StorageError, OSError.
    """
    segments = Segments(place.ledger)
    begun = sequence = last_common(registry, segments)
    while records := ship_some(registry, segments, sequence):
        sequence = records[-1].sequence
    return Shipped(begun, sequence)


def ship_some(registry: Records, segments: Segments, after: int) -> list[Record]:
    """Append the next commits after one, as many as go in one go; return them. Raises as `ship` does."""
    batch, size_bytes = list[Record](), 0
    with contextlib.closing(registry.records(after)) as records:
        for record in records:
            batch.append(record)
            size_bytes += len(record.text)
            if size_bytes >= _BATCH_BYTES or len(batch) >= _BATCH_RECORDS:
                break
    segments.append(batch)
    return batch


def pending(registry: Records, place: Place) -> Shipped:
    """Return what `ship` would do. Raises as it does."""
    sequence = last_common(registry, Segments(place.ledger))
    return Shipped(sequence, sequence + registry.behind(sequence).commits)


def last_common(registry: Records, segments: Segments) -> int:
    """Return the sequence of what was shipped last. Raises LedgerForked when the registry's ledger does not have it."""
    sequence, hashed = segments.last()
    found = registry.hash_of(sequence)
    if sequence == 0 or found == hashed:
        return sequence
    if found is None:
        newest = sequence + registry.behind(sequence).commits
        detail = f"it ends with commit {newest}, and commit {sequence} was shipped already"
    else:
        detail = f"its commit {sequence} has hash {found.hex()[:16]}..., the one shipped {hashed.hex()[:16]}..."
    raise LedgerForked(directory=segments.directory, detail=detail)


def fork_evidence(registry: Records, segments: Segments) -> JSON:
    """Return what shows that the registry's ledger is not the one that was shipped. Raises SegmentUnsound."""
    sequence, hashed = segments.last()
    found = registry.hash_of(sequence)
    return {
        "registry_hash": found.hex() if found else None,  # None: it does not go as far
        "same_until": parting(registry, segments),
        "shipped": sequence,
        "shipped_hash": hashed.hex(),
        "shipped_to": str(segments.directory),
    }


def parting(registry: Records, segments: Segments) -> int:
    """Return the last commit that both have, 0 for none: what comes after one that differs, differs too. Raises SegmentUnsound."""

    def differs(record: Record) -> bool:
        return registry.hash_of(record.sequence) != record.hash

    def begins_differently(segment: Segment) -> bool:
        records = segments.within(segment)
        return not records or differs(records[0])  # none: a power cut came between its name and its first record

    files = segments.files()
    same = bisect_left(files, True, key=begins_differently)
    if same == 0:
        return 0
    records = segments.within(files[same - 1])
    return records[bisect_left(records, True, key=differs) - 1].sequence


def make_own(state: State, place: Place) -> None:
    """Make the state directory's own backup directory. Another one a person makes: its disk may not be mounted. Raises OSError."""
    if place.directory == state.backups:
        place.directory.mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def reaching(place: Place) -> Iterator[None]:
    """Say of a backup directory that cannot be read or written that it is that. Raises BackupUnwritable."""
    try:
        yield
    except OSError as error:
        raise BackupUnwritable(directory=place.directory, why=error.strerror or error) from error
