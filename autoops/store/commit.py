"""Writing the registry: the commit, which is the only way an entry comes to be or changes. Only the worker opens this.

One commit is one transaction: entries, history, Merkle leaves and one signed ledger record, all or nothing. It is a
compare-and-swap: every changed entry must still be at the revision the change was decided on.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from autoops.core import ids, ledger
from autoops.core.canonical import canonical, described_json, entry_text, patch_text
from autoops.core.digest import leaf_of, leaves_by_bucket
from autoops.core.ledger import Head
from autoops.errors import EditedPastLedger, PreconditionFailed
from autoops.model import UNDESCRIBED, Change, Entry
from autoops.store.bookkeeping import Bookkeeping, root_row
from autoops.store.database import Checkpoint, Database, Row, Transaction
from autoops.store.directories import directory_key
from autoops.store.leaves import Leaves
from autoops.store.registry import SCHEMA, to_signed
from autoops.trace import trace

_CACHED_DIRECTORIES = 1_000
_CACHE_KIB = 4 * 1024
WAL_BYTES = 64 * 1024 * 1024
_READERS_S = 0.02  # nobody is committed for meanwhile
_LATE = 16_000  # leaves that lag behind at most: some 3 MiB

_INSERT = (
    "INSERT INTO entry(rev, id, sequence, directory, name, status, since_s, kind, size_bytes, mtime_ns, inode, birth_ns, sha256,"
    " mime, described, pending, ctime_ns, verified_s) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
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


class Signing(Protocol):
    """What a commit needs of the ledger key."""

    public: bytes

    def sign(self, message: bytes) -> bytes:
        """Return the signature over a message."""
        ...


class Why(NamedTuple):
    """Who wants a commit, and why."""

    actor: str
    source: str  # the job: "scan:/srv/docs", "path:/srv/docs/a.txt", "patch:…"
    reason: str
    submission: str | None = None  # the key of a patch or note job, which is done at most once


class Restored(NamedTuple):
    """A row as it has to be: the entry, and the commit that made it so."""

    entry: Entry
    sequence: int


class Committed(NamedTuple):
    """What a commit did: the ledger's new head, and the changes with the IDs of their entries."""

    head: Head
    changes: Sequence[Change]
    ids: Sequence[str]

    @property
    def entries(self) -> list[Entry]:
        """The entries as they are now, in the order of the changes."""
        return [
            change.after if change.before else change.after._replace(id=entry_id)
            for change, entry_id in zip(self.changes, self.ids, strict=True)
        ]


