"""When the weekly report is due, what goes with it, and that what keeps it from being written keeps nothing else."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoops.alert import letter
from autoops.alert.letter import Letter, Memory, Writer, is_due
from autoops.alert.message import Message, body, mood, title
from autoops.alert.rhythm import Rhythm
from autoops.runtime.child import Child

RHYTHM = Rhythm(9, 0, ZoneInfo("UTC"))
MONDAY_NINE_S = 1_795_424_400  # 2026-11-23T09:00:00Z
DAY_S, WEEK_S = 86400, 7 * 86400
GOOD = [sys.executable, "-c", ""]
BAD = [sys.executable, "-c", "import sys; sys.exit('no room')"]


def test_it_is_due_at_the_hour_of_infos_once() -> None:
    last = Memory(MONDAY_NINE_S - 3 * DAY_S, 0.0)
    assert not is_due(last, MONDAY_NINE_S - 1, RHYTHM)
    assert is_due(last, MONDAY_NINE_S, RHYTHM)
    assert not is_due(Memory(MONDAY_NINE_S, 0.0), MONDAY_NINE_S + WEEK_S - 1, RHYTHM)
    assert is_due(Memory(MONDAY_NINE_S + 5, 0.0), MONDAY_NINE_S + WEEK_S, RHYTHM)


def test_what_failed_is_tried_again_in_an_hour_by_a_clock_that_was_put_back_at_once() -> None:
    due_s = MONDAY_NINE_S + 60
    assert not is_due(Memory(MONDAY_NINE_S - DAY_S, due_s - 60), due_s, RHYTHM)
    assert is_due(Memory(MONDAY_NINE_S - DAY_S, due_s - 3600), due_s, RHYTHM)
    assert is_due(Memory(MONDAY_NINE_S - DAY_S, due_s + 9 * WEEK_S), due_s, RHYTHM)


@given(st.floats(0, 2e9), st.floats(0, 2e9))
def test_it_waits_for_a_week_at_most(written_s: float, now_s: float) -> None:
    if now_s >= written_s + WEEK_S + DAY_S:
        assert is_due(Memory(written_s, 0.0), max(now_s, 3601.0), RHYTHM)


def ran(where: Path, command: list[str]) -> tuple[list[str], bool]:
    """Let a writer go on until it is over; return what it told, and whether it began."""
    told: list[str] = []
    writer = Writer(where, RHYTHM, lambda: Child(command), told.append)
    end_s, began = time.monotonic() + 60, False
    while writer.goes_on():
        began = True
        assert time.monotonic() < end_s
    writer.close()
    return told, began


def test_the_first_time_it_only_remembers(tmp_path: Path) -> None:
    assert ran(tmp_path / "memory", GOOD) == ([], False)
    memory = letter.recall(tmp_path / "memory")
    assert memory is not None and abs(memory.written_s - time.time()) < 60


def test_a_clock_that_was_put_back_puts_it_off_by_a_week_at_most(tmp_path: Path) -> None:
    letter.remember(tmp_path / "memory", Memory(time.time() + 50 * WEEK_S, 0.0))
    assert ran(tmp_path / "memory", GOOD) == ([], False)
    memory = letter.recall(tmp_path / "memory")
    assert memory is not None and memory.written_s <= time.time()


@pytest.mark.parametrize(("command", "told", "written"), [(GOOD, [""], True), (BAD, ["exit status 1: no room"], False)])
def test_how_it_ended_is_told_and_remembered(tmp_path: Path, command: list[str], told: list[str], written: bool) -> None:
    before_s = time.time() - 9 * DAY_S
    letter.remember(tmp_path / "memory", Memory(before_s, 0.0))
    assert ran(tmp_path / "memory", command) == (told, True)
    memory = letter.recall(tmp_path / "memory")
    assert memory is not None and (memory.written_s > before_s) is written
    assert ran(tmp_path / "memory", command) == ([], False), "not again in the next minute"


def test_what_cannot_be_started_or_remembered_raises_nothing(tmp_path: Path) -> None:
    letter.remember(tmp_path / "memory", Memory(time.time() - 9 * DAY_S, 0.0))
    assert ran(tmp_path / "memory", ["/no/such/program"]) == ([], False)
    assert ran(tmp_path / "no" / "memory", GOOD) == ([], False)


def test_a_letter_comes_back_as_it_was_laid_down_and_a_lost_one_says_so(tmp_path: Path) -> None:
    where, page = tmp_path / "l.json", tmp_path / "l.html"
    assert letter.read(where, page) == letter.LOST
    letter.put(where, page, "weekly report", "a\nb\udcff", "<p>")
    assert letter.read(where, page) == Letter("weekly report", "a\nb\udcff", str(page))
    page.unlink()
    assert letter.read(where, page).page == ""
    where.write_text("[]")
    assert letter.read(where, page) == letter.LOST


@given(st.text(alphabet=st.characters(), max_size=80))
def test_the_message_of_a_letter_is_lines_that_print_without_mentions(said: str) -> None:
    message = Message(1, "host", "a", "info", (), {}, "/runbook", Letter(said, f"{said}\n@everyone <b>"))
    assert title(message).isprintable() and title(message).startswith("[autoops host] ") and len(title(message)) <= 200
    assert all(line.isprintable() for line in body(message).split("\n"))
    assert body(message).endswith(r"\x40everyone \x3cb\x3e") and "<" not in body(message)
    assert mood(message) == "info"


def test_a_letter_that_goes_with_alerts_counts_them_in_its_title() -> None:
    message = Message(1, "host", "a", "info", (), {("firing", "x"): 3}, "/runbook", Letter("weekly report", "text"))
    assert title(message) == "[autoops host] weekly report; 3 more"
