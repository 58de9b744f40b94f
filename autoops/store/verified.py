"""When the contents of files were last read and found right: what the scrub goes by, and what is told about it.

There is no index for `verified_s`, as each commit would pay for it: each question here reads the table of entries once, which takes
0.4 to 0.8 s for a million of them. Only active files of configured roots count. A time more than two days to come, of a clock that
was set back since, counts as none, or that file would not be read until then. Reads registry.db, writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from autoops.model import JSON
from autoops.store.records import Records

# CROSS JOIN: in this order, so that the table is read from its start to its end, and not directory by directory
_FILES = (
    "FROM entry e CROSS JOIN directory d ON d.id = e.directory CROSS JOIN root r ON r.id = d.root"
    " WHERE e.status = 'active' AND e.kind = 'file' AND r.path IS NOT NULL"
)
_AT = "iif(e.verified_s > strftime('%s', 'now', '+2 days') + 0, 0, e.verified_s)"


class Old(NamedTuple):
    """A file, and when it was verified last, in seconds since 1970."""

    id: str
    root: str
    path: bytes
    size_bytes: int
    verified_s: int


class Stock(NamedTuple):
    """How much there is, and how much of it was verified before a certain time."""

    files: int = 0
    size_bytes: int = 0
    due_files: int = 0
    due_bytes: int = 0


class Age(NamedTuple):
    """The files of one root of which the last verification is about as long ago."""

    root: str
    step: int  # how many of the given times are later than it
    files: int
    size_bytes: int
    overdue_files: int
    overdue_bytes: int
    unread: int  # never read at all, because that failed
    oldest_s: int
    oldest_id: str


class Verified(Records):
    """What a reader of the registry can ask about verification."""

    def oldest_verified(self, before_s: int, limit: int, after: Old | None = None) -> list[Old]:
        """Return the files that were verified before a time and come, by time and ID, after one; the longest ago first."""
        sql = (
            f"SELECT e.id, r.name, d.key, e.name, e.size_bytes, {_AT} {_FILES} AND {_AT} < ?"
            f" AND ({_AT}, e.id) > (?, ?) ORDER BY {_AT}, e.id LIMIT ?"
        )
        beyond = (after.verified_s, int(after.id)) if after else (-1, 0)
        rows = self._reader.query(sql, (before_s, *beyond, limit))
        return [
            Old(f"{entry_id:016d}", root, key.replace(b"\0", b"/") + b"/" + name if key else name, size_bytes, verified_s)
            for entry_id, root, key, name, size_bytes, verified_s in rows
        ]

    def verified_since(self, entry_ids: Iterable[str], since_s: int) -> set[str]:
        """Return those of some entries that were verified at a time or after it."""
        sql = f"SELECT e.id FROM json_each(?) j JOIN entry e ON e.id = j.value WHERE {_AT} >= ?"
        rows = self._reader.query(sql, (json.dumps([int(entry_id) for entry_id in entry_ids]), since_s))
        return {f"{entry_id:016d}" for (entry_id,) in rows}

    def stock(self, due_before_s: int) -> Stock:
        """Return how much there is, and how much of it was verified before a time."""
        sql = (
            f"SELECT count(*), coalesce(sum(e.size_bytes), 0), coalesce(sum({_AT} < ?1), 0),"
            f" coalesce(sum(iif({_AT} < ?1, e.size_bytes, 0)), 0) {_FILES}"
        )
        return Stock(*self._reader.query(sql, (due_before_s,))[0])

    def ages(self, times_s: Iterable[int], overdue_before_s: int) -> list[Age]:
        """Return the files by root and by the times (the latest first) between which they were verified."""
        steps = " + ".join(f"({_AT} < {int(time_s)})" for time_s in times_s) or "0"
        sql = (
            f"SELECT r.name, {steps} AS step, count(*), sum(e.size_bytes), sum({_AT} < ?1),"
            f" sum(iif({_AT} < ?1, e.size_bytes, 0)), sum(e.sha256 IS NULL), min({_AT}), e.id"  # the ID of the oldest
            f" {_FILES} GROUP BY r.id, step"
        )
        rows = self._reader.query(sql, (overdue_before_s,))
        return [Age._make((*row[:-1], f"{row[-1]:016d}")) for row in rows]

    def sizes(self) -> list[tuple[str, int, int]]:
        """Return (root, files, bytes) of each root that has an active file."""
        return [tuple(row) for row in self._reader.query(f"SELECT r.name, count(*), sum(e.size_bytes) {_FILES} GROUP BY r.id")]

    def unconfigured(self) -> list[JSON]:
        """Return the roots that are not configured any more and have active entries: {"root", "files"}."""
        sql = (
            "SELECT r.name, count(*) FROM root r JOIN directory d ON d.root = r.id JOIN entry e ON e.directory = d.id"
            " AND e.status <> 'retired' AND e.status = 'active' WHERE r.path IS NULL GROUP BY r.id ORDER BY r.name"
        )
        return [{"root": root, "files": files} for root, files in self._reader.query(sql)]
