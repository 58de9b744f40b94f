"""Maintenance windows on a real system: real timers, real units, a reboot and a power cut in the middle, root's own editor."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from machine import DAEMONS, Machine
from runbook import blocks

STATE = "/var/lib/autoops"
FLAG = f"{STATE}/.maintenance"
REGISTRY = f"{STATE}/registry/registry.db"
EDIT = "UPDATE entry SET described = json_set(described, '$.class', '{}') WHERE name = CAST('{}' AS BLOB)"
EVERY_SECOND = "[Timer]\nOnCalendar=\nOnBootSec=\nOnUnitActiveSec=\nOnCalendar=*:*:*\nAccuracySec=1ms\nRandomizedDelaySec=0\n"


@pytest.fixture(scope="module", autouse=True)
def proven(machine: Machine) -> Iterator[None]:
    """After all of it the registry is the disk, and proves itself."""
    (machine.path("/srv/docs") / "window.txt").write_text("edited in windows\n")
    machine.idle()
    yield
    machine.require_disk_registered()
    machine.require_proven()


@pytest.fixture(autouse=True)
def closed(machine: Machine) -> Iterator[None]:
    """Each test closes its window; if it fails, the next one is not to suffer."""
    yield
    if machine.path(FLAG).exists():
        machine.run("rm", "-f", FLAG)
    machine.idle()


def edit(machine: Machine, name: str, file: str = "window.txt") -> None:
    machine.run("sqlite3", REGISTRY, EDIT.format(name, file))


def class_of(machine: Machine, file: str = "window.txt") -> str:
    shown = machine.run("autoops", "show", f"/srv/docs/{file}").out
    return next(line.removeprefix("class: ") for line in shown.splitlines() if line.startswith("class: "))


def status_of(machine: Machine, unit: str = "autoops-worker") -> str:
    return machine.property(unit, "StatusText")


def starts(machine: Machine, unit: str) -> str:
    """Return what changes with each run of a oneshot."""
    return machine.property(unit, "ExecMainStartTimestampMonotonic")


def test_pause_edit_resume_by_root_in_the_real_sandboxes(machine: Machine) -> None:
    said = machine.run("autoops", "pause", "--why", "tidy", "--declare", "/srv/docs/window.txt").out
    assert "paused: autoops-shipper, autoops-tailer, autoops-watcher, autoops-worker" in said
    (snapshot,) = machine.sh(f"ls {STATE}/backups/window-*").out.split()[-1:]
    assert machine.run("stat", "--format=%U %a", snapshot).out.strip() == "autoops 600"
    assert all("paused (tidy, by root" in status_of(machine, daemon) for daemon in DAEMONS)
    edit(machine, "by-root")
    (machine.path("/srv/docs") / "meanwhile.txt").write_text("made in the window\n")
    assert "edited by hand: 1 declared, 0 not declared" in machine.run("autoops", "resume").out
    assert class_of(machine) == "by-root"
    machine.idle()
    assert class_of(machine, "meanwhile.txt") == "document"
    assert machine.journal("-u", "autoops-worker", "AUTOOPS_EVENT=edited_by_hand")


def test_touch_and_rm_do_the_same(machine: Machine) -> None:
    machine.run("touch", FLAG)
    machine.until(lambda: status_of(machine).startswith("paused"), "it pauses")
    edit(machine, "by-touch")
    machine.run("rm", FLAG)
    machine.until(lambda: "paused" not in status_of(machine), "it goes on")
    assert class_of(machine) == "by-touch"


def test_no_timer_fires_in_a_window(machine: Machine) -> None:
    machine.sh(
        f"""mkdir -p /run/systemd/system/autoops-health.timer.d
        printf '{EVERY_SECOND!s}' > /run/systemd/system/autoops-health.timer.d/often.conf
        systemctl daemon-reload; systemctl restart autoops-health.timer""".replace("\n\n", "\n")
    )
    before = starts(machine, "autoops-health")
    machine.until(lambda: starts(machine, "autoops-health") != before, "the timer fires")
    machine.run("autoops", "pause", "--no-snapshot")
    machine.until(lambda: machine.property("autoops-health", "ActiveState") == "inactive", "the last run is over")
    before = starts(machine, "autoops-health")
    time.sleep(4)  # four times its interval: what must not come cannot be waited for
    assert starts(machine, "autoops-health") == before
    assert machine.property("autoops-health", "ConditionResult") == "no"
    machine.run("autoops", "resume")
    machine.until(lambda: starts(machine, "autoops-health") != before, "it fires again")
    machine.sh("rm -r /run/systemd/system/autoops-health.timer.d; systemctl daemon-reload; systemctl restart autoops-health.timer")


def test_units_that_are_started_by_hand_in_a_window_respect_it(machine: Machine) -> None:
    machine.run("autoops", "pause", "--no-snapshot")
    for unit in ("autoops-verify", "autoops-scrub"):
        machine.run("systemctl", "start", f"{unit}.service")
        assert machine.property(unit, "ConditionResult") == "no"
    machine.run("systemctl", "restart", *DAEMONS)
    assert all(machine.is_active(daemon) for daemon in DAEMONS)
    assert status_of(machine).startswith("paused")
    machine.run("autoops", "resume")


def test_a_window_outlives_a_reboot_and_a_power_cut(machine: Machine) -> None:
    machine.run("autoops", "pause", "--why", "new disk")
    edit(machine, "before-the-reboot")
    machine.reboot()
    machine.until(lambda: "paused (new disk" in status_of(machine), "it is paused still")
    edit(machine, "after-the-reboot")
    (machine.path("/srv/docs") / "rebooted.txt").write_text("made after the reboot\n")
    machine.cut_power()
    machine.boot()
    machine.until(lambda: "paused (new disk" in status_of(machine), "it is paused still")
    machine.run("autoops", "resume")
    assert class_of(machine) == "after-the-reboot"


def test_a_broken_edit_holds_the_worker_and_there_is_a_way_back(machine: Machine) -> None:
    machine.run("autoops", "pause")
    machine.run("sqlite3", REGISTRY, "DROP INDEX entry_path")
    assert "index entry_path is missing" in machine.run("autoops", "resume", code=4).err
    machine.run("rm", FLAG)
    machine.until(lambda: "index entry_path is missing" in status_of(machine), "it is held, and says why")
    assert machine.is_active("autoops-worker"), "held is no failure: nothing is restarted"
    machine.run("systemctl", "restart", "autoops-worker")
    assert "index entry_path is missing" in status_of(machine)
    assert machine.run("autoops", "health", code=None).code == 2
    assert "restored window-" in machine.run("autoops", "resume", "--restore-snapshot").out
    machine.sh(f"rm {STATE}/registry/registry.db.edited-*")


def test_a_window_past_its_end_alarms_and_stays(machine: Machine) -> None:
    machine.path(FLAG).write_text("until = 2020-01-01T00:00:00Z\n")
    machine.until(lambda: machine.journal("-b", "-u", "autoops-worker", "AUTOOPS_EVENT=window_alarm"), "it alarms")
    assert "was to end at 2020" in machine.run("autoops", "maintenance", "status", code=1).out
    machine.run("autoops", "resume")


def test_a_window_is_held_while_a_command_runs_and_stays_when_that_fails(machine: Machine) -> None:
    hold = ("autoops", "maintenance", "run", "--why", "batch", "--")
    machine.run(*hold, "sqlite3", REGISTRY, EDIT.format("by-a-script", "window.txt"))
    assert class_of(machine) == "by-a-script"
    assert "ended with 3" in machine.run(*hold, "sh", "-c", "exit 3", code=1).err
    assert status_of(machine).startswith("paused")
    machine.run("autoops", "resume")


def test_the_runbooks_own_commands_pause_edit_and_resume(machine: Machine) -> None:
    (machine.path("/srv/docs") / "runbook.txt").write_text("a document\n")
    machine.idle()
    assert class_of(machine, "runbook.txt") == "document"
    block, in_a_browser = blocks("Maintenance")
    assert "sqlite_web" in in_a_browser  # not in Debian: tried by hand
    said = machine.sh(f"S={STATE}\n{block}").out
    assert "paused: " in said and "edited: " in said and "resumed" in said
    assert class_of(machine, "runbook.txt") == "minutes"
