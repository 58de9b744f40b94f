"""A key-value table on disk that goes with the process: for what must not fit into memory."""

from __future__ import annotations

import sqlite3
from types import TracebackType


class Scratch:
    """Text by text key, in a temporary file that has no name, so that nothing is left behind."""

    def __init__(self) -> None:
        self._con = sqlite3.connect("", isolation_level=None)  # "": a temporary database on disk, sqlite.org/inmemorydb.html
        self._con.execute("PRAGMA journal_mode=OFF")
        self._con.execute("PRAGMA synchronous=OFF")
        self._con.execute("CREATE TABLE pair (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._con.close()

    def get(self, key: str) -> bytes | None:
        """Return the value of a key."""
        row = self._con.execute("SELECT value FROM pair WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def put(self, key: str, value: bytes) -> None:
        """Set the value of a key."""
        self._con.execute("INSERT OR REPLACE INTO pair VALUES (?, ?)", (key, value))
