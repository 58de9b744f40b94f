"""Statements through the error border: what a reader and what a writer may do. No I/O of its own."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autoops.store.border import FAILURES, reraise

Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]
_ROWS_AT_ONCE = 100


class Insert:
    """An INSERT of many rows, a hundred of them by one statement: with one for each, half the time goes into the statements."""

    def __init__(self, into: str, values: str, then: str = "") -> None:
        """Take the parts of the statement.

        values: one row, with a `?` for each of its parameters. then: an ON CONFLICT clause; `{shared}` in it stands for the one
        parameter that all rows have in common.
        """
        each = values.count("?")

        def statement(rows: int) -> str:
            return f"{into} VALUES {', '.join([values] * rows)} {then.format(shared=f'?{rows * each + 1}')}"

        self.one, self.many = statement(1), statement(_ROWS_AT_ONCE)


class Reader:
    """Reading."""

    def __init__(self, con: sqlite3.Connection, path: Path, busy_s: float) -> None:
        self._con = con
        self.path = path
        self._busy_s = busy_s

    def query(self, sql: str, params: Parameters = ()) -> list[Row]:
        """Return every row; the way for RETURNING too, whose rows must be read before COMMIT (else SQLITE_BUSY)."""
        try:
            return self._con.execute(sql, params).fetchall()
        except FAILURES as error:
            reraise(error, self.path, self._busy_s)

    def one(self, sql: str, params: Parameters = ()) -> Row | None:
        """Return the first row, or None."""
        rows = self.query(sql, params)
        return rows[0] if rows else None

    def each(self, sql: str, params: Parameters = ()) -> Iterator[Row]:
        """Yield rows as they are read, in constant memory; an open iterator holds the WAL, so use it up or close it."""
        try:
            yield from self._con.execute(sql, params)
        except FAILURES as error:
            reraise(error, self.path, self._busy_s)


class Transaction(Reader):
    """Reading and writing, as long as the `with` block that made it lasts."""

    def query(self, sql: str, params: Parameters = ()) -> list[Row]:
        """Return every row, of RETURNING too."""
        self._assert_open()
        return super().query(sql, params)

    def execute(self, sql: str, params: Parameters = ()) -> int:
        """Run one statement and return how many rows it changed."""
        self._assert_open()
        try:
            return self._con.execute(sql, params).rowcount
        except FAILURES as error:
            reraise(error, self.path, self._busy_s)

    def execute_many(self, sql: str, rows: Iterable[Parameters]) -> int:
        """Run one statement for each row of parameters and return how many rows they changed together."""
        self._assert_open()
        try:
            return self._con.executemany(sql, rows).rowcount
        except FAILURES as error:
            reraise(error, self.path, self._busy_s)

    def insert(self, insert: Insert, rows: Sequence[Row], shared: Row = ()) -> None:
        """Insert rows; `shared`: the parameter that all of them have in common, if there is one."""
        whole = len(rows) // _ROWS_AT_ONCE * _ROWS_AT_ONCE
        for at in range(0, whole, _ROWS_AT_ONCE):
            self.execute(insert.many, [*itertools.chain.from_iterable(rows[at : at + _ROWS_AT_ONCE]), *shared])
        self.execute_many(insert.one, [(*row, *shared) for row in rows[whole:]])

    def _assert_open(self) -> None:
        """Outside its transaction (SQLite ends one by itself on a full disk) every statement would commit by itself."""
        assert self._con.in_transaction, "the transaction is over"
