"""The pool of a working worker: its children may die, and are started and stopped with the work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from running import Suite, children_of

from autoops import config as configuration
from autoops import names
from autoops.core.view import Sighting
from autoops.model import JSON, Job, path_key
from autoops.pool import asking
from autoops.pool.pool import Answer, Done, Pool
from autoops.pool.tasks import List, Listed, Look, Looked, RootSpec, Setup
from autoops.state import State
from autoops.store.registry import Registry
from autoops.walk.scan import Effects, Scan
from autoops.walk.way import Node, Way

Make = Callable[..., Suite]

# Somebody opens the file for writing between the two questions to the kernel; how that ends, the exit code says.
LOOKS_WHILE_SOMEBODY_OPENS = """
import fcntl, os, subprocess, sys, time
from autoops.files.observe import has_writer
ask = fcntl.fcntl
def ask_late(fd, command, argument=0):
    if (command, argument) == (fcntl.F_SETLEASE, fcntl.F_UNLCK):
        subprocess.Popen(["sh", "-c", 'exec 3>> "$1"', "sh", sys.argv[1]])
        until_s = time.monotonic() + 10
        while ask(fd, fcntl.F_GETLEASE) == fcntl.F_RDLCK and time.monotonic() < until_s:
            time.sleep(0.01)
    return ask(fd, command, argument)
