"""kill -9 while an older state is put back: the old registry is whole in its place, or the new one; the next call does the rest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from running import Suite
from scene import Now, now, now_of

from autoops.store.registry import Registry
from autoops.trace import POINTS

Make = Callable[..., Suite]
IN_PLACE = [point for point in POINTS if point.startswith(("restore:", "swap:", "abandon:"))]


class Past(NamedTuple):
    """A suite that is not running, and what its registry was: then, and now."""

    suite: Suite
    then: Now
    now: Now


@pytest.fixture(scope="module")
def lived_once(make_shared: Make) -> Past:
    suite = make_shared()
    (suite.root / "a").write_text("a\n")
    suite.once()
    suite.run("backup", "snapshot")
    then = now(suite.state)
    (suite.root / "a").write_text("again\n")
    (suite.root / "b").write_text("b\n")
    suite.once()
    suite.run("backup", "snapshot")
    shutil.copytree(suite.state, suite.base / "kept", ignore=shutil.ignore_patterns("*.sock"))
    return Past(suite, then, now(suite.state))


@pytest.fixture
def past(lived_once: Past) -> Iterator[Past]:
    """The same state directory for each test."""
    yield lived_once
    suite = lived_once.suite
    suite.kill("watcher", "worker")
    for path in suite.base.iterdir():
        if path.name not in ("kept", "tree", "log", "autoops.toml"):
            shutil.rmtree(path)
    shutil.copytree(suite.base / "kept", suite.state)


def damage_queue(suite: Suite) -> None:
    for path in (suite.state / "queue").glob("queue.db*"):
        path.unlink()
    (suite.state / "queue" / "queue.db").write_bytes(os.urandom(8192))


def require_tidy(suite: Suite) -> None:
    left = [path for path in suite.state.rglob("*") if path.name.startswith(".")]
    assert left == [] and list(suite.base.glob(".*")) == []


@pytest.mark.parametrize(
    ("point", "queue"),
    [
        (point, queue)
        for point in IN_PLACE
        for queue in ("whole", "damaged")
        if (point, queue) != ("restore:queue", "whole")  # it is not put back
    ],
)
def test_a_restore_that_is_killed_leaves_one_registry_or_the_other_and_the_next_one_does_the_rest(
    past: Past, point: str, queue: str
) -> None:
    suite = past.suite
    if queue == "damaged":
        damage_queue(suite)
    suite.dies(point, "backup", "restore", "--seq", past.then.sequence)
    assert now(suite.state) in (past.then, past.now)
    suite.run("verify")  # checkpoints and all
    done = suite.run("backup", "restore", "--seq", past.then.sequence, "--json").json
    assert (done["sequence"], now(suite.state)) == (past.then.sequence, past.then)
    suite.run("verify")
    require_tidy(suite)
    kept = list((suite.state / "registry").glob("registry.db.before-*"))
    assert past.now in [now_of(Registry.open_still(path)) for path in kept]
    left = list((suite.state / "backups" / "abandoned").iterdir())
    assert left
    for abandoned in left:
        target = suite.base / f"from-{abandoned.name}"
        suite.run("backup", "restore", "--latest", "--from", abandoned, "--to", target)
        assert now(target) == past.now  # nothing of it is lost
    assert [one["sequence"] for one in suite.run("backup", "list", "--json").json] == [past.then.sequence]
    suite.once()
    suite.run("backup", "ship")  # it goes on where the new history parts from the old one
    records = [json.loads(json.loads(line)["record"]) for line in suite.run("export", "--format", "ledger").out.splitlines()]
    assert [record["sequence"] for record in records if record["source"] == "restore"] != []


def test_after_a_kill_the_services_go_on_with_whatever_there_is(past: Past) -> None:
    suite = past.suite
    for point in ("swap:bare", "swap:done"):
        suite.dies(point, "backup", "restore", "--seq", past.then.sequence)
        suite.start()
        suite.idle()
        suite.require_disk_registered()
        suite.stop()
        suite.run("verify")


def test_a_restore_elsewhere_that_is_killed_leaves_nothing_there_and_can_be_made_again(past: Past) -> None:
    suite, target = past.suite, past.suite.base / "there"
    suite.dies("restore:made", "backup", "restore", "--latest", "--to", target)
    assert not target.exists()
    suite.run("backup", "restore", "--latest", "--to", target)
    assert now(target) == now(suite.state) == past.now
    require_tidy(suite)


@pytest.mark.parametrize("point", ["restore:made", "restore:kept", "swap:kept", "swap:bare", "swap:done", "restore:noted"])
def test_a_recovery_that_is_killed_is_done_by_the_next_one(past: Past, point: str) -> None:
    suite = past.suite
    registry = suite.state / "registry" / "registry.db"
    size = registry.stat().st_size
    suite.start("worker", "watcher")
    (suite.root / "c").write_text("c\n")
    suite.idle()
    suite.kill("worker", "watcher")  # what was committed last is in the WAL
    last = now(suite.state)
    with registry.open("r+b") as file:
        file.seek(size // 2)
        file.write(bytes(size // 2))  # zeros, as a disk leaves them
    suite.dies(point, "backup", "recover")
    answer = suite.run("backup", "recover", code=None)
    assert answer.code in (0, 1), answer
    suite.run("verify")
    found = now(suite.state)
    assert found.sequence <= last.sequence and (found == last or "lost: commit" in answer.out)
    require_tidy(suite)
    suite.start()
    suite.until(lambda: len(suite.active()) == 3, "the scan has taken up the rest")
    suite.idle()
    suite.require_disk_registered()
    suite.stop()
    (suite.root / "c").unlink()
