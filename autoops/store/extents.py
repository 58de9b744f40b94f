"""How large things were, day by day: roots, databases, backups, disks. Takes an open queue.db; reads and writes `extent`.

Bounded: one row a day for each thing, for three years.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from autoops.store.database import Database

DAY_S = 86400
KEPT_DAYS = 3 * 366
ROOT, DATABASE, BACKUP, DISK = "root", "database", "backup", "disk"
STATE, BACKUPS = "state", "backups"


class Extent(NamedTuple):
    """How large something was."""

    what: str  # one of the above
    subject: str  # a root's name; "registry", "queue", "ledger", "snapshots"; of a disk, what lies on it: a root, STATE, BACKUPS
    at_s: int
    size_bytes: int  # of a disk: what is used of it
    files: int | None = None
    limit_bytes: int | None = None  # of a disk: what users may use of it, as df counts


class Extents:
    """The extents in one queue.db."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def known(self, what: str, now_s: int) -> set[str]:
        """Return the subjects whose extent of today is known."""
        rows = self._db.query("SELECT subject FROM extent WHERE what = ? AND day = ?", (what, now_s // DAY_S))
        return {subject for (subject,) in rows}

    def record(self, extents: Iterable[Extent]) -> None:
        """Keep them; one of the same day is replaced. Raises StorageError."""
        rows = [(one.what, one.subject, one.at_s // DAY_S, *one[2:]) for one in extents]
        if not rows:
            return
        with self._db.transaction() as tx:
            tx.execute_many("INSERT OR REPLACE INTO extent VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            tx.execute_many(  # counted, not by the clock: one that jumps ahead and comes back must not cost all there is
                "DELETE FROM extent WHERE what = ?1 AND subject = ?2 AND day <="
                " (SELECT day FROM extent WHERE what = ?1 AND subject = ?2 ORDER BY day DESC LIMIT 1 OFFSET ?3)",
                [(*row[:2], KEPT_DAYS) for row in rows],
            )

    def since(self, since_s: int) -> list[Extent]:
        """Return all since a time, by what and subject, the oldest first."""
        sql = "SELECT what, subject, at_s, size_bytes, files, limit_bytes FROM extent WHERE day >= ? ORDER BY what, subject, day"
        return [Extent(*row) for row in self._db.query(sql, (since_s // DAY_S,))]
