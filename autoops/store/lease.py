"""Who holds a job, for how long, and when it is tried again. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Holder(NamedTuple):
    """One running job as its row tells it; times in ns of the queue's clock."""

    pid: int
    start: int  # of the process, clock ticks since boot
    claimed_ns: int
    lease_ns: int


def backoff_s(attempts: int, first_s: float, longest_s: float, uniform: Callable[[], float]) -> float:
    """Return the seconds to wait after failed attempt number `attempts` (from 1): full jitter below a doubling, capped limit.

    `uniform` gives a number in [0, 1). Without jitter, what failed together would fail together again
    (aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
    """
    limit_s = min(longest_s, first_s * 2.0 ** min(attempts - 1, 60))
    return limit_s * uniform()


def why_lost(holder: Holder, now_ns: int, longest_ns: int | None, lives: Callable[[int, int], bool]) -> str:
    """Return why a running job must be taken back, "" when it must not.

    `lives(pid, start)` tells whether that very process lives; `longest_ns` limits how long any job may run.
    """
    if not lives(holder.pid, holder.start):
        return "its worker died"
    if holder.lease_ns <= now_ns:
        return "its lease ran out"
    if longest_ns is not None and now_ns - holder.claimed_ns >= longest_ns:
        return "it ran too long"
    return ""
