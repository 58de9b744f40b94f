"""After commits the worker asks for the catalogs to be brought up to date: a `catalog` job for each, due when a burst is over.

The first commit of a burst says when; later ones do not put it off, however long they go on: what is due later than a commit
covers that commit too. A mark in the state directory says whether there are any catalogs: a condition of the builder's unit, which
would otherwise be started after each burst for nothing. Writes queue.db and the mark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from autoops import clock
from autoops.model import PRIORITY_CATALOG, Work
from autoops.store.queue import Queue


def mark(path: Path, *, declared: bool) -> None:
    """Make the mark, or take it away. Raises OSError."""
    if declared:
        path.touch(mode=0o640)
    else:
        path.unlink(missing_ok=True)


class CatalogJobs:
    """Who asks for catalogs. Without any declared it does nothing."""

    def __init__(
        self,
        names: Sequence[str],
        queue: Queue,
        debounce_s: float,
        now_s: Callable[[], float] = lambda: clock.boottime_ns() / 1e9,
    ) -> None:
        self._keys = [name.encode() for name in names]
        self._queue, self._debounce_s, self._now_s = queue, debounce_s, now_s
        self._sequence = -1  # of the last commit that was seen: at the start none, for a worker may have died before it asked
        self._covered_s = float("-inf")  # until then the jobs that wait are not due

    def keep(self, sequence: int) -> None:
        """Ask, if there was a commit and nobody has asked for later than that. `sequence` is where the ledger stands."""
        if sequence == self._sequence or not self._keys:
            return
        self._sequence = sequence
        now_s = self._now_s()  # now, after the commit, and not when the step began
        if now_s < self._covered_s:
            return
        self._queue.enqueue([Work("catalog", key, PRIORITY_CATALOG, delay_s=self._debounce_s) for key in self._keys])
        self._covered_s = now_s + self._debounce_s