fcntl.fcntl = ask_late
print(has_writer(os.open(sys.argv[1], os.O_RDONLY)))
"""


def test_who_opens_a_file_while_it_is_asked_about_kills_nobody(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"f")
    looked = subprocess.run([sys.executable, "-c", LOOKS_WHILE_SOMEBODY_OPENS, str(path)], stdout=subprocess.PIPE)
    assert (looked.returncode, looked.stdout) == (0, b"False\n")


def children(suite: Suite) -> list[int]:
    return children_of(suite.processes["worker"].pid)


def test_a_child_that_is_killed_during_a_scan_loses_nothing(make_suite: Make) -> None:
    suite = make_suite(tables={"worker": {"commit_files": 64}, "describe": {"enabled": False}})
    for number in range(60):
        directory = suite.root / f"d{number}"
        directory.mkdir()
        for name in range(60):
            (directory / f"f{name}").write_text(f"{number} {name}\n" * 50)
    suite.start("worker")
    suite.run("scan", config=True)
    for _ in range(3):
        suite.until(lambda: children(suite), "the pool works")
        os.kill(children(suite)[0], signal.SIGKILL)
    suite.start("watcher")
    suite.idle()
    suite.require_disk_registered()
    suite.require_nothing_left_to_do()
    assert suite.findings() == []


def test_a_child_that_is_killed_while_it_has_nothing_to_do_is_replaced(make_suite: Make) -> None:
    suite = make_suite()
    suite.start()
    (suite.root / "f").write_text("f\n")
    suite.idle()
    suite.until(lambda: children(suite), "the pool waits for more")
    for child in children(suite):
        os.kill(child, signal.SIGKILL)
    (suite.root / "g").write_text("g\n")
    suite.idle()
    suite.require_disk_registered()
    suite.require_nothing_left_to_do()


def test_a_child_that_is_frozen_costs_its_file_an_attempt_and_no_more(make_suite: Make) -> None:
    suite = make_suite(tables={"worker": {"task_timeout_s": 0.5, "pool_size": 1}, "describe": {"enabled": False}})
    suite.start()
    (suite.root / "first").write_text("first\n")
    suite.idle()
    for child in children(suite):
        os.kill(child, signal.SIGSTOP)
    (suite.root / "second").write_text("second\n")
    suite.idle()
    suite.require_disk_registered()
    assert [event["reason"] for event in suite.events("worker") if event["event"] == "child_killed"] == ["took longer than 0.5 s"]


def test_an_edit_does_not_wait_behind_a_scan(make_suite: Make) -> None:
    suite = make_suite(tables={"worker": {"pool_size": 1}, "describe": {"enabled": False}})
    (suite.root / "d").mkdir()
    suite.start()
    suite.idle()
    (child,) = children(suite)  # that of the first scan
    os.kill(child, signal.SIGSTOP)
    try:
        suite.run("scan", config=True)
        suite.until(lambda: suite.queue()["running"], "the scan waits for its child")
        (suite.root / "d" / "edited").write_text("edited\n")
        suite.until(lambda: ("tree", b"d/edited") in suite.active(), "the edit is registered")
        assert suite.queue()["running"] == 1
    finally:
        os.kill(child, signal.SIGCONT)
    suite.idle()
    suite.require_disk_registered()


def test_of_directories_that_were_given_to_a_child_together_none_is_lost_with_it(make_suite: Make) -> None:
    suite = make_suite()
    paths = [b"", *(b"d%02d" % number for number in range(30))]
    for path in paths:
        (suite.root / os.fsdecode(path)).mkdir(exist_ok=True)
        (suite.root / os.fsdecode(path) / "f").write_text(f"{path!r}\n")
    suite.once()
    (suite.root / "d11" / "f").write_text("another one\n")
    setup = asking.setup_of(configuration.load(suite.config), suite.state)
    others = set(children_of(os.getpid()))  # of tests before this one
    with closing(Pool(setup._replace(settle_s=0.0), size=1, idle_s=60, limit_s=60)) as pool:
        way = Way(pool, List("tree", (b"",), False, 1), lambda _: False)
        met = {node.path: node.answer for node in walked(way, pool, most=1)}
        (child,) = set(children_of(os.getpid())) - others
        os.kill(child, signal.SIGSTOP)
        way.look_ahead()  # hands out the directories below the root
        os.kill(child, signal.SIGKILL)
        met |= {node.path: node.answer for node in walked(way, pool, most=100)}
    assert list(met) == paths and all(isinstance(answer, Listed) for answer in met.values())
    assert {path: answer.same for path, answer in met.items()} == {path: int(path != b"d11") for path in paths}
    assert [name for name, *_ in met[b"d11"].seen] == [b"f"]
    suite.once()


class Taken:
    """Takes what a scan finds."""

    def __init__(self) -> None:
        self.notes, self.paths = self, set[bytes]()

    def take(self, found: Sequence[Sighting], source: str, reason: str) -> Effects:
        self.paths |= {one.path for one in found}
        return Effects(len(found), 0)

    def open(self, kind: str, root: str, path: bytes, detail: JSON) -> None:
        """Nothing is wrong."""

    def close(self, kind: str, root: str, path: bytes) -> None:
        """Nothing was wrong."""

    def flush(self) -> None:
        """Nothing is kept."""


@pytest.mark.parametrize(
    ("cursor", "wanted"),
    [
        (None, {b"f", b"x/f", b"x/y/f", b"x\x01/f", b"x\x01\x01/f", b"y/f"}),
        (b"/", {b"x/f", b"x/y/f", b"x\x01/f", b"x\x01\x01/f", b"y/f"}),
        (b"x/", {b"x/y/f", b"x\x01/f", b"x\x01\x01/f", b"y/f"}),
        (b"x\x01", {b"x\x01/f", b"x\x01\x01/f", b"y/f"}),
        (b"x\x01/", {b"x\x01\x01/f", b"y/f"}),
    ],
)
def test_a_scan_goes_on_where_it_was_whatever_the_names_are(make_suite: Make, cursor: bytes | None, wanted: set[bytes]) -> None:
    suite = make_suite()
    for name in ("", "x", "x/y", "x\x01", "x\x01\x01", "y"):
        (suite.root / name).mkdir(exist_ok=True)
        (suite.root / name / "f").write_text(f"{name!r}\n")
    suite.once()
    setup = asking.setup_of(configuration.load(suite.config), suite.state)
    for directory, _, _ in os.walk(suite.root):
        (Path(directory) / "f").write_text("another\n")
    job = Job(0, 0, "scan", path_key("tree", b""), 0, {} if cursor is None else {"cursor": names.text(cursor)}, 0)
    taken = Taken()
    with (
        closing(Registry.open(State(suite.state).registry_db)) as registry,
        closing(Pool(setup._replace(settle_s=0.0), size=1, idle_s=60, limit_s=60)) as pool,
    ):
        scan = Scan(job, registry, taken, pool, 1, 2, enqueue=lambda works: works)
        assert scan.cursor == job.facts.get("cursor")
        while not scan.advance(1):
            pass
        assert taken.paths == wanted
    suite.once()


def test_a_task_that_is_sent_while_signals_come_is_sent_whole(tmp_path: Path) -> None:
    setup = Setup({"r": RootSpec(os.fsencode(tmp_path), (), (), None)}, 0.0, 0.0, False, 0, "none", ())
    wanted = [(b"%0200d" % number, True, None) for number in range(20_000)]  # more than fits into a pipe
    answers: list[Answer] = []
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)  # while the child is still starting
    try:
        with closing(Pool(setup, size=1, idle_s=60, limit_s=5)) as pool:
            pool.submit(Look("r", b"", wanted, 1), answers.append)
            signal.setitimer(signal.ITIMER_REAL, 0)
            while not answers:
                pool.pump(1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    (answer,) = answers
    assert isinstance(answer, Done) and Looked(*answer.result).gone == [name for name, _, _ in wanted]


def walked(way: Way, pool: Pool, most: int) -> Iterator[Node]:
    """Walk so many directories, and yield them."""
    for _ in range(most):
        while not (way.is_over or way.is_answered):
            way.look_ahead()
            pool.pump(1)
        if way.is_over:
            return
        node = way.next()
        way.put(node.below)
        yield node


def test_the_pool_ends_when_there_is_nothing_to_do_and_comes_back_with_the_work(make_suite: Make) -> None:
    suite = make_suite(tables={"worker": {"pool_idle_s": 0.2}})
    suite.start()
    for name in ("first", "second"):
        (suite.root / name).write_text(f"{name}\n")
        suite.idle()
        suite.until(lambda: children(suite) == [], "the pool has ended")
    suite.require_disk_registered()


# Its user has as much room in pipes as an unprivileged one may have (pipe-user-pages-soft, pipe(7)).
CROWDED = """
import errno, fcntl, os, sys
from autoops.pool.pool import Done, Pool
from autoops.pool.tasks import Look, RootSpec, Setup

