"""The tailer: follows our checkpoints and those of others, and says within a second when one disagrees.

Reads registry/checkpoints.jsonl, registry.db, and the configured files; writes queue/ only: findings, samples, scans to be done,
and how far it has read (tail.json). Asks providers through child processes. Guarantee: no step waits for anybody.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import NamedTuple

from autoops.config import CheckpointConfig, RefreshConfig
from autoops.core.signing import Verifier
from autoops.core.spoken import counted
from autoops.errors import AutoopsError, UsageError
from autoops.files.inotify import FileWatch
from autoops.log import emit
from autoops.model import JSON, PRIORITY_OPERATOR, Work, path_key
from autoops.runtime.maintenance import Maintenance
from autoops.runtime.wake import Waker
from autoops.state import State
from autoops.store.backlog import Backlog
from autoops.store.database import Database
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.queue import Queue
from autoops.tail import foreign
from autoops.tail.foreign import POLL_S, Foreign
from autoops.tail.notes import Notes
from autoops.tail.own import OwnFile

_KINDS = ("scan", "path", "patch", "catalog")  # what a refresh waits for
_PUT_OFF_S = 1.0


class Plan(NamedTuple):
    """What the configuration wants of the tailer."""

    roots: tuple[str, ...]
    catalogs: tuple[str, ...]  # names of what is built from the registry, to be built anew by a refresh
    checkpoints: tuple[CheckpointConfig, ...]
    refresh: RefreshConfig


class Tailer:
    """The service."""

    name = "tailer"

    def __init__(self, load: Callable[[], Plan], state: State, public_key: Callable[[], bytes]) -> None:
        self._load, self._state, self._public_key = load, state, public_key
        self.facts: JSON = {}
        self._foreign: list[Foreign] = []
        self._watch: FileWatch | None = None

    def open(self) -> None:
        """Open the queue, and what is remembered. Raises StorageError, ConfigError, CannotTell."""
        self._plan = self._load()
        verifier = Verifier(self._public_key())
        self._database = Database.open(self._state.queue_db, QUEUE, synchronous="NORMAL", guard=True)
        self._queue, self._waker = Queue(self._database), Waker(self._state.worker_socket)
        self._notes = Notes(self._database)
        self._own = OwnFile(self._state.checkpoints, self._state.tail, self._state.registry_db, verifier, self._notes)

    def resume(self, alive: Callable[[], None], was: Maintenance | None) -> None:
        """Watch, and follow; after a window from the first line again, for the registry may be another one."""
        try:
            self._watch = FileWatch(os.fsencode(self._state.checkpoints))
        except OSError:  # no instance is left for this user: the file is looked at every few seconds
            self._watch = None
        self._own.begin(time.time(), anew=was is not None)
        self._make_foreign()

    def _make_foreign(self) -> None:
        work = foreign.Work(self._plan.refresh, self._scan, self._unfinished, self._state.directory)
        self._notes.forget_others({one.name.encode() for one in self._plan.checkpoints}, time.time())
        self._foreign = [Foreign(one, work, self._notes) for one in self._plan.checkpoints]

    def step(self, now_s: float) -> float:
        """Check what has come."""
        if self._watch:
            self._watch.drain()
        try:
            more = self._own.follow(time.time())
            waits_s = [one.step(time.time()) for one in self._foreign]
        except AutoopsError as error:
            if not error.transient:
                raise
            emit("look_put_off", service=self.name, reason=str(error))
            return _PUT_OFF_S
        return 0.0 if more else min([POLL_S, *waits_s])

    def _scan(self) -> int:
        """Enqueue a scan of every root, for a refresh."""
        anew = {"cursor": None}  # from the beginning; null takes an interrupted scan's place away (RFC 7396)
        with contextlib.suppress(UsageError):  # then the roots of before
            fresh = self._load()  # autoops root add restarts the two daemons only
            self._plan = self._plan._replace(roots=fresh.roots, catalogs=fresh.catalogs)
        scans = [Work("scan", path_key(root, b""), PRIORITY_OPERATOR, anew) for root in self._plan.roots]
        self._queue.enqueue([*scans, *(Work("catalog", name.encode(), PRIORITY_OPERATOR) for name in self._plan.catalogs)])
        self._waker.wake()
        return Backlog(self._database).horizon()

    def _unfinished(self, horizon: int) -> int:
        return Backlog(self._database).unfinished(horizon, _KINDS)

    def status(self) -> str:
        """Say how far it is, and what stands."""
        memory = self._own.memory
        said = f"{counted(memory.position.lines, 'checkpoint line')} read, the last of commit {memory.sequence}"
        said += f", {counted(self._notes.standing(), 'finding')}" if self._notes.standing() else ""
        said += f"; {len(self._foreign)} of others" if self._foreign else ""
        return f"{said}; checkpoints.jsonl: {self._own.trouble}" if self._own.trouble else said

    def reload(self) -> None:
        """Take over the configuration as it is now. Raises UsageError and keeps the old one."""
        self._plan = self._load()
        if self._foreign or self._plan.checkpoints:
            self._end_foreign()
            self._make_foreign()

    def pause(self, window: Maintenance) -> None:
        """Let go of the registry: nobody is asked any more."""
        self._end_foreign()
        self._own.close()
        self._end_watch()

    def entered(self, window: Maintenance) -> None:
        """Nothing is held yet."""

    def close(self) -> None:
        """Give everything back."""
        self._end_foreign()
        self._end_watch()
        if hasattr(self, "_own"):
            self._own.close()
            self._waker.close()
            self._database.close()

    def _end_foreign(self) -> None:
        for one in self._foreign:
            one.close()
        self._foreign = []

    def _end_watch(self) -> None:
        if self._watch:
            self._watch.close()
        self._watch = None

    def wake_fds(self) -> list[int]:
        """Return what tells of news."""
        own = [self._watch.fileno()] if self._watch else []
        return own + [fileno for one in self._foreign for fileno in one.filenos()]
