"""kill -9 in the place of every system call that changes something: what was acknowledged is there, the same call does the rest.

The calls of an operation are listed first (strace), then it is run once for each, and killed there. `./dev test` takes some at
random. The kills at named points (test_kill.py and others) come to the same places in the middle of a busy suite.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from calls import Call, changes, killed_at, need_strace
from judge import require_there, require_whole
from running import Suite, environment
from scene import FEW, SEED, Scene

from autoops.state import State
from autoops.store.database import Database
from autoops.store.queue import SCHEMA

pytestmark = pytest.mark.usefixtures("strace")


@pytest.fixture(scope="module")
def strace() -> None:
    need_strace()


def each(scene: Scene, command: Callable[[], Sequence[object]], below: Path, every: bool | None) -> Iterator[Call]:
    """Kill the command at each call with which it changes something below a directory; yield each once it is dead.

    `every`: False, at a few of them; None, at all but those on shared memory.
    """
    scene.keep()
    scene.renew()
    calls = [call for call in changes(command(), below, scene.log) if every or not call.is_shared_memory]
    assert calls
    if every is False:
        print(f"seed {SEED}")
        calls = sorted(random.Random(SEED).sample(calls, min(FEW, len(calls))))
    died = 0
    for call in calls:
        scene.renew()
        if killed_at(call, command(), scene.log):
            died += 1
            print(call)
            yield call
    assert died > len(calls) * 0.9


EVERY_ONLY = pytest.mark.parametrize("every", [pytest.param(True, marks=pytest.mark.long, id="every")])
EVERY = pytest.mark.parametrize("every", [pytest.param(False, id="few"), pytest.param(True, marks=pytest.mark.long, id="every")])


@EVERY
def test_enqueue_claim_commit_and_checkpoint(scene: Scene, every: bool) -> None:
    for _ in each(scene, scene.write, scene.suite.state, every):
        promised = scene.promised()
        require_there(scene.suite, promised)
        subprocess.run([*map(str, scene.write())], env=environment(), check=True)
        require_whole(scene.suite, scene.promised(), services=False)


@EVERY
def test_snapshot(scene: Scene, every: bool) -> None:
    (kept,) = names(scene.suite)
    for _ in each(scene, lambda: scene.command("backup", "snapshot", "--full"), scene.suite.state, every):
        assert kept in names(scene.suite)
        scene.suite.run("backup", "snapshot", "--full", config=True)
        scene.suite.run("backup", "verify", "--all", config=True)
        require_whole(scene.suite, services=False)


def names(suite: Suite) -> list[str]:
    return [one["name"] for one in suite.run("backup", "list", "--json").json]


@EVERY
def test_restore(scene: Scene, every: bool) -> None:
    restore = ("backup", "restore", "--latest")
    for _ in each(scene, lambda: scene.command(*restore), scene.suite.state, every):
        scene.suite.run("verify")
        scene.suite.run(*restore, config=True)
        require_whole(scene.suite, services=False)


@EVERY
def test_pause(scene: Scene, every: bool) -> None:
    for _ in each(scene, lambda: scene.command("pause"), scene.suite.state, every):
        assert scene.suite.run("pause", code=None).code in (0, 4)  # 4: it is paused already
        assert scene.suite.run("maintenance", "status", code=None).code in (0, 5)
        scene.suite.run("resume")
        require_whole(scene.suite, services=False)


@EVERY_ONLY
def test_resume(scene: Scene, every: bool) -> None:
    scene.suite.run("pause")
    for _ in each(scene, lambda: scene.command("resume"), scene.suite.state, every):
        assert scene.suite.run("resume", code=None).code in (0, 4)  # 4: it was resumed already
        require_whole(scene.suite, services=False)


@EVERY
def test_rename(scene: Scene, every: bool) -> None:
    suite = scene.suite
    suite.configure([{"name": "tree", "policy": "rename"}], {})
    kept = suite.base / "kept-tree"
    shutil.copytree(suite.root, kept)
    (kept / "new.txt").write_text("new\n")

    def command() -> list[object]:
        shutil.rmtree(suite.root)
        subprocess.run(["cp", "-a", kept, suite.root], check=True)
        return scene.command("up", "--once")

    for _ in each(scene, command, suite.base, every):
        suite.once()
        require_whole(suite, services=False)
        left = {path.name for path in suite.root.iterdir()}
        assert not left & {path.name for path in kept.iterdir()} and len(left) == len(list(kept.iterdir()))


PARTS = """
import sys
from pathlib import Path
from autoops.files import durable
from autoops.model import note
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue
state, how = Path(sys.argv[1]), sys.argv[2]
queue = Queue(Database.open(state / "queue" / "queue.db", SCHEMA, guard=True))
works = [note(str(number), "", "", "") for number in range(3)]
for part in [works] if how == "whole" else [[work] for work in works]:
    queue.enqueue(part)
(durable.write if how == "whole" else Path.write_bytes)(state / "document", b"new" * 100)
"""


@pytest.mark.parametrize("how", [pytest.param("whole", marks=pytest.mark.long), "in parts"])
def test_control_without_transaction_and_rename_a_kill_leaves_a_part(scene: Scene, how: str) -> None:
    """`whole`: as the product writes; `in parts`: each row by itself, and the file in its place."""
    suite = scene.suite
    (suite.state / "document").write_bytes(b"old" * 100)
    parts: set[str] = set()
    for _ in each(scene, lambda: [sys.executable, "-c", PARTS, suite.state, how], suite.state, every=None):
        with Database.open(State(suite.state).queue_db, SCHEMA) as queue:
            if queue.one("SELECT count(*) FROM job") not in [(0,), (3,)]:
                parts.add("jobs")
        if (suite.state / "document").read_bytes() not in (b"old" * 100, b"new" * 100):
            parts.add("document")
    assert parts == (set() if how == "whole" else {"jobs", "document"})
