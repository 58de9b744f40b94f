"""The shipper: copies each commit into the backup directory as it is made, so that a lost disk costs seconds.

Reads registry.db; writes the segments of the ledger, under the lock of the backup directory, and queue/: findings and samples.
Guarantees: nothing that was shipped is changed; a ledger that is not the one that was shipped is never added to it; what keeps it
from shipping it says, in a finding, and tries again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from autoops.backup.errors import BackupUnwritable, LedgerForked
from autoops.backup.lock import held
from autoops.backup.place import Place
from autoops.backup.segments import Segments
from autoops.backup.shipping import fork_evidence, last_common, make_own, reaching, ship_some
from autoops.core.drift import LEDGER_FORKED, LEDGER_UNSHIPPED
from autoops.errors import AutoopsError, StorageReadOnly
from autoops.files.inotify import FileWatch
from autoops.log import emit
from autoops.model import JSON
from autoops.runtime.maintenance import Maintenance
from autoops.state import State
from autoops.store.database import Database
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.records import Behind, Record, committed_s
from autoops.store.registry import Registry
from autoops.store.samples import SHIPPING_LATENCY, Samples
from autoops.store.standing import Standing

SUBJECT = b"ledger"
_BURST_S = 1.0  # between two looks while commits are made
_NET_S = 30.0  # between two looks when nothing seems to happen
_RETRY_S = 10.0  # after something went wrong
_TELL_S = 10.0  # between two sets of facts: telling them is a write

Stamp = tuple[tuple[int, int, int], ...]


class Shipper:
    """The service."""

    name = "shipper"

    def __init__(self, load: Callable[[], Place], state: State) -> None:
        self._load, self._state = load, state
        self._shipped, self._behind = 0, Behind(0, None)
        self._trouble = ""  # why nothing is shipped
        self._seen: Stamp | None = None  # the registry's files when all that was in them was shipped; None: look again soon
        self.facts: JSON = {}
        self._watch: FileWatch | None = None

    def open(self) -> None:
        """Open the queue. Raises StorageError, ConfigError."""
        self.reload()
        self._database = Database.open(self._state.queue_db, QUEUE, synchronous="NORMAL", guard=True)
        self._standing = Standing(self._database, (LEDGER_FORKED, LEDGER_UNSHIPPED))
        self._samples = Samples(self._database)
        with contextlib.suppress(AutoopsError, OSError):  # the first look says it
            self._shipped = self._segments.last()[0]
        self.facts = self._facts()

    def resume(self, alive: Callable[[], None], was: Maintenance | None) -> None:
        """Look at everything anew: after a window the registry may be another one."""
        self._since_s = time.time()
        self._seen = None
        self._net_due_s = self._told_s = float("-inf")

    def step(self, now_s: float) -> float:
        """Ship what has come; when that is much, a part of it."""
        self._listen()
        stamp = self._stamp()
        if stamp == self._seen and now_s < self._net_due_s:
            return self._tell(now_s, self._idle_s(now_s))
        try:
            sleep_s = self._look(now_s, stamp)
        except AutoopsError as error:  # of the queue: what was shipped is shipped, it was not noted
            if not error.transient:
                raise
            emit("look_put_off", service=self.name, reason=str(error))
            sleep_s = _BURST_S
        return self._tell(now_s, sleep_s)

    def _listen(self) -> None:
        if self._watch is None:
            with contextlib.suppress(OSError):  # no registry, or no inotify instance left for this user: then we look each second
                self._watch = FileWatch(os.fsencode(self._wal))
        if self._watch:
            self._watch.drain()

    @property
    def _wal(self) -> Path:
        return self._state.registry_db.with_name(self._state.registry_db.name + "-wal")

    def _stamp(self) -> Stamp:
        return tuple(map(_stamp_of, (self._state.registry_db, self._wal, self._state.checkpoints)))

    def _idle_s(self, now_s: float) -> float:
        return max(0.0, self._net_due_s - now_s) if self._watch else _BURST_S

    def _tell(self, now_s: float, sleep_s: float) -> float:
        """Bring the facts up to date, not too often; return how long it may sleep."""
        facts = self._facts()
        if facts == self.facts:
            return sleep_s
        if now_s - self._told_s < _TELL_S:
            return min(sleep_s, self._told_s + _TELL_S - now_s)
        self.facts, self._told_s = facts, now_s
        return sleep_s

    def _facts(self) -> JSON:
        commits, since_s = self._behind
        return {"behind": commits, "behind_since_s": None if since_s is None else int(since_s), "shipped": self._shipped}

    # one look

    def _look(self, now_s: float, stamp: Stamp) -> float:
        self._net_due_s, self._seen = now_s + _NET_S, None
        try:
            with contextlib.closing(Registry.open(self._state.registry_db)) as registry:
                try:
                    records = self._ship(registry)
                finally:
                    self._behind = registry.behind(self._shipped)
        except LedgerForked as error:
            return self._found(error, LEDGER_FORKED, self._evidence)
        except AutoopsError as error:
            if isinstance(error, StorageReadOnly) or (error.transient and not isinstance(error, BackupUnwritable)):
                self._trouble = str(error)  # its worker ended, say; or a snapshot is being taken
                return _BURST_S
            return self._found(error, LEDGER_UNSHIPPED, {"why": str(error)})
        self._is_well(records)
        if self._behind.commits:
            return 0.0
        if max(mtime_ns for _, _, mtime_ns in stamp) / 1e9 > time.time() - _BURST_S:
            return _BURST_S  # a write at this very moment may have left the stamp as it is
        self._seen = stamp
        return self._idle_s(now_s)

    def _ship(self, registry: Registry) -> list[Record]:
        """Ship the next commits. Raises LedgerForked, BackupBusy, BackupUnwritable, SegmentUnsound, StorageError."""
        segments = self._segments
        with reaching(self._place):
            make_own(self._state, self._place)
            with held(self._place, wait_s=0):
                try:
                    self._shipped = last_common(registry, segments)
                    records = ship_some(registry, segments, self._shipped)
                except LedgerForked:
                    self._evidence = fork_evidence(registry, segments)
                    raise
        if records:
            self._shipped = records[-1].sequence
        return records

    def _found(self, error: AutoopsError, kind: str, detail: JSON) -> float:
        self._trouble = str(error)
        self._standing.found(kind, SUBJECT, detail, time.time())
        return _RETRY_S

    def _is_well(self, records: list[Record]) -> None:
        now_s, self._trouble = time.time(), ""
        for kind in (LEDGER_FORKED, LEDGER_UNSHIPPED):
            self._standing.settled(kind, SUBJECT, now_s)
        made_s = [at_s for record in records if (at_s := committed_s(record)) >= self._since_s]  # of others nobody can say
        self._samples.record(SHIPPING_LATENCY, [max(0.0, now_s - at_s) for at_s in made_s], int(now_s))

    # the rest of its life

    def status(self) -> str:
        """Say how far it is, or why not."""
        to_go = f", {self._behind.commits} to go" if self._behind.commits > 0 else ""
        said = f"shipped up to commit {self._shipped} to {self._place.directory}{to_go}"
        return f"{said}; nothing is shipped now: {self._trouble}" if self._trouble else said

    def reload(self) -> None:
        """Take over the configuration as it is now. Raises UsageError and keeps the old one."""
        self._place = self._load()
        self._segments = Segments(self._place.ledger)
        self._seen = None

    def pause(self, window: Maintenance) -> None:
        """Let go of the registry."""
        self._end_watch()

    def entered(self, window: Maintenance) -> None:
        """Nothing is held yet."""

    def close(self) -> None:
        """Give everything back."""
        self._end_watch()
        if hasattr(self, "_database"):
            self._database.close()

    def _end_watch(self) -> None:
        if self._watch:
            self._watch.close()
        self._watch = None

    def wake_fds(self) -> list[int]:
        """Return what tells of commits, while nothing else is due soon."""
        return [self._watch.fileno()] if self._watch and self._seen is not None else []


def _stamp_of(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns
