"""Which SQLite this is, and what is wrong with it."""

from __future__ import annotations

import sqlite3

Version = tuple[int, int, int]

# Where the WAL-reset bug is repaired (sqlite.org/wal.html#walresetbug): 3.51.3, and in two older lines.
_REPAIRED: tuple[Version, ...] = ((3, 44, 6), (3, 50, 7))
_REPAIRED_FROM: Version = (3, 51, 3)


def sqlite_version() -> Version:
    """Return the version of the SQLite library in use."""
    major, minor, patch = sqlite3.sqlite_version_info[:3]
    return major, minor, patch


def has_wal_reset_bug(version: Version) -> bool:
    """Tell whether a checkpoint beside a writer can lose data with this version."""
    if version >= _REPAIRED_FROM:
        return False
    return not any(version[:2] == line[:2] and version >= line for line in _REPAIRED)
