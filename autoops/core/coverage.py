"""What was not watched, and for how long, from gaps as intervals; and how old a verification is.

Pure: times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

Span = tuple[int, int]  # from, until; never empty

DAY_S = 86400
AGES_DAYS = (1, 7, 30, 90)
AGES = ("under 1 day", "under 7 days", "under 30 days", "under 90 days", "90 days and more")


class Missed(NamedTuple):
    """One gap: something of a root was not watched, "": of every root."""

    root: str
    reason: str
    since_s: int
    until_s: int | None  # None: it still is not


class Unwatched(NamedTuple):
    """When something of one root was not watched for one reason."""

    root: str
    reason: str
    spans: tuple[Span, ...]  # in order, with something between them
    times: int  # how many gaps that were
    is_open: bool

    @property
    def seconds(self) -> int:
        """For how long in all; what overlaps counts once."""
        return length(self.spans)


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the union of spans as spans in order that neither overlap nor touch."""
    union: list[Span] = []
    for since_s, until_s in sorted(spans):
        if union and since_s <= union[-1][1]:
            union[-1] = union[-1][0], max(union[-1][1], until_s)
        else:
            union.append((since_s, until_s))
    return union


def length(spans: Iterable[Span]) -> int:
    """Return how many seconds some spans cover together."""
    return sum(until_s - since_s for since_s, until_s in merged(spans))


def clipped(gap: Missed, since_s: int, until_s: int) -> Span | None:
    """Return the part of a gap that lies in a time; one that is over in the second it began lasts one. None: no part."""
    begin_s = max(gap.since_s, since_s)
    end_s = min(until_s if gap.until_s is None else max(gap.until_s, gap.since_s + 1), until_s)
    return (begin_s, end_s) if begin_s < end_s else None


def unwatched(gaps: Iterable[Missed], roots: Sequence[str], since_s: int, until_s: int) -> list[Unwatched]:
    """Return what was not watched of these roots in a time, by root and reason."""
    found: dict[tuple[str, str], list[tuple[Span, bool]]] = {}
    for gap in gaps:
        span = clipped(gap, since_s, until_s)
        for root in roots:
            if span and gap.root in (root, ""):
                found.setdefault((root, gap.reason), []).append((span, gap.until_s is None))
    return [
        Unwatched(root, reason, tuple(merged(span for span, _ in parts)), len(parts), any(is_open for _, is_open in parts))
        for (root, reason), parts in sorted(found.items())
    ]


def times_of_ages(now_s: int) -> list[int]:
    """Return the times that part the AGES, the latest first."""
    return [now_s - days * DAY_S + 1 for days in AGES_DAYS]


def overdue_before(now_s: int, days: int) -> int:
    """Return the time before which a file must have been verified to be overdue now, when each is verified within so many days."""
    return now_s - days * DAY_S
