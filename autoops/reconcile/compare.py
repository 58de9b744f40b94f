"""Disk against registry: the walk of a scan, the decision of a scan, and nothing done about it.

Constant memory: what is found is handed on as it is found. Reads the registry, the queue and the trees (through a pool); writes
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from autoops.core.drift import Difference, differences, evidence_of
from autoops.core.identity import Verdict, decide
from autoops.core.view import MOST_ASKED, Sighting
from autoops.model import JSON, Job, Work, path_key, split_key
from autoops.pool.pool import Pool
from autoops.store.backlog import Backlog
from autoops.store.registry import Registry
from autoops.walk.absence import Absences
from autoops.walk.gather import view_of
from autoops.walk.scan import Effects, Scan, Totals
from autoops.walk.untouched import split_corrupt

_WAIT_S = 0.1
_BATCH_FILES = 4096


class Taker(Protocol):
    """Where differences go."""

    def take(self, found: Sequence[Difference]) -> None:
        """Take some."""

    def note_unsettled(self, root: str, path: bytes) -> None:
        """Take note of a path that cannot be judged now: somebody is writing there."""


class Eyes:
    """What a decision is made from: registry, roots, queue."""

    def __init__(self, registry: Registry, places: dict[str, bytes], absences: Absences, backlog: Backlog) -> None:
        self._registry, self._places, self._absences = registry, places, absences
        self._backlog = backlog

    def judge(self, found: Sequence[Sighting]) -> list[Difference]:
        """Return what disagrees about these sightings, with what there is to decide with."""
        return self.judge_some([one._replace(asked=MOST_ASKED) for one in found])[0]

    def judge_some(self, found: Sequence[Sighting]) -> tuple[list[Difference], list[Sighting]]:
        """Return what disagrees about these sightings, and those about which the rest of the tree has something to say."""
        found = self._absences.believable(found)
        view = view_of(self._registry, self._places, found, self._absences.is_lost, self._backlog.on_their_way)
        verdicts = decide(found, view, int(time.time()))
        sound, corrupt = split_corrupt(self._registry, verdicts)
        told = differences(sound) + [_corrupt(verdict) for verdict in corrupt]
        told += [Difference("unreadable", *one.place, {"reason": one.unreadable}) for one in found if one.unreadable]
        return told, [verdict.sighting for verdict in verdicts if verdict.deferred]


def _corrupt(verdict: Verdict) -> Difference:
    assert verdict.change
    return Difference("corrupt", *verdict.sighting.place, evidence_of(verdict.change))


class _Comparison:
    """Takes what a scan finds, in the place of the worker's stage one."""

    def __init__(self, eyes: Eyes, taker: Taker) -> None:
        self._eyes, self._taker = eyes, taker
        self.notes = self
        self._deferred: list[Sighting] = []

    def take(self, found: Sequence[Sighting], source: str, reason: str) -> Effects:  # the same call as stage one's
        """Judge a batch, and hand on what disagrees."""
        told, deferred = self._eyes.judge_some(found)
        self._deferred += deferred
        if len(self._deferred) >= _BATCH_FILES:
            self.decide_deferred()
        self._taker.take(told)
        return Effects(len(told), sum(1 for one in told if one.kind == "missing"))

    def decide_deferred(self) -> None:
        """Judge what was put off, all of it together."""
        deferred, self._deferred = self._deferred, []
        if deferred:
            self._taker.take(self._eyes.judge(deferred))

    def enqueue(self, works: Sequence[Work]) -> None:
        """Note what would become a job of its own."""
        for work in works:
            self._taker.note_unsettled(*split_key(work.key))

    def open(self, kind: str, root: str, path: bytes, detail: JSON) -> None:
        """Hand on what cannot be read."""
        self._taker.take([Difference(kind, root, path, detail)])

    def close(self, kind: str, root: str, path: bytes) -> None:
        """Nothing to hand on: what can be read is no difference."""

    def flush(self) -> None:
        """Nothing is written."""


def compare(
    registry: Registry,
    pool: Pool,
    eyes: Eyes,
    place: tuple[str, bytes],
    taker: Taker,
    *,
    rehash: bool,
    alive: Callable[[Totals], None] = lambda _: None,
) -> Totals:
    """Compare a directory (root name, path below it) with the registry. Return what was met.

    rehash: read every file, not only those that look changed. alive: called now and then with what was met so far.
    """
    job = Job(0, 0, "scan", path_key(*place), 0, {"rehash": rehash}, 0)
    comparison = _Comparison(eyes, taker)
    scan = Scan(job, registry, comparison, pool, time.monotonic_ns(), _BATCH_FILES, enqueue=comparison.enqueue)
    while not scan.advance(_WAIT_S):
        alive(scan.totals)
    comparison.decide_deferred()
    return scan.totals
