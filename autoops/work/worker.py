"""The worker: claims jobs, has the pool look at the files, decides, commits. The only writer of the registry.

Reads the watched trees (through its pool), queue.db and the registry; writes the registry, its checkpoints, and queue.db.
One step takes what is most urgent a little further: path jobs and patches, then a batch of a scan, then a few descriptions.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from autoops import names
from autoops.config import Config, RootConfig, as_toml
from autoops.core.identity import retired
from autoops.core.signing import Signer
from autoops.files import durable, roots
from autoops.log import emit
from autoops.model import JSON, PRIORITY_DESCRIBE, Job, JobKind, Work, split_key
from autoops.pool import asking
from autoops.pool.pool import Pool
from autoops.runtime.wake import Sleeper
from autoops.state import State
from autoops.store.commit import RegistryWriter, Why
from autoops.store.database import Database
from autoops.store.operations import DryRun, Findings, Gaps, Heartbeats
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.queue import Queue
from autoops.trace import trace
from autoops.work.checkpoints import Checkpoints
from autoops.work.fresh import Fresh
from autoops.work.lock import WorkerLock
from autoops.work.notes import Notes
from autoops.work.patches import Patches
from autoops.work.paths import Paths
from autoops.work.register import Register
from autoops.work.scan import Scan
from autoops.work.stage_two import ALL, StageTwo

_CLAIM = 512
_WAIT_S = 0.05  # for the pool, before looking again for something more urgent
_NET_S = 15.0  # in case a wake-up was lost
_SWEEP_S = 600.0
_SWEEP_ENTRIES = 1000
_PROGRESS_S = 1.0
_WAL_S = 0.5


@dataclass
class Timer:
    """Something due every so often."""

    every_s: float
    due_s: float = 0.0

    def rings(self, now_s: float) -> bool:
        """Tell whether it is due, and set it again if so."""
        if now_s < self.due_s:
            return False
        self.due_s = now_s + self.every_s
        return True


class Worker:
    """The worker as a service (see runtime.service)."""

    name = "worker"

    def __init__(
        self, load_config: Callable[[], Config], state: State, load_key: Callable[[], bytes], *, with_stage_two: bool = True
    ) -> None:
        self._load_config, self._state, self._load_key = load_config, state, load_key
        self._config = load_config()
        self._may_describe, self._is_paused = with_stage_two, False
        self._with_stage_two = with_stage_two and self._config.describe.enabled
        self.facts: JSON = {"describes": self._with_stage_two}  # for those who wait for it
        self._lock: WorkerLock | None = None
        self._scan: Scan | None = None
        self._scan_began_s = 0.0
        self._epoch = time.monotonic_ns()
        self._waiting_scans: list[Job] = []

    # life

    def open(self) -> None:
        """Take the lock, open the databases, and clear up after a worker that died. Raises AnotherWorker, StorageError."""
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
        self._rescue, self._extend = Timer(queue.lease_s / 2), Timer(queue.lease_s / 3)
        self._sweep, self._save, self._progress = Timer(_SWEEP_S), Timer(_PROGRESS_S), Timer(_PROGRESS_S)
        self._said, self._wal = "", Timer(_WAL_S)
        self._open_registry()

    def _open_registry(self) -> None:
        signer = Signer(self._load_key())
        self._registry = RegistryWriter.open_for_writing(self._state.registry_db, signer)
        self._registry.require_key(signer.public.hex())
        durable.write(self._state.running_config, as_toml(self._config).encode())
        self._registry.place_roots({root.name: root.path for root in self._config.roots})
        self._checkpoints = Checkpoints(self._state.checkpoints, self._registry, signer)
        self._fresh = Fresh()
        self._notes = Notes(Findings(self._queue_db), time.time)
        self._roots = {root.name: root for root in self._config.roots}
        self._register = Register(
            self._registry, self._queue, self._notes, DryRun(self._queue_db), Gaps(self._queue_db), self._checkpoints, self._roots
        )
        worker = self._config.worker
        setup = asking.setup_of(self._config, self._state.directory)
        size = worker.pool_size or os.cpu_count() or 1
        self._pool = Pool(setup, size=size, idle_s=worker.pool_idle_s, limit_s=worker.task_timeout_s)
        self._describe_pool = Pool(setup, size=size, idle_s=worker.pool_idle_s, limit_s=self._config.describe.timeout_s)
        self._paths = Paths(self._queue, self._register, self._pool, self._notes, self._fresh)
        self._stage_two = StageTwo(self._registry, self._queue, self._register, self._describe_pool)
        self._patches = Patches(self._registry, self._queue, self._register)
        self._register.on_pending = self._want_stage_two
        self._wants_stage_two = self._with_stage_two and self._registry.pending_count() > 0
        self._register.renames.resume(self._register.commit)
        self._queue.rescue()

    def _want_stage_two(self) -> None:
        self._wants_stage_two = self._with_stage_two

    def close(self) -> None:
        """Give back every job, write the last checkpoint, close the databases."""
        if self._lock is None:
            return
        if not self._is_paused:
            self._close_registry()
        self._sleeper.close()
        self._queue_db.close()
        self._lock.release()
        self._lock = None

    def _close_registry(self) -> None:
        if self._scan:
            self._end_scan(self._scan)
        for job in (*self._paths.let_go(), *self._stage_two.stop(), *self._waiting_scans):
            self._queue.release(job)
        self._waiting_scans.clear()
        self._pool.close()
        self._describe_pool.close()
        self._checkpoints.write(time.time())
        self._registry.store_leaves()
        self._registry.checkpoint(least_bytes=1)
        self._registry.close()

    def pause(self) -> None:
        """Let go of the registry, so that it can be edited."""
        self._close_registry()
        self._is_paused = True

    def resume(self) -> None:
        """Take up the registry again."""
        self._is_paused = False
        self._open_registry()

    def reload(self) -> None:
        """Take over the configuration as it is now. Raises ConfigError."""
        config = self._load_config()
        if not self._is_paused:  # else resume opens it
            self._close_registry()
        self._config = config
        self._with_stage_two = self._may_describe and config.describe.enabled
        self.facts["describes"] = self._with_stage_two
        if not self._is_paused:
            self._open_registry()

    def wake_fds(self) -> list[int]:
        """Wake up for enqueued jobs and for answers of the pool."""
        return [self._sleeper.fileno(), *self._pool.filenos(), *self._describe_pool.filenos()]

    def status(self) -> str:
        """Say what it is doing."""
        doing = "idle"
        if self._scan:
            totals = self._scan.totals
            doing = f"scanning {self._scan.root}: {totals.files:,} files, {totals.directories:,} directories"
        elif self._stage_two.is_busy:
            doing = f"describing ({self._stage_two.total:,} done)"
        elif self._paths.held:
            doing = f"looking at {len(self._paths.held):,} files"
        return f"{doing}; {self._registry.total:,} entries, commit {self._registry.ledger_head.sequence:,}"

    # work

    def step(self, now_s: float) -> float:
        """Take what is most urgent a little further; return the seconds to sleep."""
        self._sleeper.drain()
        self._claim()
        waiting = bool(self._paths.held)
        self._pool.pump(_WAIT_S if waiting else 0)
        finished = self._paths.finish()
        if not waiting and self._scan:
            self._advance_scan(now_s)
        elif not waiting and self._stage_two.is_busy:
            self._stage_two.advance(_WAIT_S)
        self._keep_house(now_s)
        self._tell(now_s)
        if self._scan or self._stage_two.is_busy or finished or self._wants_stage_two:
            return 0.0
        if self._paths.held:
            return 1.0  # an answer wakes us; a child that hangs does not
        return self._idle_s(now_s)

    def is_done(self, within_s: float) -> bool:
        """Tell whether nothing is held, and nothing comes due within a time."""
        if self._scan or self._waiting_scans or self._paths.held or self._stage_two.is_busy or self._wants_stage_two:
            return False
        due_s = self._queue.next_due_s()
        return due_s is None or due_s > within_s

    def _claim(self) -> None:
        kinds: list[JobKind] = ["patch"]
        if len(self._paths.held) < _CLAIM:
            kinds.append("path")
        if self._scan is None:
            kinds.append("scan")
        if self._with_stage_two:
            if self._wants_stage_two and self._stage_two.job is None:
                self._queue.enqueue([Work("describe", ALL, PRIORITY_DESCRIBE)])
                self._wants_stage_two = False
            kinds.append("describe")
        jobs = self._queue.claim(_CLAIM, self._config.queue.lease_s, kinds)
        if not jobs:
            self._next_scan()
            return
        trace("claim:after")
        emit("jobs_claimed", count=len(jobs))
        for job in jobs:
            if job.kind == "patch":
                self._patches.perform(job)
            elif job.kind == "describe":
                self._stage_two.begin(job)
            elif job.kind == "scan":
                self._waiting_scans.append(job)
        paths = [job for job in jobs if job.kind == "path"]
        if paths:
            if any(self._is_ignore_file(job) for job in paths):
                self._epoch += 1
            self._paths.begin(paths, self._roots, self._epoch)
        self._next_scan()

    def _next_scan(self) -> None:
        """Begin the next scan that can be begun."""
        while self._scan is None and self._waiting_scans:
            self._begin_scan(self._waiting_scans.pop(0))

    def _is_ignore_file(self, job: Job) -> bool:
        root, path = split_key(job.key)
        return root in self._roots and names.text(path.rpartition(b"/")[2]) in self._roots[root].ignore_files

    def _tell(self, now_s: float) -> None:
        """Let others see what it is doing, once a second at most, and at once when it has become idle."""
        busy = self._scan or self._paths.held or self._stage_two.is_busy
        if (not busy or self._progress.rings(now_s)) and self._said != self.status():
            self._said = self.status()
            self._heartbeats.beat(self.name, "running", self._said, int(time.time()), self.facts)

    # scans

    def _begin_scan(self, job: Job) -> None:
        root, path = split_key(job.key)
        if root not in self._roots:
            self._queue.complete([job])
            return
        if not path and not self._is_the_root_it_was(self._roots[root], job.facts):
            self._queue.complete([job])
            return
        self._epoch += 1
        self._fresh.wanted = True
        if not path and job.facts.get("cursor") is None:
            self._register.forget_rehearsal(root)
        self._scan_began_s = time.monotonic()
        self._scan = Scan(
            job,
            self._registry,
            self._register,
            self._pool,
            self._epoch,
            self._config.worker.commit_files,
            self._queue.enqueue,
            self._paths.is_stale,
        )

    def _is_the_root_it_was(self, root: RootConfig, facts: JSON) -> bool:
        """Tell an unmounted tree from an emptied one; accept another top directory if it holds something that is known."""
        try:
            found = roots.identity(root.path)
        except OSError as error:
            self._note_root(root, str(error.strerror))
            return False
        known = self._registry.roots().get(root.name)
        if known is not None and known != found and not facts.get("accept"):
            sample = [entry.path for entry in self._registry.entries(root=root.name, status="active", limit=1000)]
            if sample and not roots.holds_any(root.path, sample):
                self._note_root(root, "another directory stands in its place, with nothing in it that is known; is it mounted?")
                return False
        if known != found:
            self._registry.set_identity(root.name, found)
        self._notes.close("root_replaced", root.name, b"")
        self._notes.flush()
        return True

    def _note_root(self, root: RootConfig, reason: str) -> None:
        self._notes.open("root_replaced", root.name, b"", {"path": names.text(root.path), "reason": reason})
        self._notes.flush()

    def _advance_scan(self, now_s: float) -> None:
        assert self._scan is not None
        scan = self._scan
        if not scan.advance(_WAIT_S):
            if self._save.rings(now_s):
                self._save_cursor(scan)
            return
        self._scan = None
        self._fresh.forget()
        if scan.broken:
            state = self._queue.fail(scan.job, scan.broken)
            event = "job_dead" if state == "dead_letter" else "job_failed"
            emit(event, kind="scan", path=scan.top, reason=scan.broken, attempts=scan.job.attempts)
            self._next_scan()
            return
        self._queue.complete([scan.job])
        if not scan.top and self._registry.take_up(scan.root):
            self._want_stage_two()
        totals = scan.totals
        emit(
            "scan_finished",
            root=scan.root,
            path=scan.top,
            files=totals.files,
            directories=totals.directories,
            changed=totals.changed,
            missing=totals.missing,
            duration_s=round(time.monotonic() - self._scan_began_s, 3),
        )
        self._next_scan()

    def _save_cursor(self, scan: Scan) -> None:
        cursor = scan.cursor
        facts: JSON = {"cursor": cursor} if cursor is not None else {}
        self._queue.extend(scan.job, self._config.queue.lease_s, facts)

    def _end_scan(self, scan: Scan) -> None:
        """Put a scan away, to be taken up where it is."""
        scan.flush()
        scan.stop()
        cursor = scan.cursor
        self._queue.release(scan.job, 0.0, {"cursor": cursor} if cursor is not None else None)
        self._scan = None

    # house

    def _keep_house(self, now_s: float) -> None:
        if self._extend.rings(now_s):
            held = [*self._paths.held.values(), *self._stage_two.held, *self._waiting_scans]
            self._queue.extend_many([*held, *([self._scan.job] if self._scan else [])], self._config.queue.lease_s)
        if self._rescue.rings(now_s):
            self._queue.rescue()
        if self._sweep.rings(now_s):
            self._retire()
        if not self._scan:
            self._registry.store_leaves()
        if self._wal.rings(now_s):
            self._registry.checkpoint()
            if self._queue_db.wal_bytes >= self._config.queue.checkpoint_bytes:
                trace("checkpoint:before")
                self._queue_db.checkpoint()
                trace("checkpoint:after")
        if self._checkpoints.due and not self._scan and not self._paths.held:
            self._checkpoints.write(time.time())

    def _retire(self) -> None:
        """Retire what has been missing for longer than the grace time."""
        before_s = int(time.time() - self._config.worker.missing_grace_s)
        entries = [
            entry for entry in self._registry.missing_since(before_s, _SWEEP_ENTRIES) if not self._register.is_lost(entry.root)
        ]
        if entries:
            why = Why("worker", "retire", "missing for longer than the grace time")
            self._register.commit([retired(entry, int(time.time())) for entry in entries], why)
            self._sweep.due_s = 0.0

    def _idle_s(self, now_s: float) -> float:
        if self._registry.checkpoint(least_bytes=1 << 20):
            return 0.0
        due_s = self._queue.next_due_s()
        waits = [_NET_S, self._pool.rest(), self._describe_pool.rest(), self._rescue.due_s - now_s]
        return max(0.0, min(waits if due_s is None else [*waits, due_s]))
