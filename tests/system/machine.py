"""A booted Debian in a container: start it, run commands in it, cut its power. Its disk is a directory here."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from running import Answer, disk, fact_of, path_of

DEADLINE_S = 90.0
DAEMONS = ("autoops-watcher", "autoops-worker")
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8", "HOME": "/root"}
FAILING = """
[Unit]
OnFailure=autoops-failed@%n.service
[Service]
User=root
Type=oneshot
ExecStart=/usr/bin/false
NoExecPaths=
"""


class Machine:
    """One machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    # its life

    def boot(self) -> None:
        """Start it, and wait until systemd has."""
        options = ("--quiet", "--register=no", "--keep-unit", "--private-network", "--boot", f"--directory={self.root}")
        with self.root.with_name("machine.log").open("ab") as log:
            environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
            self._nspawn = subprocess.Popen(
                ["systemd-nspawn", *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")

        def is_up() -> bool:
            assert self._nspawn is not None and self._nspawn.poll() is None, "it ended: see machine.log"
            leaders = children.read_text().split()
            self._leader = int(leaders[0]) if leaders else 0
            if not self._leader:
                return False
            return self.run("systemctl", "is-system-running", code=None).out.strip() in ("running", "degraded")

        self.until(is_up, "systemd runs")

    def reboot(self) -> None:
        """Reboot it in order. (The container ends then, instead of beginning anew by itself.)"""
        assert self._nspawn is not None
        self.run("systemctl", "--no-block", "reboot")
        self._nspawn.wait(DEADLINE_S)
        self.boot()

    def cut_power(self) -> None:
        """Kill everything in it at once. (The disk is this host's: what was written is there, synced or not.)"""
        assert self._nspawn is not None
        os.kill(self._leader, signal.SIGKILL)  # with the first process of its namespace all others die
        self._nspawn.wait(DEADLINE_S)

    def off(self) -> None:
        """Power it off."""
        assert self._nspawn is not None
        self.run("systemctl", "--no-block", "poweroff", code=None)
        try:
            self._nspawn.wait(30)
        except subprocess.TimeoutExpired:
            self.cut_power()

    # what is done in it

    def run(self, *command: object, code: int | None = 0) -> Answer:
        """Run a command in it to its end; `code` is what it has to exit with (None: whatever)."""
        entered = ["nsenter", "--target", str(self._leader), "--all", "--wdns=/", "--", *map(str, command)]
        ran = subprocess.run(
            entered,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            env=ENVIRONMENT,
            timeout=300,
        )
        assert code is None or ran.returncode == code, (ran.returncode, command, ran.stdout[-3000:], ran.stderr[-3000:])
        return Answer(ran.returncode, ran.stdout, ran.stderr)

    def sh(self, script: str, code: int | None = 0) -> Answer:
        """Run a shell script in it."""
        return self.run("sh", "-euc", script, code=code)

    def install(self, name: str, *options: str, code: int = 0) -> Answer:
        """Install a package of /root/debs with apt."""
        return self.run(
            "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q", "--no-install-recommends",
            *options, f"/root/debs/{name}.deb", code=code,
        )  # fmt: skip

    def fetched(self, *packages: str) -> None:
        """Install packages that were fetched when the machine was made (lab/run)."""
        command = ("apt-get", "install", "-y", "-q", "--no-install-recommends", "--no-download")
        self.run("env", "DEBIAN_FRONTEND=noninteractive", *command, *packages)

    def path(self, inside: str) -> Path:
        """Return the path here of a file in it. (Not below /run or /tmp: these are mounted inside.)"""
        return self.root / inside.lstrip("/")

    def property(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).out.strip()

    def pid(self, unit: str) -> int:
        """Return the main process of a unit, by its number in the machine; 0 when there is none."""
        return int(self.property(unit, "MainPID"))

    def stop(self) -> None:
        """Stop everything, and wait until it has ended. (For the target alone nobody waits until its services have.)"""
        self.run("systemctl", "stop", "autoops.target", "autoops-*.service")

    def is_active(self, unit: str) -> bool:
        """Say whether a unit is active."""
        return self.property(unit, "ActiveState") == "active"

    def journal(self, *arguments: str) -> list[dict[str, Any]]:
        """Return records of the journal."""
        out = self.run("journalctl", "--no-pager", "--output=json", *arguments, code=None).out
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition with a deadline."""
        end_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end_s, f"not in time: {what}"
            time.sleep(0.2)

    # what is registered

    def idle(self) -> None:
        """Wait until all that happened so far is committed. Services that are being restarted are waited for."""
        self.until(lambda: self.run("autoops", "wait-idle", "--timeout", "60", code=None).code == 0, "everything is committed")

    def id_of(self, path: str) -> str:
        """Return the ID of the document at a path."""
        return str(json.loads(self.run("autoops", "show", "--json", path).out)["id"])

    def registered(self, root: str) -> dict[bytes, Any]:
        """Return the facts of the active entries of one root, by path."""
        entries = [json.loads(line) for line in self.run("autoops", "export").out.splitlines()]
        return {path_of(one["path"]): fact_of(one) for one in entries if one["status"] == "active" and one["root"] == root}

    def require_disk_registered(self, root: str = "/srv/docs") -> None:
        """The export is the disk, byte for byte: every file, and nothing else."""
        self.idle()
        known, there = self.registered(root), disk(self.path(root))
        assert sorted(known) == sorted(there)
        assert known == there

    def require_proven(self) -> None:
        """The shipped check is the judge."""
        answer = self.run("autoops", "verify", "--deep", code=None)
        assert answer.code == 0, answer


def kill_all_of(machine: Machine, unit: str, number: signal.Signals) -> None:
    """Send a signal to every process of a unit."""
    machine.run("systemctl", "kill", "--kill-whom=all", f"--signal={number.name}", unit)


def settings(text: str) -> Mapping[str, list[str]]:
    """Return the settings of a unit file: name -> its values in order."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, flags=re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found
