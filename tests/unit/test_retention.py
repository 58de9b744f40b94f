"""Which snapshots stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from autoops.backup.manifest import Manifest
from autoops.backup.retention import Keep, kept
from autoops.core.ledger import GENESIS, Head, utc

START = datetime(2026, 1, 1, tzinfo=UTC)


def snapshot(hours: float, sequence: int, base: str = "") -> Manifest:
    at = utc((START + timedelta(hours=hours)).timestamp())
    name = f"{at}-{sequence}"
    kind = "incremental" if base else "full"
    return Manifest(name, at, kind, base or name, Head(sequence, GENESIS, GENESIS), 0, {}, {}, "1", "host", "00")


def hourly(days: int) -> list[Manifest]:
    return [snapshot(hour, hour + 1) for hour in range(24 * days)]


def names(snapshots: list[Manifest]) -> list[str]:
    return [one.name for one in snapshots]


def test_the_newest_of_each_span_stays() -> None:
    there = hourly(70)
    why = kept(there, Keep(2, 3, 4, 5, 2))
    last_of_days = [there[24 * day + 23] for day in range(70)]
    assert {name for name, reasons in why.items() if "last" in reasons} == set(names(there[-2:]))
    assert {name for name, reasons in why.items() if "hourly" in reasons} == set(names(there[-3:]))
    assert {name for name, reasons in why.items() if "daily" in reasons} == set(names(last_of_days[-4:]))
    monthly = [name for name, reasons in why.items() if "monthly" in reasons]
    assert {name[:7] for name in monthly} == {"2026-03", "2026-02"}
    assert there[-1].name in monthly and last_of_days[58].name in monthly  # the 28th of February
    weekly = sorted(name for name, reasons in why.items() if "weekly" in reasons)
    assert [datetime.fromisoformat(name[:24]).isoweekday() for name in weekly[:-1]] == [7, 7, 7, 7]


def test_hours_without_a_snapshot_do_not_count() -> None:
    there = [snapshot(hour, hour + 1) for hour in (0, 1, 50, 51, 300)]
    assert len([1 for reasons in kept(there, Keep(1, 4, 0, 0, 0)).values() if "hourly" in reasons]) == 4


def test_what_a_kept_one_is_built_on_stays() -> None:
    older, full = snapshot(0, 1), snapshot(2, 3)
    there = [older, snapshot(1, 2, older.name), full, snapshot(3, 4, full.name), snapshot(4, 5, full.name)]
    assert kept(there, Keep(1, 0, 0, 0, 0)) == {there[-1].name: ["last"], full.name: [f"base of {there[-1].name}"]}


def test_a_clock_that_went_back_does_not_make_the_newest_one_old() -> None:
    there = [snapshot(1000, 1), snapshot(0, 2)]
    assert there[1].name in kept(there, Keep(1, 0, 0, 0, 0))


COUNTS = st.integers(0, 5)


@given(
    st.lists(st.integers(0, 24 * 400), unique=True, max_size=60),
    st.integers(1, 5),
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    st.integers(1, 9),
)
def test_never_the_last_one_never_a_base_and_never_more_than_asked_for(
    hours: list[int], last: int, hourly: int, daily: int, weekly: int, monthly: int, every: int
) -> None:
    there: list[Manifest] = []
    for number, hour in enumerate(sorted(hours)):
        base = "" if number % every == 0 else there[number - number % every].name
        there.append(snapshot(hour, number + 1, base))
    why = kept(there, Keep(last, hourly, daily, weekly, monthly))
    assert not there or there[-1].name in why
    for one in there:
        assert one.name not in why or one.base in why
    plain = [reasons for reasons in why.values() if any(not reason.startswith("base of") for reason in reasons)]
    assert len(plain) <= last + hourly + daily + weekly + monthly
