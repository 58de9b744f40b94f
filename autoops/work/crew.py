"""Those who do the worker's work while the registry is open, and one step of it.

A step takes what is most urgent a little further: path jobs and patches, then a batch of a scan, then a few descriptions.
Reads the watched trees (through its pools), queue.db and the registry; writes the registry, its checkpoints, and queue.db.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence

from autoops import names
from autoops.config import Config, as_toml
from autoops.core.histogram import Meter
from autoops.core.signing import Signer
from autoops.core.spoken import counted
from autoops.files import durable
from autoops.log import emit
from autoops.model import PRIORITY_DESCRIBE, Job, JobKind, Work, split_key
from autoops.pool import asking
from autoops.runtime.maintenance import Maintenance
from autoops.state import State
from autoops.store.commit import RegistryWriter
from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.measured import WAIT
from autoops.store.operations import DryRun, Gaps
from autoops.store.queue import Queue
from autoops.trace import trace
from autoops.walk.absence import Absences
from autoops.walk.hearing import Hearing
from autoops.window import seal
from autoops.window.admit import Admission, take_over
from autoops.work.catalogs import CatalogJobs, mark
from autoops.work.checkpoints import Checkpoints
from autoops.work.fresh import Fresh
from autoops.work.house import House
from autoops.work.masses import Masses
from autoops.work.notes import Notes
from autoops.work.patches import Patches
from autoops.work.paths import Paths
from autoops.work.register import Register
from autoops.work.rehearsal import Rehearsal
from autoops.work.scans import Scans
from autoops.work.stage_two import ALL, StageTwo
from autoops.work.unconfigured import Unconfigured
from autoops.work.undone import Undone

_CLAIM = 512
_WAIT_S = 0.05  # for the pool, before looking again for something more urgent
_NET_S = 15.0  # in case a wake-up was lost
_KINDS: tuple[JobKind, ...] = ("path", "scan", "patch", "note", "checkpoint", "describe")  # catalogs are built by another process


class Crew:
    """Everybody who works, from the opening of the registry to its closing."""

    def __init__(
        self,
        config: Config,
        state: State,
        queue_db: Database,
        meter: Meter,
        signer: Signer,
        admission: Admission,
        *,
        with_stage_two: bool,
    ) -> None:
        """Open the registry, take over what was edited in it by hand, and go on where a worker before this one has died.

        Raises StorageError, LedgerKeyChanged.
        """
        self._config, self._state, self._meter = config, state, meter
        self._queue = Queue(
            queue_db,
            max_attempts=config.queue.max_attempts,
            backoff_first_s=config.queue.backoff_first_s,
            backoff_max_s=config.queue.backoff_max_s,
        )
        self._with_stage_two, self._wants_stage_two = with_stage_two, False
        self._roots = {root.name: root for root in config.roots}
        self._places = {root.name: root.path for root in config.roots}
        self._take_registry(signer, admission)
        self._open_pools()
        self._divide_work(queue_db)
        self._go_on()

    def _take_registry(self, signer: Signer, admission: Admission) -> None:
        self._registry = RegistryWriter.open_for_writing(self._state.registry_db, signer)
        self._registry.require_key(signer.public.hex())
        self._checkpoints = Checkpoints(self._state.checkpoints, self._registry, signer)
        self._queue.enqueue(take_over(self._registry, admission))
        seal.remove(self._state)
        self._checkpoints.due = bool(admission.edits)
        durable.write(self._state.running_config, as_toml(self._config, secrets=True).encode())
        self._registry.place_roots(self._places)

    def _open_pools(self) -> None:
        worker = self._config.worker
        made = functools.partial(asking.pool_of, self._config, self._state.directory, idle_s=worker.pool_idle_s)
        self._scan_pool = made(limit_s=worker.task_timeout_s)
        self._look_pool = made(limit_s=worker.task_timeout_s)  # an edit does not wait behind directories that a scan has asked for
        self._describe_pool = made(limit_s=self._config.describe.timeout_s)
        self._pools = (self._scan_pool, self._look_pool, self._describe_pool)

    def _divide_work(self, queue_db: Database) -> None:
        """Make those who do a part of the work each."""
        registry, queue, reconcile = self._registry, self._queue, self._config.reconcile
        findings, gaps, fresh = Findings(queue_db), Gaps(queue_db), Fresh()
        notes = Notes(findings, time.time)
        notes.keep_roots(self._roots)
        masses = Masses(registry, findings, notes, reconcile.missing_share, reconcile.missing_least)
        unconfigured = Unconfigured(gaps, queue)
        unconfigured.make_good(self._roots, time.time())
        hearing = Hearing(queue_db, self._state.cookies)
        hearing.tidy()
        self._register = self._made_register(queue_db, findings, gaps, notes)
        self._paths = Paths(queue, self._register, self._look_pool, notes, fresh, hearing)
        self._scans = Scans(
            registry,
            queue,
            self._register,
            self._scan_pool,
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
        self._house = self._made_house(queue_db, masses)

    def _made_register(self, queue_db: Database, findings: Findings, gaps: Gaps, notes: Notes) -> Register:
        return Register(
            self._registry,
            self._queue,
            notes,
            Rehearsal(DryRun(queue_db), self._roots),
            Absences(self._registry, gaps, self._places),
            self._checkpoints,
            self._roots,
            Undone(findings, time.time),
            findings,
            self._meter,
        )

    def _made_house(self, queue_db: Database, masses: Masses) -> House:
        declared = [table.name for table in self._config.catalog_tables]
        mark(self._state.catalogs_declared, declared=bool(declared))
        catalogs = CatalogJobs(declared, self._queue, self._config.catalogs.debounce_s)
        register, checkpoints = self._register, self._checkpoints
        return House(self._config, self._registry, register, checkpoints, self._queue, queue_db, masses, catalogs)

    def _go_on(self) -> None:
        """Finish what a worker before this one had begun."""
        self._register.on_pending = self._want_stage_two
        self._wants_stage_two = self._with_stage_two and self._registry.pending_count() > 0
        self._register.renames.resume(self._register.commit_sound)
        self._queue.rescue()

    def _want_stage_two(self) -> None:
        self._wants_stage_two = self._with_stage_two

    def close(self, window: Maintenance | None) -> None:
        """Give back every job, write the last checkpoint, close the registry and seal it, for a window if that is why."""
        self._scans.stop()
        for job in (*self._paths.let_go(), *self._stage_two.stop()):
            self._queue.release(job)
        for pool in self._pools:
            pool.close()
        self._checkpoints.write(time.time())
        self._registry.checkpoint(least_bytes=0, truncate=True)
        self._registry.close()
        seal.write(self._state, window)
        self._house.keep_measurements()

    def filenos(self) -> list[int]:
        """Return the descriptors that become readable when a pool has answered."""
        return [fileno for pool in self._pools for fileno in pool.filenos()]

    @property
    def is_busy(self) -> bool:
        """Whether it is at anything."""
        return bool(self._scans.running or self._paths.held or self._stage_two.is_busy)

    def status(self) -> str:
        """Say what it is doing."""
        doing = "idle"
        if scan := self._scans.running:
            doing = f"scanning {scan.root}: {counted(scan.totals.files, 'file')}, {counted(scan.totals.directories, 'directory')}"
        elif self._stage_two.is_busy:
            doing = f"describing ({self._stage_two.total:,} done)"
        elif self._paths.held:
            doing = f"looking at {counted(len(self._paths.held), 'file')}"
        return f"{doing}; {counted(self._registry.total, 'entry')}, commit {self._registry.ledger_head.sequence:,}"

    def is_done(self, within_s: float) -> bool:
        """Tell whether nothing is held, and nothing comes due within a time."""
        if self._scans.held or self._paths.held or self._stage_two.is_busy or self._wants_stage_two:
            return False
        due_s = self._queue.next_due_s(_KINDS)
        return due_s is None or due_s > within_s

    def step(self, now_s: float) -> float:
        """Take what is most urgent a little further; return the seconds to sleep."""
        self._claim()
        waiting = bool(self._paths.held)
        self._look_pool.pump(_WAIT_S if waiting else 0)
        finished = self._paths.finish()
        if not waiting and self._scans.running:
            self._scans.advance(now_s, _WAIT_S)
        elif not waiting and self._stage_two.is_busy:
            self._stage_two.advance(_WAIT_S)
        scanning, looking = self._scans.running is not None, bool(self._paths.held)
        held = [*self._paths.held.values(), *self._stage_two.held, *self._scans.held]
        self._house.keep(now_s, held, scanning=scanning, looking=looking)
        if scanning or self._stage_two.is_busy or finished or self._wants_stage_two:
            return 0.0
        if looking:
            return 1.0  # an answer wakes us; a child that hangs does not
        return self._idle_s(now_s)

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

    def _idle_s(self, now_s: float) -> float:
        due_s = self._queue.next_due_s(_KINDS)
        waits = [_NET_S, *(pool.rest() for pool in self._pools), self._house.rest(now_s)]
        return max(0.0, min(waits if due_s is None else [*waits, due_s]))
