"""Was every file read again within `scrub.days`? Counted hourly; in between the last count stands.

Reads the registry; remembers the last count in queue/verification.json (losing that costs one count).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

from autoops.core.coverage import overdue_before
from autoops.core.spoken import age, counted
from autoops.files import durable
from autoops.health.limits import COUNT_LONGEST_S, COUNT_REST
from autoops.health.result import Figure, Level, Result
from autoops.store.verified import Verified


class Counted(NamedTuple):
    """What the last count found."""

    at_s: float
    took_s: float
    days: int  # overdue is what was not verified within so many
    files: int
    overdue: int


def is_due(last: Counted | None, now_s: float, days: int) -> bool:
    """Tell whether to count again: sooner when something was overdue, so that its end is seen; a clock set back is no memory."""
    if last is None or last.days != days or now_s < last.at_s:
        return True
    return now_s - last.at_s >= (min(COUNT_LONGEST_S, COUNT_REST * last.took_s) if last.overdue else COUNT_LONGEST_S)


def check(registry: Verified, memory: Path, days: int, now_s: float, *, may_count: bool) -> Result:
    """Count if it is due and allowed, and judge. Raises StorageError."""
    last = recall(memory)
    if may_count and is_due(last, now_s, days):
        started_s = time.monotonic()
        stock = registry.stock(overdue_before(int(now_s), days))
        last = Counted(now_s, time.monotonic() - started_s, days, stock.files, stock.due_files)
        remember(memory, last)
    return judged(last, now_s)


def judged(last: Counted | None, now_s: float) -> Result:
    """Return the result that a count stands for."""
    if last is None:
        return Result("verification", Level.OK, "not counted yet; autoops coverage counts")
    figures = (Figure("overdue_files", last.overdue, "", 1, None),)
    when = f"counted {age(max(0.0, now_s - last.at_s))} ago"
    if last.overdue:
        said = f"{last.overdue:,} of {counted(last.files, 'file')} not verified within {last.days} days; {when}"
        remedy = "autoops coverage; autoops scrub; RUNBOOK, 'Scrub and coverage'"
        return Result("verification", Level.WARNING, said, figures, remedy)
    return Result(
        "verification", Level.OK, f"{counted(last.files, 'file')}, each verified within {last.days} days; {when}", figures
    )


def recall(memory: Path) -> Counted | None:
    """Return the last count, None when there is none to be read."""
    try:
        facts = json.loads(memory.read_text())
        at_s, took_s, days, files, overdue = (facts[name] for name in Counted._fields)
        return Counted(float(at_s), float(took_s), int(days), int(files), int(overdue))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(memory: Path, counted: Counted) -> None:
    """Keep a count; where nothing can be written (disk full, another user) the next run counts again."""
    try:
        durable.write(memory, json.dumps(counted._asdict()).encode(), mode=0o640)
    except OSError:
        return
