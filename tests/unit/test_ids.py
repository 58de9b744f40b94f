"""Document IDs: never used again, never going back, whatever the clock does."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoops.core.ids import allocate, is_id

NOON_S = datetime(2026, 1, 31, 12, 0, 59, tzinfo=UTC).timestamp()
CLOCKS = st.lists(st.tuples(st.integers(0, 2**34), st.integers(0, 25_000)), min_size=1, max_size=6)


def test_an_id_is_the_utc_minute_and_a_sequence_from_one() -> None:
    assert allocate(None, NOON_S, 2) == ["2026013112000001", "2026013112000002"]


def test_the_same_minute_counts_on() -> None:
    assert allocate("2026013112000041", NOON_S + 0.5, 1) == ["2026013112000042"]


def test_the_minute_is_utc_wherever_the_machine_stands(in_tokyo: None) -> None:
    assert allocate(None, NOON_S, 1) == ["2026013112000001"]


def test_a_new_minute_begins_at_one() -> None:
    assert allocate("2026013112000041", NOON_S + 1, 1) == ["2026013112010001"]


def test_a_minute_holds_9999_and_the_next_id_takes_the_next_minute() -> None:
    given_out = allocate(None, NOON_S, 10_000)
    assert given_out[-2:] == ["2026013112009999", "2026013112010001"]


@pytest.mark.parametrize(
    ("last", "following"),
    [
        ("2026013123599999", "2026020100000001"),
        ("2026123123599999", "2027010100000001"),
        ("2028022823599999", "2028022900000001"),
        ("2026022823599999", "2026030100000001"),
    ],
)
def test_a_used_up_minute_carries_as_the_calendar_does(last: str, following: str) -> None:
    assert allocate(last, 0, 1) == [following]


def test_a_clock_set_back_goes_on_from_the_last_id() -> None:
    assert allocate("2026013112000041", NOON_S - 86_400 * 365, 1) == ["2026013112000042"]


def test_none_are_given_when_none_are_asked_for() -> None:
    assert allocate("2026013112000041", NOON_S, 0) == []


@given(CLOCKS)
def test_ids_rise_strictly_whatever_the_clock_does(clocks: list[tuple[int, int]]) -> None:
    last = None
    given_out: list[str] = []
    for now_s, count in clocks:
        fresh = allocate(last, now_s, count)
        assert len(fresh) == count
        given_out += fresh
        last = given_out[-1] if given_out else None
    assert all(map(is_id, given_out[:: max(1, len(given_out) // 50)]))
    assert all(earlier < later for earlier, later in itertools.pairwise(given_out))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026013112000000",
        "2026023012000001",
        "2026013124000001",
        "202601311200001",
        "20260131120000011",
        "２026013112000001",
        "2026013112000001\n",
        "+026013112000001",
        "2026 13112000001",
        "2026130112000001",
        "abcdefghijklmnop",
    ],
)
def test_what_is_no_id_is_told_apart(text: str) -> None:
    assert not is_id(text)
