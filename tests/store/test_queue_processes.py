"""The queue between real processes: nothing twice, nothing lost, also when one is killed in the middle."""

from __future__ import annotations

import collections
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoops.model import Work
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue

SPAWN = multiprocessing.get_context("spawn")
DEADLINE_S = 30.0


def opened(path: Path) -> Database:
    return Database.open(path, SCHEMA, mode="create", synchronous="NORMAL", guard=True)


def _enqueue_and_claim(path: Path, name: str, total: int, each: int) -> None:
    done: list[bytes] = []
    with opened(path) as db:
        queue = Queue(db)
        for first in range(0, each, 10):
            queue.enqueue(Work("path", f"{name}.{number}".encode()) for number in range(first, first + 10))
            jobs = queue.claim(7, 60)
            done += [job.key for job in jobs]
            assert queue.complete(jobs) == []
        until_s = time.monotonic() + DEADLINE_S
        while queue.counts()["completed"] < total and time.monotonic() < until_s:
            jobs = queue.claim(7, 60)
            done += [job.key for job in jobs]
            assert queue.complete(jobs) == []
    path.with_name(f"{name}.done").write_bytes(b"\n".join(done))


def test_four_processes_enqueue_and_claim_and_every_job_comes_out_exactly_once(tmp_path: Path) -> None:
    path = tmp_path / "queue" / "queue.db"
    with opened(path) as db:
        names = "abcd"
        each = 250
        workers = [SPAWN.Process(target=_enqueue_and_claim, args=(path, name, each * len(names), each)) for name in names]
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            db.checkpoint(wait_s=0.1)
            time.sleep(0.01)
        assert [worker.exitcode for worker in workers] == [0] * len(names)
        seen = collections.Counter(key for name in names for key in path.with_name(f"{name}.done").read_bytes().split(b"\n") if key)
        assert seen == {f"{name}.{number}".encode(): 1 for name in names for number in range(each)}
        assert db.check() == []


CLAIMER = """
import sys, time
from pathlib import Path
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue
with Database.open(Path(sys.argv[1]), SCHEMA, guard=True) as db:
    jobs = Queue(db).claim(10, 3600)
    print(len(jobs), flush=True)
    time.sleep(60)
"""


def test_the_jobs_of_a_killed_claimer_come_back_long_before_their_lease_ends(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with opened(path) as db:
        queue = Queue(db)
        queue.enqueue([Work("path", b"a"), Work("path", b"b")])
        with subprocess.Popen([sys.executable, "-c", CLAIMER, str(path)], stdout=subprocess.PIPE) as claimer:
            assert claimer.stdout is not None
            assert claimer.stdout.readline() == b"2\n"
            assert queue.rescue() == 0  # it lives
            os.kill(claimer.pid, signal.SIGSTOP)
            assert queue.rescue() == 0  # frozen is not dead
            claimer.kill()
        assert queue.claim(10, 60) == []
        assert queue.rescue() == 2
        assert [(job.key, job.attempts) for job in queue.claim(10, 60)] == [(b"a", 2), (b"b", 2)]


STEP = """
import sys
from pathlib import Path
from autoops.model import Work
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue
with Database.open(Path(sys.argv[1]), SCHEMA, mode="create", guard=True) as db:
    queue = Queue(db)
    queue.enqueue([Work("path", b"a"), Work("path", b"b")])
    queue.complete(queue.claim(10, 3600))
"""

AFTER_DEATH = {
    "enqueue:before": (0, 0, 0),
    "enqueue:after": (2, 0, 0),
    "claim:after": (0, 2, 0),
    "complete:before": (0, 2, 0),
    "complete:after": (0, 0, 2),
}


@pytest.mark.parametrize("point", AFTER_DEATH)
def test_a_kill_at_any_point_leaves_each_step_whole(point: str, tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    died = subprocess.run([sys.executable, "-c", STEP, path], env={**os.environ, "AUTOOPS_TRACE": point})
    assert died.returncode == -signal.SIGKILL
    with opened(path) as db:
        queue = Queue(db)
        counts = queue.counts()
        assert (counts["queued"], counts["running"], counts["completed"]) == AFTER_DEATH[point]
        assert queue.rescue() == counts["running"]
        assert len(queue.complete(queue.claim(10, 60))) == 0
        assert db.check() == []
        assert not list(tmp_path.glob("*.suspect"))
    assert subprocess.run([sys.executable, "-c", STEP, path]).returncode == 0
