"""Where the watcher's knowledge goes: queue.db, and a ring of the worker's bell."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from autoops.config import Config
from autoops.model import Work
from autoops.runtime.wake import Waker
from autoops.state import State
from autoops.store.database import Database
from autoops.store.operations import Cookies, Gaps
from autoops.store.queue import SCHEMA, Queue


class QueueSink:
    """The watcher's `Sink` over queue.db.

    synchronous=NORMAL: what it stores are hints, and after a power cut the watcher begins with a scan that finds all of it again.
    """

    def __init__(self, state: State, config: Config) -> None:
        self._database = Database.open(state.queue_db, SCHEMA, synchronous="NORMAL", guard=True)
        self._queue = Queue(self._database, max_attempts=config.queue.max_attempts)
        self._gaps, self._cookies = Gaps(self._database), Cookies(self._database)
        self._waker = Waker(state.worker_socket)

    def enqueue(self, works: Sequence[Work]) -> None:
        """Store jobs and wake the worker."""
        self._queue.enqueue(works)
        self._waker.wake()

    def gap_opened(self, root: str, path: bytes, reason: str, detail: str) -> None:
        """Record that a directory is not watched."""
        self._gaps.open(root, path, reason, detail, int(time.time()))

    def gap_closed(self, root: str, path: bytes, reason: str) -> None:
        """Record that it is watched again."""
        self._gaps.close(root, path, int(time.time()), reason)

    def cookie_seen(self, name: bytes, source: str) -> None:
        """Record that everything before a cookie is stored."""
        self._cookies.record(source, os.fsdecode(name), int(time.time()))

    def close(self) -> None:
        """Close the database."""
        self._waker.close()
        self._database.close()
