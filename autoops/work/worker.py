"""The worker: claims jobs, has the pool look at the files, decides, commits. The only writer of the registry.

Reads the watched trees (through its pool), queue.db and the registry; writes the registry, its checkpoints, and queue.db.
One step takes what is most urgent a little further: path jobs and patches, then a batch of a scan, then a few descriptions.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from autoops import names
from autoops.config import Config, as_toml
from autoops.core.histogram import Meter
from autoops.core.signing import Signer, Verifier
from autoops.core.spoken import counted
from autoops.files import durable
from autoops.log import emit
from autoops.model import JSON, PRIORITY_DESCRIBE, Job, JobKind, Work, split_key
from autoops.pool import asking
from autoops.pool.pool import Pool
from autoops.runtime.maintenance import Maintenance
from autoops.runtime.wake import Sleeper
from autoops.state import State
from autoops.store.commit import RegistryWriter
from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.measured import WAIT
from autoops.store.operations import DryRun, Gaps, Heartbeats
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.queue import Queue
from autoops.trace import trace
from autoops.walk.absence import Absences
from autoops.walk.hearing import Hearing
from autoops.window import seal
from autoops.window.admit import NOTHING, Admission, Gate, take_over
from autoops.window.inspect import Alive
from autoops.work.catalogs import CatalogJobs, mark
from autoops.work.checkpoints import Checkpoints
from autoops.work.fresh import Fresh
from autoops.work.house import House
from autoops.work.lock import WorkerLock
from autoops.work.masses import Masses
from autoops.work.notes import Notes
from autoops.work.patches import Patches
from autoops.work.paths import Paths
from autoops.work.register import Register
from autoops.work.rehearsal import Rehearsal
from autoops.work.scans import Scans
from autoops.work.stage_two import ALL, StageTwo
from autoops.work.timer import Timer
from autoops.work.unconfigured import Unconfigured
from autoops.work.undone import Undone

_CLAIM = 512
_WAIT_S = 0.05  # for the pool, before looking again for something more urgent
_NET_S = 15.0  # in case a wake-up was lost
_PROGRESS_S = 1.0
_KINDS: tuple[JobKind, ...] = ("path", "scan", "patch", "note", "checkpoint", "describe")  # catalogs are built by another process


class Worker:
    """The worker as a service (see runtime.service)."""

    name = "worker"

    def __init__(
        self, load_config: Callable[[], Config], state: State, load_key: Callable[[], bytes], *, with_stage_two: bool = True
    ) -> None:
        self._load_config, self._state, self._load_key = load_config, state, load_key
        self._config = load_config()
        self._may_describe, self._is_open = with_stage_two, False  # the registry
        self._with_stage_two = with_stage_two and self._config.describe.enabled
        self.facts: JSON = {"describes": self._with_stage_two}  # for those who wait for it
        self._lock: WorkerLock | None = None

    # life

    def open(self) -> None:
        """Take the lock and open the queue. Raises AnotherWorker, StorageError."""
        self._lock = WorkerLock(self._state.worker_lock)
        queue = self._config.queue
        self._queue_db = Database.open(self._state.queue_db, QUEUE, synchronous="FULL", guard=True)
        self._queue = Queue(
            self._queue_db,
            max_attempts=queue.max_attempts,
            backoff_first_s=queue.backoff_first_s,
            backoff_max_s=queue.backoff_max_s,
        )
        self._sleeper = Sleeper(self._state.worker_socket)
        self._heartbeats = Heartbeats(self._queue_db)
        self._meter = Meter()
        self._said, self._progress = "", Timer(_PROGRESS_S)
        self._gate = Gate(self._state)

    def resume(self, alive: Alive, was: Maintenance | None) -> None:
        """Open the registry, take over what was edited in it by hand, and clear up after a worker that died.

        Raises Held, StorageError.
        """
        signer = Signer(self._load_key())
        admission = self._gate.pass_through(Verifier(signer.public), alive, was)
        self._open_registry(signer, admission)

    def _open_registry(self, signer: Signer, admission: Admission) -> None:
        self._take_registry(signer, admission)
        self._open_pools()
        self._divide_work()
        self._go_on()
        self._is_open = True

    def _take_registry(self, signer: Signer, admission: Admission) -> None:
        """Open the registry, with all that was edited in it by hand, and say for whom it is held."""
        self._registry = RegistryWriter.open_for_writing(self._state.registry_db, signer)
        self._registry.require_key(signer.public.hex())
        self._checkpoints = Checkpoints(self._state.checkpoints, self._registry, signer)
        self._queue.enqueue(take_over(self._registry, admission))
        seal.remove(self._state)
        self._checkpoints.due = bool(admission.edits)
        durable.write(self._state.running_config, as_toml(self._config, secrets=True).encode())
        self._roots = {root.name: root for root in self._config.roots}
        self._places = {root.name: root.path for root in self._config.roots}
        self._registry.place_roots(self._places)

    def _divide_work(self) -> None:
        """Make those who do a part of the work each."""
        registry, queue, reconcile = self._registry, self._queue, self._config.reconcile
        findings, gaps, fresh = Findings(self._queue_db), Gaps(self._queue_db), Fresh()
        notes = Notes(findings, time.time)
        notes.keep_roots(self._roots)
        masses = Masses(registry, findings, notes, reconcile.missing_share, reconcile.missing_least)
        unconfigured = Unconfigured(gaps, queue)
        unconfigured.make_good(self._roots, time.time())
        hearing = Hearing(self._queue_db, self._state.cookies)
        hearing.tidy()
        self._register = Register(
            registry,
            queue,
            notes,
            Rehearsal(DryRun(self._queue_db), self._roots),
            Absences(registry, gaps, self._places),
            self._checkpoints,
            self._roots,
            Undone(findings, time.time),
            findings,
            self._meter,
        )
        self._paths = Paths(queue, self._register, self._pool, notes, fresh, hearing)
        self._scans = Scans(
            registry,
            queue,
            self._register,
            self._pool,
            self._paths,
            fresh,
            masses,
            unconfigured,
            self._roots,
            self._config.worker.commit_files,
            self._config.queue.lease_s,
            taken_up=self._want_stage_two,
        )
        self._stage_two = StageTwo(registry, queue, self._register, self._describe_pool)
        self._patches = Patches(registry, queue, self._register)
        declared = [table.name for table in self._config.catalog_tables]
        mark(self._state.catalogs_declared, declared=bool(declared))
        catalogs = CatalogJobs(declared, queue, self._config.catalogs.debounce_s)
        self._house = House(self._config, registry, self._register, self._checkpoints, queue, self._queue_db, masses, catalogs)

    def _go_on(self) -> None:
        """Finish what a worker before this one had begun."""
        self._register.on_pending = self._want_stage_two
        self._wants_stage_two = self._with_stage_two and self._registry.pending_count() > 0
        self._register.renames.resume(self._register.commit_sound)
        self._queue.rescue()

    def _open_pools(self) -> None:
        worker = self._config.worker
        setup = asking.setup_of(self._config, self._state.directory)
        size = worker.pool_size or os.cpu_count() or 1
        self._pool = Pool(setup, size=size, idle_s=worker.pool_idle_s, limit_s=worker.task_timeout_s)
        self._describe_pool = Pool(setup, size=size, idle_s=worker.pool_idle_s, limit_s=self._config.describe.timeout_s)

    def _want_stage_two(self) -> None:
        self._wants_stage_two = self._with_stage_two

    def close(self) -> None:
        """Give back every job, write the last checkpoint, close the databases."""
        if self._lock is None:
            return
        self._close_registry(None)
        self._sleeper.close()
        self._queue_db.close()
        self._lock.release()
        self._lock = None

    def _close_registry(self, window: Maintenance | None) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._scans.stop()
        for job in (*self._paths.let_go(), *self._stage_two.stop()):
            self._queue.release(job)
        self._pool.close()
        self._describe_pool.close()
        self._checkpoints.write(time.time())
        self._registry.store_leaves()
        self._registry.checkpoint(least_bytes=0, truncate=True)
        self._registry.close()
        seal.write(self._state, window)
        self._house.keep_measurements()

    def pause(self, window: Maintenance) -> None:
        """Let go of the registry, so that it can be edited."""
        self._close_registry(window)

    def entered(self, window: Maintenance) -> None:
        """Remember for whom the registry lies open."""
        seal.note_window(self._state, window)

    def reload(self) -> None:
        """Take over the configuration as it is now. Raises ConfigError."""
        config = self._load_config()
        was_open = self._is_open  # else resume opens it
        self._close_registry(None)
        self._config = config
        self._with_stage_two = self._may_describe and config.describe.enabled
        self.facts["describes"] = self._with_stage_two
        if was_open:
            self._open_registry(Signer(self._load_key()), NOTHING)

    def wake_fds(self) -> list[int]:
        """Wake up for enqueued jobs and for answers of the pool."""
        return [self._sleeper.fileno(), *self._pool.filenos(), *self._describe_pool.filenos()]

    def status(self) -> str:
        """Say what it is doing."""
        if not self._is_open:
            return "the registry is closed"
        doing = "idle"
        if scan := self._scans.running:
            doing = f"scanning {scan.root}: {counted(scan.totals.files, 'file')}, {counted(scan.totals.directories, 'directory')}"
        elif self._stage_two.is_busy:
            doing = f"describing ({self._stage_two.total:,} done)"
        elif self._paths.held:
            doing = f"looking at {counted(len(self._paths.held), 'file')}"
        return f"{doing}; {counted(self._registry.total, 'entry')}, commit {self._registry.ledger_head.sequence:,}"

    # work

    def step(self, now_s: float) -> float:
        """Take what is most urgent a little further; return the seconds to sleep."""
        self._sleeper.drain()
        self._claim()
        waiting = bool(self._paths.held)
        self._pool.pump(_WAIT_S if waiting else 0)
        finished = self._paths.finish()
        if not waiting and self._scans.running:
            self._scans.advance(now_s, _WAIT_S)
        elif not waiting and self._stage_two.is_busy:
            self._stage_two.advance(_WAIT_S)
        scanning, looking = self._scans.running is not None, bool(self._paths.held)
        held = [*self._paths.held.values(), *self._stage_two.held, *self._scans.held]
        self._house.keep(now_s, held, scanning=scanning, looking=looking)
        self._tell(now_s)
        if scanning or self._stage_two.is_busy or finished or self._wants_stage_two:
            return 0.0
        if self._paths.held:
            return 1.0  # an answer wakes us; a child that hangs does not
        return self._idle_s(now_s)

    def is_done(self, within_s: float) -> bool:
        """Tell whether nothing is held, and nothing comes due within a time."""
        if self._scans.held or self._paths.held or self._stage_two.is_busy or self._wants_stage_two:
            return False
        due_s = self._queue.next_due_s(_KINDS)
        return due_s is None or due_s > within_s

    def _claim(self) -> None:
        kinds: list[JobKind] = ["patch", "note", "checkpoint"]
        if len(self._paths.held) < _CLAIM:
            kinds.append("path")
        if self._scans.running is None:
            kinds.append("scan")
        if self._with_stage_two:
            if self._wants_stage_two and self._stage_two.job is None:
                self._queue.enqueue([Work("describe", ALL, PRIORITY_DESCRIBE)])
                self._wants_stage_two = False
            kinds.append("describe")
        jobs = self._queue.claim(_CLAIM, self._config.queue.lease_s, kinds)
        if jobs:
            self._begin(jobs)
        self._scans.begin_next()

    def _begin(self, jobs: Sequence[Job]) -> None:
        trace("claim:after")
        emit("jobs_claimed", count=len(jobs))
        for job in jobs:
            self._meter.add(WAIT, job.waited_s)
        for job in jobs:
            if job.kind in ("patch", "note"):
                self._patches.perform(job)
            elif job.kind == "checkpoint":
                self._house.carry_over(job)
            elif job.kind == "describe":
                self._stage_two.begin(job)
            elif job.kind == "scan":
                self._scans.add(job)
        paths = [job for job in jobs if job.kind == "path"]
        if any(self._is_ignore_file(job) for job in paths):
            self._scans.epoch += 1
        self._paths.begin(paths, self._roots, self._scans.epoch)

    def _is_ignore_file(self, job: Job) -> bool:
        root, path = split_key(job.key)
        return root in self._roots and names.text(path.rpartition(b"/")[2]) in self._roots[root].ignore_files

    def _tell(self, now_s: float) -> None:
        """Let others see what it is doing, once a second at most, and at once when it has become idle."""
        busy = self._scans.running or self._paths.held or self._stage_two.is_busy
        if (not busy or self._progress.rings(now_s)) and self._said != self.status():
            self._said = self.status()
            self._heartbeats.beat(self.name, "running", self._said, int(time.time()), self.facts)

    def _idle_s(self, now_s: float) -> float:
        due_s = self._queue.next_due_s(_KINDS)
        waits = [_NET_S, self._pool.rest(), self._describe_pool.rest(), self._house.rest(now_s)]
        return max(0.0, min(waits if due_s is None else [*waits, due_s]))
