"""What registry.db was when the worker let go of it, so that the next start knows at once whether anybody has touched it since.

The seal says which file it was, and in which window. It proves nothing (that is what ledger and checkpoints are for): it saves
a start reading a registry that nobody touched. Without one, say after a crash, nothing is known, and `autoops verify` is the judge.
Reads the metadata of registry.db and its WAL; writes `registry/seal.json`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from autoops.files import durable
from autoops.runtime.maintenance import Maintenance
from autoops.state import State


class Seal(NamedTuple):
    """What the worker left."""

    files: tuple[int, ...]  # see `stamp`
    window: Maintenance | None  # the one in which it was left


def stamp(database: Path) -> tuple[int, ...]:
    """Return what changes when somebody writes a database: of file and WAL (0: there is none) inode, size, mtime, ctime."""
    return (*_of(database), *_of(database.with_name(database.name + "-wal")))


def _of(path: Path) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0,)
    # An empty WAL says nothing: each reader may make one or remove it.
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns) if found.st_size else (0,)


def write(state: State, window: Maintenance | None) -> None:
    """Seal a registry that is closed. Raises OSError."""
    said = window._asdict() if window else None
    durable.write(state.seal, json.dumps({"files": stamp(state.registry_db), "window": said}).encode())


def read(state: State) -> Seal | None:
    """Return the seal; None when there is none, or none that can be read."""
    try:
        said = json.loads(state.seal.read_bytes())
        window = said["window"]
        return Seal(tuple(said["files"]), Maintenance(**{**window, "what": tuple(window["what"])}) if window else None)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        return Seal((), None)  # somebody wrote into it: as good as a broken one


def note_window(state: State, window: Maintenance) -> None:
    """Add to the seal the window that was opened after it was made; where a crash left none, make one of what is there now."""
    seal = read(state)
    if seal is None:
        write(state, window)
    else:
        durable.write(state.seal, json.dumps({"files": seal.files, "window": window._asdict()}).encode())


def remove(state: State) -> None:
    """Break the seal, before the registry is written again."""
    state.seal.unlink(missing_ok=True)
    durable.sync_directory(state.seal.parent)
