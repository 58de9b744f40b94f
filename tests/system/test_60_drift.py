"""Drift in the machine: the timer finds it, the worker mends it, and what must not be mended is told."""

from __future__ import annotations

import json
from typing import Any

from machine import DAEMONS, Machine

SOON = "/etc/systemd/system/autoops-reconciler.timer.d/soon.conf"


def findings(machine: Machine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(machine.run("autoops", "findings", "--json").out)
    return found


def test_the_timer_finds_what_no_event_told_and_the_worker_mends_it(machine: Machine) -> None:
    machine.idle()
    machine.run("systemctl", "stop", "autoops-watcher")
    docs = machine.path("/srv/docs")
    (docs / "drift.txt").write_text("nobody heard of this\n")
    machine.path(SOON).parent.mkdir()
    machine.path(SOON).write_text("[Timer]\nOnCalendar=*:*:0/5\nRandomizedDelaySec=0\nAccuracySec=1s\n")
    machine.sh("systemctl daemon-reload; systemctl restart autoops-reconciler.timer")
    try:
        machine.until(lambda: "drift.txt" in machine.run("autoops", "list").out, "it is registered")
        machine.until(lambda: not [one for one in findings(machine) if "drift.txt" in one["subject"]], "its finding closes")
    finally:
        machine.path(SOON).unlink()
        machine.path(SOON).parent.rmdir()
        machine.sh("systemctl daemon-reload; systemctl restart autoops-reconciler.timer; systemctl start autoops-watcher")
    assert "unregistered: /srv/docs/drift.txt" in machine.run("journalctl", "--no-pager", "-u", "autoops-reconciler").out
    closed = json.loads(machine.run("autoops", "findings", "list", "--closed", "--json").out)
    assert [one["kind"] for one in closed if "drift.txt" in one["subject"]] == ["unregistered"]
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run")
    machine.require_disk_registered()


def test_a_row_that_was_edited_is_named_and_is_no_failure_of_the_unit(machine: Machine) -> None:
    entry_id = machine.id_of("/srv/docs/drift.txt")
    change = "UPDATE entry SET size_bytes = size_bytes {} 1 WHERE id = " + str(int(entry_id))
    database = "/var/lib/autoops/registry/registry.db"
    machine.run("setpriv", "--reuid=autoops", "--regid=autoops", "--clear-groups", "sqlite3", database, change.format("+"))
    machine.run("systemctl", "start", "autoops-reconciler.service")
    assert machine.property("autoops-reconciler.service", "Result") == "success"
    assert [one["subject"] for one in findings(machine) if one["kind"] == "registry_edited"] == [entry_id]
    assert machine.run("autoops", "health", code=None).code != 0
    machine.run("setpriv", "--reuid=autoops", "--regid=autoops", "--clear-groups", "sqlite3", database, change.format("-"))
    machine.run("systemctl", "start", "autoops-reconciler.service")
    assert findings(machine) == []


def test_the_reconciler_does_nothing_in_a_window(machine: Machine) -> None:
    machine.run("autoops", "pause", "--no-snapshot")
    machine.run("systemctl", "start", "autoops-reconciler.service")
    assert machine.property("autoops-reconciler.service", "ConditionResult") == "no"
    machine.run("autoops", "resume")
    machine.require_disk_registered()


def test_catalogs_appear_follow_commits_and_a_changed_byte_is_found_and_mended(machine: Machine) -> None:
    config = machine.path("/etc/autoops/autoops.toml")
    good = config.read_text()
    config.write_text(good + '\n[[catalog]]\nname = "all"\n[catalogs]\ndebounce_s = 1\n')
    catalog = machine.path("/var/lib/autoops/catalogs/all")

    def text() -> str:
        return "".join(path.read_text() for path in sorted(catalog.glob("*.jsonl"))) if catalog.exists() else ""

    try:
        machine.run("systemctl", "reload", *DAEMONS)
        (machine.path("/srv/docs") / "in the catalog.txt").write_text("soon\n")
        machine.until(lambda: "in the catalog.txt" in text(), "the catalog follows the commit")
        machine.until(lambda: machine.run("autoops", "catalog", "verify", code=None).code == 0, "it is whole")
        first = sorted(catalog.glob("*.jsonl"))[0]
        first.write_text(first.read_text().replace("soon", "late").replace("docs", "docx", 1))
        machine.run("systemctl", "start", "autoops-reconciler.service")
        said = machine.run("journalctl", "--no-pager", "-u", "autoops-reconciler", "-n", "30").out
        assert "catalog_checksum: all" in said
        machine.until(lambda: machine.run("autoops", "catalog", "verify", code=None).code == 0, "it was built again")
        machine.run("systemctl", "start", "autoops-reconciler.service")
        assert findings(machine) == []
    finally:
        config.write_text(good)
        machine.run("systemctl", "reload", *DAEMONS)


def test_a_checkpoint_that_was_forged_is_found_at_once(machine: Machine) -> None:
    lines = machine.path("/var/lib/autoops/registry/checkpoints.jsonl")
    machine.idle()
    good = lines.read_bytes()
    with lines.open("ab") as file:
        file.write(good.splitlines(keepends=True)[-1].replace(b'"entries":', b'"entries":1', 1))
    machine.until(lambda: [one for one in findings(machine) if one["kind"] == "checkpoint_mismatch"], "the tailer tells")
    lines.write_bytes(good)
    machine.until(lambda: not findings(machine), "the finding closes")
