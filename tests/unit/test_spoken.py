"""Counts, sizes, lists and spans of time as people say them."""

from __future__ import annotations

import pytest

from autoops.core.spoken import age, counted, listed, sized


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [
        (1, "file", "1 file"),
        (0, "file", "0 files"),
        (2000, "byte", "2,000 bytes"),
        (1, "entry", "1 entry"),
        (2, "entry", "2 entries"),
        (3, "directory", "3 directories"),
        (2, "day", "2 days"),
        (2, "property", "2 properties"),
    ],
)
def test_a_count_and_its_noun_agree(count: int, noun: str, said: str) -> None:
    assert counted(count, noun) == said


def test_names_are_listed_as_they_are_read() -> None:
    assert [listed(list(names)) for names in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (47 * 3600, "47 h"), (48 * 3600, "2 d")]
)
def test_spans_of_time_are_spoken(seconds: int, said: str) -> None:
    assert age(seconds) == said


@pytest.mark.parametrize(
    ("size", "said"),
    [
        *((0, "0 B"), (999, "999 B"), (-1000, "-1.0 kB"), (1000, "1.0 kB"), (-2_500_000, "-2.5 MB"), (999_960_000, "1.0 GB")),
        *((-999_960_000, "-1.0 GB"), (1.5e12, "1.5 TB"), (3e15, "3.0 PB"), (2.5e18, "2,500.0 PB")),
    ],
)
def test_sizes_are_spoken(size: float, said: str) -> None:
    assert sized(size) == said
