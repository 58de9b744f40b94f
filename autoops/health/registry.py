"""Is the registry what its ledger says? Its head is looked at each time; all of it is validated daily.

Reads the registry; remembers the last verdict in queue/health.json (losing that costs one validation).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from autoops.core.ledger import Head
from autoops.core.spoken import age, counted
from autoops.files import durable
from autoops.health.result import Figure, Level, Result
from autoops.store.registry import Registry

Validate = Callable[[Registry, Head], Iterable[str]]  # yields what is wrong
Files = tuple[int, ...]  # size and mtime of registry.db and its WAL


class Verdict(NamedTuple):
    """What the last validation found."""

    at_s: float
    took_s: float
    sequence: int
    files: Files
    faults: int
    first: str  # the first fault, "" when there is none


def is_due(last: Verdict | None, now_s: float, sequence: int, files: Files, every_s: float) -> bool:
    """Tell whether to validate again.

    At once when it failed, or when the files changed without a commit (somebody else wrote); else each `every_s`. A clock set back
    counts as no memory.
    """
    if last is None or last.faults or not 0 <= now_s - last.at_s < every_s:
        return True
    return files != last.files and sequence == last.sequence


def check(registry: Registry, database: Path, memory: Path, validate: Validate, now_s: float, every_s: float) -> Result:
    """Validate if it is due, and judge. Raises StorageError."""
    files, last = _files(database), recall(memory)
    head = registry.head()
    if last is None or is_due(last, now_s, head.sequence, files, every_s):
        started_s = time.monotonic()
        with registry.snapshot():
            head = registry.head()
            faults = list(validate(registry, head))
        last = Verdict(now_s, time.monotonic() - started_s, head.sequence, files, len(faults), faults[0] if faults else "")
        remember(memory, last)
    return judged(last, head, now_s)


def judged(last: Verdict, head: Head, now_s: float) -> Result:
    """Return the result that a verdict stands for."""
    figures = (Figure("commits", head.sequence, "c"), Figure("validation_faults", last.faults, "", None, 1))
    when = f"validated {age(max(0.0, now_s - last.at_s))} ago at commit {last.sequence}"
    if last.faults:
        remedy = "autoops validate-registry; RUNBOOK, 'verify or validate-registry fails'"
        return Result("registry", Level.CRITICAL, f"{counted(last.faults, 'fault')}: {last.first} ({when})", figures, remedy)
    return Result("registry", Level.OK, f"hash {head.digest.hex()[:16]}, commit {head.sequence}, {when}", figures)


def _files(database: Path) -> Files:
    found: list[int] = []
    for path in (database, database.with_name(database.name + "-wal")):
        try:
            there = path.stat()
            found += [there.st_size, there.st_mtime_ns]
        except FileNotFoundError:
            found += [0, 0]
    return tuple(found)


def recall(memory: Path) -> Verdict | None:
    """Return the last verdict, None when there is none to be read."""
    try:
        facts = json.loads(memory.read_text())
        at_s, took_s, sequence, files, faults, first = (facts[name] for name in Verdict._fields)
        return Verdict(float(at_s), float(took_s), int(sequence), tuple(map(int, files)), int(faults), str(first))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(memory: Path, verdict: Verdict) -> None:
    """Keep a verdict; where nothing can be written (disk full, another user) the next run validates again."""
    try:
        durable.write(memory, json.dumps(verdict._asdict()).encode(), mode=0o640)
    except OSError:
        return
