"""Scans of roots that the worker's configuration does not have: it is older than that of whoever asked, or newer.

Guarantee: a tree that somebody began to watch before the worker knew of it is scanned once the worker does. Until then it is a gap,
so that health names it. Single files of such a root are not kept: whoever begins to watch a tree asks for a scan of all of it.
Reads and writes the gaps and the queue (queue.db).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from autoops.model import PRIORITY_SCAN, Job, Work, path_key, split_key
from autoops.store.operations import Gaps
from autoops.store.queue import Queue

REASON = "unconfigured"
_DETAIL = "the worker's configuration does not have this root: reload autoops-worker"


@dataclass
class Unconfigured:
    """What was turned away, kept as gaps."""

    gaps: Gaps
    queue: Queue

    def turn_away(self, job: Job, at_s: float) -> None:
        """End a scan that cannot be made; remember it if it was of a whole root."""
        root, path = split_key(job.key)
        if not path:
            self.gaps.open(root, b"", REASON, _DETAIL, int(at_s))
        self.queue.complete([job])

    def make_good(self, configured: Collection[str], at_s: float) -> None:
        """Ask for the scans of roots that are configured now, and forget the others."""
        turned_away = [gap.root for gap in self.gaps.open_gaps() if gap.reason == REASON]
        anew = {"cursor": None}
        self.queue.enqueue([Work("scan", path_key(root, b""), PRIORITY_SCAN, anew) for root in turned_away if root in configured])
        if turned_away:
            self.gaps.close(None, None, int(at_s), REASON)
