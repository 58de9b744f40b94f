"""A report as a page: sections of sentences, tables and pictures. Values only; text.py and web.py write it down.

Every text may hold a name that a stranger chose: whoever writes it down shows and escapes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from autoops.core.ledger import utc

HOUR_S, DAY_S = 3600, 86400
SHOWN = 15  # rows of a table; JSON has all


class Table(NamedTuple):
    """Rows under their heads. Numbers are texts already."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    more: int = 0  # rows that are left out


class Bars(NamedTuple):
    """One number for each span of a time, as bars."""

    title: str
    labels: Sequence[str]
    values: Sequence[float]
    said: Sequence[str]  # the values, for people


class Curve(NamedTuple):
    """A value over time, and where it may go: (time, value) in order; the bands are (time, least, most)."""

    title: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()
    limits: Sequence[tuple[float, str]] = ()


class Section(NamedTuple):
    """One part of a page."""

    title: str
    said: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Bars | Curve] = ()


class Page(NamedTuple):
    """A report."""

    title: str
    said: Sequence[str]
    sections: Sequence[Section]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], shown: int = SHOWN) -> list[Table]:
    """Return a table of the first rows; none, when there is no row."""
    return [Table(heads, rows[:shown], max(0, len(rows) - shown))] if rows else []


def labels_of(starts_s: Sequence[float], bucket_s: int) -> list[str]:
    """Return what parts of a time are called: an hour by its beginning, a day by its end, for it goes on until the present hour."""
    if bucket_s < DAY_S:
        return [utc(at_s)[5:16].replace("T", " ") for at_s in starts_s]
    return [utc(at_s + bucket_s - 1)[:10] for at_s in starts_s]
