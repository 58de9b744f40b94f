"""One booted Debian for all of tests/system; `./dev lab` makes it. The tests run in the order of their files' names: a life."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
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
    """Show what autoops' units logged during a test, if it fails. Each test may start them as often as a day of work would."""
    machine.run("systemctl", "reset-failed", "autoops-*", code=None)
    since = machine.run("date", "+%F %T").out.strip()
    yield
    print(machine.run("journalctl", "--no-pager", "--since", since, "-u", "autoops*", "-n", "60", code=None).out)


@pytest.fixture(scope="session")
def said_to_cron(machine: Machine) -> Path:
    """Let cron run the shipped example each minute; return the file with what it would mail. Asked for early, to wait less."""
    example = machine.path("/usr/share/doc/autoops/examples/health-check.cron").read_text()
    command = next(line for line in example.splitlines() if "autoops  test" in line).partition("autoops  ")[2]
    said = machine.path("/var/tmp/said-to-cron")
    said.touch()
    said.chmod(0o666)
    job = f"* * * * * autoops  ({command}; echo status $?) >/var/tmp/said-to-cron 2>&1\n"
    machine.path("/etc/cron.d/autoops-health-check").write_text(job)
    return said
