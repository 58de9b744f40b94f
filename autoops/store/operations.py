"""What is operational, in plain rows: signs of life, gaps of coverage, cookies, dry runs.

Each class takes an open queue.db. Writing methods are one transaction each; nothing here is the truth about a file, and every
table is bounded. Times are seconds since 1970, given by the caller. Reads and writes queue.db (queue.sql says what a row
means).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from autoops import clock
from autoops.model import JSON
from autoops.store.database import Database, Row

GAPS_KEPT = 10_000
COOKIES_KEPT = 100  # of each source

_dump = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Heartbeat(NamedTuple):
    """The last sign of life of one process."""

    process: str
    pid: int
    boot_id: str
    start: int  # clock ticks since boot
    boottime_ns: int  # CLOCK_BOOTTIME of that boot
    at_s: int
    state: str
    status: str
    facts: JSON


class Gap(NamedTuple):
    """One span of time in which a part of a root was not watched."""

    id: int
    root: str
    path: bytes
    reason: str
    detail: str
    since_s: int
    until_s: int | None  # None: it still is not


class WouldDo(NamedTuple):
    """What would be written in a root whose policy is to observe."""

    root: str
    path: bytes
    action: str
    detail: JSON
    first_seen_s: int = 0
    last_seen_s: int = 0
    times: int = 1


class Heartbeats:
    """Signs of life, one row for each process name."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def beat(self, process: str, state: str, status: str, at_s: int, facts: JSON | None = None) -> None:
        """Record that the calling process lives, under this name."""
        pid = os.getpid()
        row = (process, pid, clock.boot_id(), clock.process_start(pid), clock.boottime_ns(), at_s, state, status)
        with self._db.transaction(durable=False) as tx:  # after a boot it is no sign of life
            tx.execute("INSERT OR REPLACE INTO heartbeat VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, _dump(facts or {})))

    def of(self, process: str) -> Heartbeat | None:
        """Return that of one process, None when it never gave one."""
        return next((beat for beat in self.list() if beat.process == process), None)

    def list(self) -> list[Heartbeat]:
        """Return all, by name."""
        rows = self._db.query("SELECT * FROM heartbeat ORDER BY process")
        return [Heartbeat._make((*row[:-1], json.loads(row[-1]))) for row in rows]


class Gaps:
    """Coverage: what is not watched, since when, and the newest 10,000 gaps that ended."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def open(self, root: str, path: bytes, reason: str, detail: str, at_s: int) -> None:
        """Record that a part of a root is not watched; one that is open for this reason keeps its beginning."""
        with self._db.transaction() as tx:
            tx.execute(
                "INSERT INTO gap (root, path, reason, detail, since_s) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (root, path, reason) WHERE until_s IS NULL DO UPDATE SET detail = excluded.detail",
                (root, path, reason, detail, at_s),
            )

    def close(self, root: str | None, path: bytes | None, at_s: int, reason: str | None = None) -> int:
        """End the open gaps of a root or of all (None): at this path or anywhere, for this reason or any. Return how many."""
        with self._db.transaction() as tx:
            closed = tx.execute(
                "UPDATE gap SET until_s = max(?, since_s) WHERE until_s IS NULL AND root = coalesce(?, root)"
                " AND path = coalesce(?, path) AND reason = coalesce(?, reason)",
                (at_s, root, path, reason),
            )
            if closed:
                tx.execute(
                    "DELETE FROM gap WHERE until_s IS NOT NULL"
                    " AND id <= (SELECT id FROM gap WHERE until_s IS NOT NULL ORDER BY id DESC LIMIT 1 OFFSET ?)",
                    (GAPS_KEPT,),
                )
        return closed

    def add_ended(self, root: str, reason: str, since_s: int, until_s: int) -> None:
        """Record a span in which nothing of a root was watched ("": of any root), found out about when it was over."""
        with self._db.transaction() as tx:
            tx.execute(
                "INSERT INTO gap (root, path, reason, detail, since_s, until_s) VALUES (?, x'', ?, '', ?, max(?4, ?3))",
                (root, reason, since_s, until_s),
            )

    def open_gaps(self, root: str | None = None) -> list[Gap]:
        """Return what is not watched now, the oldest first."""
        rows = self._db.query("SELECT * FROM gap WHERE until_s IS NULL AND root = coalesce(?, root) ORDER BY id", (root,))
        return [Gap(*row) for row in rows]

    def since(self, since_s: int) -> list[Gap]:
        """Return the gaps that are open, or ended at a time or later, the oldest first."""
        return [
            Gap(*row) for row in self._db.query("SELECT * FROM gap WHERE until_s IS NULL OR until_s >= ? ORDER BY id", (since_s,))
        ]

    def history(self, limit: int = 100) -> list[Gap]:
        """Return the newest gaps, open or ended, the newest first."""
        return [Gap(*row) for row in self._db.query("SELECT * FROM gap ORDER BY id DESC LIMIT ?", (limit,))]


class Cookies:
    """Marks that came back through an event stream: everything before them was seen."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def record(self, source: str, name: str, at_s: int) -> None:
        """Record that `name` came back through `source`; of each source the newest 100 stay."""
        with self._db.transaction() as tx:
            tx.execute("INSERT OR REPLACE INTO cookie VALUES (?, ?, ?)", (source, name, at_s))
            tx.execute(
                "DELETE FROM cookie WHERE source = ?1 AND name NOT IN (SELECT name FROM cookie WHERE source = ?1"
                " ORDER BY at_s <= ?3 DESC, at_s DESC, name DESC LIMIT ?2)",  # of the future: the clock was put back since
                (source, COOKIES_KEPT, at_s),
            )

    def seen(self, source: str, name: str) -> bool:
        """Tell whether it came back."""
        return self._db.one("SELECT 1 FROM cookie WHERE source = ? AND name = ?", (source, name)) is not None


class DryRun:
    """What would be done where nothing may be written; bounded by the tree: one row for each path and action."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def record(self, would: Iterable[WouldDo], at_s: int) -> int:
        """Record what would be done now (the times and counts in it are not read); return how much it was."""
        rows = [(root, path, action, _dump(detail), at_s, at_s) for root, path, action, detail, *_ in would]
        if not rows:
            return 0
        with self._db.transaction() as tx:
            return tx.execute_many(
                "INSERT INTO dry_run (root, path, action, detail, first_seen_s, last_seen_s) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET"
                " detail = excluded.detail, last_seen_s = excluded.last_seen_s, times = times + 1",
                rows,
            )

    def list(self, root: str | None = None, limit: int = 1000) -> list[WouldDo]:
        """Return what would be done, by root and path."""
        where: tuple[str, tuple[Any, ...]] = ("WHERE root = ?", (root,)) if root is not None else ("", ())
        rows: list[Row] = self._db.query(f"SELECT * FROM dry_run {where[0]} ORDER BY root, path LIMIT ?", (*where[1], limit))
        return [WouldDo._make((*row[:3], json.loads(row[3]), *row[4:])) for row in rows]

    def summary(self) -> dict[tuple[str, str], int]:
        """Return how many paths there are for each (root, action)."""
        rows = self._db.query("SELECT root, action, count(*) FROM dry_run GROUP BY root, action ORDER BY root, action")
        return {(root, action): count for root, action, count in rows}

    def forget(self, places: Iterable[tuple[str, bytes]]) -> None:
        """Forget what was recorded for paths (root, path) where nothing is any more."""
        rows = list(places)
        if rows:
            with self._db.transaction() as tx:
                tx.execute_many("DELETE FROM dry_run WHERE root = ? AND path = ?", rows)

    def clear(self, root: str) -> int:
        """Forget what was recorded for a root; return how much it was."""
        with self._db.transaction() as tx:
            return tx.execute("DELETE FROM dry_run WHERE root = ?", (root,))
