"""Services that fall over by themselves: an exception in a thread or a step, no memory left, killed for want of it.

A service ends with it, loudly, and a new one goes on. What the sandbox keeps from them, and how soon a hang is found, is seen under
systemd (tests/system/test_30_sandbox.py and test_40_misfortune.py). The control is a thread whose exception nobody looks at.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from changing import changed
from disks import need_root
from judge import require_whole
from running import Suite

BURST = 600  # files
# A function that works so many times, and then never again.
RAISES = """
import {module} as room
owner = room{owner}
works, left = owner.{name}, {left}

def fails(*rest, **more):
    global left
    left -= 1
    if left < 0:
        raise RuntimeError("a bug")
    return works(*rest, **more)

owner.{name} = fails
"""
BUGS = {
    "the thread that reads inotify": ("watcher", "autoops.watch.emitter", ".InotifyEmitter", "queue_events"),
    "the thread that stores": ("watcher", "autoops.watch.observer", "", "store"),
    "the step of the worker": ("worker", "autoops.work.worker", ".Worker", "step"),
}
# Nobody looks at what ended it.
UNSEEN = """
from autoops.watch import root
root._died = lambda emitter: ""
"""


def bug(which: str, left: int) -> tuple[str, str]:
    service, module, owner, name = BUGS[which]
    return service, RAISES.format(module=module, owner=owner, name=name, left=left)


@pytest.mark.parametrize("which", BUGS)
def test_an_exception_ends_the_service_with_a_traceback_and_the_next_one_goes_on(suite: Suite, which: str) -> None:
    service, text = bug(which, left=3)
    with changed(suite, text):
        suite.start(service, ready=False)
        for number in range(20):
            (suite.root / f"new-{number}.txt").write_text(f"{number}\n")
            if suite.processes[service].poll() is not None:
                break
            suite.run("scan", config=True)
        assert suite.died(service) not in (0, -signal.SIGKILL)
    assert "service_failed" in suite.log(service) and "a bug" in suite.log(service)
    require_whole(suite)


def test_control_whose_end_nobody_looks_at_lives_on_and_sees_nothing(suite: Suite) -> None:
    service, text = bug("the thread that reads inotify", left=3)
    with changed(suite, text + UNSEEN):
        suite.start(service)
    suite.start("worker")
    for number in range(5):
        (suite.root / f"new-{number}.txt").write_text(f"{number}\n")
        time.sleep(0.1)  # each is a turn of the thread
    suite.idle(code=1, timeout_s=1)
    assert suite.processes[service].poll() is None
    with pytest.raises(AssertionError, match="only on the disk"):
        suite.require_disk_registered()


def status_kib(pid: int, name: str) -> int:
    """Return a size that the kernel tells of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def test_without_memory_a_service_ends_and_the_next_one_goes_on(suite: Suite) -> None:
    suite.start()
    pid = suite.processes["worker"].pid
    limit = (status_kib(pid, "VmSize") << 10) + (1 << 16)
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
    for number in range(BURST):
        (suite.root / f"{number}-{'x' * 200}.txt").write_text(f"{number}\n")
    suite.until(lambda: suite.processes["worker"].poll() is not None, "it ends")
    assert suite.died("worker") not in (0, -signal.SIGKILL)
    assert "MemoryError" in suite.log("worker")
    require_whole(suite)


def test_killed_for_want_of_memory_the_next_one_goes_on(suite: Suite) -> None:
    suite.start()
    with control_group() as group:
        group.join(suite.processes["worker"].pid)
        group.limit(1 << 20)  # the kernel takes back what it can, then kills
        for number in range(BURST):
            (suite.root / f"{number}.txt").write_text(f"{number}\n" * 100)
        assert suite.died("worker") == -signal.SIGKILL
        assert group.kills() > 0
    require_whole(suite)


class Group:
    """A control group of our own whose memory can be limited, of either version."""

    def __init__(self, path: Path, limit: str, events: str) -> None:
        self.path, self._limit, self._events = path, path / limit, path / events

    def join(self, pid: int) -> None:
        (self.path / "cgroup.procs").write_text(str(pid))

    def limit(self, size_bytes: int) -> None:
        self._limit.write_text(str(size_bytes))

    def kills(self) -> int:
        return sum(int(line.split()[1]) for line in self._events.read_text().splitlines() if line.startswith("oom_kill "))


@contextmanager
def control_group() -> Iterator[Group]:
    """Make one, skip where the kernel lets nobody."""
    need_root()
    top = Path("/sys/fs/cgroup")
    is_first = (top / "memory").is_dir()
    path = (top / "memory" if is_first else top) / f"autoops-fault-{os.getpid()}"
    group = Group(path, *(("memory.limit_in_bytes", "memory.oom_control") if is_first else ("memory.max", "memory.events")))
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        if not group._limit.exists():
            pytest.skip("the memory of control groups cannot be limited here")
        yield group
    finally:
        until_s = time.monotonic() + 30
        while path.exists() and time.monotonic() < until_s:
            with suppress(OSError):  # what was killed is still leaving
                path.rmdir()
            time.sleep(0.05)
