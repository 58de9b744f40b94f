"""Tables on disk that go with the process: for what need not fit into memory."""

from __future__ import annotations

import sqlite3
from types import TracebackType

from autoops.errors import StorageFull


def unnamed() -> sqlite3.Connection:
    """Return a database in a temporary file that has no name, so that nothing is left behind (sqlite.org/inmemorydb.html)."""
    con = sqlite3.connect("", isolation_level=None)
    con.execute("PRAGMA journal_mode=OFF")
    con.execute("PRAGMA synchronous=OFF")
    return con


def full(error: sqlite3.Error) -> StorageFull:
    """Return the error for an unnamed database that cannot be read or written: it has no content that could be damaged."""
    return StorageFull(database=f"a temporary file (see TMPDIR; {error})")


class Scratch:
    """Bytes by text key. Both verbs raise StorageFull."""

    def __init__(self) -> None:
        self._con = unnamed()
        self._con.execute("CREATE TABLE pair (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._con.close()

    def get(self, key: str) -> bytes | None:
        """Return the value of a key."""
        try:
            row = self._con.execute("SELECT value FROM pair WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise full(error) from error
        return row[0] if row else None

    def put(self, key: str, value: bytes) -> None:
        """Set the value of a key."""
        try:
            self._con.execute("INSERT OR REPLACE INTO pair VALUES (?, ?)", (key, value))
        except sqlite3.Error as error:
            raise full(error) from error
