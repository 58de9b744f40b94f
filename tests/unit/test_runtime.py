"""The maintenance flag and the wake-up datagram."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest

from autoops.errors import StorageReadOnly
from autoops.runtime import maintenance
from autoops.runtime.load import load_per_core
from autoops.runtime.maintenance import Maintenance
from autoops.runtime.wake import ADDRESS_LIMIT_BYTES, Sleeper, Waker
from autoops.window.flag import WindowOpen, change_flag, remove_flag, set_flag


def test_no_flag_is_no_maintenance(tmp_path: Path) -> None:
    assert not maintenance.is_set(tmp_path / ".maintenance")
    assert maintenance.read(tmp_path / ".maintenance") is None
    assert maintenance.read(tmp_path / "no directory" / ".maintenance") is None


def test_an_empty_flag_pauses_and_says_nothing(tmp_path: Path) -> None:
    flag = tmp_path / ".maintenance"
    flag.touch()
    assert maintenance.read(flag) == Maintenance()
    assert str(maintenance.read(flag)) == ""


def test_a_flag_says_who_since_why_until_and_what() -> None:
    said = maintenance.parse(
        'who = "ann"\nsince = 2026-01-02T03:04:05Z\nwhy = "disk"\nuntil = 2026-01-02T04:00:00Z\nwhat = ["/a", "/b"]'
    )
    assert said == Maintenance("ann", "2026-01-02 03:04:05+00:00", "disk", "2026-01-02T04:00:00+00:00", ("/a", "/b"))
    assert str(said) == "disk, by ann, since 2026-01-02 03:04:05+00:00, until 2026-01-02T04:00:00+00:00"
    assert maintenance.parse(maintenance.text(said)) == said


def test_a_window_raises_an_alarm_when_it_is_past_its_end_or_whoever_held_it_is_gone() -> None:
    end_s = 1767326400.0  # 2026-01-02T04:00:00Z
    said = maintenance.parse("until = 2026-01-02T04:00:00Z")
    assert said.alarm(end_s) == "" and "was to end at" in said.alarm(end_s + 1)
    held = Maintenance(holder=maintenance.this_process())
    assert (
        held.alarm(0) == ""
        and "has died" in held._replace(holder="0:1:2").alarm(0)
        and "has died" in Maintenance(holder="x").alarm(0)
    )
    assert "ended with 3" in Maintenance(failed="ended with 3").alarm(0)


@pytest.mark.parametrize(
    "content",
    [
        *("why = ", "x", 'reason = "typed wrong"', "why = \x00", 'until = "noon"'),
        pytest.param("why = " + "1" * 5000, id="a number that Python does not read"),
        pytest.param("why = " + "[" * 6000, id="nested deeper than Python's stack"),
    ],
)
def test_a_malformed_flag_pauses_and_says_what_is_wrong(tmp_path: Path, content: str) -> None:
    flag = tmp_path / ".maintenance"
    flag.write_text(content)
    said = maintenance.read(flag)
    assert said is not None
    assert said.fault
    assert "faulty" in str(said)


def test_a_flag_of_any_kind_pauses(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "latin").write_bytes(b"\xe9")
    for name in ("directory", "dangling", "latin"):
        assert maintenance.is_set(tmp_path / name)
        said = maintenance.read(tmp_path / name)
        assert said is not None
        assert said.fault, name
    os.mkfifo(tmp_path / "fifo")
    assert maintenance.read(tmp_path / "fifo") == Maintenance()
    with open(tmp_path / "fifo", "r+b", buffering=0):  # noqa: PTH123  # somebody has it open, and says nothing
        said = maintenance.read(tmp_path / "fifo")
        assert said is not None and said.fault


def test_a_flag_that_is_looked_at_for_days_costs_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        maintenance.read(tmp_path / "directory")
    assert os.listdir("/proc/self/fd") == before


def test_a_flag_cannot_forge_lines() -> None:
    assert str(maintenance.parse('why = "a\\nb"')) == r"a\x0ab"


def test_a_window_is_opened_once_changed_and_closed(tmp_path: Path) -> None:
    set_flag(tmp_path / ".maintenance", Maintenance(why="a"))
    with pytest.raises(WindowOpen, match=r"open already \(a\)"):
        set_flag(tmp_path / ".maintenance", Maintenance(why="b"))
    change_flag(tmp_path / ".maintenance", Maintenance(why="c"))
    assert maintenance.read(tmp_path / ".maintenance") == Maintenance(why="c")
    remove_flag(tmp_path / ".maintenance")
    (tmp_path / ".maintenance").mkdir()
    remove_flag(tmp_path / ".maintenance")
    assert list(tmp_path.iterdir()) == []


def test_a_flag_that_cannot_be_written_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(StorageReadOnly, match="cannot be written: No such file") as caught:
        set_flag(tmp_path / "nowhere" / ".maintenance", Maintenance())
    assert "who owns" in caught.value.advice


def is_readable(sleeper: Sleeper) -> bool:
    return bool(select.select([sleeper], [], [], 0)[0])


@pytest.mark.parametrize("depth", [1, 120, 240])
def test_a_waker_wakes_whatever_the_length_of_the_path(tmp_path: Path, depth: int) -> None:
    directory = tmp_path / ("d" * depth)
    directory.mkdir()
    path = directory / "worker.sock"
    assert (len(os.fsencode(path)) > ADDRESS_LIMIT_BYTES) == (depth > 1)
    sleeper, waker = Sleeper(path), Waker(path)
    assert not is_readable(sleeper)
    assert waker.wake()
    assert is_readable(sleeper)
    assert sleeper.drain() == 1
    assert not is_readable(sleeper)
    assert path.stat().st_mode & 0o777 == 0o600
    sleeper.close()
    assert not waker.wake(), "nobody listens any more"
    waker.close()


@pytest.mark.parametrize("name", ["s", "s" * 120])
def test_waking_nobody_is_no_error(tmp_path: Path, name: str) -> None:
    waker = Waker(tmp_path / name / "worker.sock")
    assert not waker.wake(), "no directory"
    (tmp_path / name).mkdir()
    assert not waker.wake(), "no socket"
    waker.close()


def test_waking_never_waits_for_a_sleeper_that_does_not_listen(tmp_path: Path) -> None:
    sleeper, waker = Sleeper(tmp_path / "s"), Waker(tmp_path / "s")
    assert all(waker.wake() for _ in range(5000))
    assert 0 < sleeper.drain() < 5000
    assert sleeper.drain() == 0
    waker.close()
    sleeper.close()


def test_a_socket_that_was_left_over_is_replaced_and_a_waker_finds_the_new_one(tmp_path: Path) -> None:
    waker = Waker(tmp_path / "s")
    Sleeper(tmp_path / "s").close()
    sleeper = Sleeper(tmp_path / "s")
    assert waker.wake()
    assert sleeper.drain() == 1
    sleeper.close()
    waker.close()


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("mine")
    with pytest.raises(OSError, match="in use"):
        Sleeper(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "mine"


# how busy the machine is


def test_the_load_is_that_of_the_last_minute_for_each_core() -> None:
    cores = os.cpu_count() or 1

    def differs() -> float:
        load = load_per_core()
        assert load is not None
        return abs(load - os.getloadavg()[0] / cores)

    assert min(differs() for _ in range(20)) < 0.01, "the kernel renews it only each five seconds"
