"""What one check found, and how results are put together. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple


class Level(IntEnum):
    """The exit codes of monitoring plugins (monitoring-plugins.org/doc/guidelines.html)."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_GRAVITY = (Level.OK, Level.WARNING, Level.UNKNOWN, Level.CRITICAL)  # what cannot be told may be anything, but CRITICAL is sure


class Figure(NamedTuple):
    """One number that a check looked at."""

    label: str
    value: float
    unit: str = ""  # "", "s", "%", "B" or "c" (a counter)
    warning: float | None = None  # the limits it was compared with
    critical: float | None = None


class Result(NamedTuple):
    """What one check found."""

    name: str
    level: Level
    text: str  # one sentence for a person
    figures: tuple[Figure, ...] = ()
    remedy: str = ""  # what to do about it, "" when all is well or nobody knows


def worst(levels: Iterable[Level]) -> Level:
    """Return the gravest level; OK of none."""
    return max(levels, key=_GRAVITY.index, default=Level.OK)


def judge(value: float, warning: float, critical: float) -> Level:
    """Return the level of a value of which more is worse; a limit counts when it is reached."""
    return Level.CRITICAL if value >= critical else Level.WARNING if value >= warning else Level.OK


def entry(check: str) -> str:
    """Return where the runbook says what to do when a check warns."""
    return f"RUNBOOK, 'Check: {check}'"
