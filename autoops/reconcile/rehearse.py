"""A scan that changes nothing: what would the worker do if it looked at the disk now?

The same walk, the same pool, the same decision as the real scan; only the effects are left out. Reads the registry and the trees.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from autoops import names
from autoops.core.drift import action
from autoops.core.identity import decide
from autoops.core.view import Sighting
from autoops.model import JSON, Job, Work, path_key, split_key
from autoops.pool.pool import Pool
from autoops.store.registry import Registry
from autoops.walk.gather import view_of
from autoops.walk.scan import Effects, Scan

_WAIT_S = 0.1
_BATCH_FILES = 4096


class Difference(NamedTuple):
    """One thing that the worker would do, or cannot."""

    root: str
    path: bytes
    what: str
    detail: JSON


class Rehearsal:
    """Takes what a scan finds, and remembers what would come of it."""

    def __init__(self, registry: Registry, places: Mapping[str, bytes]) -> None:
        self._registry, self._places = registry, places
        self.differences: list[Difference] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.files = 0
        self.notes = self

    def take(self, found: Sequence[Sighting], source: str, reason: str) -> Effects:  # the same call as Register's
        """Decide, and note what would be done."""
        verdicts = decide(found, view_of(self._registry, self._places, found), int(time.time()))
        for verdict in verdicts:
            if verdict.change or verdict.deferred:
                what = action(verdict.change) if verdict.change else "decide again"
                evidence = verdict.change.evidence if verdict.change else {}
                self._note(verdict.sighting.root, verdict.sighting.path, what, evidence)
            if verdict.finding:
                self._note(verdict.sighting.root, verdict.sighting.path, verdict.finding.kind, verdict.finding.detail)
        for one in found:
            if one.unreadable:
                self._note(one.root, one.path, "unreadable", {"reason": one.unreadable})
        return Effects(sum(1 for verdict in verdicts if verdict.change), 0)

    def enqueue(self, works: Sequence[Work]) -> None:
        """Note what would become a job of its own."""
        for work in works:
            self._note(*split_key(work.key), "look again", {})

    def open(self, kind: str, root: str, path: bytes, detail: JSON) -> None:
        """Note a finding."""
        self._note(root, path, kind, detail)

    def close(self, kind: str, root: str, path: bytes) -> None:
        """Nothing to note: a finding that stands no more is no difference."""

    def flush(self) -> None:
        """Nothing is written."""

    def _note(self, root: str, path: bytes, what: str, detail: JSON) -> None:
        self.counts[root, what] += 1
        self.differences.append(Difference(root, path, what, detail))


def rehearse(
    registry: Registry, pool: Pool, places: Mapping[str, bytes], where: Sequence[tuple[str, bytes]], *, rehash: bool
) -> Rehearsal:
    """Scan these (root name, directory below it) and return what would be done."""
    rehearsal = Rehearsal(registry, places)
    for root, below in where:
        job = Job(0, 0, "scan", path_key(root, below), 0, {"rehash": rehash}, 0)
        scan = Scan(job, registry, rehearsal, pool, time.monotonic_ns(), _BATCH_FILES, enqueue=rehearsal.enqueue)
        while not scan.advance(_WAIT_S):
            pass
        rehearsal.files += scan.totals.files
    return rehearsal


def sentence(difference: Difference) -> str:
    """Return a difference for a person."""
    detail = ", ".join(f"{key} {value}" for key, value in difference.detail.items() if key != "confidence")
    where = f"{difference.root}/{names.text(difference.path)}"
    return f"{difference.what}: {where}" + (f" ({detail})" if detail else "")
