"""When does a disk fill? From its use day by day, with how uncertain that is. Pure.

The growth is the median of the slopes between all pairs of days (Theil-Sen), with the interval that holds it with 95 % by the
ranks of those slopes (Sen 1968): no day that is far off carries it away, and a straight line is met exactly. One clean-up (a fall
that is no part of the usual ups and downs) parts the days: what was before and after it is not compared. Several falls are the way
of it, and count. It goes on from the last day, give or take what the days were off the line. Guarantees: nothing from less than a
week; no date before now; what lies beyond five years is not told as a date.

What it does not know: that days resemble the day before, which makes the true interval wider; and what people will do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

DAY_S = 86400.0
NEEDED_DAYS = 7
NEEDED_POINTS = 5
HORIZON_DAYS = 5 * 365.25
_MOST_POINTS = 120  # the newest; of a year of days 7,140 pairs are compared
_Z = 1.96
_FALL = 3.0  # times the usual change from day to day
_SHARE = 0.02  # and this much of what there is: less is no clean-up, however still it was


class Point(NamedTuple):
    """How much there was at a time."""

    at_s: float
    value: float


class Fit(NamedTuple):
    """What a series says of the days to come. Growth is in units a day."""

    last: Point
    growth: float
    least_growth: float
    most_growth: float
    spread: float  # how far the days were off the line
    days: float  # that it rests on
    cleaned_s: float | None  # when the clean-up was that parts it


class TooLittle(NamedTuple):
    """There is too little to go by."""

    days: float
    points: int

    def __str__(self) -> str:
        if self.days < NEEDED_DAYS:
            return f"too little history: {self.days:.0f} days, {NEEDED_DAYS} are needed"
        return f"too little history: {self.points} days were measured, {NEEDED_POINTS} are needed"


class When(NamedTuple):
    """When a limit is met: seconds since 1970, None for not within five years."""

    is_met: bool  # now
    earliest_s: float | None
    likely_s: float | None
    latest_s: float | None


def fit(points: Sequence[Point], now_s: float) -> Fit | TooLittle:
    """Return what a series says. Points of a time to come (a clock was ahead once) and what is no number do not count."""
    good = sorted({point.at_s: point for point in points if point.at_s <= now_s and math.isfinite(point.value)}.values())
    used = good[-_MOST_POINTS:]
    days = (used[-1].at_s - used[0].at_s) / DAY_S if used else 0.0
    if days < NEEDED_DAYS or len(used) < NEEDED_POINTS:
        return TooLittle(days, len(used))
    cut = _clean_up(used)
    parts = [used[:cut], used[cut:]]
    slopes = sorted(
        (later.value - sooner.value) / ((later.at_s - sooner.at_s) / DAY_S)
        for part in parts
        for sooner, later in itertools.combinations(part, 2)
    )
    growth = _median(slopes)
    least, most = _interval(slopes, [len(part) for part in parts])
    spread = max(_spread(part, growth) for part in parts)
    return Fit(used[-1], growth, least, most, spread, days, used[cut].at_s if cut else None)


def when(found: Fit, limit: float, now_s: float) -> When:
    """Return when a limit is met."""
    if found.last.value >= limit:
        return When(True, now_s, now_s, now_s)
    left = limit - found.last.value
    return When(
        False,
        _at(found, max(0.0, left - found.spread), found.most_growth, now_s),
        _at(found, left, found.growth, now_s),
        _at(found, left + found.spread, found.least_growth, now_s),
    )


def band(found: Fit, now_s: float, days: float, steps: int = 20) -> list[tuple[float, float, float]]:
    """Return (time, least, most) for the days to come."""
    times = [now_s + days * DAY_S * step / steps for step in range(steps + 1)]
    after = [(at_s, max(0.0, at_s - found.last.at_s) / DAY_S) for at_s in times]
    return [
        (
            at_s,
            max(0.0, found.last.value + found.least_growth * day - found.spread),
            max(0.0, found.last.value + found.most_growth * day + found.spread),
        )
        for at_s, day in after
    ]


def _at(found: Fit, left: float, growth: float, now_s: float) -> float | None:
    """Return when something has grown by so much, None when that is beyond the horizon."""
    if growth <= 0 or left > growth * HORIZON_DAYS:
        return None if left > 0 else now_s
    at_s = max(now_s, found.last.at_s + left / growth * DAY_S)
    return at_s if at_s <= now_s + HORIZON_DAYS * DAY_S else None


def _spread(points: Sequence[Point], growth: float) -> float:
    """Return how far points are off a line of that growth at most."""
    rests = sorted(point.value - growth * (point.at_s - points[-1].at_s) / DAY_S for point in points)
    middle = _median(rests)
    return max((abs(rest - middle) for rest in rests), default=0.0)


def _clean_up(points: Sequence[Point]) -> int:
    """Return the number of the point after the one fall that is a clean-up, 0 when there is none, or several."""
    steps = [later.value - sooner.value for sooner, later in itertools.pairwise(points)]
    usual = _median(sorted(map(abs, steps)))
    most = max(abs(point.value) for point in points)
    falls = [number for number, step in enumerate(steps, 1) if step < -max(_FALL * usual, _SHARE * most)]
    return falls[0] if len(falls) == 1 else 0


def _median(ordered: Sequence[float]) -> float:
    if not ordered:
        return 0.0
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _interval(slopes: Sequence[float], points: Sequence[int]) -> tuple[float, float]:
    """Return the slopes between which the true one lies with 95 %: by rank (Sen 1968, J. Am. Stat. Assoc. 63)."""
    width = _Z * math.sqrt(sum(count * (count - 1) * (2 * count + 5) for count in points) / 18)
    low = max(0, math.floor((len(slopes) - width) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + width) / 2))
    return slopes[low], slopes[high]
