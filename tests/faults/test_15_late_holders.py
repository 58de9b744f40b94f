"""Who holds a job is frozen past its lease, dies and leaves its number to another, or is of another boot: each effect comes once.

What comes late is fenced off: the job carries the number of its attempt, the ledger the number of the job. A holder is its boot,
its process and that process's start. The controls take one of these away.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from changing import change
from disks import need, need_root
from judge import Acknowledged, records, require_whole
from running import Suite, environment, is_frozen, program
from scene import Scene
from writer import EACH

LONG = pytest.mark.long
FOREVER = {"queue": {"lease_s": 3600.0}}
SHORT = {"queue": {"lease_s": 0.3}}


def enqueue(suite: Suite) -> Acknowledged:
    """Have as many notes for the ledger in the queue as a writer takes in one turn; return them."""
    subprocess.run(enqueue_until(suite, EACH), env=environment(), check=True)
    return Scene(suite).promised()


def enqueue_until(suite: Suite, until: int) -> list[str]:
    return [str(one) for one in (*Scene(suite).write(until), "--jobs-only")]


# a worker that is frozen, on its way between claim and completion


def wake_too_late(suite: Suite, point: str) -> None:
    """Freeze a worker at a point; take its jobs back; have no other worker come in; wake it."""
    suite.start("worker", trace=f"freeze:{point}", ready=False)
    worker = suite.processes["worker"].pid
    suite.until(lambda: is_frozen(worker), "it has come to the point")
    suite.until(lambda: "rescue: 0 " not in suite.run("queue", "rescue").out, "its lease is over")
    other = suite.run("start-worker", config=True, code=4)
    assert f"another worker runs on {suite.state} (process {worker})" in other.err
    os.kill(worker, signal.SIGCONT)


@pytest.mark.parametrize("point", ["commit:before:3", "commit:after:3"])
def test_a_frozen_worker_that_wakes_after_its_lease_does_nothing_twice(suite: Suite, point: str) -> None:
    suite.configure([{"name": "tree"}], SHORT)
    acknowledged = enqueue(suite)
    wake_too_late(suite, point)
    require_whole(suite, acknowledged)


TWICE = """
import time
from autoops.store.commit import Why
from autoops.work.patches import Patches
def note(self, facts, submission):
    why = Why(facts["actor"], facts["source"], facts["reason"], f"{submission} at {time.monotonic_ns()}")
    self._register.commit((), why)
Patches._note = note
"""


def test_control_without_the_jobs_number_in_the_ledger_it_does_one_twice(suite: Suite) -> None:
    suite.configure([{"name": "tree"}], SHORT)
    change(suite, TWICE)
    acknowledged = enqueue(suite)
    wake_too_late(suite, "commit:after:3")
    with pytest.raises(AssertionError, match="done twice"):
        require_whole(suite, acknowledged)


TAKE = """
import sys, time
from pathlib import Path
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue
queue = Queue(Database.open(Path(sys.argv[1]), SCHEMA, guard=True))
while not (jobs := queue.claim(1, 30.0, [sys.argv[2]])):
    time.sleep(0.05)
    queue.rescue()
queue.release(jobs[0])
print(jobs[0].attempt)
"""


@pytest.mark.parametrize(("kind", "point"), [("scan", "commit:after:3"), pytest.param("describe", "describe:after", marks=LONG)])
def test_a_frozen_scan_that_another_one_took_meanwhile_does_no_harm(suite: Suite, kind: str, point: str) -> None:
    suite.configure([{"name": "tree"}], {**SHORT, "worker": {"commit_files": 8}})
    for number in range(200):
        (suite.root / f"new-{number}.md").write_text(f"# {number}\n")
    suite.start("worker", trace=f"freeze:{point}", ready=False)
    suite.run("scan", config=True)
    worker = suite.processes["worker"].pid
    suite.until(lambda: is_frozen(worker), "it has come to the point")
    take = [sys.executable, "-c", TAKE, str(suite.state / "queue" / "queue.db"), kind]
    taken = subprocess.run(take, env=environment(), capture_output=True, text=True, timeout=60)
    os.kill(worker, signal.SIGCONT)
    assert int(taken.stdout) > 1, taken
    require_whole(suite)
    assert all(entry["descriptor"] for entry in suite.active().values())


# another holder: frozen, or of another boot

HOLDER = """
import sys, time
from pathlib import Path
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue
class Unfenced(Queue):
    def complete_in(self, tx, jobs):
        super().complete_in(tx, jobs)
        return []
