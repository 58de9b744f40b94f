"""A copy of the registry from before an edit, and the way back to it.

Guarantee: a copy has its name only when it is whole, on the disk, and at the ledger head of its original. Going back replaces
registry.db at once or not at all, and keeps what was there beside it.
Reads registry.db and checkpoints.jsonl; writes `backups/`, and for `restore` `registry/`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from autoops import clock
from autoops.acting import as_owner_of
from autoops.core.signing import Verifier
from autoops.errors import CheckFailed, Refused
from autoops.prove import verify
from autoops.state import State
from autoops.store.database import migrate
from autoops.store.guard import SUFFIX as GUARD_SUFFIX
from autoops.store.registry import SCHEMA, Registry
from autoops.window.swap import BESIDE, beside, publish, swap

PREFIX, SUFFIX = "window-", ".db"
KEPT = 10  # of windows; what is older goes when a new one is taken


def take(state: State, stamp: str) -> Path:
    """Copy the registry to `backups/window-STAMP.db` and return its path. Raises StorageError, CheckFailed, OSError."""
    state.backups.mkdir(mode=0o700, exist_ok=True)
    with as_owner_of(state.backups):
        return _take(state, stamp)


def _take(state: State, stamp: str) -> Path:
    target = state.backups / f"{PREFIX}{stamp}{SUFFIX}"
    tidy(state)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        _copy_proven(state, temporary)
        publish(temporary, target)
    finally:
        for left in state.backups.glob(f"{temporary.name}*"):
            left.unlink(missing_ok=True)
    for old in snapshots(state)[:-KEPT]:
        old.unlink(missing_ok=True)
    return target


def _copy_proven(state: State, temporary: Path) -> None:
    with contextlib.closing(Registry.open(state.registry_db)) as registry:
        head = registry.head()
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        registry.copy_to(temporary)
    with contextlib.closing(Registry.open(temporary)) as copy:
        faults = copy.check() or [fault.detail for fault in verify.entries(copy, head)]
        if faults or copy.head() != head:
            said = faults[0] if faults else "its ledger has another head than the registry's"
            raise CheckFailed(detail=f"no snapshot was taken: the copy is not whole ({said}). See: autoops verify")


def tidy(state: State) -> None:
    """Remove the unfinished copies of processes that were killed. Raises OSError."""
    for left in state.backups.glob(f".{PREFIX}*{SUFFIX}.*.tmp*"):
        owner = left.name.rpartition(".tmp")[0].rpartition(".")[2]
        if not clock.is_process(owner):
            left.unlink(missing_ok=True)


def _copy(snapshot: Path, target: Path) -> None:
    source = os.open(snapshot, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(source, "rb") as reader, os.fdopen(copy, "wb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)


def snapshots(state: State) -> list[Path]:
    """Return the copies there are, the oldest first."""
    return sorted(state.backups.glob(f"{PREFIX}*{SUFFIX}"))


def find(state: State, name: str) -> Path:
    """Return the copy of a name, or the newest one for "". Raises Refused."""
    there = {path.name: path for path in snapshots(state)}
    if name and name in there:
        return there[name]
    if name or not there:
        raise Refused(detail=f"there is no snapshot {name}".rstrip() + (f"; there are {', '.join(there)}" if there else ""))
    return there[max(there)]


def restore(state: State, snapshot: Path, verifier: Verifier, stamp: str) -> Path:
    """Put a copy in the registry's place, while nobody works on it; return where what was there is kept.

    Raises CheckFailed when the copy is not whole, or older than the last checkpoint (then it would undo commits); StorageError.
    """
    with as_owner_of(state.registry_db.parent):
        return _restore(state, snapshot, verifier, stamp)


def _restore(state: State, snapshot: Path, verifier: Verifier, stamp: str) -> Path:
    fresh = state.registry_db.with_name(".registry.db.restored")
    _remove(fresh)  # of one that was killed: its WAL would be played into this one
    try:
        _copy(snapshot, fresh)
        migrate(fresh, SCHEMA)  # it may be from before an upgrade
        _require_whole(state, snapshot, fresh, verifier)
        aside = state.registry_db.with_name(f"registry.db.edited-{stamp}")
        swap(fresh, state.registry_db, aside, SCHEMA)
        return aside
    finally:
        _remove(fresh)


def _require_whole(state: State, snapshot: Path, fresh: Path, verifier: Verifier) -> None:
    with contextlib.closing(Registry.open(fresh)) as copy:
        faults = [*copy.check(), *copy.strange_schema()]
        faults += [fault.detail for fault in verify.checkpoints(state.checkpoints, copy, verifier)]
        faults += [] if faults else [fault.detail for fault in verify.entries(copy, copy.head())]
    if faults:
        raise CheckFailed(detail=f"{snapshot} cannot take the registry's place: {faults[0]}")


def _remove(database: Path) -> None:
    for suffix in ("", *BESIDE, GUARD_SUFFIX):
        beside(database, suffix).unlink(missing_ok=True)
