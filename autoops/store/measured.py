"""What was measured, by the hour: how often, how much, and how it was spread. Takes an open queue.db; reads and writes `measured`.

Guarantee: its size depends on how many names and hours there are, not on how often something happened; of the
hours that there are the newest KEPT_H stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from autoops.core.histogram import Cell, Summary, summary
from autoops.store.database import Database

HOUR_S = 3600
KEPT_H = 35 * 24  # five weeks, so that a week has others to be compared with

# names of what is measured, in seconds but where it says otherwise
WAIT, LOOK, COMMIT, SCAN, CHANGE, DETECT = "wait_s", "look_s", "commit_s", "scan_s", "change_s", "detect_s"
CATALOG = "catalog_s"
ROLLBACK = "rollbacks"  # commits that were one; each is of one rollback
EXTRACTOR = "extractor_s:"  # and its name
HASHED, ENTRIES, DEPTH = "hashed_bytes", "entries", "queue_jobs"


class Hour(NamedTuple):
    """What there was of one name in one hour."""

    at_s: int  # when it began
    times: int
    total: float
    most: float


class Measured:
    """The measurements of one queue.db."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, cells: Iterable[tuple[str, Cell]], now_s: int) -> None:
        """Add what was measured, all in one transaction. Raises StorageError."""
        hour = now_s // HOUR_S
        rows = [(hour, name, *cell) for name, cell in cells]
        if not rows:
            return
        with self._db.transaction() as tx:
            is_first = not tx.query("SELECT 1 FROM measured WHERE hour = ? LIMIT 1", (hour,))
            tx.execute_many(
                "INSERT INTO measured VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " times = times + excluded.times, total = total + excluded.total, most = max(most, excluded.most)",
                rows,
            )
            if is_first:  # counted, not by the clock: one that jumps ahead and comes back must not cost all there is
                # (two statements: SQLite 3.40 forgets the OFFSET of a DISTINCT in a scalar subquery)
                hours = tx.query("SELECT hour FROM measured GROUP BY hour ORDER BY hour DESC LIMIT 1 OFFSET ?", (KEPT_H,))
                tx.execute_many("DELETE FROM measured WHERE hour <= ?", hours)

    def summaries(self, since_s: int, until_s: int) -> dict[str, Summary]:
        """Return what was measured in the hours of a time, by name."""
        rows = self._db.query(
            "SELECT name, bucket, sum(times), sum(total), max(most) FROM measured WHERE hour >= ? AND hour <= ?"
            " GROUP BY name, bucket ORDER BY name",
            (since_s // HOUR_S, (until_s - 1) // HOUR_S),
        )
        cells: dict[str, list[Cell]] = {}
        for name, *cell in rows:
            cells.setdefault(name, []).append(Cell(*cell))
        return {name: found for name, some in cells.items() if (found := summary(some))}

    def hours(self, name: str, since_s: int, until_s: int) -> list[Hour]:
        """Return what there was of one name, hour by hour; hours without anything are left out."""
        rows = self._db.query(
            "SELECT hour * ?, sum(times), sum(total), max(most) FROM measured WHERE hour >= ? AND hour <= ? AND name = ?"
            " GROUP BY hour ORDER BY hour",
            (HOUR_S, since_s // HOUR_S, (until_s - 1) // HOUR_S, name),
        )
        return [Hour(*row) for row in rows]

    def begun_s(self) -> int | None:
        """Return when the first hour began of which something is known, None when nothing is."""
        row = self._db.one("SELECT min(hour) * ? FROM measured", (HOUR_S,))
        return None if row is None or row[0] is None else int(row[0])
