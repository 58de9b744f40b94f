"""Writing entries: rows, history and Merkle leaves, changed together as one commit has it. Who decided on it is not asked here.

Reads and writes tables `entry`, `history`, `directory`, `root`, `bucket` and `mid` of registry.db, in its caller's transaction.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from autoops.core.canonical import canonical, described_json, entry_text
from autoops.core.digest import leaf_of, leaves_by_bucket
from autoops.core.ledger import Head
from autoops.errors import PreconditionFailed
from autoops.model import UNDESCRIBED, Change, Entry
from autoops.store.bookkeeping import root_row
from autoops.store.database import Row, Transaction
from autoops.store.directories import directory_key
from autoops.store.leaves import Leaves
from autoops.store.registry import Registry, to_signed
from autoops.store.statements import Insert

_CACHED_DIRECTORIES = 1_000

_INSERT = Insert(
    "INSERT INTO entry(rev, id, sequence, directory, name, status, since_s, kind, size_bytes, mtime_ns, inode, birth_ns, sha256,"
    " mime, described, pending, ctime_ns, verified_s)",
    "(1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
)
_UPDATE = (
    "UPDATE entry SET rev = rev + 1, sequence = ?, directory = ?, name = ?, status = ?, since_s = ?, kind = ?, size_bytes = ?,"
    " mtime_ns = ?, inode = ?, birth_ns = ?, sha256 = ?, mime = ?, described = ?, pending = ?, ctime_ns = coalesce(?, ctime_ns),"
    " verified_s = coalesce(?, verified_s) WHERE id = ?"
)
_RESTORE = (
    "UPDATE entry SET rev = ?, sequence = ?, directory = ?, name = ?, status = ?, since_s = ?, kind = ?, size_bytes = ?,"
    " mtime_ns = ?, inode = ?, birth_ns = ?, sha256 = ?, mime = ?, described = ?, pending = ? WHERE id = ?"
)


class Restored(NamedTuple):
    """A row as it has to be: the entry, and the commit that made it so."""

    entry: Entry
    sequence: int


class Applied(NamedTuple):
    """What one commit made: the canonical texts of the entries after it, in the order of the changes, and the registry digest."""

    texts: Sequence[str]
    digest: bytes


class Entries:
    """The entries for the one who writes them. What it keeps in memory is as the transaction left it: one that was rolled back
    needs a new one of this."""

    def __init__(self, registry: Registry) -> None:
        self._leaves = Leaves(registry.reader)
        self._directories: OrderedDict[tuple[str, bytes], int] = OrderedDict()

    def apply(
        self, tx: Transaction, changes: Sequence[Change], entry_ids: Sequence[str], before: Head, seen_s: int | None
    ) -> Applied:
        """Write the changes of the commit after `before`; `entry_ids` has the ID of each.

        seen_s: when the contents were read; None when nobody has read them for this, so that they have to be read again.
        Raises PreconditionFailed when an entry is not at the revision that its change was decided on; EditedPastLedger when its
        row is not what the last commit wrote.
        """
        sequence = before.sequence + 1
        self._update(tx, [change for change in changes if change.before], sequence, seen_s)
        self._create(tx, changes, entry_ids, sequence, seen_s or 0)
        texts = [entry_text(change.after, entry_id) for change, entry_id in zip(changes, entry_ids, strict=True)]
        replaced = {change.before.id: leaf_of(entry_text(change.before)) for change in changes if change.before}
        self._leaves.set(tx, leaves_by_bucket(zip(entry_ids, texts, strict=True)), replaced)
        return Applied(texts, self._leaves.digest())

    def digest(self) -> bytes:
        """Return the registry digest."""
        return self._leaves.digest()

    def restore(self, tx: Transaction, restored: Sequence[Restored]) -> None:
        """Put rows back to what they were; the leaves have never been others."""
        tx.execute_many("UPDATE entry SET name = ? WHERE id = ?", [(_parked(one.entry), int(one.entry.id)) for one in restored])
        rows = [(one.entry.rev, one.sequence, *self._columns(tx, one.entry), int(one.entry.id)) for one in restored]
        tx.execute_many(_RESTORE, rows)

    def forget_directories(self) -> None:
        """Ask the database again which row a directory has."""
        self._directories.clear()

    def _create(self, tx: Transaction, changes: Sequence[Change], entry_ids: Sequence[str], sequence: int, seen_s: int) -> None:
        columns = self._columns
        rows = [
            (int(entry_id), sequence, *columns(tx, after), ctime_ns, seen_s)
            for (before, after, _, ctime_ns), entry_id in zip(changes, entry_ids, strict=True)
            if before is None
        ]
        tx.insert(_INSERT, rows)

    def _update(self, tx: Transaction, changes: Sequence[Change], sequence: int, seen_s: int | None) -> None:
        if not changes:
            return
        _keep_history(tx, changes)
        moved = [change for change in changes if change.before and change.before[2:4] != change.after[2:4]]
        tx.execute_many("UPDATE entry SET name = ? WHERE id = ?", [(_parked(c.after), int(c.after.id)) for c in moved])
        rows = [(sequence, *self._columns(tx, one.after), *_witness(one, seen_s), int(one.after.id)) for one in changes]
        tx.execute_many(_UPDATE, rows)

    def _columns(self, tx: Transaction, entry: Entry) -> Row:
        _, _, root, path, seen, status, since_s, described = entry
        kind, size_bytes, mtime_ns, inode, birth_ns, sha256, mime = seen
        parent, _, name = path.rpartition(b"/")
        is_pending = sha256 is not None and kind == "file" and status == "active" and sha256 != described.sha256
        return (
            self._directories.get((root, parent)) or self._directory(tx, root, parent),
            name,
            status,
            since_s,
            kind,
            size_bytes,
            mtime_ns,
            to_signed(inode),
            birth_ns,
            sha256,
            mime,
            None if described is UNDESCRIBED or described == UNDESCRIBED else canonical(described_json(described)),
            1 if is_pending else 0,
        )

    def _directory(self, tx: Transaction, root: str, path: bytes) -> int:
        root_id = root_row(tx, root)
        tx.execute("INSERT OR IGNORE INTO directory(root, key) VALUES (?, ?)", (root_id, directory_key(path)))
        found = int(tx.query("SELECT id FROM directory WHERE root = ? AND key = ?", (root_id, directory_key(path)))[0][0])
        self._directories[root, path] = found
        if len(self._directories) > _CACHED_DIRECTORIES:
            self._directories.popitem(last=False)
        return found


def _witness(change: Change, seen_s: int | None) -> tuple[int | None, int | None]:
    """Return change time and time of reading to be kept beside an entry; None: what is there stays."""
    if seen_s is None:
        return 0, 0
    return (change.ctime_ns, seen_s) if change.ctime_ns else (None, None)  # was the content read for this change?


def _parked(entry: Entry) -> bytes:
    """Return a name that no file can have, so that two documents may swap their paths within one transaction."""
    return b"\0" + entry.id.encode()


def _keep_history(tx: Transaction, changes: Sequence[Change]) -> None:
    """Add the revisions that are about to be replaced. Raises PreconditionFailed: one is not the one its change was decided on."""
    wanted = json.dumps([int(change.after.id) for change in changes])
    sql = "SELECT id, rev, sequence FROM entry WHERE id IN (SELECT value FROM json_each(?))"
    present = {f"{entry_id:016d}": (entry_id, rev, sequence) for entry_id, rev, sequence in tx.query(sql, (wanted,))}
    for change in changes:
        assert change.before is not None
        found = present[change.after.id][1] if change.after.id in present else None
        if found != change.before.rev:
            what = f"rev {found}" if found else "nothing"
            raise PreconditionFailed(what=f"entry {change.after.id}", wanted=f"rev {change.before.rev}", found=what)
    assert len(present) == len(changes), "one entry was changed twice"
    tx.execute_many("INSERT INTO history VALUES (?, ?, ?)", present.values())
