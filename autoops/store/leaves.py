"""The Merkle tree of a registry: its upper part in memory, leaves and mids in the database, some of them late.

A batch of 4,096 entries touches 4,096 buckets all over the table; so the leaves of a burst are kept in memory, and stored when
there are many of them or the burst is over (registry.sql, table bucket). Reads and writes tables `bucket`, `mid` and `meta`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from autoops.core.digest import FAN, HASH_BYTES, MEMBER_BYTES, Tree, bucket_of, has_member, with_members
from autoops.errors import EditedPastLedger
from autoops.store.database import Database, Reader, Transaction

_SAID = 3
_FEW = 64  # entries whose leaves are stored with them
_BUCKETS_AT_ONCE = 4096
_SET = "INSERT OR REPLACE INTO bucket VALUES (?, ?)"
_SET_MID = "INSERT OR REPLACE INTO mid VALUES (?, ?)"
_GET = "SELECT number, members FROM bucket WHERE number IN (SELECT value FROM json_each(?))"


def tree_of(reader: Reader, late: Mapping[int, bytes]) -> Tree:
    """Return the tree of the stored leaves and those that lag behind (concatenated ID | leaf pairs by bucket)."""
    tree, left = Tree(), dict(late)
    for number, members in reader.each("SELECT number, members FROM bucket"):
        tree.set(number, with_members(members, left.pop(number, b"")))
    for number, pairs in left.items():
        tree.set(number, with_members(b"", pairs))
    return tree


def set_mids(tx: Transaction, tree: Tree, buckets: Iterable[int]) -> None:
    """Store the mids above these buckets, whose members are all stored: nothing may lag behind."""
    mids = tree.mids()
    wanted = sorted({number // FAN for number in buckets})
    tx.execute_many(_SET_MID, [(mid, mids[mid * HASH_BYTES : (mid + 1) * HASH_BYTES]) for mid in wanted])


class Leaves:
    """The leaves for the one who writes them."""

    def __init__(self, reader: Reader, late: dict[int, bytes]) -> None:
        """Begin with what is stored, and with what lags behind because of a burst that was cut."""
        self._late = late
        self.late_count = sum(len(pairs) for pairs in late.values()) // MEMBER_BYTES
        self._tree = tree_of(reader, late)

    def digest(self) -> bytes:
        """Return the registry digest."""
        return self._tree.root()

    def set(self, tx: Transaction, touched: Mapping[int, bytes], replaced: Mapping[str, bytes], sequence: int) -> None:
        """Set the leaves of one commit, given by bucket; `sequence` is the commit before it, `replaced` the leaves by ID that
        the changed entries have by their rows. Raises EditedPastLedger when those are not the ones that commits made.

        Of a few entries they are stored at once, of many, or during a burst, later. When the transaction is rolled back, the
        caller has to begin anew.
        """
        count = sum(map(len, touched.values())) // MEMBER_BYTES
        members = self._members(tx, touched)
        edited = [
            entry_id for entry_id, leaf in replaced.items() if not has_member(members.get(bucket_of(entry_id), b""), entry_id, leaf)
        ]
        if edited:
            raise EditedPastLedger(ids=edited, said=", ".join(edited[:_SAID]) + (" and more were" if edited[_SAID:] else " was"))
        for number, pairs in touched.items():
            members[number] = with_members(members.get(number, b""), pairs)
            self._tree.set(number, members[number])
        if count <= _FEW and not self._late:
            tx.execute_many(_SET, sorted(members.items()))
            set_mids(tx, self._tree, members)
            return
        if not self._late:
            tx.execute("INSERT INTO meta VALUES ('leaves_until', ?)", (sequence,))
        for number, pairs in touched.items():
            self._late[number] = self._late.get(number, b"") + pairs
        self.late_count += count

    def store(self, db: Database) -> None:
        """Store all that lags behind, in one transaction."""
        with db.transaction() as tx:
            numbers = sorted(self._late)  # in order, so that the b-tree is met page by page
            for at in range(0, len(numbers), _BUCKETS_AT_ONCE):
                tx.execute_many(_SET, self._members(tx, numbers[at : at + _BUCKETS_AT_ONCE]).items())
            set_mids(tx, self._tree, numbers)
            tx.execute("DELETE FROM meta WHERE key = 'leaves_until'")
        self._late.clear()
        self.late_count = 0

    def _members(self, reader: Reader, numbers: Iterable[int]) -> dict[int, bytes]:
        """Return what is in these buckets now, in those that hold anything."""
        full = [number for number in numbers if not self._tree.is_empty(number)]
        stored: dict[int, bytes] = dict(reader.query(_GET, (json.dumps(full),)))
        return {number: with_members(stored.get(number, b""), self._late.get(number, b"")) for number in full}
