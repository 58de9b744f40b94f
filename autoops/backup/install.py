"""What was made in scratch takes its place in a state directory: the registry, its checkpoints, and a queue where that is needed.

Guarantees: what was there is kept beside it, named. Everything that needs room on a disk is done before the first name changes.
Killed at any moment, the old registry is whole in its place or the new one is; the same command again does the rest. What was
shipped of a history that is left is kept too (abandon.py), and the ledger says itself what happened.
Reads and writes the state directory, and the backup directory under its lock.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from autoops.acting import as_owner_of
from autoops.backup import abandon
from autoops.backup.abandon import Left, Other, left_behind
from autoops.backup.errors import SegmentUnsound
from autoops.backup.lock import held
from autoops.backup.making import hand_over, make_directories, scratch_of, write_checkpoints, writing
from autoops.backup.place import SNAPSHOTS_LOCK, Place
from autoops.core.ledger import Head
from autoops.core.signing import Verifier
from autoops.errors import CheckFailed, StorageError
from autoops.files import durable
from autoops.model import PRIORITY_SCAN, Work, note, path_key
from autoops.runtime.wake import Waker
from autoops.state import State
from autoops.store.border import flag_of
from autoops.store.database import Database, Schema
from autoops.store.playback import Playback
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.queue import Queue
from autoops.store.registry import SCHEMA as REGISTRY
from autoops.store.registry import Registry
from autoops.trace import trace
from autoops.window import seal
from autoops.window.services import standing_still
from autoops.window.swap import swap, take_back


class Why(NamedTuple):
    """How what is done is called: in the names of what is kept, and in the ledger."""

    word: str  # "before", "damaged": registry.db.before-STAMP
    stamp: str
    actor: str
    source: str
    reason: str


class Installed(NamedTuple):
    """What was done."""

    kept: list[Path]  # what was there before
    left: Left | None  # the history that was left, None when all that is known of it goes on
    abandoned: Path | None  # where the backups of the history that was left are


@contextlib.contextmanager
def at_work_in(state: State, place: Place) -> Iterator[State]:
    """Be the only one who works in a state directory and its backups; give scratch on the same disk.

    Raises ServicesRun, BackupBusy, StorageFull, StorageReadOnly.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(writing(state.directory))
        make_directories(state)
        with as_owner_of(state.registry_db.parent):
            stack.enter_context(standing_still(state))
            for database in (state.registry_db, state.queue_db):
                take_back(database)
                for left in database.parent.glob(".*.restored*"):
                    left.unlink()
        if place.directory.is_dir():
            with as_owner_of(place.directory):
                stack.enter_context(held(place, name=SNAPSHOTS_LOCK))
                stack.enter_context(held(place))
                abandon.tidy(place)
        stack.enter_context(as_owner_of(state.directory))
        yield stack.enter_context(scratch_of(state.directory / ".restoring"))


def install(scratch: State, state: State, place: Place, verifier: Verifier, why: Why, *, checkpoints: Path) -> Installed:
    """Put what is in scratch in its place: registry.db, and queue.db if there is one. `checkpoints`: what is known of them.

    Raises StorageBusy when somebody has a database open, OSError, StorageError: then the old registry is in its place. Raises
    CheckFailed when the new one is, and what comes after failed.
    """
    with contextlib.closing(Registry.open_still(scratch.registry_db)) as registry:
        head, roots = registry.head(), list(registry.roots())
        all_hold = write_checkpoints(checkpoints, registry, verifier, scratch.checkpoints)
        other = abandon.other_history(place, registry, verifier)
        left, given_id = _replaced(state, registry, other)
    if left or other.is_any:
        _keep_given(scratch, max(given_id, abandon.given_in(place, other)))
    abandoned = _keep_history(place, other, why)
    trace("restore:kept")
    kept = []
    if scratch.queue_db.exists():
        kept += _placed(scratch.queue_db, state.queue_db, why, QUEUE)
        trace("restore:queue")
    if not all_hold or checkpoints != state.checkpoints:
        kept += _place_checkpoints(scratch, state, why)
        trace("restore:checkpoints")
    kept += _placed(scratch.registry_db, state.registry_db, why, REGISTRY)
    try:
        _settle(state, place, other, why, roots, head, left)
    except (OSError, StorageError, SegmentUnsound) as error:
        done = f"the registry is at commit {head.sequence} now, but not all is done"
        said = f"{done}: remove the cause, and do the same again ({error})"
        raise CheckFailed(detail=said) from error
    return Installed(kept, left, abandoned)


