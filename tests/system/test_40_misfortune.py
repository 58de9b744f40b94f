"""Killed, frozen, rebooted, without power: systemd brings it back, and nothing is lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from machine import DAEMONS, Machine, kill_all_of


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Make, edit and rename files below a directory for as long as the block lasts."""
    directory.mkdir(exist_ok=True)
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.wait(0.01):
            number += 1
            (directory / f"{number}.txt").write_text(f"{number}\n")
            if number % 3 == 0:
                (directory / f"{number}.txt").rename(directory / f"{number}-renamed.txt")
            if number % 5 == 0:
                (directory / f"{number - 1}.txt").unlink(missing_ok=True)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def restarted(machine: Machine, daemon: str, before: int) -> None:
    machine.until(lambda: machine.pid(daemon) not in (0, before) and machine.is_active(daemon), f"{daemon} was started again")


pytestmark = pytest.mark.usefixtures("said_to_cron")


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_killed_daemon_is_started_again_and_nothing_is_lost(machine: Machine, daemon: str) -> None:
    before = machine.pid(daemon)
    with writing(machine.path("/srv/docs") / f"kill-{daemon}"):
        machine.until(lambda: len(list((machine.path("/srv/docs") / f"kill-{daemon}").iterdir())) > 50, "there is work")
        kill_all_of(machine, daemon, signal.SIGKILL)
        restarted(machine, daemon, before)
    machine.require_disk_registered()
    machine.require_proven()


def test_frozen_daemons_are_found_by_the_watchdog_and_started_again(machine: Machine) -> None:
    before = {daemon: machine.pid(daemon) for daemon in DAEMONS}
    with writing(machine.path("/srv/docs") / "frozen"):
        frozen_s = time.time()
        for daemon in DAEMONS:
            kill_all_of(machine, daemon, signal.SIGSTOP)
        for daemon in DAEMONS:
            restarted(machine, daemon, before[daemon])
            (found,) = machine.journal("_PID=1", "-u", daemon, "--grep=[Ww]atchdog timeout", f"--since=@{int(frozen_s)}")
            limit_s = int(machine.property(daemon, "WatchdogUSec").removesuffix("s"))
            assert int(found["__REALTIME_TIMESTAMP"]) / 1e6 - frozen_s < 2 * limit_s, "systemd acts by the unit's limit"
    machine.require_disk_registered()
    machine.require_proven()


def test_a_stopped_worker_ends_its_batch_in_good_order(machine: Machine) -> None:
    with writing(machine.path("/srv/docs") / "stopped"):
        machine.run("systemctl", "restart", "autoops-worker")
    stopped = machine.journal("-u", "autoops-worker", "AUTOOPS_EVENT=service_stopped")
    assert stopped and machine.is_active("autoops-worker")
    machine.require_disk_registered()


def test_a_reboot_in_the_middle_of_work_loses_nothing(machine: Machine) -> None:
    with writing(machine.path("/srv/docs") / "reboot"):
        machine.reboot()
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run again")
    machine.require_disk_registered()
    machine.require_proven()


def test_a_power_cut_in_the_middle_of_work_loses_nothing(machine: Machine) -> None:
    with writing(machine.path("/srv/docs") / "cut"):
        machine.until(lambda: len(list((machine.path("/srv/docs") / "cut").iterdir())) > 50, "there is work")
        machine.cut_power()
    (machine.path("/srv/docs") / "while it was off.txt").write_text("nobody saw this\n")
    machine.boot()
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run again")
    machine.require_disk_registered()
    machine.require_proven()


def test_a_root_that_vanished_stops_no_other_one(machine: Machine) -> None:
    machine.run("install", "-d", "-m", "755", "/var/tmp/vanishing")  # a place that has to be bound into the sandbox
    machine.run("autoops", "root", "add", "/var/tmp/vanishing")
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run")
    machine.run("rm", "-r", "/var/tmp/vanishing")
    machine.run("systemctl", "restart", *DAEMONS)
    assert all(machine.is_active(daemon) for daemon in DAEMONS)
    (machine.path("/srv/docs") / "the other root goes on.txt").write_text("as if nothing was\n")
    machine.require_disk_registered()
    assert "/var/tmp/vanishing" in machine.run("autoops", "health", code=2).out
    machine.run("autoops", "root", "remove", "/var/tmp/vanishing")
    machine.until(lambda: "vanishing" not in machine.run("autoops", "health", code=None).out, "it is missed no more")


def test_a_unit_that_cannot_be_started_fails_and_is_not_skipped(machine: Machine) -> None:
    machine.run("groupadd", "passing")
    machine.run("install", "-d", "-g", "passing", "-m", "750", "/srv/passing")
    machine.run("autoops", "root", "add", "--group", "passing", "/srv/passing")
    machine.run("groupdel", "passing")
    machine.run("systemctl", "restart", "autoops-worker", code=None)
    machine.until(lambda: machine.property("autoops-worker", "ActiveState") == "failed", "it gave up")
    assert "no group passing" in machine.run("autoops", "root", "list").out
    machine.run("autoops", "root", "remove", "/srv/passing")
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run")
    machine.require_disk_registered()
