"""How old is what the signed digest says? And is the newest checkpoint one of this registry's?

A digest does not age by itself: as long as the watcher hears, the worker works and nothing waits, it says what is so now. It ages
from the moment since which it may lack something: a commit without a checkpoint, a due job, the last sign of life of a daemon.

The functions that judge are pure; `newest` reads the end of checkpoints.jsonl. Writes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from autoops.config import HealthConfig
from autoops.core.spoken import age
from autoops.health.result import Figure, Level, Result, entry, judge

_TAIL_BYTES = 16_384  # a line has some 350


class Checkpoint(NamedTuple):
    """What the newest line says. Its signature is the tailer's and verify's business."""

    sequence: int
    hash: str
    digest: str
    entries: int


def newest(path: Path) -> Checkpoint | None:
    """Return the newest whole line that is a checkpoint, None when there is none. Raises OSError, but not when there is no file."""
    try:
        with path.open("rb") as lines:
            lines.seek(max(0, lines.seek(0, os.SEEK_END) - _TAIL_BYTES))
            whole = lines.read(_TAIL_BYTES).split(b"\n")[:-1]  # what follows the last end of a line is being written
    except FileNotFoundError:
        return None
    return next((found for line in reversed(whole) if (found := _checkpoint(line))), None)


def _checkpoint(line: bytes) -> Checkpoint | None:
    try:
        facts = json.loads(line)
        return Checkpoint(int(facts["sequence"]), str(facts["hash"]), str(facts["digest"]), int(facts["entries"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def judged(
    uncovered_s: float, due_s: float, silent_s: Mapping[str, float], checkpoint: Checkpoint | None, limits: HealthConfig
) -> Result:
    """Judge the age of the digest.

    uncovered_s: the age of the first commit without a checkpoint, 0.0 for none; due_s: how long the oldest job has been due;
    silent_s: how long each daemon has given no sign of life.
    """
    reasons = {
        "commits have no checkpoint": uncovered_s,
        "jobs are due": due_s,
        **{f"the {name} gave no sign of life": silence for name, silence in silent_s.items()},
    }
    why = max(reasons, key=reasons.__getitem__)
    old_s = reasons[why]
    pair = limits.digest_age_warning_s, limits.digest_age_critical_s
    figures = (Figure("digest_age", old_s, "s", *pair), *((Figure("entries", checkpoint.entries),) if checkpoint else ()))
    level = judge(old_s, *pair)
    if level != Level.OK:
        remedy = f"autoops status; {entry('digest')}"
        return Result("digest", level, f"what the digest says is {age(old_s)} old: so long {why}", figures, remedy)
    if checkpoint is None:
        return Result("digest", level, "no checkpoint was written yet", figures)
    return Result("digest", level, f"{checkpoint.digest[:16]} of commit {checkpoint.sequence} lacks nothing", figures)


def contradiction(checkpoint: Checkpoint | None, hash_there: bytes | None) -> str:
    """Return how the ledger contradicts the newest checkpoint, "" when it does not; `hash_there`: of its commit in the ledger."""
    if checkpoint is None or checkpoint.sequence == 0:
        return ""
    commit = f"commit {checkpoint.sequence}"
    if hash_there is None:
        return f"a checkpoint speaks of {commit}, which the ledger lacks: it was cut, or replaced by an older copy"
    return "" if hash_there.hex() == checkpoint.hash else f"{commit} is not the one that its checkpoint speaks of"
