"""Permanent document IDs: 16 digits, the UTC minute `YYYYMMDDHHMM` and a sequence `0001` to `9999` within it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_MINUTE = "%Y%m%d%H%M"
_PER_MINUTE = 9999


def allocate(last: str | None, now_s: float, count: int) -> list[str]:
    """Return the next `count` IDs, each greater than `last` (the greatest one ever given, or None).

    The clock only sets where a new minute begins: after a backward jump, or when a minute is used up, counting goes on from
    `last` with the calendar's carry. So an ID is never given twice and never goes back, whatever the clock does.
    """
    minute, used = _parse(last) if last else (datetime.min, 0)
    now = datetime.fromtimestamp(now_s, UTC).replace(tzinfo=None, second=0, microsecond=0)
    if now > minute:
        minute, used = now, 0
    out: list[str] = []
    while len(out) < count:
        if used == _PER_MINUTE:
            minute, used = minute + timedelta(minutes=1), 0
        take = min(count - len(out), _PER_MINUTE - used)
        stamp = _stamp(minute)
        out += [f"{stamp}{number:04d}" for number in range(used + 1, used + take + 1)]
        used += take
    return out


def has_form(text: str) -> bool:
    """Tell whether a text has the form of an ID, 16 digits: enough for what is looked up, in a tenth of the time."""
    return len(text) == 16 and text.isascii() and text.isdigit()


def is_id(text: str) -> bool:
    """Tell whether a text is a well-formed ID of an existing minute."""
    if not has_form(text) or text.endswith("0000"):
        return False
    try:
        datetime.strptime(text[:12], _MINUTE)
    except ValueError:
        return False
    return True


def _stamp(minute: datetime) -> str:
    # strftime("%Y") does not pad years below 1000 on Linux
    return f"{minute.year:04d}{minute:%m%d%H%M}"


def _parse(last: str) -> tuple[datetime, int]:
    return datetime.strptime(last[:12], _MINUTE), int(last[12:])
