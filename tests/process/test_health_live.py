"""`autoops health`, `bin/health-check.sh` and `autoops note-failure`, against real daemons, databases and misfortunes."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from running import PROJECT, Answer, Suite, environment, program

Make = Callable[..., Suite]
OK, WARNING, CRITICAL, UNKNOWN = range(4)


def health(suite: Suite, *arguments: str) -> Answer:
    return suite.run("health", *arguments, code=None)


def levels(suite: Suite) -> dict[str, str]:
    """Return the level of each check."""
    return {check["name"]: check["level"] for check in health(suite, "--json").json["checks"]}


def text(suite: Suite, name: str) -> str:
    return next(check["text"] for check in health(suite, "--json").json["checks"] if check["name"] == name)


def script(tmp_path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run health-check.sh as cron does, with a program that is this checkout's."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    wrapper = tmp_path / "bin" / "autoops-health"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {PROJECT}/bin/autoops-health "$@"\n')
    wrapper.chmod(0o755)
    installed = tmp_path / "share" / "health-check.sh"  # beside no checkout
    installed.parent.mkdir(exist_ok=True)
    installed.write_bytes((PROJECT / "bin" / "health-check.sh").read_bytes())
    env = environment(PATH=f"{tmp_path}/bin:/usr/bin:/bin")
    return subprocess.run(["sh", installed, *map(str, arguments)], env=env, capture_output=True, text=True)


# all is well


def test_a_suite_that_is_well_is_ok_on_one_line(shared: Suite) -> None:
    answer = health(shared)
    assert answer.code == OK, answer
    assert answer.out.startswith("AUTOOPS OK: ") and answer.out.count("\n") == 1 and " | 'watcher_silent'=" in answer.out
    assert answer.err == ""


def test_verbose_says_what_each_check_found(shared: Suite) -> None:
    lines = health(shared, "--verbose").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["OK"] * (len(lines) - 1) and len(lines) > 10
    assert any(line.startswith("OK worker: running: idle") for line in lines)


def test_json_is_one_document(shared: Suite) -> None:
    found = health(shared, "--json").json
    assert (found["level"], found["code"]) == ("OK", 0)
    assert {"watcher", "worker", "queue", "registry", "disk", "suspect"} <= {check["name"] for check in found["checks"]}


def test_the_script_is_silent_when_all_is_well_and_loud_on_demand(shared: Suite, tmp_path: Path) -> None:
    run = script(tmp_path, "--state", shared.state)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert "OK worker" in script(tmp_path, "--verbose", "--state", shared.state).stdout
    assert json.loads(script(tmp_path, "--json", "--state", shared.state).stdout)["level"] == "OK"


def test_an_open_window_is_well_and_says_so(shared: Suite) -> None:
    flag = shared.state / ".maintenance"
    flag.write_text('why = "disk swap"\n')
    try:
        shared.until(lambda: "paused" in shared.run("status").out, "paused")
        assert set(levels(shared).values()) == {"OK"}
        assert "disk swap" in text(shared, "maintenance")
        flag.write_text('why = "disk swap"\nuntil = 2026-01-01T00:00:00Z\n')
        assert levels(shared)["maintenance"] == "CRITICAL"
        flag.write_text("why = ")
        assert levels(shared)["maintenance"] == "WARNING"
    finally:
        flag.unlink()
    shared.until(lambda: "paused" not in shared.run("status").out, "resumed")
    assert levels(shared)["maintenance"] == "OK"


# what is not


def test_a_daemon_that_was_killed_is_critical_and_the_script_says_a_line_for_it(make_suite: Make, tmp_path: Path) -> None:
    suite = make_suite()
    suite.start()
    suite.idle()
    suite.kill("worker")
    found = levels(suite)
    assert (found["worker"], found["watcher"]) == ("CRITICAL", "OK")
    run = script(tmp_path, "--state", suite.state)
    assert run.returncode == CRITICAL and run.stderr == ""
    assert [line.split(":")[0] for line in run.stdout.splitlines()] == ["CRITICAL worker"]


def test_a_state_that_is_not_there_is_critical_and_unknown_for_the_rest(tmp_path: Path) -> None:
    command = [*program(), "health", "--verbose", "--state", str(tmp_path / "none")]
    run = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert run.returncode == CRITICAL and run.stderr == ""
    assert [line for line in run.stdout.splitlines()[1:] if line.startswith("CRITICAL")] == [
        f"CRITICAL {check}: {tmp_path}/none/{name}/{name}.db does not exist. (autoops migrate makes it; is --state right?)"
        for check, name in (("database", "queue"), ("registry", "registry"))
    ]


@pytest.mark.parametrize("name", ["queue", "registry"])
def test_a_malformed_database_is_critical_and_the_other_checks_answer(still: Suite, name: str) -> None:
    path = still.state / name / f"{name}.db"
    good = path.read_bytes()
    path.write_bytes(b"not a database" * 1000)
    try:
        found = levels(still)
        assert found["database" if name == "queue" else "registry"] == "CRITICAL"
        assert found["disk"] == found["permissions"] == found["suspect"] == "OK"
        assert health(still).err == ""
    finally:
        path.write_bytes(good)


def test_a_registry_changed_past_the_ledger_is_critical_at_once(still: Suite) -> None:
    assert levels(still)["registry"] == "OK"
    path = still.state / "registry" / "registry.db"
    good = path.read_bytes()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entry SET rev = rev + 7")
    connection.close()
    assert levels(still)["registry"] == "CRITICAL" and "changed past the ledger" in text(still, "registry")
    path.write_bytes(good)
    assert levels(still)["registry"] == "OK", "a failed verdict is not kept"


def test_the_verdict_is_kept_until_something_changes(still: Suite) -> None:
    memory = still.state / "queue" / "health.json"
    levels(still)
    first = json.loads(memory.read_text())
    levels(still)
    assert json.loads(memory.read_text()) == first
    assert first["faults"] == 0 and first["sequence"] > 0


def test_a_suspect_flag_a_readable_key_and_a_foreign_file_are_critical(still: Suite) -> None:
    flag = still.state / "registry" / "registry.db.suspect"
    flag.write_text(json.dumps({"what": "SQLITE_IOERR_FSYNC", "when_s": 1, "process": 1}) + "\n")
    assert levels(still)["suspect"] == "CRITICAL" and "SQLITE_IOERR_FSYNC" in text(still, "suspect")
    flag.unlink()
    (still.state / "ledger.key").chmod(0o640)
    assert levels(still)["permissions"] == "CRITICAL"
    (still.state / "ledger.key").chmod(0o600)
    assert levels(still)["permissions"] == "OK"


def test_a_configuration_with_a_fault_is_a_warning_with_its_line(still: Suite) -> None:
    good = still.config.read_text()
    still.config.write_text("[watch]\nsetle_s = 1\n")
    answer = still.run("health", "--json", config=True, code=None)
    still.config.write_text(good)
    found = {check["name"]: check for check in answer.json["checks"]}
    assert found["configuration"]["level"] == "WARNING" and ":2:" in found["configuration"]["text"]


def test_a_dead_letter_is_a_warning(still: Suite) -> None:
    still.run("submit", "-", stdin='{"changes": {"2020010100000001": {"tags": ["x"]}}, "revs": {"2020010100000001": 1}}')
    still.once()
    assert levels(still)["queue"] == "WARNING"
    listed = still.run("queue", "list").out
    assert re.search(r"patch +dead_letter +\d+ +given up \d+ s ago ", listed) and "in -" not in listed
    still.run("queue", "purge", "--in-state", "dead_letter")
    assert levels(still)["queue"] == "OK"


def test_a_held_database_is_unknown_not_a_wait_without_end(still: Suite) -> None:
    holder = sqlite3.connect(still.state / "queue" / "queue.db", isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    try:
        holder.execute("BEGIN EXCLUSIVE")
        answer = health(still)
        assert answer.code in (CRITICAL, UNKNOWN) and answer.err == ""
    finally:
        holder.close()


# the script, when there is nothing to ask


def test_the_script_without_a_program_is_unknown(tmp_path: Path) -> None:
    alone = tmp_path / "health-check.sh"
    alone.write_bytes((PROJECT / "bin" / "health-check.sh").read_bytes())
    run = subprocess.run(["/bin/sh", alone], env={"PATH": str(tmp_path / "empty")}, capture_output=True, text=True)
    assert run.returncode == UNKNOWN and run.stdout.startswith("UNKNOWN health-check:") and run.stdout.count("\n") == 1


@pytest.mark.parametrize("ending", ["exit 127", "kill -9 $$"])
def test_the_script_with_a_broken_program_is_unknown(tmp_path: Path, ending: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "autoops-health").write_text(f"#!/bin/sh\necho broken >&2\n{ending}\n")
    (tmp_path / "bin" / "autoops-health").chmod(0o755)
    alone = tmp_path / "health-check.sh"
    alone.write_bytes((PROJECT / "bin" / "health-check.sh").read_bytes())
    run = subprocess.run(["sh", alone], env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}, capture_output=True, text=True)
    assert run.returncode == UNKNOWN and "broken" in run.stderr and run.stdout.startswith("UNKNOWN health-check: ")


def test_the_script_refuses_an_unknown_option_loudly(tmp_path: Path) -> None:
    run = script(tmp_path, "--frobnicate")
    assert run.returncode == UNKNOWN and "frobnicate" in run.stderr and run.stdout.startswith("UNKNOWN health-check: ")


# what a day was like


def test_many_rollbacks_are_critical(make_suite: Make) -> None:
    suite = make_suite()
    for number in range(5):
        (suite.root / f"{number}.txt").write_text(f"{number}\n")
    suite.start()
    suite.idle()
    assert levels(suite)["outcomes"] == "OK"
    for number in range(5):
        suite.run("rollback", suite.entry(f"{number}.txt")["id"], "--wait")
    suite.stop()
    assert re.fullmatch(r"of a day: 0 of \d+ jobs failed, 5 of \d+ commits were rollbacks", text(suite, "outcomes"))
    assert levels(suite)["outcomes"] == "CRITICAL"


# note-failure


def test_a_failure_is_noted_in_the_log_and_as_a_finding(still: Suite) -> None:
    still.environment.update(MONITOR_UNIT="autoops-verify.service", MONITOR_SERVICE_RESULT="watchdog", MONITOR_EXIT_STATUS="ABRT")
    answer = still.run("note-failure", "autoops-verify.service")
    (event,) = [json.loads(line) for line in answer.err.splitlines()]
    assert (event["event"], event["level"], event["unit"], event["result"]) == (
        "unit_failed",
        "error",
        "autoops-verify.service",
        "watchdog",
    )
    (found,) = still.findings("unit_failed")
    assert (found["subject"], found["detail"]) == ("autoops-verify.service", {"result": "watchdog", "status": "ABRT"})
    assert levels(still)["findings"] == "CRITICAL"


def test_a_unit_that_runs_well_again_closes_its_finding(still: Suite) -> None:
    noted = still.state / "queue" / "failed"
    for unit in ("autoops-backup.service", "autoops-drill.service"):
        still.run("note-failure", unit)
    assert {path.name for path in noted.iterdir()} == {"autoops-backup.service", "autoops-drill.service"}
    answer = still.run("note-recovery", "autoops-backup.service")
    assert "its failure is closed" in answer.out
    assert [found["subject"] for found in still.findings("unit_failed")] == ["autoops-drill.service"]
    assert [path.name for path in noted.iterdir()] == ["autoops-drill.service"]
    assert "no failure of it was noted" in still.run("note-recovery", "autoops-backup.service").out


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_removes_nothing_where_a_link_of_the_services_user_leads(tmp_path: Path) -> None:
    suite, unit = Suite(tmp_path / "suite"), "autoops-backup.service"
    suite.run("migrate")
    suite.run("note-failure", unit)
    elsewhere, noted = tmp_path / "elsewhere", suite.state / "queue" / "failed"
    noted.rename(elsewhere)
    noted.symlink_to(elsewhere)
    for path in (suite.state, *suite.state.rglob("*")):
        os.chown(path, 54321, 54321, follow_symlinks=False)
    for path in (suite.base, *suite.base.parents):
        if path.stat().st_mode & 0o055 != 0o055:
            path.chmod(0o755)
    suite.run("note-recovery", unit, code=None)
    assert suite.findings("unit_failed") == [] and [path.name for path in elsewhere.iterdir()] == [unit]


def test_a_failed_daemon_that_lives_again_closes_its_finding(make_suite: Make) -> None:
    suite = make_suite()
    suite.start()
    suite.run("note-failure", "autoops-worker.service")
    assert suite.findings("unit_failed")
    suite.stop("worker")
    suite.start("worker")
    suite.until(lambda: health(suite).code == OK, "all is well again")
    assert suite.findings("unit_failed") == []


@pytest.mark.parametrize("unit", ["*", "a\nb.service", "\x1b[31m.service", "x" * 5000, "caf\udce9.service", "-p"])
def test_a_hostile_unit_is_noted_and_shown_harmlessly(still: Suite, unit: str) -> None:
    answer = still.run("note-failure", last=unit)
    assert "\x1b" not in answer.out + answer.err and len(answer.out.splitlines()) == len(answer.err.splitlines()) == 1
    shown = still.run("findings").out
    assert "\x1b" not in shown and "unit_failed" in shown
    assert levels(still)["findings"] == "CRITICAL"


def test_a_failure_without_a_database_is_in_the_log_all_the_same(tmp_path: Path) -> None:
    command = [*program(), "note-failure", "a.service", "--state", str(tmp_path / "none")]
    run = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert run.returncode == 6 and "unit_failed" in run.stderr and "does not exist" in run.stderr
    assert "Traceback" not in run.stderr
    assert not os.path.lexists(tmp_path / "none")
