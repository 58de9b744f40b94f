"""What the worker keeps in the registry beside the entries, in no commit: nothing here is in the digest, or needs to be.

Reads and writes registry.db.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from autoops.errors import LedgerKeyChanged
from autoops.store.database import Database, Transaction
from autoops.store.registry import Registry


class Bookkeeping(Registry):
    """The registry, with what only the worker may write without a commit."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._db = database

    def saw_again(self, seen: Iterable[tuple[str, int]], now_s: float) -> None:
        """Note that contents were read again and are what the registry says: (ID, change time of the inode)."""
        with self._db.transaction() as tx:
            sql = "UPDATE entry SET ctime_ns = ?, verified_s = ? WHERE id = ?"
            tx.execute_many(sql, [(ctime_ns, int(now_s), int(entry_id)) for entry_id, ctime_ns in seen])

    def give_up(self, entry_ids: Iterable[str]) -> None:
        """Note that stage two gave up on the present content of entries."""
        with self._db.transaction() as tx:
            sql = "UPDATE entry SET pending = 2 WHERE id = ? AND pending = 1"
            tx.execute_many(sql, [(int(entry_id),) for entry_id in entry_ids])

    def put_off(self, entry_ids: Iterable[str]) -> None:
        """Note that stage two could not get at the content of entries."""
        with self._db.transaction() as tx:
            sql = "UPDATE entry SET pending = 3 WHERE id = ? AND pending = 1"
            tx.execute_many(sql, [(int(entry_id),) for entry_id in entry_ids])

    def take_up(self, root: str) -> int:
        """Give stage two again what was put off in a root; return how many."""
        with self._db.transaction() as tx:
            return tx.execute(
                "UPDATE entry SET pending = 1 WHERE pending = 3 AND directory IN"
                " (SELECT d.id FROM directory d JOIN root r ON r.id = d.root WHERE r.name = ?)",
                (root,),
            )

    def place_roots(self, places: Mapping[str, bytes]) -> None:
        """Keep where the configured roots are."""
        with self._db.transaction() as tx:
            tx.execute(
                "UPDATE root SET path = NULL WHERE name NOT IN (SELECT value FROM json_each(?))", (json.dumps(list(places)),)
            )
            for name, path in places.items():
                tx.execute("UPDATE root SET path = ? WHERE id = ?", (path, root_row(tx, name)))

    def set_identity(self, root: str, identity: str) -> None:
        """Keep what a root's top directory is."""
        with self._db.transaction() as tx:
            tx.execute("UPDATE root SET identity = ? WHERE id = ?", (identity, root_row(tx, root)))

    def require_key(self, public: str) -> None:
        """Remember the key that signs this ledger. Raises LedgerKeyChanged when it is signed by another one already."""
        known = self.meta("public_key")
        if known is None:
            with self._db.transaction() as tx:
                tx.execute("INSERT INTO meta VALUES ('public_key', ?)", (public,))
        elif known != public:
            raise LedgerKeyChanged(database=self._db.path, known=known, given=public)

    def intend(self, renames: Mapping[str, bytes]) -> None:
        """Write down renames before they are done: ID -> target path below the root."""
        with self._db.transaction() as tx:
            rows = [(int(entry_id), target) for entry_id, target in renames.items()]
            tx.execute_many("INSERT OR REPLACE INTO intent VALUES (?, ?)", rows)

    def forget_intents(self, entry_ids: Iterable[str]) -> None:
        """Remove renames that were done or given up."""
        with self._db.transaction() as tx:
            tx.execute_many("DELETE FROM intent WHERE entry = ?", [(int(entry_id),) for entry_id in entry_ids])


def root_row(tx: Transaction, root: str) -> int:
    """Return the row of a root, which is made when it is new."""
    row = tx.one("SELECT id FROM root WHERE name = ?", (root,))
    if row is None:
        tx.execute("INSERT INTO root(name) VALUES (?)", (root,))
        row = tx.query("SELECT id FROM root WHERE name = ?", (root,))[0]
    return int(row[0])
