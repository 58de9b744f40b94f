"""One booted Debian for all of tests/system; `./dev lab` makes it. The tests run in the order of their files' names: a life."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "process"))  # the judge that compares an export with the disk
from machine import Machine


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    if "AUTOOPS_LAB" not in os.environ:
        pytest.exit("tests/system needs its machine: run  sudo ./dev lab", returncode=1)
    booted = Machine(Path(os.environ["AUTOOPS_LAB"]))
    booted.boot()
    yield booted
    booted.off()


@pytest.fixture(autouse=True)
def what_the_journal_says(request: pytest.FixtureRequest, machine: Machine) -> Iterator[None]:
    """Show what autoops' units logged during a test, if it fails."""
    since = machine.run("date", "+%F %T").out.strip()
    yield
    print(machine.run("journalctl", "--no-pager", "--since", since, "-u", "autoops*", "-n", "60", code=None).out)
