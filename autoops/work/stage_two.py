"""Stage two: descriptors and final classes, for what stage one registered, whenever there is nothing more urgent.

What is still to do stands in the registry (`pending`), so there is one `describe` job for all of it, and it can be dropped and
taken up anywhere. A content that was described before, under whatever name, is not described again. A file whose extractor
crashes or hangs becomes a `describe` job of its own, with its ID as key; when that is given up, the entry stays as it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from autoops.core import schema
from autoops.core.canonical import canonical, entry_json, parse
from autoops.errors import PatchInvalid
from autoops.files import opening
from autoops.log import emit
from autoops.model import PRIORITY_DESCRIBE, Change, Described, Entry, Job, Work
from autoops.pool import tasks
from autoops.pool.pool import Answer, Done, Lost, Pool
from autoops.store.commit import RegistryWriter, Why
from autoops.store.measured import EXTRACTOR
from autoops.store.queue import Queue
from autoops.store.registry import Pending
from autoops.trace import trace
from autoops.work.register import Register

ALL = b""  # key of the job that stands for everything pending
_TASK_FILES = 8  # Python files cost 4 ms each: what comes behind them must not wait long
_AHEAD_FILES = 48
_COMMIT_FILES = 512
_FETCH_FILES = 256
_WHY = Why("worker", "describe", "descriptor and class of the content")


class StageTwo:
    """The describe jobs this worker holds. `advance` does a little."""

    def __init__(self, registry: RegistryWriter, queue: Queue, register: Register, pool: Pool) -> None:
        self._registry, self._queue, self._register, self._pool = registry, queue, register, pool
        self.job: Job | None = None  # the one for everything pending
        self._single: dict[str, Job] = {}  # those for one file, by ID
        self._apart: set[str] = set()  # IDs that broke their child: they have jobs of their own, and ALL leaves them alone
        self._fetched: deque[Pending] = deque()
        self._after = ""
        self._with_pool = 0
        # By ID: after a lost lease the job begins anew, and files that are with the pool are asked about twice.
        self._described: dict[str, tuple[Pending, tuple[Any, ...] | None]] = {}
        self._extracted = 0
        self.total = 0

    @property
    def held(self) -> list[Job]:
        """The jobs whose lease must not run out."""
        return [*self._single.values(), *([self.job] if self.job else [])]

    @property
    def is_busy(self) -> bool:
        """Whether there is something to advance."""
        return bool(self.job or self._single or self._with_pool or self._described)

    def begin(self, job: Job) -> None:
        """Take a job: that for everything, or one for a single file."""
        if job.key == ALL:
            self.job, self._after = job, ""
            return
        entry_id = job.key.decode()
        entry = self._registry.by_id([entry_id]).get(entry_id)
        if entry is None or not _is_undescribed(entry):
            self._queue.complete([job])  # described, changed or gone since
            return
        self._single[entry_id] = job
        self._ask([_pending(entry)])

    def advance(self, wait_s: float) -> None:
        """Describe a little, and commit what has come together."""
        self._top_up()
        self._pool.pump(wait_s)
        idle = not self._with_pool and not self._fetched
        if len(self._described) >= _COMMIT_FILES or (self._described and idle):
            self._commit()
        if idle and not self._described and self.job and not self._registry.pending(self._after, 1):
            self._queue.complete([self.job])
            self.job = None

    def _top_up(self) -> None:
        while self.job and self._with_pool < _AHEAD_FILES and len(self._described) < _COMMIT_FILES:
            if not self._fetched:
                pending = self._registry.pending(self._after, _FETCH_FILES)
                if not pending:
                    return
                self._after = pending[-1].id
                self._fetched.extend(one for one in pending if one.id not in self._apart)
                continue
            together = [self._fetched.popleft()]
            place = _place(together[0])
            while self._fetched and len(together) < _TASK_FILES and _place(self._fetched[0]) == place:
                together.append(self._fetched.popleft())
            self._ask(together)

    def _ask(self, together: list[Pending]) -> None:
        root, directory = _place(together[0])
        if root not in self._register.root_names:
            self._described |= {one.id: (one, None) for one in together}
            return
        files = []
        for one in together:
            descriptor = self._registry.descriptor_of(one.sha256, one.mime)
            cached = canonical(descriptor) if descriptor is not None else None
            name = opening.parts(one.path)[1]
            self._extracted += cached is None
            files.append(tuple(tasks.File(name, one.size_bytes, one.mtime_ns, one.inode, one.mime, cached)))
        self._with_pool += len(together)

        def then(answer: Answer) -> None:
            self._with_pool -= len(together)
            self._answered(together, answer)

        self._pool.submit(tasks.Describe(root, directory, files), then)

    def _answered(self, together: list[Pending], answer: Answer) -> None:
        match answer:
            case Done(_, results):
                self._measure(results)
                self._described |= {one.id: (one, result) for one, result in zip(together, results, strict=True)}
            case Lost(_, culprit, reason):
                by_name = {opening.parts(one.path)[1]: one for one in together}
                poison = by_name.pop(culprit, None)
                if poison:
                    self._broken(poison, reason)
                for one in by_name.values():
                    if poison or len(together) > 1:
                        self._ask([one])
                    else:
                        self._broken(one, reason)  # alone, and no file was touched: it is the directory
            case _:
                self._described |= {one.id: (one, None) for one in together}  # its directory is gone; so will be the entry

    def _measure(self, results: Sequence[Sequence[Any] | None]) -> None:
        """Measure how long each extractor took; what was taken over from a copy took none."""
        for result in results:
            if result and result[-1] is not None:
                self._register.meter.add(EXTRACTOR + result[-2], result[-1])

    def _broken(self, one: Pending, reason: str) -> None:
        """The file's extractor crashed or hung."""
        job = self._single.pop(one.id, None)
        if job is None:
            if one.id in self._apart:
                return  # it was asked about twice
            self._apart.add(one.id)
            self._queue.enqueue([Work("describe", one.id.encode(), PRIORITY_DESCRIBE, {"reason": reason})])
            self._registry.give_up([one.id])  # only its own job asks for it from now on, after a restart too
            emit("job_failed", kind="describe", path=one.path, reason=reason, attempts=0)
            return
        state = self._queue.fail(job, reason)
        if state == "dead_letter":
            self._apart.discard(one.id)
            self._register.notes.open("not_described", one.root, one.path, {"id": one.id, "reason": reason})
            self._register.notes.flush()
            emit("job_dead", kind="describe", path=one.path, reason=reason, attempts=job.attempts)
        else:
            emit("job_failed", kind="describe", path=one.path, reason=reason, attempts=job.attempts)

    def _commit(self) -> None:
        described, self._described = list(self._described.values()), {}
        trace("describe:after")
        entries = self._registry.by_id(one.id for one, _ in described)
        changes = []
        given_up = []
        put_off = []
        for one, result in described:
            entry = entries.get(one.id)
            if entry is None or entry.observation.sha256 != one.sha256:
                continue  # it changed meanwhile, and is pending again
            if result is None:
                if (entry.root, entry.path) == (one.root, one.path):  # else it moved on while it was asked for, and is pending
                    put_off.append(one.id)  # not what was registered, or out of reach: a path job or a scan will tell
                continue
            change = _change(entry, one, result)
            if change:
                changes.append(change)
            else:
                given_up.append(one.id)
        if given_up:
            self._registry.give_up(given_up)
        if put_off:
            self._registry.put_off(put_off)
        allowed = self._register.undone.allowed(changes)
        if allowed:
            allowed = self._register.commit_sound(allowed, _WHY)
            self.total += len(allowed)
            for change in allowed:
                self._register.notes.close("not_described", change.after.root, change.after.path)
            self._register.notes.flush()
        if len(allowed) < len(changes):  # what a person took back is not described so again; nor what was edited past the ledger
            self._registry.give_up({change.after.id for change in changes} - {change.after.id for change in allowed})
        if self._extracted:
            self._queue.count("described", self._extracted)  # what was read by an extractor, not taken over from a copy
            self._extracted = 0
        self._apart.difference_update(one.id for one, _ in described)
        self._queue.complete([self._single.pop(one.id) for one, _ in described if one.id in self._single])

    def stop(self) -> list[Job]:
        """Let go of everything; return the jobs to be released."""
        held = self.held
        self.job = None
        self._single.clear()
        self._fetched.clear()
        self._described.clear()
        return held


