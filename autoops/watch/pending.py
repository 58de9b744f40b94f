"""What waits between the thread that reads events and the thread that stores jobs.

Guarantee: bounded. Beyond the limit single changes are dropped, and a scan of the whole root, enqueued later, stands for them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import NamedTuple

from autoops.watch.changes import Change, merged, outermost

LIMIT = 100_000  # changes; about 250 bytes each
UNMOUNTED = "unmounted"  # the reason of the gaps that are disks


class GapChange(NamedTuple):
    """One place that is not watched from now on, or is again."""

    opened: bool
    path: bytes | None  # None, when closed: all there are
    reason: str
    detail: str = ""


class Batch(NamedTuple):
    """What was taken at once, to be stored in this order."""

    changes: list[Change]
    scans: list[bytes]
    gaps: list[GapChange]
    cookies: list[bytes]


class Pending:
    """A batch that grows until it is taken. Safe between threads."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._changes: dict[bytes, Change] = {}
        self._scans: set[bytes] = set()
        self._gaps: list[GapChange] = []
        self._cookies: list[bytes] = []
        self._announced = False

    def add(
        self,
        changes: Iterable[Change] = (),
        scans: Iterable[bytes] = (),
        gaps: Iterable[GapChange] = (),
        cookies: Iterable[bytes] = (),
    ) -> bool:
        """Add to the batch; return whether somebody must be told to take it (it was not announced since the last take)."""
        with self._lock:
            for change in changes:
                before = self._changes.get(change.path)
                self._changes[change.path] = change if before is None else merged(before, change)
            self._scans.update(scans)
            self._gaps += gaps
            self._cookies += cookies
            if len(self._changes) > self._limit:
                self._changes.clear()
                self._scans.add(b"")
            full = bool(self._changes or self._scans or self._gaps or self._cookies)
            announce, self._announced = full and not self._announced, full
            return announce

    def take(self) -> Batch:
        """Return everything so far and begin anew."""
        with self._lock:
            batch = Batch(list(self._changes.values()), outermost(self._scans), self._gaps, self._cookies)
            self._changes, self._scans, self._gaps, self._cookies = {}, set(), [], []
            self._announced = False
            return batch
