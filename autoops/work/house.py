"""What a worker does beside its jobs: leases, retirement, leaves of the digest, WAL, checkpoints. Each when it is due."""

from __future__ import annotations

import time
from collections.abc import Sequence

from autoops.config import Config
from autoops.core.identity import retired
from autoops.model import Job
from autoops.store.commit import WAL_BYTES, RegistryWriter, Why
from autoops.store.database import Database
from autoops.store.measured import DEPTH, Measured
from autoops.store.queue import Queue
from autoops.trace import trace
from autoops.work.catalogs import CatalogJobs
from autoops.work.checkpoints import Checkpoints
from autoops.work.masses import Masses
from autoops.work.register import Register
from autoops.work.timer import Timer

_SWEEP_S = 600.0
_SWEEP_ENTRIES = 1000
_WAL_S = 0.5
_READER_S = 5.0
_MEASURES_S = 60.0
_IDLE_CHECKPOINT_BYTES = 1 << 20


class House:
    """The housekeeping of one worker."""

    def __init__(
        self,
        config: Config,
        registry: RegistryWriter,
        register: Register,
        checkpoints: Checkpoints,
        queue: Queue,
        queue_db: Database,
        masses: Masses,
        catalogs: CatalogJobs,
    ) -> None:
        self._measured, self._measures = Measured(queue_db), Timer(_MEASURES_S)
        self._config, self._registry, self._register, self._checkpoints = config, registry, register, checkpoints
        self._queue, self._queue_db, self._masses, self._catalogs = queue, queue_db, masses, catalogs
        lease_s = config.queue.lease_s
        self._rescue, self._extend = Timer(lease_s / 2), Timer(lease_s / 3)
        self._reader_s = 0.0  # until then the WAL is left to who reads it
        self._sweep, self._wal = Timer(_SWEEP_S), Timer(_WAL_S)

    def keep(self, now_s: float, held: Sequence[Job], *, scanning: bool, looking: bool) -> None:
        """Do what is due, for a worker that holds these jobs."""
        if self._extend.rings(now_s):
            self._queue.extend_many(held, self._config.queue.lease_s)
        if self._rescue.rings(now_s):
            self._queue.rescue()
        if self._sweep.rings(now_s):
            self._retire()
        if self._wal.rings(now_s):
            self._checkpoint_wals(now_s)
        if self._measures.rings(now_s):
            self.keep_measurements()
        self._catalogs.keep(self._registry.ledger_head.sequence)  # before the checkpoint line, which may start the builder
        if self._checkpoints.due and not scanning and not looking:
            self._checkpoints.write(time.time())

    def keep_measurements(self) -> None:
        """Store what was measured since the last time; a kill costs one minute of figures."""
        meter = self._register.meter
        meter.add(DEPTH, self._queue.waiting())
        self._measured.add(meter.take(), int(time.time()))

    def rest(self, now_s: float) -> float:
        """Return the seconds until something is due on a worker that has nothing to do; 0 after doing what idleness allows."""
        if self._carry_over(now_s, least_bytes=_IDLE_CHECKPOINT_BYTES):
            return 0.0
        return self._rescue.due_s - now_s

    def carry_over(self, job: Job) -> None:
        """Carry the registry's WAL over because somebody asked, and cut it: a disk may be full. Tried again beside a reader."""
        done = self._registry.checkpoint(least_bytes=0, truncate=True)
        if done is None or done.done:
            self._queue.complete([job])
        else:
            self._queue.fail(job, done.reason)

    def _carry_over(self, now_s: float, *, least_bytes: int) -> bool:
        """Carry the registry's WAL over. A reader (a snapshot that is taken, say) may hold it for minutes: asked now and then."""
        if now_s < self._reader_s:
            return False
        done = self._registry.checkpoint(least_bytes=least_bytes)
        if done is not None and not done.done:
            self._reader_s = now_s + _READER_S
        return done is not None and done.done

    def _checkpoint_wals(self, now_s: float) -> None:
        self._carry_over(now_s, least_bytes=WAL_BYTES)
        if self._queue_db.wal_bytes >= self._config.queue.checkpoint_bytes:
            trace("checkpoint:before")
            self._queue_db.checkpoint()
            trace("checkpoint:after")

    def _retire(self) -> None:
        """Retire what has been missing for longer than the grace time."""
        before_s = int(time.time() - self._config.worker.missing_grace_s)
        for root, absent in self._registry.missing_counts(before_s).items():
            if self._register.absences.is_lost(root) or not self._masses.lets_retire(root, absent):
                continue
            entries = self._registry.missing_since(root, before_s, _SWEEP_ENTRIES)
            why = Why("worker", "retire", "missing for longer than the grace time")
            if self._register.commit_sound([retired(entry, int(time.time())) for entry in entries], why):
                self._sweep.due_s = 0.0
