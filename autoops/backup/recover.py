"""A damaged database made good again, by whatever is left, and out loud.

registry.db: first what SQLite itself makes whole, on a copy; then what `remake` makes of the backups and of what can still be read.
What was committed and cannot be made again is told commit by commit, with the entries that anything names. queue.db: that of a
snapshot, or a new one, with what was acknowledged (queue_back.py).
Reads the state directory and the backups; writes through `install`, whose guarantees these are.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

from autoops.backup import proof, queue_back
from autoops.backup.errors import BackupUnsound
from autoops.backup.install import Installed, Why, at_work_in, install, install_queue
from autoops.backup.lost import Lost, lost_after, traces
from autoops.backup.making import copy_damaged, unpack_last
from autoops.backup.packing import Tell
from autoops.backup.place import CHECKPOINTS, Place
from autoops.backup.queue_back import Carried
from autoops.backup.remake import Say, Sources, remake
from autoops.backup.restore import require_on_medium
from autoops.backup.segments import Segments
from autoops.core.canonical import canonical
from autoops.core.ledger import Head
from autoops.core.signing import Verifier
from autoops.errors import AutoopsError, CannotTell, CheckFailed
from autoops.files import durable, medium
from autoops.model import JSON
from autoops.state import State
from autoops.store.border import flag_of
from autoops.store.folding import fold
from autoops.store.registry import Registry
from autoops.store.salvage import Salvage
from autoops.trace import trace


class Recovered(NamedTuple):
    """What came of it. `installed`: None, registry.db was good; `queue`: None, queue.db was."""

    head: Head
    lost: list[Lost]
    queue: Carried | None
    installed: Installed | None = None
    kept: list[Path] = []  # noqa: RUF012  (never changed)
    report: Path | None = None  # where what was lost is written down


class Copy(NamedTuple):
    """A copy of registry.db as SQLite's recovery leaves it."""

    path: Path
    fault: str  # what is wrong with it, "" when it proves itself
    unfit: str = ""  # why the file itself is not to be used on, however good its copy is
    head: Head | None = None


