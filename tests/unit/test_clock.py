"""Which boot, which process: what leases and heartbeats are decided by."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoops import clock
from autoops.errors import CannotTell


def test_the_boot_id_is_32_hex_digits_wherever_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = tmp_path / "boot_id"
    kernel.write_text("1B4E28BA-2fa1-11d2-883f-0016d3cca427\n")
    assert clock.boot_id(str(kernel)) == "1b4e28ba2fa111d2883f0016d3cca427"
    monkeypatch.setenv("AUTOOPS_BOOT_ID", "1b4e28ba2fa111d2883f0016d3cca427")
    assert clock.boot_id(str(tmp_path / "hidden")) == "1b4e28ba2fa111d2883f0016d3cca427"


def test_a_boot_that_nobody_names_is_an_error_and_not_a_guess(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOOPS_BOOT_ID", raising=False)
    with pytest.raises(CannotTell, match="which boot this is") as caught:
        clock.boot_id(str(tmp_path / "none"))
    assert "AUTOOPS_BOOT_ID=%b" in caught.value.advice


def test_the_time_since_boot_goes_forward() -> None:
    assert 0 < clock.boottime_ns() <= clock.boottime_ns()


def test_a_process_lives_until_it_is_dead_even_before_its_parent_noticed() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        start = clock.process_start(child.pid)
        assert start is not None
        assert clock.is_alive(clock.boot_id(), child.pid, start)
        assert not clock.is_alive(clock.boot_id(), child.pid, start + 1), "another process got the number"
        assert not clock.is_alive("0" * 32, child.pid, start), "another boot"
        child.kill()
        deadline = time.monotonic() + 10
        while clock.process_start(child.pid) is not None:  # a zombie now: nobody waited for it
            assert time.monotonic() < deadline
    assert clock.process_start(child.pid) is None


def test_a_process_that_proc_hides_passes_for_alive_while_there_is_one_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    boot = clock.boot_id()

    def refuse(_path: Path) -> bytes:  # as with hidepid=1
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert clock.is_alive(boot, os.getpid(), 1)
    assert not clock.is_alive(boot, gone.pid, 1)


def test_a_process_with_a_hostile_name_is_read_right() -> None:
    code = 'import ctypes; ctypes.CDLL(None).prctl(15, b") R 1 2 3 ("); print(flush=True); input()'
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        before = clock.process_start(child.pid)
        assert child.stdout is not None
        child.stdout.readline()
        assert b") R 1 2 3 (" in Path(f"/proc/{child.pid}/comm").read_bytes()
        assert clock.process_start(child.pid) == before
        child.kill()


def test_a_process_exists_until_it_was_waited_for_whoever_owns_it() -> None:
    child = subprocess.Popen(["true"])
    assert clock.exists(1) and clock.exists(os.getpid())
    assert clock.exists(child.pid)
    child.wait()
    assert not clock.exists(child.pid)


def test_our_own_start_is_before_now() -> None:
    start = clock.process_start(os.getpid())
    assert start is not None
    assert 0 < start / os.sysconf("SC_CLK_TCK") <= clock.boottime_ns() / 1e9
