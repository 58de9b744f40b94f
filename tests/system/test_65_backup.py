"""Backups in the machine: the timer takes them, a drill restores them, and a disk that is full costs nothing that was kept."""

from __future__ import annotations

import json
from typing import Any

from machine import Machine

SOON = "/etc/systemd/system/autoops-backup.timer.d/soon.conf"
CONFIG = "/etc/autoops/autoops.toml"


def snapshots(machine: Machine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(machine.run("autoops-backup", "list", "--json").out)
    return found


def test_the_timer_takes_a_snapshot_and_by_hand_is_the_same(machine: Machine) -> None:
    machine.idle()
    before = {one["name"] for one in snapshots(machine)}
    machine.path(SOON).parent.mkdir()
    machine.path(SOON).write_text("[Timer]\nOnCalendar=*:*:0/5\nRandomizedDelaySec=0\nAccuracySec=1s\n")
    machine.sh("systemctl daemon-reload; systemctl restart autoops-backup.timer")
    try:
        machine.until(lambda: {one["name"] for one in snapshots(machine)} - before, "a snapshot is there")
    finally:
        machine.path(SOON).unlink()
        machine.path(SOON).parent.rmdir()
        machine.sh("systemctl daemon-reload; systemctl restart autoops-backup.timer; systemctl stop autoops-backup.service")
    owner = machine.run("stat", "-c", "%U %a", "/var/lib/autoops/backups/snapshots").out
    assert owner.split() == ["autoops", "700"]
    (machine.path("/srv/docs") / "kept.txt").write_text("kept\n")
    machine.idle()
    machine.run("autoops-backup", "snapshot")
    newest = snapshots(machine)[-1]
    status = json.loads(machine.run("autoops", "status", "--json").out)
    assert newest["digest"] == status["digest"] and newest["usable"]
    machine.run("autoops-backup", "verify", "--all")
    owners = machine.run("find", "/var/lib/autoops/backups", "!", "-user", "autoops").out
    assert owners == "", "what root made by hand belongs to the service"


def test_a_drill_goes_into_the_ledger_and_into_health(machine: Machine) -> None:
    machine.run("systemctl", "start", "autoops-drill.service")
    assert machine.property("autoops-drill.service", "Result") == "success"
    machine.idle()
    assert "drill of" in machine.run("autoops", "export", "--format", "ledger").out
    found = {one["name"]: one for one in json.loads(machine.run("autoops", "health", "--json", code=None).out)["checks"]}
    assert found["drill"]["level"] == found["backup"]["level"] == "OK"


def test_a_full_disk_keeps_what_was_kept_and_health_says_so(machine: Machine) -> None:
    good, disk = machine.path(CONFIG).read_text(), "/srv/small"
    machine.sh(f"mkdir -p {disk} && mount -t tmpfs -o size=24m,mode=0700,uid=$(id -u autoops),gid=$(id -g autoops) tmpfs {disk}")
    machine.path(CONFIG).write_text(good + f'\n[backup]\ndirectory = "{disk}"\n')
    try:
        machine.run("autoops-backup", "snapshot", "--full")
        kept = snapshots(machine)
        machine.sh(f"head -c 100000000 /dev/zero >{disk}/filler || true")
        assert machine.run("autoops-backup", "snapshot", "--full", code=None).code == 6
        assert snapshots(machine) == kept
        found = {one["name"]: one for one in json.loads(machine.run("autoops", "health", "--json", code=None).out)["checks"]}
        assert found["backup"]["level"] == "WARNING" and "failed" in found["backup"]["text"]
        machine.run("rm", f"{disk}/filler")
        machine.run("autoops-backup", "snapshot", "--full")
        assert len(snapshots(machine)) == len(kept) + 1
    finally:
        machine.path(CONFIG).write_text(good)
        machine.sh(f"umount -l {disk}; rmdir {disk}")
    machine.run("autoops-backup", "snapshot")


def test_in_a_window_no_timer_takes_one_and_a_person_may(machine: Machine) -> None:
    machine.run("autoops", "pause", "--no-snapshot")
    try:
        machine.run("systemctl", "start", "autoops-backup.service")
        assert machine.property("autoops-backup.service", "ConditionResult") == "no"
        machine.run("autoops-backup", "snapshot")
    finally:
        machine.run("autoops", "resume")
