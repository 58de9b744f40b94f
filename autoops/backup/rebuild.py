"""A registry as it was after any commit, made of what a backup directory has.

The newest full snapshot before that commit, and the ledger played on from there: each record must follow from the one before it, be
signed, and give the digest that it claims; so what comes out is that commit's registry, or nothing does. Where a snapshot or a
segment is damaged there is mostly another way; who wants the newest backup to be good, and no other, does not ask for it.
Reads a backup directory; writes one new file, and beside it, while it is at work, files whose names begin with a dot.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from autoops.backup.errors import BackupUnsound, NoBackup, SegmentUnsound
from autoops.backup.manifest import Manifest
from autoops.backup.packing import Tell, unpack
from autoops.backup.place import REGISTRY, Place
from autoops.backup.segments import Segments
from autoops.backup.shelf import Shelf, Unreadable
from autoops.core.ledger import Head
from autoops.core.signing import Verifier
from autoops.errors import AutoopsError, CommitMisfit, LedgerKeyChanged, StorageCorrupt, StorageFull, UsageError
from autoops.prove import chain
from autoops.store.database import migrate
from autoops.store.guard import SUFFIX as GUARD_SUFFIX
from autoops.store.playback import Playback
from autoops.store.records import Record
from autoops.store.registry import SCHEMA, Registry
from autoops.window.swap import BESIDE, beside, publish

OnFault = Callable[[AutoopsError], None]  # told what cannot be used, before another way is tried
UNUSABLE = (BackupUnsound, CommitMisfit, StorageCorrupt, LedgerKeyChanged)  # then another way is tried


class Way(NamedTuple):
    """One way to a commit: a full snapshot to begin with (None: with nothing), and who has the records after it (None: the
    segments; else a full snapshot, which has the whole ledger up to its own commit)."""

    base: Manifest | None
    ledger: Manifest | None


def rebuild(
    place: Place,
    target: Path,
    sequence: int,
    verifier: Verifier,
    tell: Tell = lambda *_: None,
    on_fault: OnFault | None = None,
) -> Head:
    """Make the registry after a commit, a file that is whole and on the disk when this returns, and say where its ledger stands.

    on_fault: None raises the first fault; else it is told of each, and every other way is tried before the first one is raised.
    Raises UsageError below 1, NoBackup when no way leads to that commit, BackupUnsound, BackupForeign, BackupNewer, CommitMisfit,
    StorageFull, StorageError. Then there is no target.
    """
    assert not target.exists(), target
    if sequence < 1:
        raise UsageError(detail=f"there is no commit {sequence}: the first one is commit 1")
    faults: list[AutoopsError] = []

    def failed(error: AutoopsError) -> None:
        if on_fault is None:
            raise error
        on_fault(error)
        faults.append(error)

    snapshots = Shelf(place, verifier).all()
    good = [one for one in snapshots if isinstance(one, Manifest)]
    for one in snapshots:
        if isinstance(one, Unreadable) and (on_fault or not good):
            failed(one.error)
    for way in ways([one for one in good if one.kind == "full"], first_shipped(place), sequence):
        try:
            return _go(place, way, target, sequence, verifier, tell)
        except UNUSABLE as error:
            failed(error)
    raise faults[0] if faults else NoBackup(detail=f"what is in {place.directory} does not lead to commit {sequence}")


def ways(full: Iterable[Manifest], first_shipped: int, sequence: int) -> Iterator[Way]:
    """Yield the ways to a commit, the best first. Pure. first_shipped: the oldest commit in the segments, 0 when there are none."""
    by_commit = sorted(full, key=lambda one: (one.head.sequence, one.at))
    before = [one for one in reversed(by_commit) if one.head.sequence <= sequence]
    after = [one for one in by_commit if one.head.sequence >= sequence]
    for base in before:
        yield Way(base, None)
    if first_shipped == 1:
        yield Way(None, None)
    for ledger in after:
        yield from (Way(base, ledger) for base in (*before[:1], None) if base != ledger)


def first_shipped(place: Place) -> int:
    """Return the commit with which the segments begin, by their names; 0 when there are none. Raises NoBackup."""
    try:
        files = Segments(place.ledger).files()
    except OSError as error:
        raise NoBackup(detail=f"{place.ledger} cannot be read ({error.strerror})") from error
    return files[0].first if files else 0


def _go(place: Place, way: Way, target: Path, sequence: int, verifier: Verifier, tell: Tell) -> Head:
    scratch = target.with_name(f".{target.name}.rebuilt")
    with cleared(scratch), _reading(way.base.name if way.base else str(place.ledger), target):
        playback = begin(place, way.base, scratch, verifier, tell)
        try:
            with _records(place, way, playback.ledger_head.sequence, sequence, scratch, tell) as records:
                head = playback.play(chain.sound(told(records, tell), playback.ledger_head, verifier))
            if head.sequence != sequence:
                raise CommitMisfit(sequence=head.sequence, detail="what comes after it is missing")
            playback.finish()
        except SegmentUnsound as error:
            playback.close()
            raise CommitMisfit(sequence=playback.ledger_head.sequence, detail=str(error)) from error
        except BaseException:
            playback.close()
            raise
        publish(scratch, target)
    return head


def begin(place: Place, base: Manifest | None, scratch: Path, verifier: Verifier, tell: Tell) -> Playback:
    """Make a registry to play records onto: a full snapshot, unpacked, or an empty one.

    Raises BackupUnsound when it is not what its manifest says, StorageError, OSError.
    """
    if base:
        tell("unpacking", 0)
        unpack(place.snapshot(base.name) / REGISTRY, scratch, base.files[REGISTRY], base.name, lambda done: tell("unpacking", done))
    migrate(scratch, SCHEMA)  # it may be from before an upgrade
    beside(scratch, GUARD_SUFFIX).unlink()
    playback = Playback.open_alone(scratch)
    try:
        playback.require_key(verifier.public.hex())
        if base and (playback.ledger_head != base.head or playback.digest != base.head.digest):
            raise BackupUnsound(name=base.name, detail="its registry is not at the commit that its manifest says")
    except BaseException:
        playback.close()
        raise
    return playback


@contextlib.contextmanager
def _records(place: Place, way: Way, after: int, until: int, scratch: Path, tell: Tell) -> Iterator[Iterable[Record]]:
    """Give the records after a commit, up to and with another one."""
    if after >= until:
        yield ()
    elif way.ledger is None:
        yield Segments(place.ledger).records(after, until)
    else:
        beside_it = scratch.with_name(f"{scratch.name}.ledger")
        with ledger_of(place, way.ledger, beside_it, tell) as registry, contextlib.closing(registry.records(after)) as records:
            yield itertools.takewhile(lambda record: record.sequence <= until, records)


@contextlib.contextmanager
def ledger_of(place: Place, full: Manifest, scratch: Path, tell: Tell) -> Iterator[Registry]:
    """Give the registry of a full snapshot, for its ledger to be read. Raises BackupUnsound, StorageError, OSError."""
    with cleared(scratch):
        tell("unpacking the ledger", 0)
        packed = full.files[REGISTRY]
        unpack(place.snapshot(full.name) / REGISTRY, scratch, packed, full.name, lambda done: tell("unpacking the ledger", done))
        migrate(scratch, SCHEMA)
        with contextlib.closing(Registry.open_still(scratch)) as registry:
            yield registry


@contextlib.contextmanager
def cleared(scratch: Path) -> Iterator[None]:
    """Have no such file before and after."""
    clear(scratch)
    try:
        yield
    finally:
        clear(scratch)


def clear(scratch: Path) -> None:
    """Remove a database and what is beside it."""
    for path in (scratch, *(beside(scratch, suffix) for suffix in (*BESIDE, GUARD_SUFFIX, ".suspect"))):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _reading(name: str, target: Path) -> Iterator[None]:
    """Say of a failed read or write what failed. Raises StorageFull, BackupUnsound."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(database=target) from error
        raise BackupUnsound(name=name, detail=f"it cannot be put back ({error.strerror})") from error


def told(records: Iterable[Record], tell: Tell) -> Iterator[Record]:
    """Yield records, and tell how much of the ledger was played."""
    for record in records:
        yield record
        tell("playing the ledger", len(record.text))
