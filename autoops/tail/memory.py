"""What the tailer remembers of checkpoints.jsonl: how far it is read, and what was wrong. One small file, replaced as a whole.

Reads and writes queue/tail.json; what is no memory is none, and everything is read again.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from autoops.core.canonical import canonical, parse
from autoops.files import durable
from autoops.files.following import Position
from autoops.model import JSON

_MAX_BYTES = 65536


class Memory(NamedTuple):
    """How the file stands that is followed."""

    position: Position = Position()
    faults: int = 0  # lines of it that do not agree
    fault: str = ""  # the first of them
    sequence: int = 0  # of the last line that agrees
    at: str = ""  # its time
    digest: str = ""


def load(path: Path) -> Memory:
    """Return what is remembered, nothing when that cannot be read."""
    try:
        with path.open("rb") as source:
            value = parse(source.read(_MAX_BYTES))
        position = Position.of(value.pop("position"))
        memory = Memory(position, **value)
        kinds = [type(one) for one in memory[1:]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Memory()
    return memory if kinds == [int, str, int, str, str] else Memory()


def store(path: Path, memory: Memory) -> None:
    """Keep it. Raises OSError."""
    durable.write(path, canonical(facts(memory)).encode())


def facts(memory: Memory) -> JSON:
    """Return it as JSON."""
    return memory._asdict() | {"position": memory.position._asdict()}
