"""A scan: one tree, walked in order, directory by directory, against the registry.

It streams: a window of directories ahead of the walk is with the pool, what is answered is registered in batches, and nothing is
remembered but the way back up. The cursor, the place in the walk up to which all is registered, is kept with the job: a killed
scan goes on there. Only files that hold not still or cannot be read become jobs of their own.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from autoops import names
from autoops.core.view import Place, Sighting
from autoops.log import emit
from autoops.model import JSON, PRIORITY_RETRY, PRIORITY_SCAN, Job, Work, path_key, split_key
from autoops.pool import asking, tasks
from autoops.pool.pool import Failed, Lost, Pool
from autoops.store.registry import Registry
from autoops.walk.way import Node, Way

_DEATHS = 8


class Effects(NamedTuple):
    """What came of a batch."""

    changes: int
    missing: int


Stale = Callable[[Sequence[Sighting], float], Collection[Place]]


class Noter(Protocol):
    """Where a scan notes what it cannot read."""

    def open(self, kind: Literal["unreadable"], root: str, path: bytes, detail: JSON) -> None:
        """Note that something is wrong with a path."""

    def close(self, kind: Literal["unreadable"], root: str, path: bytes) -> None:
        """Note that it no longer is."""

    def flush(self) -> None:
        """Write what was noted."""


class Taker(Protocol):
    """Who takes what a scan finds: stage one, or a rehearsal."""

    @property
    def notes(self) -> Noter:
        """Where to note what cannot be read."""

    def take(self, found: Sequence[Sighting], source: str, reason: str) -> Effects:
        """Take a batch."""


@dataclass
class Totals:
    """What a scan has met so far."""

    files: int = 0
    directories: int = 0
    changed: int = 0
    missing: int = 0
    unsettled: int = 0


@dataclass
class Scan:
    """One scan job in progress. `advance` does a little of it."""

    job: Job
    registry: Registry
    register: Taker
    pool: Pool
    epoch: int
    commit_files: int
    enqueue: Callable[[Sequence[Work]], object]
    stale: Stale = lambda _found, _asked_s: ()  # the places of these that have been looked at since, and will be again
    totals: Totals = field(default_factory=Totals)
    believes_absence: bool = True  # False: so much is gone that nothing is called missing

    def __post_init__(self) -> None:
        self.root, self.top = split_key(self.job.key)
        cursor = self.job.facts.get("cursor")
        self._resume = names.to_bytes(cursor) if cursor is not None else self.top
        self._met = self._resume  # the walk has met all that comes before this place,
        self._registered = self._resume  # and this much of it is registered, or is jobs
        self._batch: list[tuple[float, list[Sighting]]] = []  # what was found together, with the time at which it was asked for
        self._gathered = 0  # files in it
        self._began_s = time.monotonic()
        self._works: list[Work] = []
        self._is_closed = False  # the root itself cannot be listed: nothing tells what is missing
        self.broken = ""  # why it cannot go on
        emit("scan_started", root=self.root, path=self.top)
        is_bare = self.registry.head().sequence == 0
        task = tasks.List(self.root, (self.top,), is_bare, self.epoch, bool(self.job.facts.get("rehash")))
        self._way = Way(self.pool, task, self._passed)

    @property
    def source(self) -> str:
        """The scan's name in the ledger."""
        return f"scan:{self.root}" + (f"/{names.text(self.top)}" if self.top else "")

    def advance(self, wait_s: float) -> bool:
        """Do a part of the scan, about one batch; True when it is at its end."""
        self._way.look_ahead()
        self.pool.pump(0 if self._way.is_answered else wait_s)
        while self._way.is_answered and self._gathered < self.commit_files:
            self._consume(self._way.next())
            self._way.look_ahead()
            if not self._way.is_answered:
                self.pool.pump(0)
        waiting = max(self._gathered, len(self._works))
        if not waiting or waiting >= self.commit_files:
            self.flush()
        if not self._way.is_over:
            return False
        if not self._is_closed and not self.broken:
            self._miss_until(_behind_all_of(self.top) if self.top else None)
        self.flush()
        return True

    def stop(self) -> None:
        """Forget the answers that are still to come."""
        self._way.leave()

    def flush(self) -> None:
        """Register what has been gathered, and say how far the scan is."""
        groups, self._batch, self._gathered = self._batch, [], 0
        works, self._works = self._works, []
        batch: list[Sighting] = []
        for asked_s, gathered in groups:
            found = gathered if self.believes_absence else [one for one in gathered if one.seen is not None]
            stale = self.stale(found, asked_s)
            batch += [one for one in found if one.place not in stale] if stale else found
            works += [Work("path", path_key(*place), PRIORITY_RETRY) for place in stale]
        if works:
            self.enqueue(works)
        parts = max(1, len(batch) // self.commit_files)
        size = -(-len(batch) // parts) or 1
        for at in range(0, len(batch), size):
            effects = self.register.take(batch[at : at + size], self.source, "scan")
            self.totals.changed += effects.changes
            self.totals.missing += effects.missing
        self.register.notes.flush()
        self._registered = self._met

    @property
    def cursor(self) -> str | None:
        """The place in the walk before which all files are registered, or are jobs; None at the beginning."""
        return names.text(self._registered) if self._registered != self.top else None

    # the way

    def _consume(self, node: Node) -> None:
        match node.answer:
            case tasks.Listed() as listed:
                self._take(node.path, node.asked_s, listed)
                self._way.put(node.below)
            case Failed(_, kind, number, reason):
                self._failed(node.path, kind, number, reason)
            case Lost(_, culprit, reason):
                self._lost(node, culprit, reason)

    def _take(self, path: bytes, asked_s: float, listed: tasks.Listed) -> None:
        if not self._already(path):
            self._miss_until(path)
            self._met = _behind(path)
            self.totals.directories += 1
            self.totals.files += listed.same + len(listed.seen) + len(listed.unreadable) + len(listed.unsettled)
            self.totals.unsettled += len(listed.unsettled)
            self.register.notes.close("unreadable", self.root, path)
            prefix = path + b"/" if path else b""
            found = asking.sightings(self.root, prefix, listed.seen) + asking.troubles(self.root, prefix, listed.unreadable)
            found += [Sighting(self.root, prefix + name, None) for name in listed.gone]
            self._gather(found, asked_s)
            self._works += [
                Work("path", path_key(self.root, prefix + name), PRIORITY_RETRY, {"sample": list(sample)}, wait_s)
                for name, sample, wait_s in listed.unsettled
            ]

    def _gather(self, found: list[Sighting], asked_s: float) -> None:
        self._batch.append((asked_s, found))
        self._gathered += len(found)

    def _already(self, path: bytes) -> bool:
        """Tell whether a directory was registered before the scan was interrupted."""
        return _walk_key(path) < _walk_key(self._resume)

    def _passed(self, path: bytes) -> bool:
        """Tell whether a directory and all below it were registered before the scan was interrupted."""
        return _walk_key(_behind_all_of(path)) <= _walk_key(self._resume)

    def _miss_until(self, place: bytes | None) -> None:
        """Take what is registered in directories that the walk should have met up to a place, and did not, for missing."""
        for directory in self.registry.directories_between(self.root, self._met, place):
            known = self.registry.stamps_in(self.root, directory)
            prefix = directory + b"/" if directory else b""
            self._gather([Sighting(self.root, prefix + name, None) for name in known], self._began_s)

    # what goes wrong

    def _failed(self, path: bytes, kind: str, number: int, reason: str) -> None:
        """A directory that cannot be listed: gone since, or closed to us. What is below a closed one is not missing."""
        is_gone = number in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
        if not path:
            self._is_closed = True
            self._troubled(path, "the root is not there" if is_gone else reason)
        elif not is_gone:  # else the walk did not meet it
            self._miss_until(path)
            self._met = _behind_all_of(path)
            if kind != "Pseudo":
                self._troubled(path, "it is its own ancestor (a bind mount?)" if kind == "Loop" else reason)

    def _troubled(self, path: bytes, reason: str) -> None:
        self.register.notes.open("unreadable", self.root, path, {"reason": reason})

    def _lost(self, node: Node, culprit: bytes, reason: str) -> None:
        """A file broke the child: it becomes a job of its own, and the directory is read again without it.

        A directory that breaks it before any file is touched is tried a few times, and then becomes a scan of its own, so that
        the rest goes on; when it is the scan's own top, the scan has failed.
        """
        if culprit:
            prefix = node.path + b"/" if node.path else b""
            self._works.append(Work("path", path_key(self.root, prefix + culprit), PRIORITY_RETRY))
            self._way.put([Node(node.path, alone=True, skip=(*node.skip, culprit))])
        elif node.deaths + 1 < _DEATHS:
            self._way.put([Node(node.path, alone=True, skip=node.skip, deaths=node.deaths + 1)])
        elif node.path == self.top:
            self.broken = reason
            self._way.leave()
        else:
            self._failed(node.path, "Lost", 0, reason)
            self._works.append(Work("scan", path_key(self.root, node.path), PRIORITY_SCAN))


# Places in the walk, which takes a directory before what is below it, and that before its next sibling. As a place, a path is the
# one before that directory; no name holds a NUL, and none is empty, so nothing lies between a directory and its slash.


def _behind(path: bytes) -> bytes:
    return path + b"/"


def _behind_all_of(path: bytes) -> bytes:
    return path + b"\x01"  # a sibling of that name would come next: no name holds a smaller byte


def _walk_key(place: bytes) -> bytes:
    return place.replace(b"/", b"\0")
