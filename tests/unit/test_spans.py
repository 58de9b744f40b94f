"""Spans of time, as every option takes them."""

from __future__ import annotations

import pytest

from autoops.cli.spans import seconds, span_s
from autoops.errors import UsageError


@pytest.mark.parametrize(
    ("text", "wanted_s"),
    [("90s", 90), ("5m", 300), ("30min", 1800), ("1.5h", 5400), ("2 d", 172800), ("1w", 604800), ("0s", 0)],
)
def test_a_span_is_a_number_and_its_unit(text: str, wanted_s: float) -> None:
    assert span_s(text) == seconds(text, "--last") == wanted_s


@pytest.mark.parametrize("text", ["", "h", "-5m", "5y", "1h30m", "soon", "٣d", "9" * 10 + "d", "9" * 5000 + "s", "1e9s", "5m\n"])
def test_anything_else_is_none(text: str) -> None:
    assert span_s(text) is None
    with pytest.raises(UsageError, match="is no span of time"):
        seconds(text, "--last")


def test_a_number_alone_counts_seconds_where_only_a_span_can_be_meant() -> None:
    assert seconds("90", "--older-than") == 90 and span_s("90") is None
