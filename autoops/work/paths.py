"""Path jobs: single files that somebody just touched, or that a scan could not take."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from autoops import names
from autoops.core.hints import renames_of
from autoops.core.view import Place, Sighting
from autoops.files import opening
from autoops.files.observe import Unsettled
from autoops.log import emit
from autoops.model import Job, path_key, split_key
from autoops.pool import asking, tasks
from autoops.pool.pool import Answer, Done, Failed, Lost, Pool
from autoops.store.measured import LOOK
from autoops.store.queue import Queue
from autoops.trace import trace
from autoops.walk.hearing import Hearing
from autoops.work.fresh import Fresh
from autoops.work.notes import Notes
from autoops.work.register import Register

_HEAR_S = 0.5  # the watcher answers within milliseconds; one that does not is not waited for
_DEAF_S = 5.0  # nor asked again before this
_MOST_PUT_OFF = 5  # a file that is replaced all the time is decided about all the same
_LOOK_FILES = 64  # in one task: what is behind a slow file waits for it


class Paths:
    """The path jobs this worker holds: with the pool, or answered and not yet registered."""

    def __init__(self, queue: Queue, register: Register, pool: Pool, notes: Notes, fresh: Fresh, hearing: Hearing) -> None:
        self._queue, self._register, self._pool, self._notes = queue, register, pool, notes
        self.held: dict[bytes, Job] = {}  # by key
        self._due_s: dict[Place, float] = {}  # when the jobs that are held were due, in seconds since 1970
        self._fresh, self._hearing = fresh, hearing
        self._put_off: Counter[bytes] = Counter()  # how often a look was overtaken by events, by key
        self._released: set[int] = set()  # jobs of the answers at hand that went back
        self._deaf_until_s = 0.0
        self._answered: list[tuple[list[Job], Answer]] = []

    def begin(self, jobs: Sequence[Job], roots: Collection[str], epoch: int) -> None:
        """Have the pool look at the files of some jobs; those of a root that is no longer configured are done."""
        by_directory: dict[tuple[str, bytes], list[Job]] = {}
        foreign, now_s = [], time.time()
        for job in jobs:
            root, path = split_key(job.key)
            if root in roots:
                self.held[job.key] = job
                self._due_s[root, path] = now_s - job.waited_s
                by_directory.setdefault((root, opening.parts(path)[0]), []).append(job)
            else:
                foreign.append(job)
        self._queue.complete(foreign)
        for (root, directory), together in by_directory.items():
            for at in range(0, len(together), _LOOK_FILES):
                self._look(root, directory, together[at : at + _LOOK_FILES], epoch)

    def _look(self, root: str, directory: bytes, jobs: list[Job], epoch: int) -> None:
        wanted = [(_name(job), bool(job.facts.get("closed")), _sample(job)) for job in jobs]
        began_s = time.monotonic()

        def then(answer: Answer) -> None:
            self._register.meter.add(LOOK, time.monotonic() - began_s)
            self._answered.append((jobs, answer))

        self._pool.submit(tasks.Look(root, directory, wanted, epoch), then)

    def stale(self, found: Sequence[Sighting], asked_s: float) -> set[Place]:
        """Return the places of what a scan asked for at a time that a job for that very path has overtaken, or is about to."""
        if not self.held and not self._fresh.any_since(asked_s):
            return set()  # nearly always: a scan asks this for every file
        keys = ((one.place, path_key(*one.place)) for one in found)
        return {place for place, key in keys if key in self.held or self._fresh.is_stale(key, asked_s)}

    def let_go(self) -> list[Job]:
        """Forget every job; return them, to be released."""
        held = list(self.held.values())
        self.held.clear()
        self._due_s.clear()
        return held

    def finish(self) -> int:
        """Register what has been answered and complete its jobs; return how many."""
        answered, self._answered = self._answered, []
        found: list[Sighting] = []
        done: list[Job] = []
        for jobs, answer in answered:
            match answer:
                case Done(task, result):
                    assert isinstance(task, tasks.Look)
                    self._sort(task, tasks.Looked(*result), {_name(job): job for job in jobs}, found, done)
                case Failed(task, _, _, reason):
                    assert isinstance(task, tasks.Look)
                    self._no_directory(task, reason, jobs, found, done)
                case Lost(_, culprit, reason):
                    self._broken(jobs, culprit, reason, found)
        trace("observe:after")
        self._released.clear()
        if found:
            self._register.take(found, _source(done), "changed on the disk", self._overtaken, self._due_s)
        for job in self._queue.complete([job for job in done if job.id not in self._released]):
            emit("lease_lost", kind=job.kind, path=split_key(job.key)[1])
        for job in done if self._put_off else ():
            if job.id not in self._released:
                self._put_off.pop(job.key, None)
        for jobs, _ in answered:
            for job in jobs:
                self.held.pop(job.key, None)
                self._due_s.pop(split_key(job.key), None)
                self._fresh.note(job.key)
        return len(done)

    def _overtaken(self, doubtful: Sequence[Sighting]) -> set[Place]:
        """Return the places of which the watcher has heard more since they were looked at. Their jobs go back, and know it then.

        What the kernel said of renames decides here, so none of it may still be on its way.
        """
        now_s = time.monotonic()
        listener = self._hearing.listener() if now_s >= self._deaf_until_s else None
        roots = {one.root for one in doubtful} & (listener.heard if listener else frozenset())
        if not roots:
            return set()
        if not self._hearing.up_to_now(roots, now_s + _HEAR_S):
            self._deaf_until_s = time.monotonic() + _DEAF_S
            return set()
        keys = [path_key(*one.place) for one in doubtful]
        again = self._queue.overtaken([self.held[key] for key in keys if key in self.held])
        patient = {job.key: job for job in again if self._put_off[job.key] < _MOST_PUT_OFF}
        for key, job in patient.items():
            self._put_off[key] += 1
            self._queue.release(job)
        self._released.update(job.id for job in patient.values())
        return {split_key(key) for key in patient}

    def _sort(self, task: tasks.Look, looked: tasks.Looked, jobs: dict[bytes, Job], found: list[Sighting], done: list[Job]) -> None:
        prefix = task.path + b"/" if task.path else b""
        found += [_with_facts(one, jobs) for one in asking.sightings(task.root, prefix, looked.seen)]
        found += asking.troubles(task.root, prefix, looked.unreadable)
        done += [jobs[row[0]] for row in (*looked.seen, *looked.unreadable)]
        for name in looked.gone:
            found.append(Sighting(task.root, prefix + name, None))
            done.append(jobs[name])
        for row in looked.unsettled:
            unsettled = Unsettled(*row)
            self._queue.release(jobs[unsettled.name], unsettled.wait_s, {"sample": list(unsettled.sample)})
            emit("file_unsettled", path=prefix + unsettled.name)

    def _no_directory(self, task: tasks.Look, reason: str, jobs: list[Job], found: list[Sighting], done: list[Job]) -> None:
        """The directory cannot be opened: gone, then so are its files; closed to us, then nothing is known of them."""
        absent = task.path and opening.is_absent(self._register.path_of(task.root), task.path)
        for job in jobs:
            if absent:
                found.append(Sighting(task.root, split_key(job.key)[1], None))
            done.append(job)
        if not absent:
            self._notes.open("unreadable", task.root, task.path, {"reason": reason})
            self._notes.flush()

    def _broken(self, jobs: list[Job], culprit: bytes, reason: str, found: list[Sighting]) -> None:
        """A file broke its process: it costs that file an attempt, and the others nothing."""
        for job in jobs:
            if culprit and _name(job) != culprit:
                self._queue.release(job)
                continue  # with no culprit, the child died before it touched any: each may be the one
            root, path = split_key(job.key)
            state = self._queue.fail(job, reason)
            if state == "dead_letter":
                emit("job_dead", kind=job.kind, path=path, reason=reason, attempts=job.attempts)
                known = opening.unread(self._register.path_of(root), path)
                if known:  # registered with what is known without reading it
                    found.append(Sighting(root, path, known, unreadable=reason))
            else:
                emit("job_failed", kind=job.kind, path=path, reason=reason, attempts=job.attempts)


def _with_facts(sighting: Sighting, jobs: Mapping[bytes, Job]) -> Sighting:
    """Add what the job knows: where the file was moved from, and whether this is the second time of asking."""
    facts = jobs[opening.parts(sighting.path)[1]].facts
    if not facts.keys() & {"moved_from", "vacated", "asked"}:
        return sighting
    moved_from, vacated = renames_of(facts)
    return sighting._replace(moved_from=moved_from, vacated=vacated, asked=int(facts.get("asked", 0)))


def _name(job: Job) -> bytes:
    return opening.parts(split_key(job.key)[1])[1]


def _sample(job: Job) -> tuple[int, int] | None:
    sample = job.facts.get("sample")
    return (sample[0], sample[1]) if sample else None


def _source(jobs: Sequence[Job]) -> str:
    if not jobs:
        return "path"
    root, path = split_key(jobs[0].key)
    more = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
    return f"path:{root}/{names.text(path)}{more}"
