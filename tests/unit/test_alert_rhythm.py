"""When alerts are told: business days and digests in any zone, over any change of clocks."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoops.alert.rhythm import Rhythm, due_s

BERLIN, NEW_YORK, KATHMANDU, APIA = (
    ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia")
)
ZONES = st.sampled_from([BERLIN, NEW_YORK, KATHMANDU, APIA, ZoneInfo("UTC"), ZoneInfo("Australia/Lord_Howe")])
TIMES = st.integers(0, 4_000_000_000)


def at(text: str, zone: ZoneInfo) -> int:
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-25T08:59:59", "2026-11-25T09:00:00"),  # a Wednesday
        ("2026-11-25T09:00:00", "2026-11-26T09:00:00"),
        ("2026-11-27T12:00:00", "2026-11-30T09:00:00"),  # Friday
        ("2026-11-28T03:00:00", "2026-11-30T09:00:00"),  # Saturday
        ("2026-03-27T10:00:00", "2026-03-30T09:00:00"),  # over the change to summer time
        ("2026-10-23T10:00:00", "2026-10-26T09:00:00"),  # and back
    ],
)
def test_a_warning_is_told_on_the_next_business_day(now: str, due: str) -> None:
    assert due_s("warning", at(now, BERLIN), Rhythm(9, 0, BERLIN)) == at(due, BERLIN)


@pytest.mark.parametrize(("day", "due"), [(0, "2026-11-30"), (2, "2026-12-02"), (6, "2026-11-29")])
def test_an_info_is_told_once_a_week(day: int, due: str) -> None:
    assert due_s("info", at("2026-11-25T10:00:00", BERLIN), Rhythm(9, day, BERLIN)) == at(f"{due}T09:00:00", BERLIN)


def test_an_hour_that_the_change_of_clocks_leaves_out_is_told_once_on_that_day() -> None:
    due = due_s("info", at("2026-03-28T12:00:00", BERLIN), Rhythm(2, 6, BERLIN))  # Sunday, 02:00 does not exist
    assert datetime.datetime.fromtimestamp(due, BERLIN).date() == datetime.date(2026, 3, 29)
    assert due_s("info", due, Rhythm(2, 6, BERLIN)) == at("2026-04-05T02:00:00", BERLIN)


@given(TIMES, st.integers(0, 23), st.integers(0, 6), ZONES)
def test_what_waits_is_due_later_and_soon_enough(now_s: int, hour: int, digest: int, zone: ZoneInfo) -> None:
    rhythm = Rhythm(hour, digest, zone)
    assert due_s("critical", now_s, rhythm) == now_s
    warning, info = due_s("warning", now_s, rhythm), due_s("info", now_s, rhythm)
    assert now_s < warning <= now_s + 5 * 86400  # Pacific/Apia left out a Friday
    assert now_s < info <= now_s + 15 * 86400
    assert datetime.datetime.fromtimestamp(warning, zone).weekday() < 5
    assert datetime.datetime.fromtimestamp(info, zone).weekday() == digest


@given(TIMES, st.integers(0, 10 * 86400), ZONES, st.sampled_from(["warning", "info", "critical"]))
def test_what_is_seen_later_is_not_told_sooner(now_s: int, later_s: int, zone: ZoneInfo, severity: str) -> None:
    assert due_s(severity, now_s, Rhythm(9, 0, zone)) <= due_s(severity, now_s + later_s, Rhythm(9, 0, zone))


def test_without_a_zone_it_is_the_machine_s() -> None:
    due = datetime.datetime.fromtimestamp(due_s("warning", 1_800_000_000, Rhythm()))
    assert (due.hour, due.minute) == (9, 0)
