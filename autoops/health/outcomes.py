"""Did what was begun end well, and did what was changed stay? Of a day, so that one bad hour does not hide in a good week.

Reads queue.db; writes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from autoops.config import HealthConfig
from autoops.health.result import Figure, Level, Result, entry, judge, worst
from autoops.store.database import Database
from autoops.store.measured import COMMIT, HOUR_S, ROLLBACK, WAIT, Measured
from autoops.store.troubles import Troubles

NAME = "outcomes"
DAY_S = 24 * HOUR_S
LEAST = 5  # failures, or rollbacks: a share of a handful says nothing


class Day(NamedTuple):
    """What was done in a day."""

    jobs: int  # times that a job was taken up
    failed: int  # times that one failed
    commits: int
    rollbacks: int  # commits that took others back


def of_the_last(database: Database, now_s: int) -> Day:
    """Return what was done in the last day, and the hour that it began in. Raises StorageError."""
    measured, since_s = Measured(database), (now_s - DAY_S) // HOUR_S * HOUR_S
    jobs, commits, rollbacks = (
        sum(hour.times for hour in measured.hours(name, since_s, now_s + 1)) for name in (WAIT, COMMIT, ROLLBACK)
    )
    return Day(jobs, Troubles(database).failures(since_s, now_s + 1), commits, rollbacks)


def judged(day: Day, limits: HealthConfig) -> Result:
    """Judge the shares of what failed, and of what was taken back. Pure."""
    of_jobs = limits.failed_share_warning, limits.failed_share_critical
    of_commits = limits.rollback_share_warning, limits.rollback_share_critical
    failed, taken_back = _share(day.failed, max(day.jobs, day.failed)), _share(day.rollbacks, max(day.commits, day.rollbacks))
    figures = (Figure("jobs_failed", failed, "%", *of_jobs), Figure("commits_rolled_back", taken_back, "%", *of_commits))
    said = f"of a day: {day.failed} of {day.jobs} jobs failed, {day.rollbacks} of {day.commits} commits were rollbacks"
    level = worst(
        judge(share, *pair) if count >= LEAST else Level.OK
        for count, share, pair in ((day.failed, failed, of_jobs), (day.rollbacks, taken_back, of_commits))
    )
    return Result(NAME, level, said, figures, "" if level == Level.OK else entry(NAME))


def _share(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
