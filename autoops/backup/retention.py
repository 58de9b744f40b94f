"""Which snapshots stay. Pure: names, times and numbers in, names and reasons out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from autoops.backup.manifest import Manifest


class Keep(NamedTuple):
    """How many stay: the newest ones, and the newest of so many hours, days, weeks and months (UTC) in which there is one."""

    last: int
    hourly: int
    daily: int
    weekly: int
    monthly: int


_SPANS: tuple[tuple[str, Callable[[datetime], object]], ...] = (
    ("hourly", lambda at: (at.date(), at.hour)),
    ("daily", lambda at: at.date()),
    ("weekly", lambda at: at.isocalendar()[:2]),
    ("monthly", lambda at: (at.year, at.month)),
)


def kept(snapshots: Sequence[Manifest], keep: Keep) -> dict[str, list[str]]:
    """Return the names that stay, each with why. At least the newest one; and what one that stays is built on.

    snapshots: those that can be used, the oldest first. A clock that went back does no harm: what counts is the order of the names'
    commits, then their times.
    """
    newest_first = sorted(snapshots, key=lambda one: (one.head.sequence, one.at), reverse=True)
    why: dict[str, list[str]] = {}
    for one in newest_first[: max(1, keep.last)]:
        why.setdefault(one.name, []).append("last")
    for rule, span_of in _SPANS:
        spans: set[object] = set()
        for one in newest_first:
            span = span_of(datetime.fromisoformat(one.at).astimezone(UTC))
            if span not in spans and len(spans) < getattr(keep, rule):
                why.setdefault(one.name, []).append(rule)
            spans.add(span)
    for one in newest_first:
        if one.name in why and one.base != one.name:
            why.setdefault(one.base, []).append(f"base of {one.name}")
    return why
