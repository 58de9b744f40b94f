"""An upgrade that migrates the databases, and the way back that is refused."""

from __future__ import annotations

import json
import sqlite3

from machine import DAEMONS, Machine

STATE = "/var/lib/autoops"


def versions(machine: Machine) -> dict[str, int]:
    """Return the schema versions of the databases, as the program in the machine sees them."""
    paths = {name: f"file:{STATE}/{name.removesuffix('.db')}/{name}?mode=ro" for name in ("registry.db", "queue.db")}
    return {name: int(machine.run("sqlite3", path, "PRAGMA user_version").out) for name, path in paths.items()}


def test_an_upgrade_copies_the_databases_and_then_migrates_them(machine: Machine) -> None:
    before, export = versions(machine), machine.run("autoops", "export").out
    backup = machine.run("autoops-backup", "snapshot", "--full", "--json").out
    older = machine.run("autoops", "maintenance", "snapshot").out.rpartition("/")[2].strip()
    machine.install("next")
    assert versions(machine) == {name: version + 1 for name, version in before.items()}
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run")
    assert machine.run("autoops", "export").out == export
    machine.require_disk_registered()
    machine.require_proven()
    (copy,) = machine.path(f"{STATE}/backups").glob("upgrade-from-*")
    for name in ("registry.db", "queue.db"):
        assert machine.run("stat", "--format=%U %a", f"{STATE}/backups/{copy.name}/{name}").out == "autoops 600\n"
        database = sqlite3.connect(copy / name)
        assert database.execute("PRAGMA user_version").fetchone() == (before[name],)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()

    machine.run("autoops", "pause")
    machine.run("autoops", "resume", "--restore-snapshot", "--snapshot", older)  # a copy is migrated on its way back
    machine.require_disk_registered()
    machine.require_proven()

    (machine.path("/srv/docs") / "after the upgrade.txt").write_text("new\n")
    machine.idle()
    machine.run("systemctl", "stop", "autoops.target")
    machine.run("autoops-backup", "restore", "--snapshot", json.loads(backup)["name"])  # and so is a backup
    assert versions(machine) == {name: version + 1 for name, version in before.items()}
    machine.run("systemctl", "start", "autoops.target")
    machine.require_disk_registered()
    machine.require_proven()


def test_an_installation_starts_nothing_that_was_turned_off(machine: Machine) -> None:
    machine.run("systemctl", "disable", "--now", "autoops.target")
    machine.install("next", "--reinstall")
    running = machine.run("systemctl", "list-units", "--plain", "--no-legend", "--state=active", "autoops*").out
    machine.run("systemctl", "enable", "--now", "autoops.target")
    assert running == ""
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run again")
    machine.require_disk_registered()


def test_a_downgrade_onto_newer_databases_is_refused_and_does_no_harm(machine: Machine) -> None:
    before, pids = machine.run("autoops", "export").out, [machine.pid(daemon) for daemon in DAEMONS]
    answer = machine.install("current", "--allow-downgrades", code=100)
    assert "written by a newer autoops" in answer.out + answer.err and "hint:" in answer.out + answer.err
    assert machine.run("dpkg-query", "--show", "--showformat=${Version} ${db:Status-Status}", "autoops").out.endswith(
        "+next installed"
    )
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run")
    assert machine.run("autoops", "export").out == before
    assert [machine.pid(daemon) for daemon in DAEMONS] == pids, "nothing was stopped for it"
    machine.require_proven()
