"""How closed the units are: what systemd says of them, and what somebody inside really can do."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from machine import Machine

SERVICES = ("autoops-watcher", "autoops-worker", "autoops-health", "autoops-verify", "autoops-failed@x")
MOST_EXPOSED = 0.2
UNITS = "/usr/lib/systemd/system"
WHEN = ("OnFailure", "PartOf", "WantedBy", "ConditionPathExists")
WHAT = ("Type", "ExecCondition", "ExecStart", "Restart", "WatchdogSec")
STATE = "/var/lib/autoops"

# What a process of each service may do of all that the probe tries: write its own directories, nothing else.
ALLOWED = {
    "autoops-watcher": {f"write {STATE}/queue"},
    "autoops-worker": {f"write {STATE}/queue", f"write {STATE}/registry"},
    "autoops-health": {f"write {STATE}/queue"},
    "autoops-verify": set(),
    "autoops-failed@x": {f"write {STATE}/queue"},
}
STOPPED_BY_THE_CONTAINER = {
    *("bpf", "io_uring_setup", "keyctl", "perf_event_open", "userfaultfd", "swap", "reboot", "read the kernel's log"),
    *("set the clock", "set the host's name", "set a kernel parameter", "take priority", "take realtime priority"),
    *("make a device", "write a control group", "open /dev/mem", "open /dev/kmsg"),
}
EVERYONE = {"write /var/tmp", "write /dev/shm"}  # its own: PrivateTmp=; and the host's, where everybody may write


@pytest.mark.parametrize("service", SERVICES)
def test_the_exposure_stays_low(machine: Machine, service: str) -> None:
    said = machine.run("systemd-analyze", "security", "--no-pager", f"{service}.service").out
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= MOST_EXPOSED, said


def inside(machine: Machine, service: str, command: str) -> Any:
    """Run a command in the sandbox of a service ("": in none); return the JSON it prints.

    The unit is the shipped one without what says when and what it runs. Its name begins with autoops- too, so systemd gives it the
    sandbox that they share, as it gives it to the others.
    """
    text, unit = "[Service]\n", "unrestricted"
    if service:
        unit = "autoops-inside-" + service.removeprefix("autoops-").replace("@", "-")
        lines = machine.path(f"{UNITS}/{service.replace('@x', '@')}.service").read_text().splitlines(keepends=True)
        text = "".join(line for line in lines if line.partition("=")[0] not in WHEN + WHAT)
    run = f"[Service]\nType=oneshot\nExecStart={command}\nStandardOutput=truncate:/{unit}.json\n"
    file, answer = machine.path(f"/etc/systemd/system/{unit}.service"), machine.path(f"/{unit}.json")
    file.write_text(re.sub(r"^\[Service\]\n", run, text, count=1, flags=re.MULTILINE))
    machine.run("systemctl", "daemon-reload")
    try:
        machine.run("systemctl", "start", f"{unit}.service")
        return json.loads(answer.read_text())
    finally:
        file.unlink()
        answer.unlink(missing_ok=True)


def probed(machine: Machine, service: str) -> tuple[set[str], dict[str, str]]:
    """Return what the probe could do in the sandbox of a service, and what stopped the rest."""
    shutil.copy(Path(__file__).with_name("probe.py"), machine.path("/usr/share/probe.py"))
    found = inside(machine, service, "/usr/bin/python3 /usr/share/probe.py")
    possible = {attempt for attempt, answer in found.items() if answer == "possible"}
    return possible, {attempt: answer for attempt, answer in found.items() if attempt not in possible}


@pytest.mark.parametrize("service", SERVICES)
def test_somebody_inside_can_do_nothing_but_its_work(machine: Machine, service: str) -> None:
    possible, _ = probed(machine, service)
    assert possible == ALLOWED[service] | EVERYONE


def test_the_probe_finds_what_is_possible_where_nothing_is_forbidden(machine: Machine) -> None:
    _, stopped = probed(machine, "")
    assert stopped.keys() <= STOPPED_BY_THE_CONTAINER, stopped


def test_the_key_is_given_to_the_worker_and_to_no_other(machine: Machine) -> None:
    assert machine.sh("ls -d /run/credentials/autoops-*").out == "/run/credentials/autoops-worker.service\n"
    assert machine.sh("ls /run/credentials/autoops-worker.service").out == "ledger-key\n"


def test_what_lives_is_seen_from_inside_although_proc_is_hidden(machine: Machine) -> None:
    processes = inside(machine, "autoops-health", f"/usr/bin/autoops status --json --state {STATE}")["processes"]
    assert {name: process["alive"] for name, process in processes.items()} == {"watcher": True, "worker": True}
