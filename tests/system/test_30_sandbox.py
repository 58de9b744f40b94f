"""How closed the units are: what systemd says of them, and what somebody inside really can do."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from machine import DAEMONS, Machine

READING = ("watcher", "worker", "tailer", "reconciler", "scrub", "verify", "health")
TOLD = ("failed@x", "recovered@x", "health-ping@x", "alerts", "playbooks")
BACKUPS = ("archive", "archive-drill", "backup", "drill", "shipper")
SERVICES = tuple(f"autoops-{name}" for name in (*READING, "catalog", "catalog-nightly", *BACKUPS, *TOLD))
MOST_EXPOSED = 0.2
MOST_EXPOSED_READING_ALL = 0.6
MOST_EXPOSED_WITH_NETWORK = 1.6
MOST_EXPOSED_AS_ROOT = 1.6
NETWORKED = ("autoops-archive", "autoops-health-ping", "autoops-alerts")
UNITS = "/usr/lib/systemd/system"
WHEN = ("OnFailure", "PartOf", "WantedBy", "ConditionPathExists")
WHAT = ("Type", "ExecCondition", "ExecStart", "Restart", "WatchdogSec")
STATE = "/var/lib/autoops"

# What a process of each service may do of all that the probe tries: write its own directories, nothing else.
ALLOWED = {
    "autoops-watcher": {f"write {STATE}/queue"},
    "autoops-worker": {f"write {STATE}/queue", f"write {STATE}/registry"},
    "autoops-tailer": {f"write {STATE}/queue"},
    "autoops-catalog": {f"write {STATE}/queue", f"write {STATE}/catalogs"},
    "autoops-catalog-nightly": {f"write {STATE}/queue", f"write {STATE}/catalogs"},
    "autoops-health": {f"write {STATE}/queue"},
    "autoops-reconciler": {f"write {STATE}/queue"},
    "autoops-scrub": {f"write {STATE}/queue"},
    "autoops-archive-drill": {
        *(f"write {STATE}/{name}" for name in ("queue", "backups")),
        *(f"list {STATE}/backups", "open a socket of AF_INET", "open a socket of AF_INET6"),
    },
    "autoops-archive": {f"write {STATE}/queue", f"list {STATE}/backups", "open a socket of AF_INET", "open a socket of AF_INET6"},
    "autoops-backup": {f"write {STATE}/queue", f"write {STATE}/backups", f"list {STATE}/backups"},
    "autoops-drill": {f"write {STATE}/queue", f"write {STATE}/backups", f"list {STATE}/backups"},
    "autoops-shipper": {f"write {STATE}/queue", f"write {STATE}/backups", f"list {STATE}/backups"},
    "autoops-verify": set(),
    "autoops-failed@x": {f"write {STATE}/queue"},
    "autoops-recovered@x": {f"write {STATE}/queue"},
    "autoops-alerts": {f"write {STATE}/queue", "open a socket of AF_INET", "open a socket of AF_INET6"},
    # what it is before it divides: root without the rights of root; it reaches systemd, and may become somebody else
    "autoops-playbooks": {"talk to /run/systemd/private", "signal pid 1", "list /proc/1", "take groups", "run /bin/sh"},
    "autoops-health-ping@x": {"open a socket of AF_INET", "open a socket of AF_INET6"},
}
STOPPED_BY_THE_CONTAINER = {
    *("bpf", "io_uring_setup", "keyctl", "perf_event_open", "userfaultfd", "swap", "reboot", "read the kernel's log"),
    *("set the clock", "set the host's name", "set a kernel parameter", "take priority", "take realtime priority"),
    *("make a device", "write a control group", "open /dev/mem", "open /dev/kmsg"),
}
EVERYONE = {"write /var/tmp"}  # its own: PrivateTmp=


@pytest.mark.parametrize("service", SERVICES)
def test_the_exposure_stays_low(machine: Machine, service: str) -> None:
    with_network = MOST_EXPOSED_WITH_NETWORK if service.startswith(NETWORKED) else MOST_EXPOSED
    require_exposure(machine, service, MOST_EXPOSED_AS_ROOT if service == "autoops-playbooks" else with_network)


def require_exposure(machine: Machine, service: str, most: float) -> None:
    said = machine.run("systemd-analyze", "security", "--no-pager", f"{service}.service").out
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= most, said


def inside(machine: Machine, service: str, command: str) -> Any:
    """Run a command in the sandbox of a service ("": in none); return the JSON it prints.

    The unit is the shipped one without what says when and what it runs, with its drop-ins. Its name begins with autoops- too,
    so systemd gives it the sandbox that they share, as it gives it to the others.
    """
    unit, text, dropins = "unrestricted", "[Service]\n", []
    if service:
        unit = "autoops-inside-" + service.removeprefix("autoops-").replace("@", "-")
        shipped = f"{service.replace('@x', '@')}.service"
        lines = machine.path(f"{UNITS}/{shipped}").read_text().splitlines(keepends=True)
        text = "".join(line for line in lines if line.partition("=")[0] not in WHEN + WHAT)
        dropins = [file for top in (UNITS, "/etc/systemd/system") for file in machine.path(f"{top}/{shipped}.d").glob("*.conf")]
    run = f"[Service]\nType=oneshot\nExecStart={command}\nStandardOutput=truncate:/{unit}.json\n"
    file, answer = machine.path(f"/etc/systemd/system/{unit}.service"), machine.path(f"/{unit}.json")
    file.write_text(re.sub(r"^\[Service\]\n", run, text, count=1, flags=re.MULTILINE))
    opened = file.with_name(f"{unit}.service.d")
    opened.mkdir()
    for dropin in dropins:
        shutil.copy(dropin, opened)
    machine.run("systemctl", "daemon-reload")
    try:
        machine.run("systemctl", "start", f"{unit}.service")
        return json.loads(answer.read_text())
    finally:
        file.unlink()
        shutil.rmtree(opened)
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


def test_the_half_of_the_playbooks_that_reads_what_others_wrote_can_do_its_work_alone(machine: Machine) -> None:
    """It is the services' user there, without a capability. (Systemd's socket takes its call, and hangs up on who is not root.)"""
    dropin = machine.path("/etc/systemd/system/autoops-playbooks.service.d/user.conf")
    dropin.parent.mkdir()
    dropin.write_text("[Service]\nUser=autoops\nGroup=autoops\n")
    try:
        possible, _ = probed(machine, "autoops-playbooks")
    finally:
        shutil.rmtree(dropin.parent)
    written = {f"write {STATE}/{name}" for name in ("queue", "backups", "catalogs")}
    assert possible - {"talk to /run/systemd/private"} == {*written, f"list {STATE}/backups", "run /bin/sh"} | EVERYONE


def test_a_service_that_may_read_every_file_can_do_nothing_else(machine: Machine) -> None:
    machine.run("install", "-d", "-m", "700", "/srv/closed")
    machine.sh("umask 077; echo for root alone >/srv/closed/f")
    machine.run("autoops", "root", "add", "--read-all", "/srv/closed")
    try:
        for service in DAEMONS:
            require_exposure(machine, service, MOST_EXPOSED_READING_ALL)
            possible, _ = probed(machine, service)
            assert possible == ALLOWED[service] | EVERYONE
        machine.require_disk_registered("/srv/closed")
    finally:
        machine.run("autoops", "root", "remove", "/srv/closed")


def test_the_key_may_be_encrypted(machine: Machine) -> None:
    cred, dropin = "/etc/autoops/ledger.key.cred", machine.path("/etc/systemd/system/autoops-worker.service.d/key.conf")
    machine.run("systemd-creds", "encrypt", "--with-key=host", "--name=ledger-key", "/etc/autoops/ledger.key", cred)
    dropin.parent.mkdir(exist_ok=True)
    dropin.write_text(f"[Service]\nLoadCredential=\nLoadCredentialEncrypted=ledger-key:{cred}\n")
    key = machine.path("/etc/autoops/ledger.key")
    key.rename(key.with_suffix(".aside"))
    try:
        machine.sh("systemctl daemon-reload; systemctl restart autoops-worker")
        (machine.path("/srv/docs") / "signed with an encrypted key.txt").touch()
        machine.require_disk_registered()
        machine.require_proven()
    finally:
        key.with_suffix(".aside").rename(key)
        dropin.unlink()
        machine.path(cred).unlink()
        machine.sh("systemctl daemon-reload; systemctl restart autoops-worker")


def test_the_key_is_given_to_the_worker_and_to_no_other(machine: Machine) -> None:
    given = machine.sh("find /run/credentials -path '*/autoops-*/ledger-key'").out  # what the timers start has others
    assert given == "/run/credentials/autoops-worker.service/ledger-key\n"


def test_what_lives_is_seen_from_inside_although_proc_is_hidden(machine: Machine) -> None:
    processes = inside(machine, "autoops-health", f"/usr/bin/autoops status --json --state {STATE}")["processes"]
    alive = {name: process["alive"] for name, process in processes.items()}
    assert alive == dict.fromkeys(("shipper", "tailer", "watcher", "worker"), True)
