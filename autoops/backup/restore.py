"""An older state put back: the registry as it was after a commit, in the place of the present one, or in another directory.

Reads backups; writes through `install`, whose guarantees these are, or a new directory.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

from autoops.backup import queue_back
from autoops.backup.install import Installed, Why, at_work_in, install
from autoops.backup.making import scratch_of, unpack_last, write_checkpoints, writing
from autoops.backup.packing import Tell
from autoops.backup.place import CHECKPOINTS, CONFIG, Place
from autoops.backup.queue_back import Carried
from autoops.backup.rebuild import OnFault, rebuild
from autoops.core.ledger import Head
from autoops.core.signing import Verifier
from autoops.errors import CheckFailed, Refused
from autoops.files import durable, medium
from autoops.state import State
from autoops.store.border import flag_of
from autoops.store.registry import Registry
from autoops.trace import trace


class Ask(NamedTuple):
    """What is to be put back, and from where."""

    source: Place
    sequence: int
    verifier: Verifier


class Restored(NamedTuple):
    """What was put back. `queue`: None, the one that was there stays; `installed`: None, in a directory of its own."""

    head: Head
    entries: int
    queue: Carried | None
    installed: Installed | None


def restore(state: State, place: Place, ask: Ask, stamp: str, actor: str, tell: Tell, on_fault: OnFault) -> Restored:
    """Put an older state in the place of the one there is; `place` has the backups of that one, if any.

    Raises ServicesRun when a service is at work, BackupBusy, what `rebuild` raises, and StorageBusy, StorageFull, StorageReadOnly.
    """
    with at_work_in(state, place) as scratch:
        head, entries = _make_registry(scratch, ask, tell, on_fault)
        queue = None
        if queue_back.fault_of(state.queue_db):
            queue = queue_back.bring_back(scratch.queue_db, state.queue_db, ask.source, head.sequence, ask.verifier, on_fault)
        if flag_of(state.registry_db).exists():
            require_on_medium(scratch.registry_db)
        checkpoints = state.checkpoints
        if not checkpoints.exists():
            checkpoints = scratch.directory / "checkpoints.jsonl"
            unpack_last(ask.source, CHECKPOINTS, head.sequence, ask.verifier, checkpoints, on_fault)
        trace("restore:made")
        why = Why("before", stamp, actor, "restore", f"restored from {ask.source.directory}")
        done = install(scratch, state, place, ask.verifier, why, checkpoints=checkpoints)
        if not state.running_config.exists():
            _bring_config(state, ask, on_fault)
        _publish_key(state, ask.verifier)
    return Restored(head, entries, queue, done)


def restore_to(directory: Path, ask: Ask, tell: Tell, on_fault: OnFault) -> Restored:
    """Make a whole state directory of the backups, where there is none, or an empty one.

    Raises Refused when something is in it, and what `rebuild` raises.
    """
    if directory.is_symlink() or (directory.exists() and (not directory.is_dir() or any(directory.iterdir()))):
        raise Refused(detail=f"{directory} is there already: give a directory that is not, or that is empty")
    if not directory.parent.is_dir():
        raise Refused(detail=f"there is no {directory.parent} to make {directory.name} in")
    with writing(directory), scratch_of(directory.with_name(f".{directory.name}.restoring")) as scratch:
        head, entries = _make_registry(scratch, ask, tell, on_fault)
        queue = queue_back.bring_back(scratch.queue_db, None, ask.source, head.sequence, ask.verifier, on_fault)
        kept = scratch.directory / "checkpoints.jsonl"
        unpack_last(ask.source, CHECKPOINTS, head.sequence, ask.verifier, kept, on_fault)
        with contextlib.closing(Registry.open_still(scratch.registry_db)) as registry:
            write_checkpoints(kept, registry, ask.verifier, scratch.checkpoints)
        kept.unlink(missing_ok=True)
        _bring_config(scratch, ask, on_fault)
        _publish_key(scratch, ask.verifier)
        scratch.cookies.mkdir(mode=0o700)
        for path in (scratch.registry_db.parent, scratch.queue_db.parent, scratch.directory):
            durable.sync_directory(path)
        trace("restore:made")
        scratch.directory.rename(directory)
        durable.sync_directory(directory.parent)
    return Restored(head, entries, queue, None)


def _make_registry(scratch: State, ask: Ask, tell: Tell, on_fault: OnFault) -> tuple[Head, int]:
    head = rebuild(ask.source, scratch.registry_db, ask.sequence, ask.verifier, tell, on_fault)
    with contextlib.closing(Registry.open_still(scratch.registry_db)) as registry:
        return head, registry.count()


def _bring_config(state: State, ask: Ask, on_fault: OnFault) -> None:
    """Have commands that are given no configuration work with the one that the worker ran with."""
    unpack_last(ask.source, CONFIG, ask.sequence, ask.verifier, state.running_config, on_fault)


def _publish_key(state: State, verifier: Verifier) -> None:
    if not state.public_key.exists():
        durable.write(state.public_key, f"{verifier.public.hex()}\n".encode(), mode=0o644)


def require_on_medium(path: Path) -> None:
    """See that what was written is on the disk: its last one failed a write. Raises CheckFailed, CannotTell, OSError."""
    offset = medium.differing(path)
    if offset is not None:
        detail = f"the disk does not hold what was written to {path}, from byte {offset} on: nothing is put in place on this disk"
        raise CheckFailed(detail=detail)
