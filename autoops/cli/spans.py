"""Spans of time as people type them: 90s, 5m or 5min, 2h, 30d, 2w."""

from __future__ import annotations

import re

from autoops import names
from autoops.errors import UsageError

_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(s|m|min|h|d|w)")
_UNIT_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def span_s(text: str) -> float | None:
    """Return the seconds of a span, None for what is none. The longest there is is longer than any calendar."""
    found = _SPAN.fullmatch(text)
    return float(found[1]) * _UNIT_S[found[2]] if found else None


def seconds(text: str, option: str) -> float:
    """Return the seconds of a span that an option was given; a number alone counts seconds. Raises UsageError."""
    found = span_s(f"{text}s" if text.isdecimal() else text)
    if found is None:
        raise UsageError(detail=f"{option} {names.show(text)} is no span of time such as 90s, 5m, 2h or 30d")
    return found
