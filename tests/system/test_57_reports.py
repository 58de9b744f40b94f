"""Reports on a booted machine: by hand, as the services' user, and by the rhythm of infos from the sandbox of the alerts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from machine import Machine

QUEUE = "/var/lib/autoops/queue"
CONFIG = """
[[channel]]
name = "people"
url = "json://127.0.0.1:9098/report"
allow_private = true

[reports]
weekly = true
"""
AS_SERVICE = ("setpriv", "--reuid=autoops", "--regid=autoops", "--clear-groups")


@pytest.fixture(scope="module", autouse=True)
def configured(machine: Machine) -> Iterator[None]:
    """A channel that takes infos, and the weekly report switched on."""
    file = machine.path("/etc/autoops/autoops.toml")
    good = file.read_text()
    file.write_text(good + CONFIG)
    machine.run("autoops", "config", "check")
    yield
    file.write_text(good)
    machine.sh(f"rm -f {QUEUE}/weekly*; systemctl start autoops-alerts.service")


def test_the_reconciler_and_the_snapshot_measure_from_their_sandboxes(machine: Machine) -> None:
    machine.run("systemctl", "start", "autoops-reconciler.service", code=None)
    machine.run("systemctl", "start", "autoops-backup.service")
    things = json.loads(machine.run("autoops", "report", "capacity", "--json").out)["things"]
    found = {(one["what"], one["subject"]): one for one in things}
    assert found["disk", "state"]["limit_bytes"] > found["disk", "state"]["bytes"] > 0
    assert found["database", "registry"]["bytes"] > 0 and found["backup", "snapshots"]["bytes"] > 0
    assert any(what == "root" for what, _ in found)


@pytest.mark.parametrize("name", ["errors", "capacity", "performance", "weekly"])
def test_the_user_of_the_services_may_have_every_report(machine: Machine, name: str) -> None:
    answer = machine.run(*AS_SERVICE, "autoops", "report", name, "--json")
    assert json.loads(answer.out)["report"] == name


def test_the_worker_has_kept_its_figures(machine: Machine) -> None:
    machine.run("systemctl", "restart", "autoops-worker.service")
    stages = {one["stage"] for one in json.loads(machine.run("autoops", "report", "performance", "--json").out)["stages"]}
    assert stages >= {"wait_s", "commit_s", "scan_s"}


def test_a_page_is_written_for_root_alone(machine: Machine) -> None:
    machine.run("autoops", "report", "weekly", "--format", "html", "--to", "/root/week.html")
    page = machine.path("/root/week.html")
    assert page.read_text().startswith("<!doctype html>") and page.stat().st_mode & 0o007 == 0


def test_the_rhythm_has_it_written_in_the_sandbox_and_puts_it_into_the_outbox(machine: Machine) -> None:
    machine.run("systemctl", "start", "autoops-alerts.service")
    memory = machine.path(f"{QUEUE}/weekly-memory.json")
    machine.until(memory.exists, "the first run remembers when it began")
    memory.write_text(json.dumps([time.time() - 8 * 86400, 0.0]))
    machine.run("systemctl", "start", "autoops-alerts.service")
    machine.until(lambda: machine.path(f"{QUEUE}/weekly.html").exists(), "the report is written")
    letter = json.loads(machine.path(f"{QUEUE}/weekly.json").read_text())
    assert "weekly report" in letter["title"] and "cannot be told" not in letter["text"]
    machine.until(lambda: "to people (info)" in machine.run("autoops", "alerts", "list").out, "it is in the outbox")
    findings = json.loads(machine.run("autoops", "findings", "--json").out)
    assert [one for one in findings if one["kind"] == "report_failed"] == []
    assert time.time() - json.loads(memory.read_text())[0] < 3600, "the next one comes in a week"
