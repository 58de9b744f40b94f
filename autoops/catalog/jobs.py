"""The builder's work: take `catalog` jobs, build, complete. Reads the registry; writes catalogs/ and queue.db."""

from __future__ import annotations

import time
from collections.abc import Callable

from autoops import names
from autoops.catalog.build import Settings, build
from autoops.config import CatalogConfig, Config
from autoops.core.histogram import Meter
from autoops.core.spoken import counted
from autoops.errors import AnotherBuilder, AutoopsError, CatalogFailed, StorageError
from autoops.log import emit
from autoops.model import Job, JobKind
from autoops.state import State
from autoops.store.measured import CATALOG, Measured
from autoops.store.queue import Queue

_KINDS: tuple[JobKind, ...] = ("catalog",)
_ASK_AGAIN_S = 5.0  # while another builder is at it
_SLACK_S = 1.0


class Jobs:
    """The `catalog` jobs of one queue, carried out one at a time."""

    def __init__(self, state: State, queue: Queue, config: Config, workers: int) -> None:
        self._state, self._queue = state, queue
        self._tables = {table.name: table for table in config.catalog_tables}
        self._settings = Settings(config.catalogs.part_entries, workers)
        self._lease_s = config.queue.lease_s
        self._debounce_s = config.catalogs.debounce_s
        self.status = "idle"
        self.failure: AutoopsError | None = None  # the last one

    def perform_one(self) -> bool:
        """Carry out a job that is due; False: none is."""
        jobs = self._queue.claim(1, self._lease_s, _KINDS)
        for job in jobs:
            table = self._tables.get(job.key.decode(errors="replace"))
            if table is None:  # it is declared no more
                self._queue.complete([job])
            else:
                self._perform(job, table)
        return bool(jobs)

    def _perform(self, job: Job, table: CatalogConfig) -> None:
        settings = self._settings._replace(verify=bool(job.facts.get("verify")))  # somebody found its files to be wrong
        try:
            outcome = build(self._state, table, settings, Lease(self._queue, job, self._lease_s), time.time())
        except AnotherBuilder:
            self._queue.release(job, _ASK_AGAIN_S)
        except (CatalogFailed, StorageError) as error:
            self.failure, self.status = error, names.show(str(error))
            emit("catalog_failed", name=table.name, reason=str(error), hint=error.advice)
            self._queue.fail(job, str(error))
        else:
            meter = Meter()
            meter.add(CATALOG, outcome.took_s)
            Measured(self._queue.database).add(meter.take(), int(time.time()))
            self.status = f"{outcome.name}: {counted(outcome.entries, 'entry')}, commit {outcome.sequence:,}"
            self._queue.complete([job])

    def build_all(self, *, verify: bool) -> None:
        """Build every catalog that needs it, whether there is a job or not. verify: read all their files, too."""
        for table in self._tables.values():
            try:
                settings = self._settings._replace(verify=verify, wait_s=3600.0)
                build(self._state, table, settings, lambda _done, _total: None, time.time())
            except (CatalogFailed, StorageError) as error:
                self.failure = error
                emit("catalog_failed", name=table.name, reason=str(error), hint=error.advice)

    def rest_s(self) -> float | None:
        """Return in how many seconds the next job is due, None when none waits."""
        return self._queue.next_due_s(_KINDS)

    def work_off(self, is_paused: Callable[[], bool], sleep: Callable[[float], None] = time.sleep) -> None:
        """Carry out what is due, and what comes due within the debounce time; a retry that is due later is not waited for."""
        while not is_paused():
            if self.perform_one():
                continue
            due_s = self.rest_s()
            if due_s is None or due_s > self._debounce_s + _SLACK_S:
                return
            sleep(min(due_s, 1.0))


class Lease:
    """Progress of a build that keeps its job ours while it goes on."""

    def __init__(self, queue: Queue, job: Job, lease_s: float) -> None:
        self._queue, self._job, self._lease_s = queue, job, lease_s
        self._extended_s = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Note that it goes on."""
        if time.monotonic() - self._extended_s > self._lease_s / 3:
            self._extended_s = time.monotonic()
            self._queue.extend(self._job, self._lease_s)
