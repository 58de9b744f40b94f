"""The package of the version before is installed on a bare Debian, set to work, and upgraded to this one."""

from __future__ import annotations

import pytest
from machine import DAEMONS, Machine

STATE = "/var/lib/autoops"


@pytest.fixture(scope="module", autouse=True)
def installed(machine: Machine) -> None:
    machine.install("previous")


def owner_and_mode(machine: Machine, path: str) -> str:
    return machine.run("stat", "--format=%U:%G %a", path).out.strip()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/etc/autoops/autoops.toml", "root:root 644"),
        ("/etc/autoops/ledger.key", "root:root 600"),
        (STATE, "root:autoops 750"),
        (f"{STATE}/ledger.pub", "root:root 644"),
        (f"{STATE}/queue", "autoops:autoops 750"),
        (f"{STATE}/registry", "autoops:autoops 750"),
        (f"{STATE}/backups", "autoops:autoops 750"),
        (f"{STATE}/registry/registry.db", "autoops:autoops 600"),
    ],
)
def test_everything_belongs_to_whom_it_should(machine: Machine, path: str, wanted: str) -> None:
    assert owner_and_mode(machine, path) == wanted


def test_systemd_finds_nothing_wrong_with_the_units(machine: Machine) -> None:
    units = machine.sh("cd /usr/lib/systemd/system; echo autoops*.*").out.split()
    answer = machine.run("systemd-analyze", "verify", *[unit.replace("@.", "@x.") for unit in units if not unit.endswith(".d")])
    assert (answer.out, answer.err) == ("", "")  # it exits with 0 whatever it finds


def test_without_a_root_the_daemons_wait_for_one_and_nothing_failed(machine: Machine) -> None:
    assert machine.is_active("autoops.target")
    assert all(machine.is_active(daemon) for daemon in DAEMONS)
    assert "autoops root add" in machine.property("autoops-watcher", "StatusText")
    assert machine.run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "autoops*").out == ""


def test_with_a_faulty_configuration_they_fail_and_say_why(machine: Machine) -> None:
    file = machine.path("/etc/autoops/autoops.toml")
    good = file.read_text()
    file.write_text(good + '\n[[root]]\npaht = "/srv/docs"\n')
    machine.run("systemctl", "restart", *DAEMONS, code=None)
    for daemon in DAEMONS:
        assert machine.property(daemon, "ActiveState") == "failed"
        assert "did you mean" in machine.run("journalctl", "--no-pager", "-u", daemon).out.lower()
    file.write_text(good)


def test_with_a_root_they_run_and_register_it(machine: Machine) -> None:
    machine.path("/srv/docs").mkdir()
    (machine.path("/srv/docs") / "before.txt").write_text("there before autoops was\n")
    with machine.path("/etc/autoops/autoops.toml").open("a") as file:
        file.write('\n[[root]]\npath = "/srv/docs"\n')
    machine.run("systemctl", "start", "autoops.target")
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run")
    machine.require_disk_registered()


def test_an_upgrade_stops_them_and_starts_them_again_and_the_registry_is_the_same(machine: Machine) -> None:
    before, export = {daemon: machine.pid(daemon) for daemon in DAEMONS}, machine.run("autoops", "export").out
    machine.install("current")
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run")
    assert {daemon: machine.pid(daemon) for daemon in DAEMONS}.items().isdisjoint(before.items())
    assert machine.run("autoops", "export").out == export
    assert "/srv/docs" in machine.path("/etc/autoops/autoops.toml").read_text(), "the operator's configuration was kept"
    machine.require_disk_registered()
    machine.require_proven()
