"""How far the backups reach, and which commit was the last at a time. Reads a backup directory; writes scratch only."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from autoops.backup.errors import BackupUnsound, NoBackup, NoSuchCommit, SegmentUnsound
from autoops.backup.manifest import Manifest
from autoops.backup.packing import Tell
from autoops.backup.place import Place
from autoops.backup.rebuild import UNUSABLE, OnFault, first_shipped, ledger_of
from autoops.backup.segments import Segments
from autoops.backup.shelf import Shelf
from autoops.core.ledger import utc
from autoops.core.signing import Verifier
from autoops.errors import AutoopsError
from autoops.store.records import Record, committed_s


def last_commit(place: Place, verifier: Verifier, on_fault: OnFault) -> int:
    """Return the last commit that can be given back, if nothing before it is damaged; `on_fault` is told why it is not a later one.

    Raises NoBackup when there is none.
    """
    segments, good = Segments(place.ledger), Shelf(place, verifier).good()
    last = max((one.head.sequence for one in good if one.kind == "full"), default=0)
    try:
        last = max(last, segments.last()[0])
    except BackupUnsound as error:
        on_fault(error)
        last = max(last, _readable(segments, first_shipped(place)))
    if not last:
        raise _nothing(place, verifier)
    for one in good:
        if one.head.sequence > last:
            on_fault(BackupUnsound(name=one.name, detail=f"what it has after commit {last} is not in {place.ledger}"))
    return last


def _nothing(place: Place, verifier: Verifier) -> AutoopsError:
    """Return why no commit can be given back."""
    unusable = sorted(Shelf(place, verifier).unusable(), key=lambda one: one.manifest is None)  # the others lack one of these
    return unusable[-1].error if unusable else NoBackup(detail=f"there is no commit in {place.directory}")


def required(place: Place, verifier: Verifier, sequence: int, on_fault: OnFault) -> int:
    """Return a commit that the backups reach. Raises NoBackup when they end before it."""
    last = last_commit(place, verifier, on_fault)
    if sequence > last:
        detail = f"there is no commit {sequence} in {place.directory}: the last one is {last}"
        raise NoSuchCommit(detail=detail, remedy="--latest gives that one")
    return sequence


def _readable(segments: Segments, first: int) -> int:
    last = 0
    with contextlib.suppress(BackupUnsound):
        for record in segments.records(max(first - 1, 0)):
            last = record.sequence
    return last


class Then(NamedTuple):
    """The last commit at a time. `is_last`: no later one was shipped."""

    sequence: int
    made_s: float
    is_last: bool


def commit_at(place: Place, verifier: Verifier, at_s: float, now_s: float, tell: Tell, on_fault: OnFault) -> Then:
    """Return the last commit that was made at a time (seconds since 1970) or before it.

    Whatever has the whole ledger is asked until one can tell; `on_fault` is told why another one cannot.
    Raises NoSuchCommit for a time before the first commit, or one that is yet to come, BackupUnsound, StorageError, OSError.
    """
    if at_s > now_s:
        raise NoSuchCommit(detail=f"{utc(at_s)} is yet to come", remedy="--latest gives the last commit that was shipped")
    faults: list[AutoopsError] = []
    for full in _tellers(place, verifier):
        with tempfile.TemporaryDirectory() as scratch:
            try:
                with _whole_ledger(place, full, Path(scratch, "ledger.db"), tell) as records:
                    return _last_before(records, at_s, place)
            except UNUSABLE as error:
                if full and isinstance(error, SegmentUnsound):
                    raise  # an older full one leads to the same place
                faults.append(error)
        on_fault(faults[-1])
    raise faults[0]


def _tellers(place: Place, verifier: Verifier) -> list[Manifest | None]:
    """Return who has every record up to some commit: the segments (None), and full snapshots, the newest first."""
    full = [one for one in Shelf(place, verifier).good() if one.kind == "full"]
    newest_first = sorted(full, key=lambda one: (one.head.sequence, one.at), reverse=True)
    return [*([None] if first_shipped(place) == 1 or not full else []), *newest_first]


def _last_before(records: Iterable[Record], at_s: float, place: Place) -> Then:
    found, first_s, last_s, sequence = Then(0, 0.0, is_last=False), None, 0.0, 0
    try:
        for record in records:
            last_s, sequence = committed_s(record), record.sequence
            first_s = last_s if first_s is None else first_s
            found = Then(sequence, last_s, is_last=True) if last_s <= at_s else found._replace(is_last=False)
    except BackupUnsound:
        if last_s <= at_s:  # it may be behind the damage
            raise
    if first_s is None:
        raise NoBackup(detail=f"there is no commit in {place.directory}")
    if not found.sequence:
        detail = f"the first commit in {place.directory} was made at {utc(first_s)}, after {utc(at_s)}"
        raise NoSuchCommit(detail=detail, remedy="what was before it is in no backup: give a later time")
    return found


@contextlib.contextmanager
def _whole_ledger(place: Place, full: Manifest | None, scratch: Path, tell: Tell) -> Iterator[Iterator[Record]]:
    """Give every record there is, from the first on: of a full snapshot and then the segments, or of the segments alone."""
    segments = Segments(place.ledger)
    if full is None:
        yield segments.records(max(first_shipped(place) - 1, 0))
        return
    with ledger_of(place, full, scratch, tell) as registry:
        yield _chained(registry.records(), segments, full.head.sequence)


def _chained(records: Iterator[Record], segments: Segments, until: int) -> Iterator[Record]:
    yield from records
    yield from segments.records(until)
