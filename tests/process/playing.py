"""A state directory with playbooks, for tests: troubles that come and go, and runs of the real programs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from running import DEADLINE_S, Answer, environment, program, toml

from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.playbooks import Playbooks, Run
from autoops.store.queue import SCHEMA

TROUBLE = "finding:unit_failed:trouble"


def tables(*playbooks: Mapping[str, object], **settings: object) -> str:
    """Return the configuration of playbooks; each is for TROUBLE, unless it says for what."""
    tables = (("[[playbook]]", {"when": TROUBLE, "within_s": 0, **each}) for each in playbooks)
    return toml(("[playbooks]", {"enabled": True, **settings}), *tables)


class Played:
    """One state, and what is done about its troubles."""

    def __init__(self, base: Path) -> None:
        self.base, self.state, self.config = base, base / "state", base / "autoops.toml"
        self.environment: dict[str, str] = {}
        self.begins = [sys.executable]  # of what systemd runs: the interpreter, and what comes before
        self.configure()
        self.autoops("migrate")

    def configure(self, *playbooks: Mapping[str, object], **settings: object) -> None:
        """Write the configuration."""
        self.config.write_text(tables(*playbooks, **settings))

    def shell(self, name: str, script: str, **more: object) -> dict[str, object]:
        """Return a playbook that notes in the file NAME that it ran, and runs a script."""
        told = f"echo ran >>{self.base}/{name}; {script}"
        return {"name": name, "remedy": "command", "command": ["/bin/sh", "-euc", told], **more}

    def ran(self, name: str) -> int:
        """Return how often a playbook made by `shell` ran."""
        file = self.base / name
        return len(file.read_text().splitlines()) if file.exists() else 0

    def autoops(self, *arguments: object, code: int | None = 0) -> Answer:
        """Run a command of `autoops`."""
        return self._ran([*program(), *map(str, arguments), "--state", str(self.state)], code)

    def play(self, *arguments: object, code: int | None = 0, trace: str = "") -> Answer:
        """Run a command of `autoops playbooks`."""
        command = [*program(), "playbooks", *map(str, arguments), "--state", str(self.state)]
        return self._ran([*command, *self._config(*arguments)], code, **({"AUTOOPS_TRACE": trace} if trace else {}))

    def _config(self, *arguments: object) -> list[str]:
        return [] if "release" in arguments else ["--config", str(self.config)]

    def by_itself(self, code: int | None = 0, trace: str = "") -> Answer:
        """Run `autoops-playbooks` once, as systemd does."""
        return self._ran(self.command(), code, **({"AUTOOPS_TRACE": trace} if trace else {}))

    def command(self) -> list[str]:
        """Return the command that is `autoops-playbooks`."""
        return [*self.begins, "-m", "autoops.cli.player", "--state", str(self.state), "--config", str(self.config)]

    def _ran(self, command: Sequence[str], code: int | None, **more: str) -> Answer:
        ran = subprocess.run(command, capture_output=True, text=True, env=environment(**self.environment, **more), timeout=120)
        assert code is None or ran.returncode == code, (ran.returncode, ran.stdout[-3000:], ran.stderr[-3000:])
        return Answer(ran.returncode, ran.stdout, ran.stderr)

    # troubles

    def trouble(self, subject: bytes = b"trouble", kind: str = "unit_failed") -> None:
        """Let there be a trouble."""
        with Database.open(self.state / "queue/queue.db", SCHEMA, guard=True) as database:
            Findings(database).open([(kind, subject, {"result": "exit-code", "status": "1"})], int(time.time()))

    def gone(self, subject: bytes = b"trouble", kind: str = "unit_failed") -> None:
        """Let it be gone."""
        with Database.open(self.state / "queue/queue.db", SCHEMA, guard=True) as database:
            Findings(database).close([(kind, subject)], int(time.time()))

    # what became of it

    def actions(self) -> dict[str, str]:
        """Return what becomes of each playbook now."""
        return {one["name"]: one["action"] for one in self.play("list", "--json").json["playbooks"]}

    def runs(self, name: str) -> list[Run]:
        """Return the runs of a playbook, the newest first."""
        with Database.open(self.state / "queue/queue.db", SCHEMA, mode="ro") as database:
            return Playbooks(database).runs(name, 100)

    def notes(self) -> list[str]:
        """Return what the ledger is to say, in order."""
        jobs = self.autoops("queue", "list", "--json").json
        return [str(job["facts"]["reason"]) for job in reversed(jobs) if job["kind"] == "note"]

    def findings(self, kind: str = "playbook_failed") -> list[dict[str, Any]]:
        """Return the findings of a kind that stand."""
        return [one for one in self.autoops("findings", "--json").json if one["kind"] == kind]

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition with a deadline."""
        end_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end_s, f"not in time: {what}"
            time.sleep(0.02)
