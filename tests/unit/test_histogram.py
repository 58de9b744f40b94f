"""Histograms that add up, and what they say of the values in them."""

from __future__ import annotations

import math

from hypothesis import example, given
from hypothesis import strategies as st

from autoops.core.histogram import HIGHEST, LOWEST, Cell, Meter, bucket_of, end_of, summary

values = st.lists(st.floats(min_value=1e-6, max_value=1e12), min_size=1, max_size=200)


def cells_of(some: list[float]) -> list[Cell]:
    meter = Meter()
    for value in some:
        meter.add("x", value)
    return [cell for _, cell in meter.take()]


@given(values)
def test_what_is_told_is_never_less_than_the_true_percentile_and_at_most_19_percent_more(some: list[float]) -> None:
    found = summary(cells_of(some))
    assert found is not None and found.times == len(some) and found.most == max(some)
    assert math.isclose(found.total, math.fsum(some), rel_tol=1e-9)
    ordered = sorted(some)
    for percent, told in ((50, found.p50), (95, found.p95), (99, found.p99)):
        true = ordered[-(-len(some) * percent // 100) - 1]
        assert true * (1 - 1e-9) <= told <= true * 1.1893


@given(values, values)
def test_two_histograms_together_are_that_of_all_values(one: list[float], other: list[float]) -> None:
    together, whole = summary([*cells_of(one), *cells_of(other)]), summary(cells_of([*one, *other]))
    assert together is not None and whole is not None
    assert together[3:] == whole[3:] and together.times == whole.times and together.most == whole.most


@given(st.floats(allow_nan=False))
@example(1e-10)
def test_every_value_has_a_bucket(value: float) -> None:
    bucket = bucket_of(value)
    assert LOWEST <= bucket <= HIGHEST
    if 1e-9 < value < 2.0**60:
        assert end_of(bucket - 1) < value * (1 + 1e-9) and value <= end_of(bucket) * (1 + 1e-9)


def test_a_value_below_nothing_counts_as_nothing_and_of_nothing_there_is_no_summary() -> None:
    assert cells_of([-5.0]) == [Cell(LOWEST, 1, 0.0, 0.0)]
    assert summary([]) is None
    assert bucket_of(math.nan) == LOWEST and end_of(LOWEST) == 0


def test_percentiles_are_by_nearest_rank() -> None:
    assert summary([Cell(rank, 1, 0.0, 1e99) for rank in range(1, 201)]) == (200, 0.0, 1e99, end_of(100), end_of(190), end_of(198))


def test_what_was_taken_is_not_taken_twice() -> None:
    meter = Meter()
    meter.add("a", 1.0, times=3)
    assert meter.take() == [("a", Cell(0, 3, 3.0, 1.0))]
    assert meter.take() == []
