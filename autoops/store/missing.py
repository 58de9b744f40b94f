"""A database that is not there, and what brings it back: of a registry that was there once, no empty one is to be made.

Looks at what is beside it in the state directory, and at the backups; reads the configuration, which says where those are.
"""

from __future__ import annotations

import os
from pathlib import Path

from autoops.config import DEFAULT_FILE, load
from autoops.errors import ConfigError, StorageMissing
from autoops.state import State


def missing(path: Path, how: str = "does not exist") -> StorageMissing:
    """Return the error for a database that is not there; `how`: "is empty" when its file is."""
    state = State(path.absolute().parent.parent)
    is_lost = path.absolute() == state.registry_db and _was_there(state)
    does = "autoops-backup restore --latest brings it back" if is_lost else "autoops migrate makes it"
    return StorageMissing(database=path, how=how, remedy=f"{does}; is --state right?")


def _was_there(state: State) -> bool:
    """Tell whether there seems to have been a registry: it had a key, and left checkpoints, or backups."""
    if not state.public_key.exists():
        return False
    places = (state.backups, _configured_backups(state))
    return _has_some(state.checkpoints) or any(_has_some(place / name) for place in places for name in ("ledger", "snapshots"))


def _configured_backups(state: State) -> Path:
    """Return where backups go, as the configuration of this host says, or the one that the worker of this state ran with last."""
    file = DEFAULT_FILE if DEFAULT_FILE.exists() else state.running_config
    try:
        return Path(load(file).backup.directory or state.backups)
    except ConfigError:  # also when there is none
        return state.backups


def _has_some(path: Path) -> bool:
    """Tell whether a file or directory has anything in it; one that we may not look into has nothing."""
    try:
        return any(not name.startswith(".") for name in os.listdir(path)) if path.is_dir() else path.stat().st_size > 0
    except OSError:
        return False
