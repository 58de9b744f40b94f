"""Under systemd, in the sandbox as it is shipped: changes in a watched tree are registered, and the journal says so."""

from __future__ import annotations

import shutil

import pytest
from machine import DAEMONS, Machine


def test_churn_in_a_watched_tree_ends_with_the_registry_being_the_disk(machine: Machine) -> None:
    docs = machine.path("/srv/docs")
    for number in range(20):
        (docs / f"d{number}" / "sub").mkdir(parents=True)
        for name in ("a.txt", "b.md", "sub/c.py"):
            (docs / f"d{number}" / name).write_text(f"# {number} {name}\n")
    machine.idle()
    for number in range(0, 20, 4):
        (docs / f"d{number}").rename(docs / f"moved{number}")
        (docs / f"d{number + 1}" / "a.txt").unlink()
        (docs / f"d{number + 2}" / "b.md").write_text("edited\n")
        shutil.rmtree(docs / f"d{number + 3}")
    (docs / "a name with a\nnewline").write_text("x")
    machine.require_disk_registered()
    machine.require_proven()


def test_a_renamed_directory_keeps_its_documents_ids(machine: Machine) -> None:
    docs = machine.path("/srv/docs")
    (docs / "first").mkdir()
    (docs / "first" / "kept.txt").write_text("the same document\n")
    machine.idle()
    before = machine.id_of("/srv/docs/first/kept.txt")
    (docs / "first").rename(docs / "second")
    machine.idle()
    assert machine.id_of("/srv/docs/second/kept.txt") == before


def test_the_journal_finds_what_was_logged_by_its_fields(machine: Machine) -> None:
    fields = {name for record in machine.journal("-u", "autoops-worker") for name in record if name.startswith("AUTOOPS_")}
    assert {"AUTOOPS_EVENT", "AUTOOPS_SEQUENCE"} <= fields
    commits = machine.journal("AUTOOPS_EVENT=batch_committed")
    assert commits and {record["_SYSTEMD_UNIT"] for record in commits} == {"autoops-worker.service"}


def test_the_journal_finds_what_was_logged_of_one_document(machine: Machine) -> None:
    (machine.path("/srv/docs") / "spoken of.txt").write_text("x\n")
    machine.idle()
    document = machine.id_of("/srv/docs/spoken of.txt")
    machine.until(lambda: machine.journal(f"AUTOOPS_DOC_ID={document}", "AUTOOPS_EVENT=entry_created"), "the journal has it")


def test_systemctl_status_says_something_useful(machine: Machine) -> None:
    assert " watched, " in machine.property("autoops-watcher", "StatusText")
    assert "entries, commit" in machine.property("autoops-worker", "StatusText")


def test_a_reload_takes_the_configuration_over_without_a_restart(machine: Machine) -> None:
    file, before = machine.path("/etc/autoops/autoops.toml"), [machine.pid(daemon) for daemon in DAEMONS]
    machine.path("/srv/more").mkdir()
    (machine.path("/srv/more") / "new.txt").write_text("in a second tree\n")
    good = file.read_text()
    file.write_text(good + '\n[[root]]\npath = "/srv/more"\n')
    machine.run("systemctl", "reload", *DAEMONS)
    machine.require_disk_registered("/srv/more")
    file.write_text(good)
    machine.run("systemctl", "reload", *DAEMONS)
    machine.require_disk_registered("/srv/docs")
    assert [machine.pid(daemon) for daemon in DAEMONS] == before


ONESHOTS = ("verify", "reconciler", "scrub", "catalog-nightly", "backup", "drill")


@pytest.mark.parametrize("unit", [f"autoops-{name}.service" for name in ONESHOTS])
def test_a_oneshot_works_with_the_registry_read_only(machine: Machine, unit: str) -> None:
    machine.run("systemctl", "start", unit)
    assert machine.property(unit, "Result") == "success"


def test_timers_are_listed_and_stop_by_their_pattern_and_come_back_with_the_target(machine: Machine) -> None:
    def waiting() -> set[str]:
        lines = machine.run("systemctl", "list-timers", "--plain", "--no-legend", "autoops-*").out.splitlines()
        return {word for line in lines for word in line.split() if word.endswith(".timer")}

    all_of_them = {
        f"autoops-{name}.timer"
        for name in ("alerts", "archive", "archive-drill", "backup", "catalog", "drill", "health", "reconciler", "scrub", "verify")
    }
    assert waiting() == all_of_them
    machine.run("systemctl", "stop", "autoops-*.timer")
    assert waiting() == set()
    assert all(machine.is_active(daemon) for daemon in DAEMONS), "the services are no timers"
    machine.run("systemctl", "start", "autoops.target")
    machine.until(lambda: waiting() == all_of_them, "the timers wait again")


def test_stopping_the_target_stops_everything(machine: Machine) -> None:
    machine.run("systemctl", "stop", "autoops.target")
    listing = ("systemctl", "list-units", "--plain", "--no-legend", "--state=active", "autoops*")
    machine.until(lambda: machine.run(*listing).out == "", "nothing runs")  # one stops after the other
    assert machine.property("autoops-worker", "Result") == "success"
    machine.run("systemctl", "start", "autoops.target")
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run")
    machine.require_disk_registered()
