"""The ledger is shipped in the machine: as it grows, onto a disk of its own; and that disk, or the registry, is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from machine import Machine

STATE, DISK = "/var/lib/autoops", "/mnt/backups"


def ledger(machine: Machine) -> list[str]:
    """Return the hashes of the registry's ledger."""
    return [json.loads(line)["hash"] for line in machine.run("autoops", "export", "--format", "ledger").out.splitlines()]


def shipped(machine: Machine, directory: str = f"{STATE}/backups") -> list[str]:
    """Return the hashes of what is in the open segment."""
    out = machine.sh(f"cat {directory}/ledger/*.jsonl 2>/dev/null || true").out
    return [json.loads(line)["hash"] for line in out.splitlines()]


def finding(machine: Machine, kind: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(machine.run("autoops", "findings", "--json").out)
    return next((one for one in found if one["kind"] == kind), {})


def doctor(machine: Machine, name: str) -> dict[str, Any]:
    checks = json.loads(machine.run("autoops", "doctor", "--json", code=None).out)["checks"]
    return next(check for check in checks if check["name"] == name)


def change(machine: Machine, name: str) -> None:
    (machine.path("/srv/docs") / name).write_text(f"{name}\n")
    machine.idle()


def test_each_commit_is_shipped_as_it_is_made(machine: Machine) -> None:
    assert machine.is_active("autoops-shipper") and machine.property("autoops-shipper", "UnitFileState") == "enabled"
    change(machine, "shipped.txt")
    machine.until(lambda: shipped(machine) == ledger(machine), "it is shipped")
    machine.until(lambda: "shipped up to commit" in machine.property("autoops-shipper", "StatusText"), "it says so")
    assert machine.run("stat", "--format=%U %a", f"{STATE}/backups/ledger").out.split() == ["autoops", "700"]
    assert '"commits": 0' in machine.run("autoops-backup", "ship", "--json").out
    machine.run("systemctl", "restart", "autoops-shipper")
    change(machine, "after a restart.txt")
    machine.until(lambda: shipped(machine) == ledger(machine), "it goes on")


def mounted(machine: Machine) -> None:
    machine.sh(f"mkdir -p {DISK}; mount -t tmpfs -o size=24m,mode=0755 tmpfs {DISK}")


@pytest.fixture
def disk(machine: Machine) -> Iterator[str]:
    """A small disk, in the middle of which backups are kept."""
    mounted(machine)
    try:
        yield f"{DISK}/autoops"
    finally:
        machine.run("autoops-backup", "place", "--own")
        machine.sh(f"umount -l {DISK}; rmdir {DISK}")
        machine.until(lambda: shipped(machine) == ledger(machine), "it is shipped where it was before")


def test_a_disk_for_backups_is_opened_filled_and_not_mounted_when_the_shipper_starts(machine: Machine, disk: str) -> None:
    machine.run("autoops-backup", "place", disk)
    assert machine.run("stat", "--format=%U %a", disk).out.split() == ["autoops", "700"]
    for unit in ("shipper", "backup", "drill"):
        assert disk in machine.property(f"autoops-{unit}.service", "ReadWritePaths")
    machine.until(lambda: shipped(machine, disk) == ledger(machine), "it is shipped there, from the beginning")
    assert doctor(machine, "backup directory")["level"] == "OK"
    machine.run("systemctl", "start", "autoops-backup.service")
    assert machine.property("autoops-backup.service", "Result") == "success"

    machine.sh(f"head -c 100000000 /dev/zero >{DISK}/filler || true")
    for number in range(20):
        change(machine, f"full{number}.txt")
    machine.until(lambda: "No space left" in str(finding(machine, "ledger_unshipped")), "it is told")
    assert machine.is_active("autoops-shipper") and machine.is_active("autoops-worker")
    known = shipped(machine, disk)
    assert known == ledger(machine)[: len(known)]
    machine.run("rm", f"{DISK}/filler")
    machine.until(lambda: shipped(machine, disk) == ledger(machine), "what was missed is shipped")
    machine.until(lambda: not finding(machine, "ledger_unshipped"), "the finding closes by itself")

    machine.sh(f"systemctl stop autoops-shipper; umount {DISK}")
    machine.run("systemctl", "start", "autoops-shipper")
    machine.until(lambda: finding(machine, "ledger_unshipped"), "a disk that is not mounted is told")
    assert machine.path(disk).parent.exists() and not machine.path(disk).exists()
    assert doctor(machine, "backup directory")["level"] == "WARNING"
    mounted(machine)
    machine.sh(f"install -d -m 700 -o autoops -g autoops {disk}")  # another disk, in fact: all is shipped once more
    machine.until(lambda: shipped(machine, disk) == ledger(machine), "it is shipped without a restart")
    machine.until(lambda: not finding(machine, "ledger_unshipped"), "the finding closes by itself")


def test_a_registry_that_is_removed_is_told_and_what_was_shipped_stays(machine: Machine) -> None:
    machine.until(lambda: shipped(machine) == ledger(machine), "it is shipped")
    before = shipped(machine)
    machine.sh(f"systemctl stop autoops-worker; cp -a {STATE}/registry /root/registry; rm -rf {STATE}/registry")
    try:
        machine.until(lambda: "does not exist" in str(finding(machine, "ledger_unshipped")), "it is told")
        assert shipped(machine) == before
    finally:
        machine.sh(f"rm -rf {STATE}/registry; cp -a /root/registry {STATE}/registry; rm -rf /root/registry")
        machine.sh(
            "systemctl restart autoops.target; systemctl start autoops-worker autoops-watcher autoops-tailer autoops-shipper"
        )
    change(machine, "it is back.txt")
    machine.until(lambda: shipped(machine) == ledger(machine), "it goes on")
    machine.until(lambda: not finding(machine, "ledger_unshipped"), "the finding closes by itself")
    machine.require_proven()


def test_an_older_registry_that_is_put_back_is_told_and_health_is_red(machine: Machine) -> None:
    stop, start = "systemctl stop autoops-worker autoops-watcher", "systemctl start autoops-worker autoops-watcher"
    machine.sh(f"{stop}; cp -a {STATE}/registry /root/older; {start}")
    change(machine, "forked.txt")
    machine.until(lambda: shipped(machine) == ledger(machine), "it is shipped")
    before = shipped(machine)
    machine.sh(f"{stop}; mv {STATE}/registry /root/newer; cp -a /root/older {STATE}/registry; {start}")
    try:
        machine.until(lambda: finding(machine, "ledger_forked"), "it is told")
        assert machine.run("autoops", "health", code=2).out
        assert shipped(machine) == before
    finally:
        machine.sh(f"{stop}; rm -rf {STATE}/registry /root/older; mv /root/newer {STATE}/registry; {start}")
    machine.until(lambda: not finding(machine, "ledger_forked"), "the finding closes by itself")
    machine.require_disk_registered()
    machine.until(lambda: shipped(machine)[: len(before)] == before and shipped(machine) == ledger(machine), "it goes on")
    machine.require_proven()
