"""The Merkle tree of a registry: its upper part in memory, leaves and mids in the database.

Reads and writes tables `bucket` and `mid`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from autoops.core.digest import FAN, HASH_BYTES, Tree, bucket_of, has_member, with_members
from autoops.errors import EditedPastLedger
from autoops.store.database import Reader, Transaction

_SAID = 3
_SET = "INSERT OR REPLACE INTO bucket VALUES (?, ?)"
_SET_MID = "INSERT OR REPLACE INTO mid VALUES (?, ?)"
_GET = "SELECT number, members FROM bucket WHERE number IN (SELECT value FROM json_each(?))"


def tree_of(reader: Reader) -> Tree:
    """Return the tree of the stored leaves."""
    tree = Tree()
    for number, members in reader.each("SELECT number, members FROM bucket"):
        tree.set(number, members)
    return tree


class Leaves:
    """The leaves for the one who writes them."""

    def __init__(self, reader: Reader) -> None:
        self._tree = tree_of(reader)

    def digest(self) -> bytes:
        """Return the registry digest."""
        return self._tree.root()

    def set(self, tx: Transaction, touched: Mapping[int, bytes], replaced: Mapping[str, bytes]) -> None:
        """Set the leaves of one commit, given by bucket; `replaced` are the leaves by ID that the changed entries have by their
        rows. Raises EditedPastLedger when those are not the ones that commits made.

        When the transaction is rolled back, the caller has to begin anew.
        """
        members = self._members(tx, touched)
        edited = [
            entry_id for entry_id, leaf in replaced.items() if not has_member(members.get(bucket_of(entry_id), b""), entry_id, leaf)
        ]
        if edited:
            raise EditedPastLedger(ids=edited, said=", ".join(edited[:_SAID]) + (" and more were" if edited[_SAID:] else " was"))
        for number, pairs in touched.items():
            members[number] = with_members(members.get(number, b""), pairs)
            self._tree.set(number, members[number])
        tx.execute_many(_SET, sorted(members.items()))  # in order, so that the b-tree is met page by page
        self._set_mids(tx, members)

    def _members(self, reader: Reader, numbers: Iterable[int]) -> dict[int, bytes]:
        """Return what is in these buckets now, in those that hold anything."""
        full = self._tree.occupied(numbers)
        return dict(reader.query(_GET, (json.dumps(full),))) if full else {}

    def _set_mids(self, tx: Transaction, buckets: Iterable[int]) -> None:
        mids = self._tree.mids()
        wanted = sorted({number // FAN for number in buckets})
        tx.execute_many(_SET_MID, [(mid, mids[mid * HASH_BYTES : (mid + 1) * HASH_BYTES]) for mid in wanted])
