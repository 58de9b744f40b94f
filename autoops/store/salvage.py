"""What can still be read of a damaged database: row by row, whatever of it fails. For a copy of it, which SQLite may write to.

Nothing of it is believed here: who takes a record sees whether it is chained and signed. Reads registry.db or queue.db.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from autoops.core.canonical import parse
from autoops.model import JSON
from autoops.store.border import FAILURES
from autoops.store.database import Row, Transaction
from autoops.store.records import UNFIT, Record, id_of, patches_of

_RECORD = "SELECT sequence, record, hash, signature, submission FROM ledger WHERE sequence = ?"
_FINDING = (
    "kind", "subject", "detail", "first_seen_s", "last_seen_s", "times", "closed_s", "closed_by", "acknowledged_s",
    "acknowledged_by", "released_s", "released_by", "repair", "repairs",
)  # fmt: skip


def carry_findings(tx: Transaction, rows: Iterable[JSON]) -> int:
    """Write findings that were read elsewhere, in place of those about the same; return how many could be."""
    sql = f"INSERT OR REPLACE INTO finding ({', '.join(_FINDING)}) VALUES ({', '.join('?' * len(_FINDING))})"
    done = 0
    for row in rows:
        with contextlib.suppress(*FAILURES, *UNFIT):
            parse(row["detail"])
            done += tx.execute(sql, tuple(row[name] for name in _FINDING))
    return done


class Salvage:
    """A damaged database, read."""

    def __init__(self, copied: Path) -> None:
        self._con = sqlite3.connect(copied, isolation_level=None)
        with contextlib.suppress(*FAILURES):
            self._con.execute("PRAGMA trusted_schema=OFF")

    def __enter__(self) -> Salvage:
        return self

    def __exit__(self, *_: object) -> None:
        self._con.close()

    # registry.db

    def records(self, after: int) -> Iterator[Record]:
        """Yield the ledger records after a sequence, up to the first that cannot be read."""
        while record := self.record(after + 1):
            yield record
            after += 1

    def record(self, sequence: int) -> Record | None:
        """Return one ledger record, None when it cannot be read."""
        row = self._one(_RECORD, (sequence,))
        types = (int, str, bytes, bytes)
        return Record(*row) if row and all(type(value) is kind for value, kind in zip(row, types, strict=False)) else None

    def touched_after(self, sequence: int) -> Mapping[int, set[str]]:
        """Return the commits after one of which there is any trace, each with the entries that readable rows name."""
        found: dict[int, set[str]] = {}
        for (number,) in self._all("SELECT sequence FROM ledger WHERE sequence > ?", (sequence,)):
            record = self.record(number)
            with contextlib.suppress(*UNFIT):
                found.setdefault(number, set()).update(map(id_of, patches_of(record)) if record else ())
        for sql in ("SELECT id, sequence FROM entry WHERE sequence > ?", "SELECT entry, sequence FROM history WHERE sequence > ?"):
            for entry_id, number in self._all(sql, (sequence,)):
                if type(entry_id) is int and type(number) is int:
                    found.setdefault(number, set()).add(f"{entry_id:016d}")
        return found

    # queue.db

    def jobs(self, kinds: tuple[str, ...]) -> list[tuple[str, bytes, int, str]]:
        """Return (kind, key, priority, facts) of the jobs of some kinds, whatever their state."""
        found: dict[int, Row] = {}
        sql = "SELECT id, kind, key, priority, facts FROM job"
        for row in self._all(sql):
            found[row[0]] = row
        for kind in kinds:  # an index has them too
            for (number,) in self._rows("SELECT id FROM job INDEXED BY sqlite_autoindex_job_1 WHERE kind = ?", (kind,)):
                if again := self._one(f"{sql} WHERE id = ?", (number,)):
                    found[number] = again
        types = (int, str, bytes, int, str)
        good = [row for row in found.values() if all(type(value) is kind for value, kind in zip(row, types, strict=True))]
        return [(kind, key, priority, facts) for _, kind, key, priority, facts in sorted(good) if kind in kinds]

    def findings(self) -> list[JSON]:
        """Return the rows of findings, by the names of their columns."""
        found: dict[int, JSON] = {}
        for row in self._all(f"SELECT id, {', '.join(_FINDING)} FROM finding"):
            found[row[0]] = dict(zip(_FINDING, row[1:], strict=True))
        return list(found.values())

    # reading what may fail

    def _one(self, sql: str, params: tuple[Any, ...]) -> Row | None:
        try:
            row: Row | None = self._con.execute(sql, params).fetchone()
        except FAILURES:
            return None
        return row

    def _rows(self, sql: str, params: tuple[Any, ...] = ()) -> Iterator[Row]:
        """Yield rows up to the first that cannot be read."""
        with contextlib.suppress(*FAILURES):
            yield from self._con.execute(sql, params)

    def _all(self, sql: str, params: tuple[Any, ...] = ()) -> Iterator[Row]:
        """Yield the rows before and behind a damage; some of them twice. The first column has to be the rowid."""
        yield from self._rows(f"{sql} ORDER BY 1", params)
        yield from self._rows(f"{sql} ORDER BY 1 DESC", params)
