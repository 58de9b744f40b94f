"""One database in the place of another: at once or not at all, and what was there stays beside it.

Guarantees: a file has its name only when it is whole and on the disk; killed at any moment, the old database is whole in its place,
or the new one is. Where the old one is damaged, so that its WAL cannot be carried over into it, and a kill comes between, the next
call finds both again. Writes `registry/` and `queue/`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from autoops.errors import StorageBusy, StorageError
from autoops.files import durable
from autoops.store.database import Database, Schema
from autoops.trace import trace

BESIDE = ("-wal", "-shm")
_BUSY_S = 2.0


def beside(database: Path, suffix: str) -> Path:
    """Return the file that is kept beside a database under this suffix."""
    return database.with_name(database.name + suffix)


def publish(temporary: Path, target: Path) -> None:
    """Give a finished database its name, durably; what a reader left beside it goes. Raises OSError."""
    for suffix in BESIDE:
        beside(temporary, suffix).unlink(missing_ok=True)
    fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.replace(target)
    durable.sync_directory(target.parent)


def swap(fresh: Path, database: Path, aside: Path, spec: Schema) -> None:
    """Put a finished database in the place of another one, which nobody has open, and keep that as `aside`.

    Raises StorageBusy when somebody has it open all the same, OSError. Then the old one is in its place.
    """
    take_back(database)
    _fold(database, spec)
    with contextlib.suppress(FileNotFoundError):
        os.link(database, aside)
    durable.sync_directory(aside.parent)
    trace("swap:kept")
    with contextlib.suppress(FileNotFoundError):
        if beside(database, "-wal").stat().st_size:  # it belongs to the file that was written: it would be played into another one
            beside(database, "-wal").replace(beside(aside, "-wal"))
    for suffix in BESIDE:
        beside(database, suffix).unlink(missing_ok=True)
    trace("swap:bare")
    publish(fresh, database)
    trace("swap:done")


def take_back(database: Path) -> None:
    """Undo what a call did that was killed before the new database had its name."""
    for aside in database.parent.glob(f"{database.name}.*"):
        if aside.exists() and database.exists() and aside.samefile(database):
            with contextlib.suppress(FileNotFoundError):
                beside(aside, "-wal").replace(beside(database, "-wal"))
            aside.unlink()
            durable.sync_directory(database.parent)


def _fold(database: Path, spec: Schema) -> None:
    """Carry the WAL over into the file, so that the file alone is the registry as long as it has its name."""
    with contextlib.suppress(FileNotFoundError):
        if beside(database, "-wal").stat().st_size == 0:
            return
    try:
        with Database.open(database, spec, busy_s=_BUSY_S) as opened:
            done = opened.checkpoint(truncate=True)
    except StorageBusy:
        raise
    except StorageError:  # damaged, or not there: then it is not whole now
        return
    if not done.done:
        raise StorageBusy(database=database, seconds=_BUSY_S)
