"""kill -9 of a builder, at its named points and at any moment: readers have the old catalog or the new one, whole."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from running import DEADLINE_S, Suite, children_of, environment

Make = Callable[..., Suite]


@pytest.fixture
def built(make_suite: Make) -> Suite:
    """A suite of which the catalog is built, and then an entry was changed and one added."""
    suite = make_suite()
    table = '[catalogs]\npart_entries = 5\ndebounce_s = 0.1\n[[catalog]]\nname = "all"\n'
    suite.config.write_text(f"{suite.config.read_text()}\n{table}")
    for number in range(100):
        (suite.root / f"f{number:03d}").write_text(f"{number}\n")
    suite.once()
    suite.run("catalog", "build", "all", config=True)
    (suite.root / "f050").write_text("edited\n")
    (suite.root / "new").touch()
    suite.once()
    return suite


def started(suite: Suite, *options: str, trace: str = "") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "autoops.cli.daemon", "catalog", "--state", str(suite.state), "--config", str(suite.config)]
    more = {"AUTOOPS_TRACE": trace} if trace else {}
    return subprocess.Popen([*command, *options], env=environment(**more), stderr=subprocess.DEVNULL)


def require_whole(suite: Suite) -> None:
    """What readers see is a whole generation, old or new."""
    for fault in suite.run("catalog", "verify", "--json", config=True, code=None).json["catalogs"]["all"]:
        assert fault["kind"] == "catalog_stale", fault


def require_recovered(suite: Suite) -> None:
    """The next builder takes the job up, and leaves nothing of the one that died."""
    assert started(suite).wait(DEADLINE_S) == 0
    suite.run("catalog", "verify", config=True)
    suite.require_nothing_left_to_do()
    assert {path.name for path in (suite.state / "catalogs").iterdir()} <= {"all", ".all.previous", ".lock"}
    directory = suite.state / "catalogs" / "all"
    lines = [json.loads(line) for path in sorted(directory.glob("*.jsonl")) for line in path.read_text().splitlines()]
    assert lines == suite.export()


@pytest.mark.parametrize("point", ["catalog:made", "catalog:exchanged", "complete:before", "claim:after"])
def test_a_builder_that_dies_at_a_named_point_leaves_a_whole_catalog_and_the_next_one_goes_on(built: Suite, point: str) -> None:
    assert started(built, trace=point).wait(DEADLINE_S) == -signal.SIGKILL
    require_whole(built)
    require_recovered(built)


def test_ten_kills_at_random_moments_leave_a_whole_catalog_each_time(built: Suite) -> None:
    pick = random.Random(10)
    for number in range(10):
        (built.root / f"more{number}").touch()
        built.once()
        builder = started(built, *(["--all", "--verify"] if number % 2 else []))
        time.sleep(pick.uniform(0.1, 0.6))  # the moment: anything from the start on
        builder.kill()
        builder.wait(DEADLINE_S)
        require_whole(built)
    require_recovered(built)


def test_when_a_process_of_several_dies_the_build_fails_with_the_reason_and_the_old_catalog_stays(built: Suite) -> None:
    command = [sys.executable, "-m", "autoops", "catalog", "build", "all", "--anew", "--workers", "2"]
    options = ["--state", str(built.state), "--config", str(built.config)]
    metadata = built.state / "catalogs" / "all" / "metadata.json"
    before = metadata.read_bytes()
    build = subprocess.Popen([*command, *options], env=environment(), stderr=subprocess.PIPE, text=True)
    end_s = time.monotonic() + DEADLINE_S
    while not (children := children_of(build.pid)):
        assert time.monotonic() < end_s and build.poll() is None
    os.kill(children[0], signal.SIGKILL)
    _, said = build.communicate(timeout=DEADLINE_S)
    assert build.returncode == 1 and "ended with status -9" in said
    assert metadata.read_bytes() == before
    require_recovered(built)
