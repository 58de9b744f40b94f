"""kill -9, at every named point and at any moment: after a restart the registry is the disk, and proves itself.

The recipe: die → start again → `wait-idle` → the export is the disk → `verify --deep` → nothing temporary is left → run again: the
same state. The last three are also done by the fixture for every suite.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from judge import require_whole
from running import DEADLINE_S, PROJECT, Suite, children_of, environment, is_frozen, program

from autoops.trace import POINTS

Make = Callable[..., Suite]
RENAMES = ("rename:intent", "rename:done")
CATALOGS = ("catalog:made", "catalog:exchanged")  # see test_catalog_kill.py
ELSEWHERE = (  # each has kill tests of its own
    "segment:",
    "snapshot:",
    "prune:",
    "playbook:",
    "restore:",
    "abandon:",
    "swap:",
    "alert:",
    "outbox:",
)
SMALL_COMMITS = {"worker": {"commit_files": 8}, "queue": {"checkpoint_bytes": 65536, "backoff_first_s": 0.1}}


def fill(top: Path, count: int = 30, stem: str = "file") -> None:
    """Write files into a few directories."""
    for number in range(count):
        directory = top / f"d{number % 4}"
        directory.mkdir(exist_ok=True)
        (directory / f"{stem}-{number}.txt").write_text(f"{stem} {number}\n" * (number + 1))


def live(top: Path, seed: object) -> None:
    """Do what people do: new files, edits, moves, deletions, a replacement."""
    there = sorted(path for path in top.rglob("*") if path.is_file())
    pick = random.Random(str(seed))
    pick.shuffle(there)
    fill(top, 12, f"live-{seed}")
    for path in there[:4]:
        path.write_text(f"edited {seed}\n")
    for number, path in enumerate(there[4:8]):
        path.rename(top / f"moved-{seed}-{number}")
    for path in there[8:10]:
        path.unlink()
    beside = top / f"{seed}.new"
    beside.write_text(f"replaced {seed}\n")
    beside.replace(there[10])


def who_passes(point: str) -> str:
    return "watcher" if point.startswith("enqueue") else "worker"


@pytest.mark.parametrize(
    "point", [point for point in POINTS if point not in RENAMES + CATALOGS and not point.startswith(ELSEWHERE)]
)
def test_a_process_that_dies_at_a_named_point_during_a_scan_and_during_edits_loses_nothing(make_suite: Make, point: str) -> None:
    suite = make_suite(tables=SMALL_COMMITS)
    fill(suite.root)
    name = who_passes(point)
    other = "worker" if name == "watcher" else "watcher"
    suite.start(other)
    suite.start(name, trace=point, ready=False)
    if point.startswith("checkpoint"):  # of the queue, when enough was written
        keep_busy(suite, name)
    elif point == "observe:after":
        live(suite.root, "early")
    assert suite.died(name) == -signal.SIGKILL
    suite.start(name, trace=f"{point}:2", ready=False)
    suite.until(lambda: armed(suite, name), "it works again, or died again")
    live(suite.root, 1)
    if point.startswith("checkpoint"):
        keep_busy(suite, name)
    for seed in range(2, 6):  # commits may have gone together
        if suite.processes[name].poll() is None:
            suite.run("wait-idle", "--timeout", 1, code=None)
            live(suite.root, seed)
    assert suite.died(name) == -signal.SIGKILL
    require_whole(suite)


def armed(suite: Suite, name: str) -> bool:
    """Tell whether the second run of a service has got going, or has died already."""
    process = suite.processes[name]
    found = suite.run("status", "--json", code=None)
    return process.poll() is not None or (found.code == 0 and found.json["processes"].get(name, {}).get("pid") == process.pid)


def keep_busy(suite: Suite, name: str) -> None:
    """Edit until the service has died."""
    end_s = time.monotonic() + DEADLINE_S
    number = 0
    while suite.processes[name].poll() is None:
        assert time.monotonic() < end_s, "it never came to the point"
        number += 1
        (suite.root / f"busy-{number % 40}").write_text(f"{number}\n")
        time.sleep(0.002)


@pytest.mark.parametrize("point", RENAMES)
def test_a_worker_that_dies_between_intent_and_renaming_completes_it_after_a_restart(make_suite: Make, point: str) -> None:
    suite = make_suite(roots=[{"name": "tree", "policy": "rename"}])
    fill(suite.root)
    suite.start("watcher")
    suite.start("worker", trace=point, ready=False)
    assert suite.died("worker") == -signal.SIGKILL
    carried = [path for path in suite.root.rglob("*") if path.name[:17].rstrip("_").isdigit()]
    assert bool(carried) == (point == "rename:done")
    require_whole(suite)
    for (_, path), entry in suite.active().items():
        assert os.path.basename(path).startswith(entry["id"].encode() + b"_file-")


def test_ten_kills_at_random_moments_lose_nothing(make_suite: Make) -> None:
    # a job that dies with its worker five times is taken for poison; of ten kills one path may well meet that many
    suite = make_suite(tables={**SMALL_COMMITS, "queue": {**SMALL_COMMITS["queue"], "max_attempts": 20}})
    pick = random.Random(10)
    fill(suite.root, 100)
    for number in range(10):
        suite.start(ready=False)
        time.sleep(pick.uniform(0.2, 0.8))  # the moment: anything from the start on
        live(suite.root, number)
        time.sleep(pick.uniform(0.0, 0.2))
        suite.kill(*pick.choice([("worker",), ("watcher",), ("worker", "watcher"), ("worker", "watcher")]))
        suite.kill()
    require_whole(suite)


def test_killed_children_of_the_pool_cost_nothing(make_suite: Make) -> None:
    suite = make_suite(tables=SMALL_COMMITS)
    fill(suite.root, 2000)
    suite.start("watcher")
    suite.start("worker", ready=False)
    killed = 0
    while killed < 5:
        suite.until(lambda: children_of(suite.processes["worker"].pid), "the pool works")
        for child in children_of(suite.processes["worker"].pid):
            os.kill(child, signal.SIGKILL)
            killed += 1
        live(suite.root, killed)
        time.sleep(0.02)
    require_whole(suite)
    assert suite.findings() == []


def half_scanned(suite: Suite) -> int:
    """Stop a worker in the middle of a scan of 2400 files; return how many it has registered."""
    for number in range(300):
        directory = suite.root / f"d{number:03}"
        directory.mkdir()
        for name in range(8):
            (directory / f"f{name}").write_text(f"{number} {name}\n")
    suite.start("worker", trace="freeze:commit:after:20")
    suite.run("scan", config=True)
    worker = suite.processes["worker"].pid
    suite.until(lambda: is_frozen(worker), "some of it is registered")
    os.kill(worker, signal.SIGTERM)
    os.kill(worker, signal.SIGCONT)
    suite.stop("worker")
    registered = int(suite.run("status", "--json").json["entries"]["active"])
    assert 0 < registered < 2400
    (job,) = [job for job in suite.run("queue", "list", "--json").json if job["kind"] == "scan"]
    assert job["state"] == "queued"
    return registered


STOPPABLE = {"worker": {"commit_files": 8, "pool_size": 1}, "describe": {"enabled": False}}


def test_a_scan_that_was_stopped_goes_on_where_it_was(make_suite: Make) -> None:
    suite = make_suite(tables=STOPPABLE)
    registered = half_scanned(suite)
    done = len(suite.events("worker"))
    suite.start("worker")
    suite.until(lambda: len(suite.active()) == 2400, "the rest is registered")
    suite.until(lambda: suite.queue()["queued"] + suite.queue()["running"] == 0, "the scan is over")
    suite.require_disk_registered()
    (finished,) = [event for event in suite.events("worker")[done:] if event["event"] == "scan_finished"]
    assert finished["files"] == 2400 - registered
    records = suite.run("export", "--format", "ledger").out.split("\n")
    assert sum(line.count('\\"op\\":\\"create\\"') for line in records) == 2400


def change_behind_the_cursor(suite: Suite) -> None:
    (suite.root / "d000" / "unseen").write_text("written behind the cursor, while nobody watched\n")
    (suite.root / "d000" / "f0").unlink()


def test_a_scan_that_was_stopped_begins_anew_when_a_person_asks_for_it_again(make_suite: Make) -> None:
    suite = make_suite(tables=STOPPABLE)
    half_scanned(suite)
    change_behind_the_cursor(suite)
    suite.once()
    suite.require_disk_registered()


def test_a_scan_that_was_stopped_begins_anew_when_the_watcher_was_away(make_suite: Make) -> None:
    suite = make_suite(tables=STOPPABLE)
    half_scanned(suite)
    change_behind_the_cursor(suite)
    suite.start()
    suite.idle()
    suite.require_disk_registered()


def test_a_state_whose_making_was_killed_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_text("a\n")
    command = [*program(), "up", "--once", "--root", "tree", "--state", "state"]
    env = environment(PYTHONPATH=str(PROJECT))
    for wait_s in (0.05, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4):
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(wait_s)  # the moment
        process.kill()
        process.communicate()
    for more in (["up", "--once", "--root", "tree"], ["verify", "--deep", "--root", "tree"]):
        run = subprocess.run([*program(), *more, "--state", "state"], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
    assert not list((tmp_path / "state").rglob("*.tmp"))
