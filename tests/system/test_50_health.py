"""Trees that need an opening in the sandbox, failures that leave word, and the health check by timer and by cron."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from machine import DAEMONS, Machine


def findings(machine: Machine, kind: str) -> list[dict[str, Any]]:
    return [one for one in json.loads(machine.run("autoops", "findings", "--json").out) if one["kind"] == kind]


def test_a_root_in_a_home_is_opened_by_a_drop_in_and_closed_again(machine: Machine) -> None:
    tree = machine.path("/home/papers")
    tree.mkdir(parents=True)
    (tree / "letter.txt").write_text("from home\n")
    shown = machine.run("autoops", "root", "add", "--dry-run", "/home/papers").out
    assert "BindReadOnlyPaths=" in shown and not machine.path("/etc/systemd/system/autoops-worker.service.d").exists()
    machine.run("autoops", "root", "add", "/home/papers")
    machine.require_disk_registered("/home/papers")
    machine.run("autoops", "root", "remove", "/home/papers")
    machine.require_disk_registered("/srv/docs")
    assert not list(machine.path("/etc/systemd/system").glob("autoops-*.service.d/root-*.conf"))


def test_a_root_with_policy_rename_is_writable_for_the_worker_alone(machine: Machine) -> None:
    tree = machine.path("/srv/renamed")
    tree.mkdir()
    machine.run("chown", "autoops:", "/srv/renamed")
    machine.run("autoops", "root", "add", "/srv/renamed", "--policy", "rename")
    (tree / "report.txt").write_text("a report\n")
    machine.until(lambda: [path.name[16:] for path in tree.iterdir()] == ["_report.txt"], "the file has its ID in front")
    machine.require_disk_registered("/srv/renamed")
    machine.run("autoops", "root", "remove", "/srv/renamed")
    machine.require_disk_registered("/srv/docs")


def test_the_health_check_is_content(machine: Machine) -> None:
    machine.run("systemctl", "start", "autoops-health.service", code=None)
    said = "\n".join(str(record["MESSAGE"]) for record in machine.journal("-u", "autoops-health", "_COMM=autoops"))
    assert machine.property("autoops-health", "Result") == "success", said


def test_a_failed_unit_leaves_word_in_the_journal_and_as_a_finding(machine: Machine) -> None:
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "autoops-watcher")
    machine.until(lambda: findings(machine, "unit_failed"), "a finding was opened")
    (found,) = findings(machine, "unit_failed")
    assert "autoops-watcher.service" in json.dumps(found)
    assert machine.journal("AUTOOPS_EVENT=unit_failed", "--priority=err")
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run again")


def test_cron_hears_of_trouble_and_is_not_bothered_otherwise(machine: Machine, said_to_cron: Path) -> None:
    machine.until(lambda: "status" in said_to_cron.read_text(), "cron has run it")
    *complaints, status = said_to_cron.read_text().splitlines()
    assert (status == "status 0") == (complaints == []), (complaints, status)
    machine.path("/etc/cron.d/autoops-health-check").unlink()
    said_to_cron.unlink()
