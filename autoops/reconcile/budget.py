"""How much of all files is verified in one run of the scrub, and how fast. Pure: times and sizes in, decisions out.

The rule, for runs that begin once a day, up to an hour later than the day before, and of which one may be missed:

- What a run leaves unverified has to wait for the next run but one at most: 2 days, the hour, and the time until that run comes to
  it (it takes the oldest first; five hours are allowed for). These are REACH_S. So a run verifies everything that would be older
  than `days` by then: whatever was verified before `due_before`. Then no file is ever older than `days`, if runs come to their end.
- That alone would read on one night whatever was registered on one day. So each run also verifies a share of everything, the oldest
  first, whether it is due or not: as much as makes all of it come round in SPARE_DAYS less than `days`. As this is sooner than
  anything becomes due, nothing does while runs come each night, and each night reads about the same. The share is counted by what
  it costs: the bytes, and for each file as many as could be read while it is looked for, opened and noted.
- What cannot be read costs next to nothing and counts for nothing; else it would be the share, night for night, and keep the others
  from their turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, TypeVar

from autoops.core.coverage import DAY_S

DAY_MIN = 1440
REACH_S = 2 * DAY_S + 6 * 3600
SPARE_DAYS = 3
FILE_BYTES = 256 * 1024  # measured: a path job costs the worker about what hashing so much does

Hours = tuple[int, int]  # minutes of the local day, from and until; over midnight when the first is later


class File(Protocol):
    """A file, as far as the budget asks."""

    @property
    def size_bytes(self) -> int:
        """How much there is to read."""

    @property
    def verified_s(self) -> int:
        """When it was verified last, seconds since 1970."""


F = TypeVar("F", bound=File)


class Goal(NamedTuple):
    """What one run has to do."""

    before_s: int  # nothing that was verified then or later is verified again
    due_before_s: int  # what was verified before this is verified in any case
    share: int  # and so much (see `cost`) altogether


def due_before(now_s: int, days: int) -> int:
    """Return the time before which a file must have been verified to be due in a run that begins now."""
    return now_s - max(0, days * DAY_S - REACH_S)


def cost(files: int, size_bytes: int) -> int:
    """Return what verifying costs, in bytes that could be read meanwhile."""
    return size_bytes + files * FILE_BYTES


def goal(files: int, size_bytes: int, now_s: int, days: int) -> Goal:
    """Return what a run that begins now has to do, when there is so much in all."""
    nights = max(1, days - SPARE_DAYS)
    return Goal(now_s, min(now_s, due_before(now_s, days)), -(-cost(files, size_bytes) // nights))


def everything(now_s: int) -> Goal:
    """Return the goal to verify all that was not verified since now."""
    return Goal(now_s, now_s, 0)


def is_enough(wanted: Goal, done: int, next_verified_s: int) -> bool:
    """Tell whether a run that did so much (see `cost`) may leave the next file, the oldest there is, to later runs."""
    return next_verified_s >= wanted.due_before_s and done >= wanted.share


def chosen(wanted: Goal, done: int, oldest_first: Iterable[File]) -> int:
    """Return how many of some files, the oldest that are left, a run that did so much has to verify."""
    count = 0
    for file in oldest_first:
        if is_enough(wanted, done, file.verified_s):
            break
        done += cost(1, file.size_bytes)
        count += 1
    return count


def portions(files: Iterable[F], most_files: int, most_bytes: int) -> Iterator[list[F]]:
    """Yield files in portions: at most so many, of at most so many bytes unless it is one file."""
    portion: list[F] = []
    size_bytes = 0
    for file in files:
        if portion and (len(portion) == most_files or size_bytes + file.size_bytes > most_bytes):
            yield portion
            portion, size_bytes = [], 0
        portion.append(file)
        size_bytes += file.size_bytes
    if portion:
        yield portion


def rate_needed(size_bytes: int, days: int, hours: Hours | None) -> float:
    """Return the bytes a second with which everything comes round in time when only these hours are used."""
    return size_bytes / max(1, days - SPARE_DAYS) / (open_minutes(hours) * 60)


# hours


def open_minutes(hours: Hours | None) -> int:
    """Return how many minutes of a day these hours have."""
    return DAY_MIN if hours is None else (hours[1] - hours[0]) % DAY_MIN


def is_open(hours: Hours | None, minute: int) -> bool:
    """Tell whether a minute of the day is in these hours."""
    return hours is None or (minute - hours[0]) % DAY_MIN < open_minutes(hours)


class Pace:
    """Lets so many bytes a second pass, in portions: in no span of time more than that, and one portion."""

    def __init__(self, bytes_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """Return for how many seconds nothing may pass."""
        return max(0.0, self._free_s - now_s)

    def take(self, size_bytes: int, now_s: float) -> None:
        """Let a portion pass."""
        self._free_s = max(self._free_s, now_s) + size_bytes / self._bytes_per_s
