"""The runbook's own commands, pasted on a machine from which autoops was purged: install, upgrade, remove."""

from __future__ import annotations

from machine import DAEMONS, Machine
from runbook import blocks


def paste(machine: Machine, chapter: str, version: str, number: int = 0) -> str:
    """Run a block of the runbook where the package of a version lies, as an operator would have downloaded it."""
    directory = f"/root/download-{version}"
    machine.sh(f"mkdir -p {directory}; cp /root/debs/{version}.deb {directory}/autoops_1_all.deb")
    return machine.sh(f"cd {directory}; export DEBIAN_FRONTEND=noninteractive\n{blocks(chapter)[number]}").out


def test_install(machine: Machine) -> None:
    papers = machine.path("/srv/papers")
    papers.mkdir(exist_ok=True)
    (papers / "a.txt").write_text("the first one\n")
    said = paste(machine, "Install", "current")
    assert all(machine.is_active(daemon) for daemon in DAEMONS)
    assert "entries: 1 active" in said and "Verification: PASSED" in said
    machine.require_disk_registered("/srv/papers")


def test_upgrade(machine: Machine) -> None:
    export = machine.run("autoops", "export").out
    assert "PASSED" in paste(machine, "Upgrade", "next")
    assert machine.run("autoops", "export").out == export


def test_remove_keeps_the_state_and_purge_does_not(machine: Machine) -> None:
    paste(machine, "Remove", "next", 0)
    assert machine.path("/var/lib/autoops/registry/registry.db").exists()
    assert machine.path("/etc/autoops/ledger.key").exists()
    paste(machine, "Remove", "next", 1)
    assert not machine.path("/var/lib/autoops").exists() and not machine.path("/etc/autoops").exists()
    assert (machine.path("/srv/papers") / "a.txt").read_text() == "the first one\n"
