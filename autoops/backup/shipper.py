"""The ledger on its way into the backup directory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from autoops.backup.place import Place
from autoops.backup.segments import Segments
from autoops.errors import BackupUnwritable, LedgerForked
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
    begun = sequence = _last_common(registry, segments)
    while records := _batch(registry, sequence):
        segments.append(records)
        sequence = records[-1].sequence
    return Shipped(begun, sequence)


def pending(registry: Records, place: Place) -> Shipped:
    """Return what `ship` would do. Raises as it does."""
    return Shipped(_last_common(registry, Segments(place.ledger)), registry.head().sequence)


def _last_common(registry: Records, segments: Segments) -> int:
    """Return the sequence of what was shipped last. Raises LedgerForked when the registry's ledger does not have it."""
    sequence, hashed = segments.last()
    if sequence == 0:
        return 0
    record = registry.record(sequence)
    if record is None:
        detail = f"it ends with commit {registry.head().sequence}, and commit {sequence} was shipped already"
        raise LedgerForked(directory=segments.directory, detail=detail)
    if record.hash != hashed:
        detail = f"its commit {sequence} has hash {record.hash.hex()[:16]}..., the one shipped {hashed.hex()[:16]}..."
        raise LedgerForked(directory=segments.directory, detail=detail)
    return sequence


def _batch(registry: Records, after: int) -> list[Record]:
    batch, size_bytes = list[Record](), 0
    with contextlib.closing(registry.records(after)) as records:
        for record in records:
            batch.append(record)
            size_bytes += len(record.text)
            if size_bytes >= _BATCH_BYTES or len(batch) >= _BATCH_RECORDS:
                break
    return batch


@contextlib.contextmanager
def reaching(place: Place) -> Iterator[None]:
    """Say of a backup directory that cannot be read or written that it is that. Raises BackupUnwritable."""
    try:
        yield
    except OSError as error:
        raise BackupUnwritable(directory=place.directory, why=error.strerror or error) from error
