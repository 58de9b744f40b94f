"""Samples: measured values with their time, and what they are as percentiles. Takes an open queue.db; reads and writes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from autoops.store.database import Database

KEPT = 10_000  # of each name
SHIPPING_LATENCY = "shipping_latency_s"  # from a commit until it is on the disk of the backups; a check asks for it


class Percentiles(NamedTuple):
    """What most values were at most."""

    total: int
    p50: float
    p95: float
    p99: float


class Samples:
    """The samples of one queue.db."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def record(self, name: str, values: Iterable[float], at_s: int) -> None:
        """Add values of one name; the newest 10,000 of it stay."""
        rows = [(name, at_s, float(value)) for value in values]
        if rows:
            with self._db.transaction() as tx:
                tx.execute_many("INSERT INTO sample (name, at_s, value) VALUES (?, ?, ?)", rows)
                tx.execute(
                    "DELETE FROM sample WHERE name = ?1"
                    " AND id <= (SELECT id FROM sample WHERE name = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                    (name, KEPT),
                )

    def percentiles(self, name: str, since_s: int = 0) -> Percentiles | None:
        """Return the nearest-rank percentiles of one name's values since a time, None when there is none."""
        values = [value for (value,) in self._db.query("SELECT value FROM sample WHERE name = ? AND at_s >= ?", (name, since_s))]
        if not values:
            return None
        values.sort()
        p50, p95, p99 = (values[min(len(values) - 1, -(-len(values) * percent // 100) - 1)] for percent in (50, 95, 99))
        return Percentiles(len(values), p50, p95, p99)

    def names(self) -> list[str]:
        """Return the names there are."""
        return [name for (name,) in self._db.query("SELECT DISTINCT name FROM sample ORDER BY name")]
