"""Playbooks on a booted machine, by the shipped units alone: one that repairs, one that fails twice, and what root does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from machine import FAILING, Machine

BREAKS = "autoops-breaks.service"
CONFIG = f"""
[playbooks]
enabled = true

[[playbook]]
name = "restart-worker"
when = "finding:unit_failed:autoops-worker.service"
remedy = "restart-unit"
unit = "autoops-worker.service"

[[playbook]]
name = "restart-breaks"
when = "finding:unit_failed:{BREAKS}"
remedy = "restart-unit"
unit = "{BREAKS}"

[[playbook]]
name = "journal"
when = "finding:unit_failed:trouble"
remedy = "vacuum-journal"
keep_bytes = 16777216
verify = ["/etc/autoops/playbooks.d/well"]

[[playbook]]
name = "ours"
when = "finding:unit_failed:trouble"
remedy = "command"
command = ["/etc/autoops/playbooks.d/who"]
verify = ["/etc/autoops/playbooks.d/well"]
"""
WHO = """#!/usr/bin/python3
import os, pathlib
pathlib.Path(os.environ["AUTOOPS_STATE"], "queue/who").write_text(f"{os.getresuid()} {os.environ['AUTOOPS_CAUSE']}")
"""
WELL = "#!/usr/bin/python3\n"


@pytest.fixture(scope="module", autouse=True)
def playbooks(machine: Machine) -> Iterator[None]:
    file = machine.path("/etc/autoops/autoops.toml")
    good = file.read_text()
    machine.path(f"/etc/systemd/system/{BREAKS}").write_text(FAILING)
    for name, script in (("who", WHO), ("well", WELL)):
        program = machine.path(f"/etc/autoops/playbooks.d/{name}")
        program.write_text(script)
        program.chmod(0o755)
    file.write_text(good + CONFIG)
    machine.sh("autoops config check; systemctl daemon-reload")
    yield
    file.write_text(good)
    machine.sh(f"rm -f /etc/systemd/system/{BREAKS} /etc/autoops/playbooks.d/*; systemctl daemon-reload")
    machine.sh("systemctl reset-failed 'autoops-*' || :; autoops playbooks release restart-breaks || :")
    machine.sh("systemctl start autoops-worker autoops-health || :")


def runs(machine: Machine, name: str) -> list[dict[str, Any]]:
    """Return the runs of a playbook, the newest first."""
    return list(json.loads(machine.run("autoops", "playbooks", "show", name, "--json").out)["runs"])


def findings(machine: Machine, kind: str) -> list[str]:
    return [one["subject"] for one in json.loads(machine.run("autoops", "findings", "--json").out) if one["kind"] == kind]


def close_findings(machine: Machine, subject: str) -> None:
    found = json.loads(machine.run("autoops", "findings", "--json").out)
    for one in found:
        if one["subject"] == subject:
            machine.run("autoops", "findings", "close", one["id"])


def test_a_worker_that_died_and_is_not_restarted_by_systemd_is_by_a_playbook(machine: Machine) -> None:
    dropin = machine.path("/etc/systemd/system/autoops-worker.service.d/no-restart.conf")
    dropin.parent.mkdir(exist_ok=True)
    dropin.write_text("[Service]\nRestart=no\n")
    machine.run("systemctl", "daemon-reload")
    before = machine.pid("autoops-worker")
    try:
        machine.run("systemctl", "kill", "--signal=KILL", "autoops-worker")
        machine.until(lambda: machine.pid("autoops-worker") not in (0, before), "a playbook has started it again")
        machine.until(lambda: [run["outcome"] for run in runs(machine, "restart-worker")] == ["good"], "it says so")
    finally:
        dropin.unlink()
        machine.run("systemctl", "daemon-reload")
    assert "autoops-worker.service" not in findings(machine, "unit_failed")
    machine.idle()
    assert (
        "of restart-worker (restart-unit), for finding:unit_failed:autoops-worker.service: good"
        in machine.run("autoops", "export", "--format", "ledger").out
    )
    machine.require_proven()


def test_one_that_fails_twice_is_an_alert_and_there_is_no_third_try(machine: Machine) -> None:
    machine.run("systemctl", "start", BREAKS, code=None)
    machine.until(lambda: [run["outcome"] for run in runs(machine, "restart-breaks")] == ["failed"], "it was tried once")
    by_hand = ("autoops", "playbooks", "run", "restart-breaks", "--force")  # refused while the unit is at it
    machine.until(lambda: machine.run(*by_hand, code=None).code == 1, "it was tried twice")
    assert findings(machine, "playbook_failed") == ["restart-breaks"]
    machine.run("systemctl", "start", "autoops-playbooks.service")
    machine.until(lambda: "it failed 2 times in a row" in machine.run(*by_hand, code=4).err, "it is refused because it is held")
    assert [run["outcome"] for run in runs(machine, "restart-breaks")] == ["failed", "failed"]
    machine.run("systemctl", "start", "autoops-alerts.service")
    alerts = json.loads(machine.run("autoops", "alerts", "--json").out)["alerts"]
    assert [one["severity"] for one in alerts if one["name"] == "playbook_failed"] == ["critical"]
    close_findings(machine, BREAKS)  # first: released, it would be tried anew
    machine.run("autoops", "playbooks", "release", "restart-breaks")
    assert findings(machine, "playbook_failed") == []


def test_root_vacuums_the_journal_and_the_operators_programs_are_the_services_user(machine: Machine) -> None:
    machine.run("autoops", "note-failure", "trouble")

    def have_run() -> bool:
        machine.run("systemctl", "start", "autoops-playbooks.service")  # joins one that is at it, which may have looked before
        return all(runs(machine, name) for name in ("journal", "ours"))

    machine.until(have_run, "both were carried out")
    assert [runs(machine, name)[0]["detail"] for name in ("journal", "ours")] == ["", ""]
    assert [runs(machine, name)[0]["outcome"] for name in ("journal", "ours")] == ["good", "good"]
    uid = machine.run("id", "-u", "autoops").out.strip()
    assert machine.path("/var/lib/autoops/queue/who").read_text() == f"({uid}, {uid}, {uid}) finding:unit_failed:trouble"
    machine.path("/var/lib/autoops/queue/who").unlink()
    close_findings(machine, "trouble")


def test_in_a_window_it_is_skipped(machine: Machine) -> None:
    machine.path("/var/lib/autoops/.maintenance").touch()
    machine.run("systemctl", "start", "autoops-playbooks.service")
    assert machine.property("autoops-playbooks", "ConditionResult") == "no"
    machine.path("/var/lib/autoops/.maintenance").unlink()
    machine.until(lambda: machine.run("autoops", "wait-idle", code=None).code == 0, "the window is over")
