"""The scrub: has the worker read files again, those verified longest ago first, and waits until they are done.

It reads no file itself. Each file becomes a `path` job of low urgency, so that the worker hashes it, compares, and notes when
(`verified_s`). Only that is remembered, so a run that was killed goes on at the very file. In one run no file is taken twice,
verified or not: the next one is always later in the order of (last verified, ID). What is known to be unreadable comes at the end.

Reads the registry, findings and gaps; writes jobs into queue.db.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from autoops.files.opening import within
from autoops.model import PRIORITY_SCRUB, Work, path_key
from autoops.reconcile import budget
from autoops.reconcile.budget import Goal, Pace
from autoops.store.findings import Findings
from autoops.store.operations import Gaps
from autoops.store.queue import Queue
from autoops.store.verified import Old, Verified

MOST_FILES = 256  # on their way: enough to keep the pool busy, few enough to be done within seconds of a stop
PORTION_FILES = 64
PORTION_S = 2.0  # a portion is what may be read in this time, and at least one file
RETRIED = 1000  # of those known to be unreadable, in one run
_POLITE_S = 10.0  # for so long a portion lets scans and descriptions go first: while it is read, the worker does nothing else
_OTHERS = ("patch", "scan", "describe")
_LOOK_S = 0.02  # between two looks at what is on its way
_REST_S = 1.0  # between two looks at hours, load and flag
_DEAD_LETTERS = 10_000


class Why(NamedTuple):
    """Why a run ended."""

    reason: str
    is_done: bool  # all that it wanted was tried


ENOUGH = Why("what this run had to verify is done", True)
EVERYTHING = Why("there is nothing left to verify", True)
LIMIT = Why("as many files as were asked for", False)
STOPPED = Why("it was stopped", False)
CLOSED = Why("its hours are over", False)


class Surroundings(NamedTuple):
    """What the scrub asks the world, and tells it."""

    monotonic_s: Callable[[], float]
    wait: Callable[[float], bool]  # wait so many seconds, or until it is told to stop: then True
    is_open: Callable[[], bool]  # may it work at this time of day?
    is_quiet: Callable[[], bool]  # is the machine idle enough?
    check: Callable[[], None]  # raises what ends it: Paused, CannotTell, CannotGoOn
    wake: Callable[[], object]  # the worker
    tell: Callable[[Progress], None]


class Progress(NamedTuple):
    """What a run has done: files were enqueued, and some of these verified since."""

    files: int = 0
    size_bytes: int = 0
    verified: int = 0
    verified_bytes: int = 0
    skipped: int = 0  # known to be unreadable, not mounted, or given up

    @property
    def cost(self) -> int:
        """What was verified, as the budget counts it."""
        return budget.cost(self.verified, self.verified_bytes)


class Scrub:
    """One run."""

    def __init__(
        self, registry: Verified, queue: Queue, findings: Findings, gaps: Gaps, bytes_per_s: int, around: Surroundings
    ) -> None:
        self._registry, self._queue, self._around = registry, queue, around
        self._obstacles = Obstacles(queue, findings, gaps)
        self._pace = Pace(bytes_per_s)
        self._portion_bytes = int(bytes_per_s * PORTION_S)
        self._late: list[Old] = []  # known to be unreadable, to be tried at the end
        self.done = Progress()

    def run(self, wanted: Goal, *, batch_files: int, limit: int | None = None) -> Why:
        """Verify what is wanted, and return why it ended. Raises Paused, CannotTell, CannotGoOn, StorageError."""
        why = self._go_through(wanted, batch_files, limit)
        left = RETRIED if limit is None else limit - self.done.files
        if why.is_done and self._late[:left]:
            why = self._take(self._late[:left], wanted.before_s) or why
        return why

    def wait_for_hours(self) -> Why | None:
        """Wait until it may work at this time of day. Raises as `run`."""
        while not self._around.is_open():
            self._around.check()
            if self._around.wait(_REST_S):
                return STOPPED
        return None

    def _go_through(self, wanted: Goal, batch_files: int, limit: int | None) -> Why:
        after: Old | None = None
        while page := self._registry.oldest_verified(wanted.before_s, batch_files, after):
            hindered = self._obstacles.among(page)
            free = [file for file in page if file.id not in hindered]
            chosen = free[: budget.chosen(wanted, self.done.cost, free)]
            if free and not chosen:
                return ENOUGH
            within = chosen if limit is None else chosen[: limit - self.done.files]
            after = page[-1] if len(within) == len(free) else within[-1] if within else after
            self._skip([file for file in page if file.id in hindered and after and _place(file) <= _place(after)], hindered)
            if why := self._take(within, wanted.before_s):
                return why
            if len(within) < len(chosen):
                return LIMIT
        return EVERYTHING

    def _skip(self, files: Sequence[Old], hindered: dict[str, bool]) -> None:
        self.done = self.done._replace(skipped=self.done.skipped + len(files))
        self._late += [file for file in files if hindered[file.id]][: RETRIED - len(self._late)]

    def _take(self, files: Sequence[Old], before_s: int) -> Why | None:
        """Have some files verified, and count what came of it; return why it ended early."""
        tried: list[Old] = []
        why = None
        for portion in budget.portions(files, PORTION_FILES, self._portion_bytes):
            if why := self._admit(len(portion)):
                break
            self._enqueue(portion)
            tried += portion
        why = why or self._settle()
        good = self._registry.verified_since((file.id for file in tried), before_s) if tried else set()
        verified_bytes = sum(file.size_bytes for file in tried if file.id in good)
        self.done = self.done._replace(
            verified=self.done.verified + len(good), verified_bytes=self.done.verified_bytes + verified_bytes
        )
        self._around.tell(self.done)
        return why

    def _enqueue(self, portion: Sequence[Old]) -> None:
        size_bytes = sum(file.size_bytes for file in portion)
        self._pace.take(size_bytes, self._around.monotonic_s())
        self._queue.enqueue(Work("path", path_key(file.root, file.path), PRIORITY_SCRUB, {"verify": True}) for file in portion)
        self._around.wake()
        self.done = self.done._replace(files=self.done.files + len(portion), size_bytes=self.done.size_bytes + size_bytes)
        self._around.tell(self.done)

    def _admit(self, files: int) -> Why | None:
        """Wait until a portion may go; return why none may any more."""
        began_s = self._around.monotonic_s()
        rest_s = 0.0
        while not self._around.wait(rest_s):
            self._around.check()
            if not self._around.is_open():
                return CLOSED
            rest_s = self._rest_s(files, began_s)
            if rest_s <= 0:
                return None
        return STOPPED

    def _rest_s(self, files: int, began_s: float) -> float:
        """Return the seconds until it is worth asking again, 0 when a portion may go."""
        now_s = self._around.monotonic_s()
        if paced_s := self._pace.wait_s(now_s):
            return min(paced_s, _REST_S)
        if not self._around.is_quiet():
            return _REST_S
        if self._queue.untried("path", PRIORITY_SCRUB) + files > MOST_FILES:
            return _LOOK_S
        is_polite = now_s - began_s < _POLITE_S and self._queue.runs(_OTHERS)
        return 5 * _LOOK_S if is_polite else 0.0

    def _settle(self) -> Why | None:
        """Wait until each file that is on its way was tried once; return why it waits no longer."""
        while self._queue.untried("path", PRIORITY_SCRUB):
            self._around.check()
            if not self._around.is_open():
                return CLOSED
            if self._around.wait(_LOOK_S):
                return STOPPED
        return None


class Obstacles:
    """What keeps files from being read, as far as it is known: then they cost the run nothing."""

    def __init__(self, queue: Queue, findings: Findings, gaps: Gaps) -> None:
        self._queue, self._findings, self._gaps = queue, findings, gaps

    def among(self, files: Sequence[Old]) -> dict[str, bool]:
        """Return the files, by ID, that cannot be read as far as is known; and whether it is worth a try all the same."""
        standing = self._findings.counts()
        away = [(gap.root, gap.path) for gap in self._gaps.open_gaps() if gap.reason == "unmounted"]
        given_up = {job.key for job in self._queue.list("dead_letter", "path", _DEAD_LETTERS)}
        if not (away or given_up or standing.keys() & {"unreadable", "root_replaced"}):
            return {}
        found = {}
        for file in files:
            is_away = any(file.root == root and within(file.path, path) for root, path in away) or any(
                self._stands("root_replaced", [path_key(file.root, b"")])
            )
            if is_away or path_key(file.root, file.path) in given_up:
                found[file.id] = False
            elif any(self._stands("unreadable", _way_to(file))):
                found[file.id] = True
        return found

    def _stands(self, kind: str, subjects: Sequence[bytes]) -> Iterator[bool]:
        about = self._findings.about((kind, subject) for subject in subjects)
        return (finding.stands for finding in about.values())


def _way_to(file: Old) -> list[bytes]:
    """Return the keys of a file and of every directory on the way to it, the root's own included."""
    parts = file.path.split(b"/")
    return [path_key(file.root, b"/".join(parts[:length])) for length in range(len(parts) + 1)]


def _place(file: Old) -> tuple[int, str]:
    return file.verified_s, file.id
