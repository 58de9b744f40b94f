"""The scrub's rule, night after night: nothing gets older than it may, and each night has about as much to do."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoops.config import ScrubConfig
from autoops.core.coverage import DAY_S
from autoops.reconcile import budget
from autoops.reconcile.budget import Pace

HOUR_S = 3600
TAKES_S = 5 * HOUR_S  # what the rule allows for a run to come to a file


class File(NamedTuple):
    number: int
    size_bytes: int
    verified_s: int


def run(files: list[File], now_s: int, days: int, takes_s: int = 0) -> tuple[list[File], list[File]]:
    """Do one run, which comes to its end; return the files as they are then, and those it verified, as they were."""
    oldest = sorted(files, key=lambda file: (file.verified_s, file.number))
    wanted = budget.goal(len(files), sum(file.size_bytes for file in files), now_s, days)
    verified = oldest[: budget.chosen(wanted, 0, oldest)]
    assert all(file.verified_s <= now_s for file in verified)
    return [file._replace(verified_s=now_s + takes_s) for file in verified] + oldest[len(verified) :], verified


# Each night: how late it is, how long it takes, whether the next one is missed, and the sizes of new files. After a missed night
# there is one that is not.
nights = st.lists(
    st.tuples(st.integers(0, HOUR_S), st.integers(0, TAKES_S), st.booleans(), st.lists(st.integers(0, 1 << 30), max_size=4)),
    min_size=1,
    max_size=60,
)


@given(nights, st.integers(3, 40), st.lists(st.integers(0, 1 << 30), max_size=30))
def test_nothing_is_ever_older_than_it_may_be_whatever_comes_and_though_single_nights_are_missed(
    nights: list[tuple[int, int, bool, list[int]]], days: int, first: list[int]
) -> None:
    numbers = itertools.count()
    files = [File(next(numbers), size_bytes, 0) for size_bytes in first]
    night = 1
    for late_s, takes_s, misses_next, new in nights:
        now_s = night * DAY_S + late_s
        before = {file.number: file.verified_s for file in files}
        files, verified = run(files, now_s, days, takes_s)
        assert all(now_s + takes_s - before[file.number] <= days * DAY_S for file in verified), "it came too late"
        assert all(now_s + takes_s - file.verified_s <= days * DAY_S for file in files)
        files += [File(next(numbers), size_bytes, now_s + takes_s) for size_bytes in new]
        night += 2 if misses_next else 1


@given(st.integers(3, 40), st.integers(0, 40 * DAY_S))
def test_what_is_not_due_can_wait_for_the_next_run_but_one_and_no_longer(days: int, age_s: int) -> None:
    now_s = 1000 * DAY_S
    wanted = budget.goal(10, 0, now_s, days)
    latest_s = 2 * DAY_S + HOUR_S + TAKES_S
    is_left = budget.is_enough(wanted, wanted.share, now_s - age_s)
    assert is_left == (age_s + latest_s <= days * DAY_S)


@given(st.integers(5, 40), st.integers(1, 400), st.integers(0, 1 << 24))
def test_what_was_registered_on_one_day_is_spread_over_the_nights(days: int, count: int, size_bytes: int) -> None:
    files = [File(number, size_bytes, 0) for number in range(count)]
    most = -(-count // (days - budget.SPARE_DAYS))
    for night in range(1, 2 * days):
        files, verified = run(files, night * DAY_S, days)
        assert 1 <= len(verified) <= most


@given(st.integers(2, 40), st.lists(st.integers(0, 1 << 30), min_size=1, max_size=50))
def test_a_share_is_taken_of_the_oldest_and_the_least_is_one_file(days: int, sizes: list[int]) -> None:
    files = [File(number, size_bytes, number) for number, size_bytes in enumerate(sizes)]
    _, verified = run(files, DAY_S, days)
    assert [file.number for file in verified] == list(range(max(1, len(verified))))


def test_up_to_four_days_mean_everything_each_night() -> None:
    files = [File(number, 1, number) for number in range(10)]
    for days in (3, 4):
        assert len(run(files, DAY_S, days)[1]) == 10
    assert len(run(files, DAY_S, 13)[1]) == 1


def test_what_is_due_is_verified_however_much_it_is() -> None:
    files = [File(number, 1 << 40, 0) for number in range(100)]
    assert len(run(files, 29 * DAY_S, 30)[1]) == 100
    assert len(run(files, 20 * DAY_S, 30)[1]) == 4


def test_when_everything_is_wanted_only_what_was_verified_meanwhile_is_left() -> None:
    wanted = budget.everything(100)
    assert budget.chosen(wanted, 0, [File(0, 1, 0), File(1, 1, 99), File(2, 1, 100)]) == 2
    assert budget.chosen(wanted, 1 << 50, [File(0, 1, 0)]) == 1


# pace and portions


@given(
    st.integers(1, 1 << 30),
    st.lists(st.tuples(st.integers(0, 1 << 32), st.floats(0, 10)), min_size=1, max_size=50),
)
def test_in_no_span_of_time_passes_more_than_the_rate_and_one_portion(rate: int, steps: list[tuple[int, float]]) -> None:
    pace, now_s, passed = Pace(rate), 0.0, []
    for size_bytes, dawdles_s in steps:
        now_s += pace.wait_s(now_s) + dawdles_s
        assert pace.wait_s(now_s) < 1e-6 * max(1.0, now_s)
        pace.take(size_bytes, now_s)
        passed.append((now_s, size_bytes))
    for at in range(len(passed)):
        for until in range(at, len(passed)):
            took_s = passed[until][0] - passed[at][0]
            assert sum(size for _, size in passed[at:until]) <= rate * took_s * (1 + 1e-6) + 1


@given(st.lists(st.integers(0, 100), max_size=50), st.integers(1, 10), st.integers(0, 300))
def test_portions_are_the_files_in_order_and_no_larger_than_they_may_be(sizes: list[int], most_files: int, most_bytes: int) -> None:
    files = [File(number, size_bytes, 0) for number, size_bytes in enumerate(sizes)]
    portions = list(budget.portions(files, most_files, most_bytes))
    assert [file for portion in portions for file in portion] == files
    assert all(1 <= len(portion) <= most_files for portion in portions)
    assert all(len(portion) == 1 or sum(file.size_bytes for file in portion) <= most_bytes for portion in portions)


# hours


@pytest.mark.parametrize(
    ("window", "opens", "closed", "minutes"),
    [
        ("", [0, 720, 1439], [], 1440),
        ("01:00-05:00", [60, 299], [0, 59, 300, 1439], 240),
        ("22:30-04:00", [1350, 1439, 0, 239], [240, 720, 1349], 330),
        ("23:59-00:00", [1439], [0, 1438], 1),
    ],
)
def test_hours_may_go_over_midnight(window: str, opens: list[int], closed: list[int], minutes: int) -> None:
    hours = ScrubConfig(window=window).hours
    assert all(budget.is_open(hours, minute) for minute in opens)
    assert not any(budget.is_open(hours, minute) for minute in closed)
    assert budget.open_minutes(hours) == minutes == sum(budget.is_open(hours, minute) for minute in range(1440))


def test_the_rate_that_is_needed_counts_the_hours_that_there_are() -> None:
    assert budget.rate_needed(27 * 86400, 30, None) == 1.0
    assert budget.rate_needed(27 * 86400, 30, (0, 60)) == 24.0
