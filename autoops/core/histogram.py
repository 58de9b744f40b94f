"""Histograms whose buckets are the same everywhere and always, so that those of hours and processes add up. Pure.

A bucket ends at 2^(n/4), so a value is at most 19 % below the end that it is told as. That is what makes figures of a year small: a
list of values would be cut where most happened.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

_PARTS = 4  # buckets from one power of two to the next
LOWEST, HIGHEST = -120, 240  # 2^-30 (a nanosecond) and less; 2^60 (an exbibyte) and more


class Cell(NamedTuple):
    """The values of one bucket."""

    bucket: int
    times: int
    total: float
    most: float


class Summary(NamedTuple):
    """What values were: how many, their sum, the greatest, and what most of them were at most."""

    times: int
    total: float
    most: float
    p50: float
    p95: float
    p99: float


def bucket_of(value: float) -> int:
    """Return the bucket of a value that is not negative."""
    if not value > 2.0 ** (LOWEST / _PARTS):  # also what is no number
        return LOWEST
    return min(HIGHEST, math.ceil(math.log2(value) * _PARTS - 1e-9)) if value < math.inf else HIGHEST


def end_of(bucket: int) -> float:
    """Return the greatest value that belongs into a bucket."""
    return 0.0 if bucket == LOWEST else 2.0 ** (bucket / _PARTS)


def summary(cells: Iterable[Cell]) -> Summary | None:
    """Return what the values in some cells were, by nearest rank; None when there are none."""
    ordered = sorted(cells)
    times = sum(cell.times for cell in ordered)
    if not times:
        return None
    most = max(cell.most for cell in ordered)
    p50, p95, p99 = (min(most, end_of(_at_rank(ordered, -(-times * percent // 100)))) for percent in (50, 95, 99))
    return Summary(times, math.fsum(cell.total for cell in ordered), most, p50, p95, p99)


def _at_rank(ordered: list[Cell], rank: int) -> int:
    seen = accumulate(cell.times for cell in ordered)
    return next(cell.bucket for cell, so_far in zip(ordered, seen, strict=True) if so_far >= rank)


class Meter:
    """Values as they are measured, until somebody takes them to be stored. Memory: a few numbers for each name."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, int], list[float]] = {}

    def add(self, name: str, value: float, times: int = 1) -> None:
        """Add a value (below 0: a clock was put back, and it counts as 0), met so many times."""
        value = max(0.0, value)
        cell = self._cells.setdefault((name, bucket_of(value)), [0, 0.0, 0.0])
        cell[0] += times
        cell[1] += value * times
        cell[2] = max(cell[2], value)

    def take(self) -> list[tuple[str, Cell]]:
        """Return what has come together, and begin anew."""
        taken = [(name, Cell(bucket, int(cell[0]), cell[1], cell[2])) for (name, bucket), cell in self._cells.items()]
        self._cells.clear()
        return taken
