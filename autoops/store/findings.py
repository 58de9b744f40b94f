"""Findings: what disagrees, since when, who knows of it, and what became of it. One row for each (kind, subject).

`Findings` takes an open queue.db. Writing methods are one transaction each. Times are seconds since 1970, given by the caller. Who
stands behind a finding is its history (`finding_event`), which the database keeps by itself. Reads and writes queue.db.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Iterable
from itertools import islice
from typing import NamedTuple

from autoops.model import JSON
from autoops.store.database import Database, Row

KEPT = 10_000  # closed ones; open ones are as many as there is trouble
STEPS_KEPT = 1_000  # of each: what comes and goes every second would fill the disk, and reports count five hundred times of it
_STEPS_TOLD = 100
_ASKED_AT_ONCE = 500
REPAIRS_COUNT_S = 86400  # what was not seen for so long and comes back, comes back for another reason

_COLUMNS = (
    "id, kind, subject, detail, first_seen_s, last_seen_s, times, closed_s, acknowledged_s, acknowledged_by, released_s,"
    " released_by, repair, repairs"
)
_dump = json.JSONEncoder(separators=(",", ":"), sort_keys=True, allow_nan=False).encode


class Finding(NamedTuple):
    """One disagreement or trouble about one subject."""

    id: int
    kind: str
    subject: bytes
    detail: JSON
    first_seen_s: int
    last_seen_s: int
    times: int
    closed_s: int | None  # None: it still stands
    acknowledged_s: int | None = None
    acknowledged_by: str | None = None
    released_s: int | None = None
    released_by: str | None = None
    repair: str | None = None  # what was enqueued last to mend it
    repairs: int = 0  # how often that very repair was

    @property
    def stands(self) -> bool:
        """Whether it is true still."""
        return self.closed_s is None

    @property
    def is_released(self) -> bool:
        """Whether it stands, and a person has said that it is to hold nothing back."""
        return self.closed_s is None and self.released_s is not None

    @property
    def holds(self) -> bool:
        """Whether it stands, and nobody has released it."""
        return self.closed_s is None and self.released_s is None


class Step(NamedTuple):
    """One step in the history of a finding."""

    at_s: int
    what: str
    who: str


Found = tuple[str, bytes, JSON]  # kind, subject, detail


class Findings:
    """The findings of one queue.db."""

    def __init__(self, db: Database) -> None:
        self._db = db

    # found, and no more found

    def open(self, found: Iterable[Found], at_s: int, run: int = 0) -> int:
        """Record findings, seen once more or opened again if known; return how many."""
        rows = [(kind, subject, _dump(detail), at_s, at_s, run) for kind, subject, detail in found]
        if not rows:
            return 0
        with self._db.transaction() as tx:
            return tx.execute_many(
                "INSERT INTO finding (kind, subject, detail, first_seen_s, last_seen_s, run) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (kind, subject) DO UPDATE SET detail = excluded.detail, times = times + 1, run = excluded.run,"
                " last_seen_s = excluded.last_seen_s,"
                f" repairs = iif(excluded.last_seen_s - last_seen_s > {REPAIRS_COUNT_S}, 0, repairs),"
                " first_seen_s = iif(closed_s IS NULL, first_seen_s, excluded.first_seen_s),"
                " acknowledged_s = iif(closed_s IS NULL, acknowledged_s, NULL),"
                " acknowledged_by = iif(closed_s IS NULL, acknowledged_by, NULL),"
                " released_s = iif(closed_s IS NULL, released_s, NULL),"
                " released_by = iif(closed_s IS NULL, released_by, NULL),"
                " closed_s = NULL",
                rows,
            )

    def close(self, settled: Iterable[tuple[str, bytes]], at_s: int, who: str = "") -> int:
        """Record that findings (kind, subject) stand no more; return how many stood.

        The newest 10,000 closed ones stay, and of each the newest 1,000 steps of its history.
        who: the person who says so; "" when it was found out.
        """
        rows = [(at_s, who, kind, subject) for kind, subject in settled]
        if not rows:
            return 0
        with self._db.transaction() as tx:
            closed = tx.execute_many(
                "UPDATE finding SET closed_s = ?, closed_by = ? WHERE kind = ? AND subject = ? AND closed_s IS NULL", rows
            )
            if closed:
                tx.execute(
                    "DELETE FROM finding WHERE id IN (SELECT id FROM finding WHERE closed_s IS NOT NULL"
                    " ORDER BY closed_s DESC, id DESC LIMIT -1 OFFSET ?)",
                    (KEPT,),
                )
                tx.execute_many(
                    "DELETE FROM finding_event WHERE finding = (SELECT id FROM finding WHERE kind = ?1 AND subject = ?2) AND id <="
                    " (SELECT e.id FROM finding f JOIN finding_event e ON e.finding = f.id WHERE f.kind = ?1 AND f.subject = ?2"
                    " ORDER BY e.id DESC LIMIT 1 OFFSET ?3)",
                    [(kind, subject, STEPS_KEPT) for _, _, kind, subject in rows],
                )
        return closed

    def close_unseen(self, kinds: Collection[str], below: bytes, run: int, at_s: int) -> int:
        """Close the findings of these kinds, with subjects that begin with `below`, that this run did not see. Return how many."""
        standing = self._db.query(
            "SELECT kind, subject FROM finding WHERE closed_s IS NULL AND run <> ? AND substr(subject, 1, ?) = ?"
            " AND kind IN (SELECT value FROM json_each(?))",
            (run, len(below), below, json.dumps(sorted(kinds))),
        )
        return self.close(standing, at_s)

    # what people and repairs do

    def acknowledge(self, numbers: Collection[int], who: str, at_s: int) -> int:
        """Record that a person knows of standing findings; return how many stood."""
        return self._mark("acknowledged", numbers, who, at_s)

    def release(self, numbers: Collection[int], who: str, at_s: int) -> int:
        """Record that a person lets be done what these standing findings hold back; repairs count from the beginning again."""
        return self._mark("released", numbers, who, at_s)

    def _mark(self, what: str, numbers: Collection[int], who: str, at_s: int) -> int:
        with self._db.transaction() as tx:
            anew = ", repairs = 0" if what == "released" else ""
            return tx.execute_many(
                f"UPDATE finding SET {what}_s = ?, {what}_by = ?{anew} WHERE id = ? AND closed_s IS NULL",
                [(at_s, who, number) for number in numbers],
            )

    def note_repairs(self, repairs: Iterable[tuple[str, bytes, str]]) -> None:
        """Record that repairs (kind, subject, repair) were enqueued; the same repair as before is counted."""
        rows = [(repair, repair, kind, subject) for kind, subject, repair in repairs]
        if rows:
            with self._db.transaction() as tx:
                tx.execute_many(
                    "UPDATE finding SET repairs = iif(repair IS ?, repairs + 1, 1), repair = ? WHERE kind = ? AND subject = ?", rows
                )

    # reading

    def mark(self) -> int:
        """Return a number that is another one when a finding has come or gone."""
        row = self._db.one("SELECT max(id) FROM finding_event")
        return int(row[0] or 0) if row else 0

    def history(self, number: int) -> list[Step]:
        """Return what became of a finding, the newest hundred steps, in order."""
        rows = self._db.query(
            "SELECT at_s, what, who FROM (SELECT * FROM finding_event WHERE finding = ? ORDER BY id DESC LIMIT ?) ORDER BY id",
            (number, _STEPS_TOLD),
        )
        return [Step(*row) for row in rows]

    def standing(self, kinds: Collection[str], subjects: Iterable[bytes]) -> list[tuple[str, bytes]]:
        """Return which (kind, subject) of these stand. One look-up when none of these kinds does."""
        found: list[tuple[str, bytes]] = []
        left = iter(subjects) if self.any(kinds) else iter(())
        while asked := tuple(islice(left, _ASKED_AT_ONCE)):
            sql = (
                f"WITH asked (subject) AS (VALUES {', '.join(['(?)'] * len(asked))}) SELECT f.kind, f.subject FROM asked CROSS JOIN"
                " finding f ON f.subject = asked.subject AND f.kind IN (SELECT value FROM json_each(?)) WHERE f.closed_s IS NULL"
            )
            found += self._db.query(sql, (*asked, json.dumps(sorted(kinds))))
        return found

    def standing_of(self, keys: Iterable[tuple[str, bytes]]) -> set[tuple[str, bytes]]:
        """Return which of these (kind, subject) stand."""
        subjects: dict[str, list[bytes]] = {}
        for kind, subject in keys:
            subjects.setdefault(kind, []).append(subject)
        return {one for kind, about in subjects.items() for one in self.standing((kind,), about)}

    def any(self, kinds: Collection[str]) -> bool:
        """Tell whether any finding of these kinds stands, by one look-up."""
        sql = "SELECT 1 FROM finding WHERE closed_s IS NULL AND kind IN (SELECT value FROM json_each(?)) LIMIT 1"
        return self._db.one(sql, (json.dumps(sorted(kinds)),)) is not None

    def list(self, kind: str | None = None, *, closed: bool = False, limit: int = 1000) -> list[Finding]:
        """Return findings that stand (or, with `closed`, that do not), the latest seen first."""
        rows = self._db.query(
            f"SELECT {_COLUMNS} FROM finding WHERE closed_s IS {'NOT ' if closed else ''}NULL AND kind = coalesce(?, kind)"
            " ORDER BY last_seen_s DESC, id DESC LIMIT ?",
            (kind, limit),
        )
        return [_finding(row) for row in rows]

    def each(self, kinds: Collection[str] = ()) -> Generator[Finding, None, None]:
        """Yield all standing findings, or those of some kinds, by kind and subject."""
        sql = f"SELECT {_COLUMNS} FROM finding WHERE closed_s IS NULL AND (? = '[]' OR kind IN (SELECT value FROM json_each(?1)))"
        for row in self._db.each(f"{sql} ORDER BY kind, subject", (json.dumps(sorted(kinds)),)):
            yield _finding(row)

    def get(self, number: int) -> Finding | None:
        """Return one finding by its number."""
        row = self._db.one(f"SELECT {_COLUMNS} FROM finding WHERE id = ?", (number,))
        return _finding(row) if row else None

    def about(self, keys: Iterable[tuple[str, bytes]]) -> dict[tuple[str, bytes], Finding]:
        """Return the findings, standing or not, with these (kind, subject)."""
        sql = f"SELECT {_COLUMNS} FROM finding WHERE kind = ? AND subject = ?"
        found = (self._db.one(sql, key) for key in keys)
        return {(one.kind, one.subject): one for one in map(_finding, filter(None, found))}

    def counts(self) -> dict[str, int]:
        """Return how many findings of each kind stand."""
        return dict(self._db.query("SELECT kind, count(*) FROM finding WHERE closed_s IS NULL GROUP BY kind ORDER BY kind"))


def _finding(row: Row) -> Finding:
    return Finding._make((*row[:3], json.loads(row[3]), *row[4:]))
