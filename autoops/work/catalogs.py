"""After commits the worker asks for the catalogs to be brought up to date: a `catalog` job for each, due when a burst is over.

A job that waits to be claimed covers every commit that was made before it is: so the first commit of a burst says when it is due,
and later ones leave it alone. (Enqueued anew, a job that is not due yet would follow the newest event, and a constant stream of
commits would put it off for ever.) A mark in the state directory says whether there are any catalogs: a condition of the builder's
unit, which would otherwise be started after each burst for nothing. Reads and writes queue.db; writes the mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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

    def __init__(self, names: Sequence[str], queue: Queue, debounce_s: float) -> None:
        self._keys = [name.encode() for name in names]
        self._queue, self._debounce_s = queue, debounce_s
        self._sequence = -1  # of the last commit that was seen: at the start none, for a worker may have died before it asked

    def keep(self, sequence: int) -> None:
        """Ask for what nobody has asked for, if there was a commit. `sequence` is where the ledger stands."""
        if sequence == self._sequence or not self._keys:
            return
        self._sequence = sequence
        asked = self._queue.to_be_claimed("catalog")
        self._queue.enqueue(
            [Work("catalog", key, PRIORITY_CATALOG, delay_s=self._debounce_s) for key in self._keys if key not in asked]
        )