queue = {"fenced": Queue, "unfenced": Unfenced}[sys.argv[3]](Database.open(Path(sys.argv[1]), SCHEMA, guard=True))
jobs = queue.claim(1, float(sys.argv[2]), ["note"])
print(jobs[0].key.decode(), flush=True)
sys.stdin.readline()
print("too late" if queue.complete(jobs) else "done")
"""


class Holder:
    """A process that holds one note, and would complete it when it is told to."""

    def __init__(self, suite: Suite, lease_s: float, fence: str = "fenced") -> None:
        command = [sys.executable, "-c", HOLDER, str(suite.state / "queue" / "queue.db"), str(lease_s), fence]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process: subprocess.Popen[str] = subprocess.Popen(command, env=environment(), text=True, **pipes)  # type: ignore[call-overload]
        assert self.process.stdout is not None
        self.source = self.process.stdout.readline().strip()
        assert self.source

    def go_on(self) -> str:
        """Return what it says of its completion."""
        self.process.send_signal(signal.SIGCONT)
        return str(self.process.communicate("\n", timeout=60)[0]).strip()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def is_noted(suite: Suite, source: str) -> bool:
    return any(record["source"] == source for record in records(suite))


@pytest.mark.parametrize("fence", ["fenced", "unfenced"])
def test_a_frozen_holder_is_told_that_it_comes_too_late(suite: Suite, fence: str) -> None:
    """The control is the holder that does not ask for the attempt: the job is done by both."""
    suite.configure([{"name": "tree"}], SHORT)
    acknowledged = enqueue(suite)
    with contextlib.closing(Holder(suite, 0.3, fence)) as holder:
        os.kill(holder.process.pid, signal.SIGSTOP)
        suite.start("worker")
        suite.until(lambda: is_noted(suite, holder.source), "the worker has done it")
        assert holder.go_on() == {"fenced": "too late", "unfenced": "done"}[fence]
    if fence == "fenced":
        require_whole(suite, acknowledged)


def boot_anew(suite: Suite) -> None:
    """Have what starts from now on see another boot, a minute old."""
    need_root()
    need("unshare")
    boot = suite.base / "boot_id"
    boot.write_text("1b4e28ba-2fa1-11d2-883f-0016d3cca427\n")
    back_s = int(time.clock_gettime(time.CLOCK_BOOTTIME)) - 60
    inside = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
    clocks = [part for clock in ("--boottime", "--monotonic") for part in (clock, f"-{back_s}")]
    suite.before = ["unshare", "--mount", "--time", *clocks, "sh", "-c", inside, str(boot)]
    tried = subprocess.run([*suite.before, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"nothing can be booted here: {tried.stderr}")


def test_what_was_held_in_another_boot_is_free_whoever_has_that_number_now(suite: Suite) -> None:
    suite.configure([{"name": "tree"}], FOREVER)
    acknowledged = enqueue(suite)
    with contextlib.closing(Holder(suite, 3600.0)) as holder:  # it goes on, and so its number and its start are somebody's
        boot_anew(suite)
        suite.start("worker")
        suite.until(lambda: is_noted(suite, holder.source), "the worker has done it")
        assert holder.go_on() == "too late"
    require_whole(suite, acknowledged)


def test_control_in_the_same_boot_it_is_held(suite: Suite) -> None:
    suite.configure([{"name": "tree"}], FOREVER)
    enqueue(suite)
    with contextlib.closing(Holder(suite, 3600.0)) as holder:
        suite.start("worker")
        suite.until(lambda: suite.queue()["queued"] == 0, "the others are done")
        assert suite.queue()["running"] == 1 and not is_noted(suite, holder.source)
        assert holder.go_on() == "done"


# a number that is given to another process

REUSE = """
import json, os, subprocess, sys, time
from pathlib import Path
start_worker, enqueue, count = map(json.loads, sys.argv[1:4])
died = subprocess.Popen(start_worker, env={**os.environ, "AUTOOPS_TRACE": "claim:after"})
assert died.wait() == -9
for _ in range(1000):
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(died.pid - 1))
    heir = subprocess.Popen(["sleep", "1000"])
    if heir.pid == died.pid:
        break
    heir.kill(), heir.wait()
assert heir.pid == died.pid
worker, counts = subprocess.Popen(start_worker), lambda: json.loads(subprocess.check_output(count))
done = counts()["completed"]
subprocess.run(enqueue, check=True)
while counts()["completed"] < done + int(sys.argv[4]):
    time.sleep(0.1)
print(counts()["running"])
worker.terminate()
assert worker.wait() == 0
"""


def die_and_leave_the_number(suite: Suite) -> int:
    """Have a worker die and another process take over its number; return how many jobs are held when later ones are done."""
    need_root()
    need("unshare")
    place = ["--state", str(suite.state)]
    worker = [*program(), "start-worker", *place, "--config", str(suite.config)]
    parts = [worker, enqueue_until(suite, 2 * EACH), [*program(), "queue-status", "--json", *place]]
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*unshare, sys.executable, "-c", REUSE, *map(json.dumps, parts), str(EACH)]
    run = subprocess.run(command, env=environment(**suite.environment), capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return int(run.stdout.splitlines()[-1])


def test_the_jobs_of_a_dead_worker_come_back_although_another_process_has_its_number(suite: Suite) -> None:
    suite.configure([{"name": "tree"}], FOREVER)
    enqueue(suite)
    assert die_and_leave_the_number(suite) == 0
    require_whole(suite, Scene(suite).promised())


BY_NUMBER = """
from autoops import clock
clock.is_alive = lambda boot, pid, start: clock.exists(pid)
"""


def test_control_where_the_number_alone_tells_they_do_not_come_back(suite: Suite) -> None:
    suite.configure([{"name": "tree"}], FOREVER)
    change(suite, BY_NUMBER)
    enqueue(suite)
    assert die_and_leave_the_number(suite) == EACH
