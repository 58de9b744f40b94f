"""Which journal or which lines `autoops logs` shows."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from autoops.cli.logs import Tail, journal_command, rendered, since_time
from autoops.errors import CannotTell, UsageError

NOW = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)


def test_the_journal_is_asked_for_all_units_or_for_those_that_are_named() -> None:
    assert journal_command([], follow=False, since="", lines=50) == ["journalctl", "--unit=autoops*", "--lines=50"]
    assert journal_command(["worker", "health"], follow=True, since="5m", lines=9) == [
        "journalctl",
        "--unit=autoops-worker.service",
        "--unit=autoops-health.service",
        "--lines=9",
        "--since=-5m",
        "--follow",
    ]
    assert "--since=2026-01-01 12:00" in journal_command([], follow=False, since="2026-01-01 12:00", lines=1)


def test_since_is_a_span_or_a_time() -> None:
    assert since_time("", NOW) == ""
    assert since_time("90s", NOW) == "2026-05-01T11:58:30.000+00:00"
    assert since_time("1d", NOW) == "2026-04-30T12:00:00.000+00:00"
    assert since_time("2026-05-01T13:00:00+02:00", NOW) == "2026-05-01T11:00:00.000+00:00"
    for wrong in ("yesterday", "5 minutes", "-5m", "1y", "999999999d", "9" * 20 + "d"):
        with pytest.raises(UsageError):
            since_time(wrong, NOW)


def test_a_record_is_shown_as_a_sentence_and_anything_else_as_it_is() -> None:
    record = {"timestamp": "2026-05-01T12:00:00.000+00:00", "program": "autoops-worker", "level": "info", "event": "paused"}
    line = rendered(json.dumps({**record, "flag": "/s/.m", "why": "a b"}).encode(), "worker")
    assert line.at == record["timestamp"] and line.text.endswith('worker info: paused: flag=/s/.m, why="a b"')
    for raw in (
        b"Traceback (most recent call last):",
        b"{",
        b"[]",
        b"3",
        b'{"event": "x"}',
        b'{"timestamp": "x", "level": 1}',
        b"[" * 99_999,
    ):
        assert rendered(raw, "worker") == ("", f"worker: {raw.decode()}")


@pytest.mark.parametrize("raw", [b"\x1b[2J\xff", json.dumps({"timestamp": "\x1b", "level": "x", "event": "y"}).encode()])
def test_nothing_in_a_log_speaks_to_the_terminal(raw: bytes) -> None:
    assert rendered(raw, "worker").text.isprintable()


def test_a_line_that_is_ended_while_the_file_is_shown_is_told_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_text("one\nhal")
    tail = Tail(path)
    with path.open("a") as out:
        out.write("f\nnext\n")
    assert list(tail.lines_before()) == [b"one"]
    assert tail.new_lines() == [b"half", b"next"]


def test_a_link_that_takes_the_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    path, secret = tmp_path / "worker.log", tmp_path / "secret"
    path.write_text("")
    secret.write_text("secret\n")
    tail = Tail(path)
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(CannotTell, match=r"worker\.log"):
        tail.new_lines()


def test_a_tail_follows_a_file_that_grows_is_cut_and_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_text("old\n")
    tail = Tail(path)
    assert tail.new_lines() == []
    with path.open("a") as out:
        out.write("one\ntw")
        out.flush()
        assert tail.new_lines() == [b"one"]
        out.write("o\n")
    assert tail.new_lines() == [b"two"]
    path.write_text("")
    assert tail.new_lines() == []
    path.write_text("cut\n")
    assert tail.new_lines() + tail.new_lines() == [b"cut"]
    path.unlink()
    assert tail.new_lines() == []
    path.write_text("new\n")
    assert tail.new_lines() + tail.new_lines() == [b"new"]
