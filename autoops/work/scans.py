"""The scans that are wanted, one under way at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autoops import names
from autoops.config import RootConfig
from autoops.files import roots
from autoops.log import emit
from autoops.model import JSON, PRIORITY_OPERATOR, Job, split_key
from autoops.pool.pool import Pool
from autoops.store.commit import RegistryWriter
from autoops.store.measured import SCAN
from autoops.store.queue import Queue
from autoops.walk.absence import why_not_there
from autoops.walk.scan import Scan
from autoops.work.fresh import Fresh
from autoops.work.masses import Masses
from autoops.work.paths import Paths
from autoops.work.register import Register
from autoops.work.timer import Timer
from autoops.work.unconfigured import Unconfigured

_SAVE_S = 1.0


@dataclass
class Scans:
    """The scan jobs this worker holds."""

    registry: RegistryWriter
    queue: Queue
    register: Register
    pool: Pool
    paths: Paths
    fresh: Fresh
    masses: Masses
    unconfigured: Unconfigured
    roots: Mapping[str, RootConfig]
    commit_files: int
    lease_s: float
    taken_up: Callable[[], None]  # told when a scan of a whole root has set entries free that were put off

    def __post_init__(self) -> None:
        self.running: Scan | None = None
        self._began_s = 0.0
        self._waiting: list[Job] = []
        self._save = Timer(_SAVE_S)
        self.epoch = time.monotonic_ns()  # children read ignore files anew for each

    @property
    def held(self) -> list[Job]:
        """The jobs of the scans under way and waiting."""
        return [*self._waiting, *([self.running.job] if self.running else [])]

    def add(self, job: Job) -> None:
        """Have a scan made when it is its turn."""
        self._waiting.append(job)

    def begin_next(self) -> None:
        """Begin the next scan that can be begun, unless one is under way."""
        while self.running is None and self._waiting:
            self._begin(self._waiting.pop(0))

    def advance(self, now_s: float, wait_s: float) -> None:
        """Do a part of the scan under way, waiting for the pool at most so long."""
        scan = self.running
        if scan is None:
            return
        if not scan.advance(wait_s):
            if self._save.rings(now_s):
                self.queue.extend(scan.job, self.lease_s, _progress(scan) or {})
            return
        self.running = None
        self.fresh.forget()
        if scan.broken:
            state = self.queue.fail(scan.job, scan.broken)
            event = "job_dead" if state == "dead_letter" else "job_failed"
            emit(event, kind="scan", path=scan.top, reason=scan.broken, attempts=scan.job.attempts)
        else:
            self._finished(scan)
        self.begin_next()

    def stop(self) -> None:
        """Put all scans away; the one under way is to be taken up where it is."""
        if self.running:
            self.running.flush()
            self.running.stop()
            self.queue.release(self.running.job, 0.0, _progress(self.running))
            self.running = None
        for job in self._waiting:
            self.queue.release(job)
        self._waiting.clear()

    def _begin(self, job: Job) -> None:
        root, path = split_key(job.key)
        if root not in self.roots:
            self.unconfigured.turn_away(job, time.time())
            return
        if not (path or self._is_the_root_it_was(self.roots[root], job.facts)):
            self.queue.complete([job])
            return
        self.epoch += 1
        self.fresh.wanted = True
        if not path and job.facts.get("cursor") is None:
            self.register.rehearsal.begin_anew(root)
        self._began_s = time.monotonic()
        enqueue, stale = self.queue.enqueue, self.paths.stale
        look = not path or job.priority == PRIORITY_OPERATOR  # events ask for many small ones
        believes = self.masses.believes_absence(root, self.roots[root].path, look=look)
        self.running = Scan(
            job, self.registry, self.register, self.pool, self.epoch, self.commit_files, enqueue, stale, believes_absence=believes
        )

    def _finished(self, scan: Scan) -> None:
        self.queue.complete([scan.job])
        if not scan.top and self.registry.take_up(scan.root):
            self.taken_up()
        totals, took_s = scan.totals, time.monotonic() - self._began_s
        self.register.meter.add(SCAN, took_s)
        emit(
            "scan_finished",
            root=scan.root,
            path=scan.top,
            files=totals.files,
            directories=totals.directories,
            changed=totals.changed,
            missing=totals.missing,
            duration_s=round(took_s, 3),
        )

    def _is_the_root_it_was(self, root: RootConfig, facts: JSON) -> bool:
        """Tell an unmounted tree from an emptied one; accept another top directory if it holds something that is known."""
        try:
            found = roots.identity(root.path)
        except OSError as error:
            self._note_root(root, str(error.strerror))
            return False
        reason = "" if facts.get("accept") else why_not_there(self.registry, root.name, root.path)
        if reason:
            self._note_root(root, reason)
            return False
        if self.registry.roots().get(root.name) != found:
            self.registry.set_identity(root.name, found)
        self.register.notes.close("root_replaced", root.name, b"")
        self.register.notes.flush()
        return True

    def _note_root(self, root: RootConfig, reason: str) -> None:
        self.register.notes.open("root_replaced", root.name, b"", {"path": names.text(root.path), "reason": reason})
        self.register.notes.flush()


def _progress(scan: Scan) -> JSON | None:
    cursor = scan.cursor
    return {"cursor": cursor} if cursor is not None else None