class Recovery:
    """One recovery. `place`: the backups of this state; `source`: others, to take from instead."""

    def __init__(self, state: State, place: Place, verifier: Verifier, say: Say, tell: Tell, source: Place | None = None) -> None:
        self._state, self._place, self._verifier, self._say, self._tell = state, place, verifier, say, tell
        self._source = source or place
        self._segments = Segments(self._source.ledger)

    def run(self, stamp: str, actor: str, *, dry_run: bool = False) -> Recovered:
        """Make both databases good again; nothing is done to one that is. `dry_run`: find out, and put nothing in its place.

        Raises ServicesRun, BackupBusy, StorageFull, StorageReadOnly, NoBackup when the backups cannot be read, CheckFailed.
        """
        with at_work_in(self._state, self._place) as scratch:
            copied = self._copied(scratch)
            head, lost = self._remade(scratch, copied)
            is_other = bool(copied.fault or copied.unfit) or copied.head != head
            if is_other:
                self._require_on_medium(scratch)
            done = Recovered(head, lost, self._queue(scratch, head))
            trace("restore:made")
            if dry_run:
                return done
            why = Why("damaged", stamp, actor, "recover", f"recovered, {len(lost)} commits lost" if lost else "recovered")
            if is_other:
                return self._put(done, scratch, why)
            done = done._replace(report=self._written(lost, stamp) if lost else None)
            return done._replace(kept=install_queue(scratch, self._state, why)) if done.queue else done

    def _put(self, done: Recovered, scratch: State, why: Why) -> Recovered:
        report = self._written(done.lost, why.stamp) if done.lost else None
        checkpoints = self._state.checkpoints
        if not checkpoints.exists():
            checkpoints = scratch.directory / "checkpoints.jsonl"
            unpack_last(self._source, CHECKPOINTS, done.head.sequence, self._verifier, checkpoints, self._doubt)
        installed = install(scratch, self._state, self._place, self._verifier, why, checkpoints=checkpoints)
        return done._replace(installed=installed, kept=installed.kept, report=report)

    def _written(self, lost: list[Lost], stamp: str) -> Path:
        report = self._state.registry_db.with_name(f"lost-{stamp}.jsonl")
        facts: list[JSON] = [one._asdict() for one in lost]
        durable.write(report, "".join(canonical(one) + "\n" for one in facts).encode())
        return report

    def _doubt(self, error: AutoopsError) -> None:
        self._say(f"not used: {error}")

    # registry.db

    def _copied(self, scratch: State) -> Copy:
        """Copy registry.db with its WAL, have SQLite recover the copy, and prove it."""
        database, path = self._state.registry_db, scratch.directory / "registry.copy"
        if not database.exists():
            self._say("registry.db: it is not there")
            return Copy(path, "it is not there")
        self._say("registry.db: trying SQLite's own recovery, on a copy")
        lost_bytes = copy_damaged(database, path)
        fault = _fold_fault(path)
        fault = fault or proof.registry_fault(
            path, scratch.checkpoints, self._verifier, lambda: self._tell("verifying", 0), with_history=True
        )
        fault = fault.replace(str(path), str(database)).replace(path.name, database.name)
        head = None if fault else _head_in(path)
        if head and not head.sequence and (told := next(traces(self._state.checkpoints, self._source, self._verifier), "")):
            head, fault = None, f"it has no commit, and {told} tells of some"
        self._say(f"registry.db: {f'damaged: {fault}' if fault else 'whole'}")
        unfit = f"its disk does not give {lost_bytes:,} bytes of it" if lost_bytes else _unfit(database)
        if unfit:
            self._say(f"registry.db: {unfit}{'' if fault else ': its copy takes its place'}")
        return Copy(path, fault, unfit, head)

    def _remade(self, scratch: State, copied: Copy) -> tuple[Head, list[Lost]]:
        whole = None if copied.fault else copied.path
        # what was shipped of another history than that of a registry that is whole, is not lost
        segments = self._segments if copied.head is None or self._continues(copied.head) else None
        sources: Sources = {"the shipped ledger": segments.records} if segments else {}
        with contextlib.ExitStack() as opened:
            salvage = opened.enter_context(Salvage(copied.path)) if copied.fault and copied.path.exists() else None
            if salvage:
                sources = {**sources, "what can be read of the damaged file": salvage.records}
            head = remake(scratch.registry_db, whole, self._source, sources, self._verifier, self._say, self._tell)
            lost = lost_after(head.sequence, self._state.checkpoints, self._source if segments else None, salvage, self._verifier)
        for one in lost:
            self._say(f"lost: {one}")
        return head, lost

    def _continues(self, head: Head) -> bool:
        """Tell whether the shipped ledger is of the history of a registry that is whole."""
        if not head.sequence:
            return True  # of every history
        try:
            return [record.hash for record in self._segments.records(head.sequence - 1, head.sequence)] == [head.hash]
        except BackupUnsound:
            return False

    def _require_on_medium(self, scratch: State) -> None:
        try:
            require_on_medium(scratch.registry_db)
        except CannotTell as error:
            self._say(str(error))

    # queue.db

    def _queue(self, scratch: State, head: Head) -> Carried | None:
        fault = queue_back.fault_of(self._state.queue_db)
        self._say(f"queue.db: {fault or 'whole'}")
        if not fault:
            return None
        back = queue_back.bring_back(
            scratch.queue_db, self._state.queue_db, self._source, head.sequence, self._verifier, self._doubt
        )
        self._say(f"queue.db: {back} takes its place")
        return back


def _unfit(database: Path) -> str:
    """Return why a file is not to be used on, whatever its copy is: writing it failed once, or its disk holds something else."""
    if flag_of(database).exists():
        return "it is suspect, for writing it failed once"
    try:
        offset = medium.differing(database)
    except CannotTell:
        return ""
    except OSError as error:
        return f"its disk cannot be read ({error.strerror})"
    return "" if offset is None else f"its disk does not hold what the cache shows, from byte {offset} on"


def _fold_fault(copied: Path) -> str:
    try:
        fold(copied)
    except CheckFailed as error:
        return str(error)
    return ""


def _head_in(database: Path) -> Head:
    with contextlib.closing(Registry.open_still(database)) as registry:
        return registry.head()
