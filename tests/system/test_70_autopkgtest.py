"""What Debian asks of the installed package: its own tests, debian/tests, run by autopkgtest."""

from __future__ import annotations

import shutil

from machine import DAEMONS, Machine
from running import PROJECT


def test_the_packages_own_tests_pass(machine: Machine) -> None:
    shutil.copytree(PROJECT / "debian", machine.path("/root/source/debian"))
    answer = machine.run("autopkgtest", "--no-built-binaries", "/root/source", "--", "null", code=None)
    shutil.rmtree(machine.path("/root/source"))
    said = answer.out + answer.err
    assert answer.code == 0 and "installed            PASS" in said, said
    machine.run("systemctl", "start", "autoops.target")
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run again")
    machine.require_disk_registered()
