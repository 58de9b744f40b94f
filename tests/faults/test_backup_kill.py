"""kill -9 while a snapshot is taken or removed: what had a name stays, what had none goes with the next one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from running import Suite, environment, program

from autoops.trace import POINTS

Make = Callable[..., Suite]
KEEP_ONE = {"keep_last": 1, "keep_hourly": 0, "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0}
SNAPSHOT = [point for point in POINTS if point.startswith("snapshot:")]


def names(suite: Suite) -> list[str]:
    return [one["name"] for one in json.loads(suite.run("backup", "list", "--json").out)]


def require_tidy(suite: Suite) -> None:
    assert not [path for path in (suite.state / "backups").rglob("*") if path.name.startswith(".") or ".tmp" in path.name]


@pytest.mark.parametrize("kind", ["--full", "--no-prune"])
@pytest.mark.parametrize("point", SNAPSHOT)
def test_a_snapshot_that_is_killed_is_there_whole_or_not_at_all(make_suite: Make, point: str, kind: str) -> None:
    suite = make_suite()
    (suite.root / "a.txt").write_text("a\n")
    suite.once()
    suite.run("backup", "snapshot")
    (suite.root / "b.txt").write_text("b\n")
    suite.once()
    before = names(suite)
    suite.dies(point, "backup", "snapshot", kind)
    left = names(suite)  # 0: each of them can be used
    assert left[:1] == before and len(left) == (2 if point == "snapshot:published" else 1)
    suite.run("backup", "snapshot")
    assert len(names(suite)) == len(left) + 1
    require_tidy(suite)


def test_a_prune_that_is_killed_goes_on_with_the_next(make_suite: Make) -> None:
    suite = make_suite(tables={"backup": KEEP_ONE})
    (suite.root / "a.txt").write_text("a\n")
    suite.once()
    for _ in range(3):
        suite.run("backup", "snapshot", "--full", "--no-prune")
    suite.dies("prune:renamed", "backup", "prune")
    assert len(names(suite)) == 2
    suite.run("backup", "prune", config=True)
    assert len(names(suite)) == 1
    require_tidy(suite)


def test_a_snapshot_killed_at_any_moment_leaves_every_one_that_is_listed_usable(make_suite: Make, tmp_path: Path) -> None:
    suite = make_suite()
    for number in range(300):
        (suite.root / f"{number}.txt").write_text(f"{number}\n" * 50)
    suite.once()
    suite.run("backup", "snapshot")
    command = [*program(), "backup", "snapshot", "--full", "--state", str(suite.state)]
    for number in range(12):
        with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as taking:
            try:
                taking.wait(0.15 + number * 0.06)
            except subprocess.TimeoutExpired:
                taking.kill()
        assert names(suite)
    suite.run("backup", "snapshot")
    require_tidy(suite)
