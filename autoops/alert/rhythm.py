"""When something is told: critical now, a warning on the next business day, an info in the weekly digest. Pure.

Business days are Monday to Friday. Local times go by the zone's own rules, so an hour that a change of clocks leaves out or doubles
is told once, and what is due at nine is due at nine on both sides of it.
"""

from __future__ import annotations

import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

_SATURDAY = 5


class Rhythm(NamedTuple):
    """When people read."""

    hour: int = 9  # of the day, local
    digest_day: int = 0  # Monday
    zone: ZoneInfo | None = None  # None: the machine's


def due_s(severity: str, now_s: int, rhythm: Rhythm) -> int:
    """Return when an alert of this severity, seen at `now_s`, is told: seconds since 1970, later than now unless it is critical."""
    if severity == "critical":
        return now_s
    day = _local(now_s, rhythm).date()
    while True:
        at_s = _at(day, rhythm)
        weekday = day.weekday()
        fits = weekday == rhythm.digest_day if severity == "info" else weekday < _SATURDAY
        if fits and at_s > now_s:
            return at_s
        day += datetime.timedelta(days=1)


def _local(at_s: int, rhythm: Rhythm) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at_s, rhythm.zone)


def _at(day: datetime.date, rhythm: Rhythm) -> int:
    return int(datetime.datetime.combine(day, datetime.time(rhythm.hour), rhythm.zone).timestamp())