taken = []
try:
    while True:
        taken.append(os.pipe())
        fcntl.fcntl(taken[-1][0], fcntl.F_SETPIPE_SZ, 1 << 20)
except OSError as error:
    if error.errno != errno.EPERM:
        sys.exit("no limit")
setup = Setup({"r": RootSpec(os.fsencode(sys.argv[1]), (), (), None)}, 0.0, 0.0, False, 0, "none", ())
pool = Pool(setup, size=2, idle_s=60, limit_s=60)
answers = []
for number in range(500):
    pool.submit(Look("r", b"", [(b"f", True, None), (b"%01000d" % number, True, None)] * 20, 1), answers.append)
while len(answers) < 500:
    pool.pump(1)
pool.close()
assert all(isinstance(one, Done) and len(one.result[0]) == 20 for one in answers), answers
"""


def test_a_pool_works_when_its_user_has_no_room_left_in_pipes(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("f\n")
    unprivileged = [] if os.geteuid() else ["unshare", "--user", "--map-root-user"]
    if unprivileged and subprocess.run([*unprivileged, "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare cannot do that here")
    done = subprocess.run([*unprivileged, sys.executable, "-c", CROWDED, tmp_path], capture_output=True, text=True, check=False)
    if done.stderr.strip() == "no limit":
        pytest.skip("pipes have no limit here")
    assert done.returncode == 0, done.stderr


FORKING = """
import json, os, signal, sys
from autoops.pool.pool import Done, Pool
from autoops.pool.tasks import List, RootSpec, Setup

setup = Setup({"r": RootSpec(os.fsencode(sys.argv[1]), (), (), None)}, 0.0, 0.0, False, 0, "none", ())
pool = Pool(setup, size=2, idle_s=60, limit_s=60)
below = os.open("/dev/null", os.O_RDONLY)  # with a lower number than the child's page
pool.start(forked=True)
children = [child.process.pid for child in pool._children]

def look():
    answers = []
    for _ in range(4):
        pool.submit(List("r", (b"",), True, 1), answers.append)
    while len(answers) < 4:
        pool.pump(1)
    assert all(isinstance(one, Done) and len(one.result[0][1][1]) == 1 for one in answers), answers

look()
print(json.dumps({pid: sorted(os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")) for pid in children}))
os.kill(children[0], signal.SIGKILL)
pool._children[0].process.wait()
look()
print(json.dumps([child.process.pid for child in pool._children]), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_forked_child_has_nothing_of_its_parent_is_replaced_and_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("f\n")
    done = subprocess.run([sys.executable, "-c", FORKING, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    for links in first.values():  # tasks, answers, the log as standard output and error; the shared page, opened and mapped
        assert [link.partition(":")[0] for link in links] == ["/memfd", "/memfd", "pipe", "pipe", "pipe", "pipe"]
    one, other = ({link for link in links if link.startswith("pipe")} for links in first.values())
    assert len(one & other) == 1  # the log
    assert len(second) == 2 and int(next(iter(first))) not in second
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in second) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not [pid for pid in second if Path(f"/proc/{pid}").exists()]
