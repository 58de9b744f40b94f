"""A state directory with findings, channels, and runs of `autoops-alerts`: for all tests of what leaves the house."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from running import Answer, environment, program, toml
from sinks import WebSink

from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.queue import SCHEMA

SECRET = "s3cr3t-path-of-the-channel"
NASTY = os.fsencode("docs\0a\r\nBcc: all@example.com\r\n\r\n\x1b[2J<b>@everyone</b>") + b"\xff\xfe" + b"x" * 3000


class Told:
    """A state directory with findings, channels, and runs of `autoops-alerts`."""

    def __init__(self, base: Path) -> None:
        self.state, self.config = base / "state", base / "autoops.toml"
        self.run("migrate")
        self.channels()

    def channels(self, *tables: Mapping[str, object], **alerts: object) -> None:
        """Write the configuration."""
        self.config.write_text(toml(("[alerts]", alerts), *(("[[channel]]", table) for table in tables)))

    def run(self, *arguments: object, code: int = 0) -> Answer:
        """Run a command of `autoops`."""
        return self._ran([*program(), *map(str, arguments), "--state", str(self.state)], code)

    def alert(self, code: int = 0, **more: str) -> Answer:
        """Run `autoops-alerts` once."""
        command = [sys.executable, "-m", "autoops.cli.alerter", "run", "--state", str(self.state), "--config", str(self.config)]
        return self._ran(command, code, **more)

    def _ran(self, command: Sequence[str], code: int, **more: str) -> Answer:
        ran = subprocess.run(command, capture_output=True, text=True, env=environment(**more), timeout=120)
        assert ran.returncode == code, (ran.returncode, ran.stdout[-3000:], ran.stderr[-3000:])
        return Answer(ran.returncode, ran.stdout, ran.stderr)

    def find(self, *subjects: bytes, kind: str = "unit_failed", reason: str = "exit-code") -> None:
        """Open findings."""
        with Database.open(self.state / "queue/queue.db", SCHEMA, guard=True) as database:
            Findings(database).open([(kind, subject, {"result": reason}) for subject in subjects], int(time.time()))

    def settle(self, *subjects: bytes, kind: str = "unit_failed") -> None:
        """Close findings."""
        with Database.open(self.state / "queue/queue.db", SCHEMA, guard=True) as database:
            Findings(database).close([(kind, subject) for subject in subjects], int(time.time()))

    def fingerprint(self, name: str) -> str:
        """Return the fingerprint of the one alert of a name, standing or not."""
        listed = [one for how in ((), ("--resolved",)) for one in self.run("alerts", "list", "--json", *how).json["alerts"]]
        (found,) = [one["fingerprint"] for one in listed if one["name"] == name]
        return str(found)


def hook(sink: WebSink, path: str = "ok", name: str = "hook", **more: object) -> dict[str, object]:
    return {"name": name, "kind": "alertmanager", "url": sink.url(f"{path}/{SECRET}"), "allow_private": True, **more}


def alerts_of(sink: WebSink, name: str, path: str = "ok") -> list[tuple[str, str]]:
    """Return (status, subject) of all alerts of a name that came, in order."""
    return [
        (alert["status"], alert["labels"]["subject"])
        for one in sink.posted(path)
        for alert in one.json["alerts"]
        if alert["labels"]["alertname"] == name
    ]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[WebSink]:
    made = WebSink(tmp_path / "sink")
    yield made
    made.close()


def require_masked(*answers: Answer) -> None:
    """The address of a channel is in nothing that was said."""
    for answer in answers:
        assert SECRET not in answer.out + answer.err
