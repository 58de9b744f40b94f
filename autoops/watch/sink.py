"""Where the watcher's knowledge goes: jobs, gaps and cookies in queue.db.

Guarantee: at the start, gaps that an earlier watcher left open are closed, and the time without a watcher is recorded as one; those
that still stand open anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from autoops.model import Work
from autoops.store.database import Database
from autoops.store.operations import Cookies, Gaps
from autoops.store.queue import Queue


class QueueSink:
    """One queue.db, opened by the thread that uses it (`observer.Sink`)."""

    def __init__(self, db: Database, wake: Callable[[], object], watched_until_s: int | None = None) -> None:
        """Take an open database, what tells the worker that there is work, and until when an earlier watcher watched; closes the
        database."""
        self._db, self._wake = db, wake
        self._queue, self._gaps, self._cookies = Queue(db), Gaps(db), Cookies(db)
        self._gaps.close(None, None, _now_s())
        if watched_until_s is not None and watched_until_s < _now_s():
            self._gaps.add_ended("", "downtime", watched_until_s, _now_s())

    def enqueue(self, works: Sequence[Work]) -> object:
        """Store jobs and wake the worker."""
        count = self._queue.enqueue(works)
        self._wake()
        return count

    def gap_opened(self, root: str, path: bytes, reason: str, detail: str) -> None:
        """Record that a directory is not watched."""
        self._gaps.open(root, path, reason, detail, _now_s())

    def gap_closed(self, root: str, path: bytes | None, reason: str) -> None:
        """Record that it is watched again; path None: everywhere in this root."""
        self._gaps.close(root, path, _now_s(), None if path is None else reason)

    def cookie_seen(self, name: bytes, source: str) -> None:
        """Record that a cookie came back."""
        self._cookies.record(source, name.decode("utf-8", "backslashreplace"), _now_s())

    def close(self) -> None:
        """Close the database."""
        self._db.close()


def _now_s() -> int:
    return int(time.time())
