"""Counts as people say them."""

from __future__ import annotations

import pytest

from autoops.core.spoken import counted


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
    ],
)
def test_a_count_and_its_noun_agree(count: int, noun: str, said: str) -> None:
    assert counted(count, noun) == said
