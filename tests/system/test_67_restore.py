"""The registry is lost, corrupted, or everything but the backups is: the runbook's own commands bring it back."""

from __future__ import annotations

import json

from machine import DAEMONS, Machine
from runbook import blocks
from test_66_shipping import STATE, change, ledger, shipped

KEPT = "/mnt/backups/autoops"  # as the runbook has it


def export(machine: Machine) -> list[str]:
    """Return the entries as they are to be again: all but what a look at the disk may bring up to date."""
    return machine.run("autoops", "export").out.splitlines()


def settled(machine: Machine, name: str) -> None:
    """Change something, and wait until it is committed and shipped."""
    change(machine, name)
    machine.until(lambda: shipped(machine) == ledger(machine), "it is shipped")


def require_going_on(machine: Machine, name: str) -> None:
    machine.until(lambda: all(machine.is_active(daemon) for daemon in (*DAEMONS, "autoops-shipper")), "the services run again")
    settled(machine, name)
    machine.require_disk_registered()
    machine.require_proven()


def test_a_registry_that_was_removed_comes_back_with_all_that_was_committed(machine: Machine) -> None:
    settled(machine, "before it was removed.txt")
    before, head = export(machine), ledger(machine)
    machine.sh(f"rm -rf {STATE}/registry")
    said = machine.sh(blocks("Restore")[0]).out
    assert f"commit {len(head)}" in said and "PASSED" in said
    assert export(machine) == before and ledger(machine)[: len(head)] == head
    require_going_on(machine, "after it was removed.txt")


def test_a_corrupted_registry_is_recovered(machine: Machine) -> None:
    settled(machine, "before the damage.txt")
    before = export(machine)
    machine.stop()
    with machine.path(f"{STATE}/registry/registry.db").open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(size // 3)
        file.write(bytes(size // 3))  # zeros, as a disk leaves them
    said = machine.sh(blocks("Corruption")[0]).out
    assert "PASSED" in said and export(machine) == before
    kept = [path.name for path in machine.path(f"{STATE}/registry").glob("registry.db.damaged-*")]
    assert kept, "what was damaged is there to be looked at"
    require_going_on(machine, "after the damage.txt")


def test_the_whole_state_directory_comes_back_from_backups_elsewhere(machine: Machine) -> None:
    settled(machine, "before the disk was lost.txt")
    machine.run("autoops-backup", "snapshot")
    before, head = export(machine), ledger(machine)
    machine.stop()
    machine.sh(f"mkdir -p {KEPT}; cp -a {STATE}/backups/. {KEPT}; find {STATE} -mindepth 1 -delete")
    try:
        said = machine.sh(blocks("Disk lost")[0]).out
    finally:
        machine.sh("rm -rf /mnt/backups")
    assert f"commit {len(head)}" in said and "PASSED" in said
    assert export(machine) == before and ledger(machine)[: len(head)] == head
    assert machine.sh(f"cd {STATE}; find registry queue backups ! -user autoops").out == "", "the services own all of it"
    machine.run("autoops-backup", "snapshot")
    require_going_on(machine, "after the disk was lost.txt")
    found = {one["name"]: one for one in json.loads(machine.run("autoops", "health", "--json", code=None).out)["checks"]}
    assert found["backup"]["level"] == "OK"