class RegistryWriter(Bookkeeping):
    """The registry for the worker: the only writer, with its one connection."""

    def __init__(self, database: Database, signer: Signing) -> None:
        super().__init__(database)
        self._signer = signer
        self._directories: OrderedDict[tuple[str, bytes], int] = OrderedDict()
        self._load()

    @classmethod
    def open_for_writing(cls, path: Path, signer: Signing, *, busy_s: float = 10.0) -> RegistryWriter:
        """Open registry.db for the worker. Raises StorageError."""
        return cls(Database.open(path, SCHEMA, mode="rw", synchronous="FULL", busy_s=busy_s, cache_kib=_CACHE_KIB), signer)

    def _load(self) -> None:
        """Take from the database what is kept in memory between commits."""
        self._directories.clear()
        self._leaves = Leaves(self._db, self.late_leaves())
        self._head = self.head()
        self._last_id = self.meta("last_id")
        self.total = self.count()

    def commit(self, changes: Sequence[Change], why: Why, now_s: float, *, restored: Sequence[Restored] = ()) -> Committed:
        """Commit changes as one ledger record. IDs of new entries are given here. Without changes the record is a note.

        `restored`: rows that somebody wrote into past us, to be put back to what the ledger says before the changes are made.

        Raises PreconditionFailed when an entry is no longer at the revision its change was decided on; EditedPastLedger when its
        row is not what the last commit wrote, for a commit over it would hide the edit; StorageError. Then nothing was changed.
        """
        assert changes or why.submission  # a note is written once
        trace("commit:before")
        new = ids.allocate(self._last_id, now_s, sum(1 for change in changes if change.before is None))
        supply = iter(new)
        entry_ids = [change.after.id if change.before else next(supply) for change in changes]
        try:
            with self._db.transaction() as tx:
                self._restore(tx, restored)
                head = self._write(tx, changes, entry_ids, why, now_s)
                if new:
                    tx.execute("INSERT OR REPLACE INTO meta VALUES ('last_id', ?)", (new[-1],))
                trace("commit:inside")
        except EditedPastLedger:
            self._directories.clear()  # leaves and tree are as they were; read again, late leaves would be those of edited rows
            raise
        except BaseException:
            self._load()  # the tree and the caches may be ahead of what was rolled back
            raise
        trace("commit:after")
        self._head, self._last_id = head, new[-1] if new else self._last_id
        self.total += len(new)
        self.store_leaves(least=_LATE)
        return Committed(head, changes, entry_ids)

    def _write(self, tx: Transaction, changes: Sequence[Change], entry_ids: Sequence[str], why: Why, now_s: float) -> Head:
        sequence, before = self._head.sequence + 1, self._head.digest
        self._update(tx, [change for change in changes if change.before], sequence, int(now_s))
        self._create(tx, changes, entry_ids, sequence, int(now_s))
        texts = [entry_text(change.after, entry_id) for change, entry_id in zip(changes, entry_ids, strict=True)]
        replaced = {change.before.id: leaf_of(entry_text(change.before)) for change in changes if change.before}
        self._leaves.set(tx, leaves_by_bucket(zip(entry_ids, texts, strict=True)), replaced, self._head.sequence)
        digest = self._leaves.digest()
        patches = map(patch_text, changes, texts)
        record = ledger.record_text(sequence, ledger.utc(now_s), why.actor, why.source, why.reason, before, digest, patches)
        hashed = ledger.record_hash(self._head.hash, record)
        signature = self._signer.sign(ledger.signed_bytes(sequence, hashed))
        tx.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?)", (sequence, why.submission, record, hashed, signature))
        return Head(sequence, hashed, digest)

    def _create(self, tx: Transaction, changes: Sequence[Change], entry_ids: Sequence[str], sequence: int, now_s: int) -> None:
        columns = self._columns
        rows = [
            (int(entry_id), sequence, *columns(tx, after), ctime_ns, now_s)
            for (before, after, _, ctime_ns), entry_id in zip(changes, entry_ids, strict=True)
            if before is None
        ]
        tx.execute_many(_INSERT, rows)

    def _update(self, tx: Transaction, changes: Sequence[Change], sequence: int, now_s: int) -> None:
        if not changes:
            return
        _keep_history(tx, changes)
        moved = [change for change in changes if change.before and change.before[2:4] != change.after[2:4]]
        tx.execute_many("UPDATE entry SET name = ? WHERE id = ?", [(_parked(c.after), int(c.after.id)) for c in moved])
        rows = []
        for change in changes:
            witness = (change.ctime_ns, now_s) if change.ctime_ns else (None, None)  # was the content read for this change?
            rows.append((sequence, *self._columns(tx, change.after), *witness, int(change.after.id)))
        tx.execute_many(_UPDATE, rows)

    def restore(self, restored: Sequence[Restored]) -> None:
        """Put rows back to what the ledger says."""
        with self._db.transaction() as tx:
            self._restore(tx, restored)

    def _restore(self, tx: Transaction, restored: Sequence[Restored]) -> None:
        tx.execute_many("UPDATE entry SET name = ? WHERE id = ?", [(_parked(one.entry), int(one.entry.id)) for one in restored])
        rows = [(one.entry.rev, one.sequence, *self._columns(tx, one.entry), int(one.entry.id)) for one in restored]
        tx.execute_many(_RESTORE, rows)

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

    def store_leaves(self, *, least: int = 1) -> None:
        """Store the leaves that lag behind, if there are so many."""
        if self._leaves.late_count >= max(1, least):
            self._leaves.store(self._db)

    def forget_directories(self, root: str, paths: Iterable[bytes]) -> None:
        """Remove rows of directories that hold no entries any more."""
        super().forget_directories(root, paths)
        self._directories.clear()

    def checkpoint(self, *, least_bytes: int = WAL_BYTES, truncate: bool = False) -> Checkpoint | None:
        """Carry the WAL over into the database when it has grown; None when it has not."""
        if self._db.wal_bytes < least_bytes:
            return None
        return self._db.checkpoint(truncate=truncate, readers_s=1.0 if truncate else _READERS_S)

    @property
    def ledger_head(self) -> Head:
        """Where the ledger stands, without asking the database."""
        return self._head


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
