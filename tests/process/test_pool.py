"""The pool of a working worker: its children may die, and are started and stopped with the work."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from running import Suite

Make = Callable[..., Suite]


def children(suite: Suite) -> list[int]:
    pid = suite.processes["worker"].pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


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
    (child,) = children(suite)
    os.kill(child, signal.SIGSTOP)
    (suite.root / "second").write_text("second\n")
    suite.idle()
    suite.require_disk_registered()
    assert [event["reason"] for event in suite.events("worker") if event["event"] == "child_killed"] == ["took longer than 0.5 s"]


def test_the_pool_ends_when_there_is_nothing_to_do_and_comes_back_with_the_work(make_suite: Make) -> None:
    suite = make_suite(tables={"worker": {"pool_idle_s": 0.2}})
    suite.start()
    for name in ("first", "second"):
        (suite.root / name).write_text(f"{name}\n")
        suite.idle()
        suite.until(lambda: children(suite) == [], "the pool has ended")
    suite.require_disk_registered()
