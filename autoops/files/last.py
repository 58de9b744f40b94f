"""How a snapshot or a drill ended last: for the health check, which may not look into the backups.

A small file in queue/; what it says is told as long as nothing better is known, and losing it costs one run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from autoops.files import durable


class Last(NamedTuple):
    """How it ended. Seconds since 1970, 0.0 for never."""

    at_s: float
    fault: str  # "": it was good
    first_s: float  # when it was good for the first time
    good_s: float  # for the last time
    name: str  # of the snapshot that was good then


_NEVER = Last(0.0, "", 0.0, 0.0, "")


def recall(memory: Path) -> Last | None:
    """Return what is remembered, None when there is nothing that can be read."""
    try:
        facts = json.loads(memory.read_text())
        at_s, fault, first_s, good_s, name = (facts[key] for key in Last._fields)
        return Last(float(at_s), str(fault), float(first_s), float(good_s), str(name))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember_good(memory: Path, name: str, now_s: float) -> None:
    """Keep that it was good. Raises OSError."""
    before = recall(memory) or _NEVER
    _write(memory, Last(now_s, "", before.first_s or now_s, now_s, name))


def remember_fault(memory: Path, fault: str, now_s: float) -> None:
    """Keep that it was not. Raises OSError."""
    _write(memory, (recall(memory) or _NEVER)._replace(at_s=now_s, fault=fault))


def _write(memory: Path, last: Last) -> None:
    durable.write(memory, json.dumps(last._asdict()).encode(), mode=0o640)