def _is_undescribed(entry: Entry) -> bool:
    seen = entry.observation
    return entry.status == "active" and seen.kind == "file" and seen.sha256 not in (None, entry.described.sha256)


def _pending(entry: Entry) -> Pending:
    seen = entry.observation
    assert seen.sha256
    return Pending(entry.id, entry.root, entry.path, seen.size_bytes, seen.mtime_ns, seen.inode, seen.sha256, seen.mime)


def _place(one: Pending) -> tuple[str, bytes]:
    return one.root, opening.parts(one.path)[0]


def _change(entry: Entry, one: Pending, result: Sequence[Any]) -> Change | None:
    """Return the change that describes an entry; None when its descriptor does not satisfy the schema."""
    _, text, class_name, rule, confidence, tags, _, _ = result
    old = entry.described
    by_hand = (old.class_rule or "").startswith("operator:")  # what a person decided stays
    described = Described(
        sha256=one.sha256,
        descriptor=parse(text),
        class_name=old.class_name if by_hand else class_name,
        class_rule=old.class_rule if by_hand else rule,
        confidence=old.confidence if by_hand else confidence,
        tags=old.tags if by_hand else tuple(tags),
    )
    after = entry._replace(rev=entry.rev + 1, described=described)
    try:
        schema.require_valid(entry_json(after))
    except PatchInvalid as error:
        emit("job_failed", kind="describe", path=entry.path, reason=str(error), attempts=1)
        return None
    return Change(entry, after, {"confidence": 100, "kind": "described"})