def _settle(state: State, place: Place, other: Other, why: Why, roots: list[str], head: Head, left: Left | None) -> None:
    """Do what follows from another registry being there."""
    with as_owner_of(state.registry_db.parent):
        left_seal = seal.read(state)
        seal.write(state, left_seal.window if left_seal else None)
    abandoned = f"; abandoned: commit {left.sequence}, {left.hash.hex()}" if left else ""
    said = note(f"{why.source}:{why.stamp}", why.actor, why.source, f"{why.reason}, commit {head.sequence}{abandoned}")
    enqueue(state, [said, *scans(roots)])
    trace("restore:noted")
    if other.is_any:
        with as_owner_of(place.directory):
            abandon.leave(place, other)


def _replaced(state: State, fresh: Registry, other: Other) -> tuple[Left | None, str]:
    """Return the history that is left, None for none; and the greatest ID that the registry gave that is to be replaced, "" when it
    is not known."""
    try:
        with contextlib.closing(Registry.open(state.registry_db)) as live:
            if not live.strange_schema():  # else what is asked of it may not be there
                return left_behind(live, fresh, other), live.given_until() or ""
    except StorageError:
        pass
    return left_behind(None, fresh, other), ""


def _keep_given(scratch: State, given_id: str) -> None:
    playback = Playback.open_alone(scratch.registry_db)
    playback.keep_given(given_id)
    playback.finish()


def _keep_history(place: Place, other: Other, why: Why) -> Path | None:
    if not other.is_any:
        return None
    with as_owner_of(place.directory):
        return abandon.keep(place, why.stamp).directory


def _placed(fresh: Path, database: Path, why: Why, spec: Schema) -> list[Path]:
    """Put a database in its place; return what of the old one is kept."""
    beside_it = database.with_name(f".{database.name}.restored")
    hand_over(fresh, beside_it)
    aside = database.with_name(f"{database.name}.{why.word}-{why.stamp}")
    with as_owner_of(database.parent):
        swap(beside_it, database, aside, spec)
        with contextlib.suppress(FileNotFoundError):  # it is about the file that was there
            flag_of(database).replace(flag_of(aside))
        durable.sync_directory(database.parent)
    return [aside] if aside.exists() else []


def _place_checkpoints(scratch: State, state: State, why: Why) -> list[Path]:
    aside = state.checkpoints.with_name(f"{state.checkpoints.name}.{why.word}-{why.stamp}")
    beside_it = state.checkpoints.with_name(f".{state.checkpoints.name}.restored")
    hand_over(scratch.checkpoints, beside_it)
    with as_owner_of(state.checkpoints.parent):
        with contextlib.suppress(FileNotFoundError):
            os.link(state.checkpoints, aside, follow_symlinks=False)
        beside_it.replace(state.checkpoints)
        durable.sync_directory(state.checkpoints.parent)
    return [aside] if aside.exists() else []


def install_queue(scratch: State, state: State, why: Why) -> list[Path]:
    """Put a queue in its place, and have every root looked at; return what of the old one is kept."""
    kept = _placed(scratch.queue_db, state.queue_db, why, QUEUE)
    with contextlib.closing(Registry.open(state.registry_db)) as registry:
        roots = list(registry.roots())
    enqueue(state, scans(roots))
    return kept


def scans(roots: list[str]) -> list[Work]:
    """Return jobs to look at every root, from its beginning."""
    anew = {"cursor": None}  # what an interrupted scan has behind it is not in this registry; null takes it away (RFC 7396)
    return [Work("scan", path_key(root, b""), PRIORITY_SCAN, anew) for root in roots]


def enqueue(state: State, works: list[Work]) -> None:
    """Enqueue, durably, and ring the worker's bell. Raises StorageError."""
    with as_owner_of(state.queue_db.parent), Database.open(state.queue_db, QUEUE, synchronous="FULL", guard=True) as database:
        Queue(database).enqueue(works)
    with contextlib.closing(Waker(state.worker_socket)) as waker:
        waker.wake()
