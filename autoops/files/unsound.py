"""Which backups cannot be used, as it was found last: for the health check, and for who may not build on them.

A small file in queue/. Losing it costs one reading.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from autoops.acting import as_owner_of
from autoops.files import durable

LEDGER = "ledger"  # in the place of a snapshot's name


class Unsound(NamedTuple):
    """By name of the snapshot, or `LEDGER`: what is wrong with it."""

    read: Mapping[str, str] = {}
    unusable: Mapping[str, str] = {}


def recall(memory: Path) -> Unsound:
    """Return what is remembered; nothing when it cannot be read."""
    try:
        facts = json.loads(memory.read_text())
        return Unsound(*({str(name): str(fault) for name, fault in facts[key].items()} for key in Unsound._fields))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Unsound()


def remember(memory: Path, unsound: Unsound) -> None:
    """Keep it, where it may be written: who only looks at the backups may have no right to."""
    if unsound != recall(memory):
        with contextlib.suppress(OSError), as_owner_of(memory.parent):
            durable.write(memory, json.dumps({key: dict(value) for key, value in unsound._asdict().items()}).encode(), mode=0o640)


def forget(memory: Path, name: str) -> None:
    """Keep that one was found good."""
    known = recall(memory)
    remember(memory, Unsound(*({key: fault for key, fault in part.items() if key != name} for part in known)))
