"""What `up` runs now and then: when it is due, what is remembered, and what is told."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoops.cli.rounds import PAUSED, Now, Round, Rounds, due_s, recall
from autoops.core.ledger import utc
from autoops.state import State

HOUR = 3600.0
BEGAN_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("last_s", "due"),
    [
        (None, HOUR),  # it never ran: the first scan has just seen everything
        (-1800.0, 1800.0),
        (-10 * HOUR, 60.0),  # overdue, but not right at the beginning
        (+10.0, HOUR),  # the clock was set back
    ],
)
def test_a_round_is_due_an_interval_after_the_last_one_whoever_ran_it(last_s: float | None, due: float) -> None:
    last_s = None if last_s is None else BEGAN_S + last_s
    assert due_s(HOUR, last_s, BEGAN_S) == BEGAN_S + due


def test_a_short_interval_is_kept_from_the_beginning() -> None:
    assert due_s(1.0, None, BEGAN_S) == BEGAN_S + 1


def at(now_s: float, set_s: float = 0.0) -> Now:
    return Now(1000.0 + now_s, BEGAN_S + now_s + set_s)


class Up:
    """The rounds of an `up`, of programs that end with a code at once."""

    def __init__(self, state: State, code: int = 0) -> None:
        self.state, self.code, self.started = state, code, list[str]()
        self.rounds = Rounds(state, [Round("a", HOUR, (0, 1, PAUSED)), Round("never", 0.0, (0,))], self.start, at(0.0))

    def start(self, name: str) -> subprocess.Popen[bytes]:
        self.started.append(name)
        return subprocess.Popen(["sh", "-c", f"exit {self.code}"])

    def tend(self, now_s: float, set_s: float = 0.0) -> list[tuple[str, int]]:
        """Tend at a time, and once more when what was started has ended; `set_s`: how far the clock was set meanwhile."""
        failed = self.rounds.tend(at(now_s, set_s))
        for child in self.rounds.running.values():
            child.wait()
        return failed + self.rounds.tend(at(now_s, set_s))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    (tmp_path / "queue").mkdir()
    yield State(tmp_path)


def test_it_is_started_when_it_is_due_and_its_end_is_remembered(state: State) -> None:
    up = Up(state)
    assert up.tend(HOUR - 1) == [] and up.started == [] and up.rounds.status(at(HOUR - 1))["a"].startswith("next 2027-")
    assert up.tend(HOUR) == [] and up.started == ["a"]
    assert recall(state.rounds) == {"a": BEGAN_S + HOUR}
    assert up.tend(2 * HOUR - 1) == [] and up.started == ["a"]
    assert up.tend(2 * HOUR) == [] and up.started == ["a", "a"]
    again = Up(state)
    again.tend(59)
    assert again.started == [], "it ran a moment ago, and time went back"


@pytest.mark.parametrize("set_s", [-24 * HOUR, HOUR / 2])
def test_a_clock_that_is_set_while_up_runs_puts_nothing_off_and_calls_nothing_early(state: State, set_s: float) -> None:
    up = Up(state)
    up.tend(HOUR - 1, set_s)
    assert up.started == []
    assert up.rounds.status(at(HOUR - 1, set_s)) == {"a": f"next {utc(BEGAN_S + HOUR + set_s)}"}
    up.tend(HOUR, set_s)
    assert up.started == ["a"] and recall(state.rounds) == {"a": BEGAN_S + HOUR + set_s}


@pytest.mark.parametrize(("code", "told"), [(0, []), (1, []), (PAUSED, []), (6, [("a", 6)])])
def test_only_a_failure_is_told_and_a_paused_run_is_made_up_for_soon(state: State, code: int, told: list[tuple[str, int]]) -> None:
    up = Up(state, code)
    assert up.tend(HOUR) == told
    up.tend(HOUR + 60)
    assert len(up.started) == (2 if code == PAUSED else 1)
    assert bool(recall(state.rounds)) == (code != PAUSED)


def test_in_a_maintenance_window_nothing_is_started(state: State) -> None:
    up = Up(state)
    state.flag.touch()
    up.tend(HOUR)
    assert up.started == []
    state.flag.unlink()
    up.tend(HOUR)
    assert up.started == ["a"]


def test_a_memory_that_cannot_be_read_or_written_is_none(state: State) -> None:
    state.rounds.write_text("[1]")
    assert recall(state.rounds) == {}
    state.rounds.unlink()
    state.rounds.mkdir()
    up = Up(state)
    assert up.tend(HOUR) == [] and up.started == ["a"]
