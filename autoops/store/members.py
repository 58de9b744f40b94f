"""Leaves made from entries as they come, in a temporary file that has no name: the Merkle tree of what brings no tree along.

Guarantees: constant memory, whatever the number and the order of the entries; nothing is left behind.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType

from autoops.core.digest import Tree, bucket_of
from autoops.store.scratch import full, unnamed

Leaf = tuple[str, bytes, int]  # ID, leaf, and where the caller finds the entry again


class DoubleLeaf(ValueError):
    """An ID that came twice."""


class Members:
    """The leaves of one set of entries. Use as a context manager: `fill` once, then ask."""

    def __init__(self) -> None:
        self._con = unnamed()
        self._con.execute("PRAGMA cache_size=-8192")
        self._con.execute("CREATE TABLE leaf (bucket INTEGER, id TEXT, leaf BLOB, place INTEGER)")

    def __enter__(self) -> Members:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._con.close()

    def fill(self, leaves: Iterable[Leaf]) -> Tree:
        """Take all leaves, in any order, and return their tree. Raises DoubleLeaf, StorageFull, and what `leaves` raises.

        The index is made afterwards, by sorting once: a million leaves put into it one by one would cost much more.
        """
        try:
            return self._filled(leaves)
        except sqlite3.Error as error:
            raise full(error) from error

    def _filled(self, leaves: Iterable[Leaf]) -> Tree:
        self._con.execute("BEGIN")
        rows = ((bucket_of(entry_id), entry_id, leaf, place) for entry_id, leaf, place in leaves)
        self._con.executemany("INSERT INTO leaf VALUES (?, ?, ?, ?)", rows)
        self._con.execute("CREATE INDEX by_bucket ON leaf (bucket, id, leaf)")
        self._con.execute("COMMIT")
        tree = Tree()
        for number, members in self._in_order():
            tree.set(number, members)
        return tree

    def _in_order(self) -> Iterator[tuple[int, bytes]]:
        number, members, last = -1, bytearray(), ""
        with contextlib.closing(self._con.execute("SELECT bucket, id, leaf FROM leaf ORDER BY bucket, id")) as rows:
            for bucket, entry_id, leaf in rows:
                if entry_id == last:
                    raise DoubleLeaf(entry_id)
                last = entry_id
                if bucket != number:
                    if members:
                        yield number, bytes(members)
                    number, members = bucket, bytearray()
                members += entry_id.encode() + leaf
        if members:
            yield number, bytes(members)

    def of(self, bucket: int) -> bytes:
        """Return the members of one bucket, by ID."""
        rows = self._con.execute("SELECT id, leaf FROM leaf WHERE bucket = ? ORDER BY id", (bucket,))
        return b"".join(entry_id.encode() + leaf for entry_id, leaf in rows)

    def places(self, ids: Sequence[str]) -> list[int]:
        """Return where the caller finds these entries, in their order. Raises LookupError."""
        sql = "SELECT place FROM leaf WHERE bucket = ? AND id = ?"
        found = [self._con.execute(sql, (bucket_of(entry_id), entry_id)).fetchone() for entry_id in ids]
        if not all(found):
            raise LookupError("an ID that is not among them")
        return [place for (place,) in found]
