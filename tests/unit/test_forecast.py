"""Forecasts: exact on lines, honest about noise, and never nonsense."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoops.report.forecast import DAY_S, HORIZON_DAYS, Fit, Point, TooLittle, band, fit, when

START_S = 1_790_000_000.0
finite = st.floats(min_value=-1e15, max_value=1e15)
series = st.lists(st.tuples(st.floats(-400, 400), finite), max_size=40).map(
    lambda some: [Point(START_S + day * DAY_S, value) for day, value in some]
)

enough = st.dictionaries(st.integers(-400, 0), finite, min_size=8, max_size=40).map(
    lambda some: [Point(START_S + day * DAY_S, value) for day, value in some.items()]
)


def line(days: int, begin: float, growth: float) -> list[Point]:
    return [Point(START_S + day * DAY_S, begin + growth * day) for day in range(days)]


def fitted(points: list[Point], now_s: float | None = None) -> Fit:
    found = fit(points, points[-1].at_s if now_s is None else now_s)
    assert isinstance(found, Fit)
    return found


@given(st.integers(8, 60), st.floats(0, 1e12), st.floats(1, 1e9), st.floats(1, 1000))
def test_a_line_is_met_exactly(days: int, begin: float, growth: float, ahead_days: float) -> None:
    points = line(days, begin, growth)
    found = fitted(points)
    limit = points[-1].value + growth * ahead_days
    met = when(found, limit, points[-1].at_s)
    assert met.likely_s is not None and met.earliest_s is not None and met.latest_s is not None
    assert math.isclose(found.growth, growth, rel_tol=1e-3)
    true_s = points[-1].at_s + ahead_days * DAY_S
    for told_s in met[1:]:
        assert abs(float(told_s or 0) - true_s) < 0.02 * DAY_S * (ahead_days + days)


@given(enough, series, st.floats(0, 800), finite)
def test_whatever_the_series_no_date_is_before_now_or_beyond_five_years(
    points: list[Point], more: list[Point], day: float, limit: float
) -> None:
    now_s = START_S + day * DAY_S
    found = fitted([*points, *more], now_s)
    met = when(found, limit, now_s)
    dates = [at_s for at_s in met[1:] if at_s is not None]
    assert all(now_s <= at_s <= now_s + HORIZON_DAYS * DAY_S + 1 for at_s in dates)
    assert found.least_growth <= found.growth <= found.most_growth and found.spread >= 0
    assert dates == sorted(dates), "the earliest is not after the likely one, nor that after the latest"
    assert all(0 <= low <= high for _, low, high in band(found, now_s, 90)) or found.last.value < 0


@given(series, st.floats(-400, 800))
def test_the_order_of_the_points_and_points_to_come_do_not_matter(points: list[Point], day: float) -> None:
    now_s = START_S + day * DAY_S
    points = list({point.at_s: point for point in points}.values())
    later = [Point(now_s + 1 + n * DAY_S, 1e15) for n in range(3)]
    assert fit(points, now_s) == fit([*later, *reversed(points)], now_s)


def test_the_interval_holds_the_truth_for_nearly_all_noisy_lines() -> None:
    chance, held, total = random.Random(7), 0, 300
    for _ in range(total):
        growth, noise = chance.uniform(1, 100), chance.uniform(0, 200)
        points = [Point(one.at_s, one.value + chance.gauss(0, noise)) for one in line(chance.randint(20, 90), 10_000, growth)]
        days = (points[-1].at_s - START_S) / DAY_S
        ahead_days = chance.uniform(5, 100)
        met = when(fitted(points), 10_000 + growth * (days + ahead_days), points[-1].at_s)
        true_s = points[-1].at_s + ahead_days * DAY_S
        held += (met.earliest_s or math.inf) <= true_s <= (met.latest_s or math.inf)
    assert held >= 0.9 * total, held


@pytest.mark.parametrize("at", range(1, 39))
def test_one_clean_up_does_not_change_the_growth_wherever_it_was(at: int) -> None:
    points = [Point(one.at_s, one.value - (30 if number >= at else 0)) for number, one in enumerate(line(40, 100, 2))]
    found = fitted(points)
    assert found.growth == pytest.approx(2) and found.cleaned_s == points[at].at_s
    assert found.least_growth == pytest.approx(2) == found.most_growth


def test_what_is_cleaned_up_every_week_does_not_grow() -> None:
    points = [Point(START_S + day * DAY_S, 1000 + 10 * (day % 7)) for day in range(60)]
    found = fitted(points)
    assert found.cleaned_s is None
    assert found.least_growth <= 0 <= found.most_growth or abs(found.growth) < 1
    assert when(found, 10_000, points[-1].at_s).latest_s is None


def test_what_shrinks_or_stands_still_never_fills_the_disk() -> None:
    for growth in (0.0, -5.0):
        met = when(fitted(line(30, 1000, growth)), 2000, START_S + 30 * DAY_S)
        assert met == (False, None, None, None)


def test_a_limit_that_is_met_is_met_now() -> None:
    now_s = START_S + 30 * DAY_S
    assert when(fitted(line(30, 1000, 1)), 900, now_s) == (True, now_s, now_s, now_s)


def test_an_old_series_whose_day_has_passed_says_now_and_not_the_past() -> None:
    now_s = START_S + 300 * DAY_S
    met = when(fitted(line(30, 0, 1), now_s), 60, now_s)
    assert met.likely_s == now_s


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([], "too little history: 0 days, 7 are needed"),
        (line(4, 0, 1), "too little history: 3 days, 7 are needed"),
        ([Point(START_S, 1), Point(START_S + 30 * DAY_S, 2)], "too little history: 2 days were measured, 5 are needed"),
        ([Point(START_S, n) for n in range(50)], "too little history: 0 days, 7 are needed"),
    ],
)
def test_nothing_is_told_from_too_little(points: list[Point], said: str) -> None:
    found = fit(points, START_S + 100 * DAY_S)
    assert isinstance(found, TooLittle) and str(found) == said
