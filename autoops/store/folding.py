"""A database that was copied as its file and its WAL becomes one file."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from autoops.errors import CheckFailed, StorageFull
from autoops.store.border import FAILURES

_BESIDE_BYTES = 1 << 16


def fold(copied: Path) -> None:
    """Have SQLite recover what is whole, as after a crash, and do without a WAL; not synced.

    Raises StorageFull, CheckFailed when it is no database.
    """
    try:
        with closing(sqlite3.connect(copied, isolation_level=None)) as opened:
            opened.execute("PRAGMA synchronous=OFF")
            opened.execute("PRAGMA journal_mode=DELETE").fetchall()
    except FAILURES as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL or not _has_room(copied.parent):
            raise StorageFull(database=copied.parent) from error
        raise CheckFailed(detail=f"what was copied of {copied.name} is not whole ({error})") from error


def _has_room(directory: Path) -> bool:
    """Say whether there is room for what SQLite makes beside a database; where there is none it says "disk I/O error"."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize > _BESIDE_BYTES
