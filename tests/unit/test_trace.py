"""The trace points: the list is what the program has, and a named point kills."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import autoops
from autoops.trace import POINTS

PACKAGE = Path(autoops.__file__).parent


def calls() -> set[str]:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "trace":
                (argument,) = node.args
                assert isinstance(argument, ast.Constant), f"{path}:{node.lineno}: a point is named by a literal"
                found.add(argument.value)
    return found


def test_the_list_of_points_is_the_points_there_are() -> None:
    assert calls() == set(POINTS)
    assert len(POINTS) == len(set(POINTS))


def test_the_design_says_of_each_point_what_a_crash_there_must_mean() -> None:
    text = (PACKAGE.parent / "docs" / "design.md").read_text()
    said, group = set(), ""
    for line in text.partition("| point | a crash there must mean |")[2].partition("\n\n")[0].splitlines()[2:]:
        for name in line.split("|")[1].strip().split(", "):
            named, _, point = name.rpartition(":")
            group = named or group
            said.add(f"{group}:{point}")
    assert said == set(POINTS)


def hit(armed: str, *points: str) -> tuple[int, str]:
    script = (
        "import sys\nfrom autoops.trace import trace\nfor point in sys.argv[1:]:\n    trace(point)\n    print(point, flush=True)"
    )
    environment = {**os.environ, "AUTOOPS_TRACE": armed, "PYTHONPATH": str(PACKAGE.parent)}
    run = subprocess.run([sys.executable, "-c", script, *points], env=environment, capture_output=True, text=True, timeout=60)
    return run.returncode, run.stdout


@pytest.mark.parametrize(
    ("armed", "code", "passed"),
    [
        ("", 0, 3),
        ("commit:before", -signal.SIGKILL, 0),
        ("commit:before:1", -signal.SIGKILL, 0),
        ("commit:before:2", -signal.SIGKILL, 2),
        ("commit:before:3", 0, 3),
        ("claim:after", 0, 3),
    ],
)
def test_an_armed_point_kills_the_process_at_the_time_asked_for(armed: str, code: int, passed: int) -> None:
    returned, out = hit(armed, "commit:before", "commit:after", "commit:before")
    assert (returned, len(out.splitlines())) == (code, passed)
