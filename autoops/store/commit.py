"""Writing the registry: the commit, which is the only way an entry comes to be or changes. Only the worker opens this.

One commit is one transaction: entries, history, Merkle leaves and one signed ledger record, all or nothing. It is a
compare-and-swap: every changed entry must still be at the revision the change was decided on.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from autoops.core import ids, ledger
from autoops.core.canonical import canonical, described_json, entry_text, patch_text
from autoops.core.digest import MEMBER_BYTES, bucket_hash, bucket_of, leaf_of, with_members
from autoops.core.ledger import Head
from autoops.errors import LedgerKeyChanged, PreconditionFailed
from autoops.model import UNDESCRIBED, Change, Entry
from autoops.store.database import Checkpoint, Database, Reader, Row, Transaction
from autoops.store.registry import SCHEMA, Registry, directory_key, to_signed
from autoops.trace import trace

_CACHED_DIRECTORIES = 10_000
_CACHE_KIB = 4 * 1024
_WAL_BYTES = 64 * 1024 * 1024
_FEW = 64  # entries whose leaves are stored with them
_LATE = 16_000  # leaves that lag behind at most: some 3 MiB
_BUCKETS_AT_ONCE = 4096

_INSERT = (
    "INSERT INTO entry(id, rev, directory, name, status, since_s, kind, size_bytes, mtime_ns, inode, birth_ns, sha256, mime,"
    " described, pending, ctime_ns, verified_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SET_BUCKET = "INSERT OR REPLACE INTO bucket VALUES (?, ?)"
_UPDATE = (
    "UPDATE entry SET rev = ?, directory = ?, name = ?, status = ?, since_s = ?, kind = ?, size_bytes = ?, mtime_ns = ?,"
    " inode = ?, birth_ns = ?, sha256 = ?, mime = ?, described = ?, pending = ?, ctime_ns = coalesce(?, ctime_ns),"
    " verified_s = coalesce(?, verified_s) WHERE id = ? AND rev = ?"
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
    submission: str | None = None  # of a submitted patch: applied at most once


class Committed(NamedTuple):
    """What a commit did: the ledger's new head, and the entries as they are now, in the order of the changes."""

    head: Head
    entries: list[Entry]


class RegistryWriter(Registry):
    """The registry for the worker: the only writer, with its one connection."""

    def __init__(self, database: Database, signer: Signing) -> None:
        super().__init__(database)
        self._db = database
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
        self._late = self.late_leaves()
        self._late_count = sum(len(pairs) for pairs in self._late.values()) // MEMBER_BYTES
        self._tree = self.tree()
        self._head = self.head()
        self._last_id = self.meta("last_id")
        self.total = self.count()

    def commit(self, changes: Sequence[Change], why: Why, now_s: float) -> Committed:
        """Commit changes as one ledger record. IDs of new entries are given here.

        Raises PreconditionFailed when an entry is no longer at the revision its change was decided on, and StorageError; then
        nothing was changed.
        """
        assert changes
        trace("commit:before")
        new_ids = ids.allocate(self._last_id, now_s, sum(1 for change in changes if change.before is None))
        done = _with_ids(changes, iter(new_ids))
        last_id = new_ids[-1] if new_ids else self._last_id
        try:
            with self._db.transaction() as tx:
                head = self._write(tx, done, why, now_s)
                if new_ids:
                    tx.execute("INSERT OR REPLACE INTO meta VALUES ('last_id', ?)", (last_id,))
                trace("commit:inside")
        except BaseException:
            self._load()  # the tree and the caches may be ahead of what was rolled back
            raise
        trace("commit:after")
        self._head, self._last_id = head, last_id
        self.total += len(new_ids)
        self.store_leaves(least=_LATE)
        return Committed(head, [change.after for change in done])

    def _write(self, tx: Transaction, changes: Sequence[Change], why: Why, now_s: float) -> Head:
        texts = [entry_text(change.after) for change in changes]
        self._write_entries(tx, changes, int(now_s))
        self._set_leaves(tx, changes, texts)
        sequence = self._head.sequence + 1
        tx.execute_many(
            "INSERT INTO history VALUES (?, ?, ?)", [(int(change.after.id), change.after.rev, sequence) for change in changes]
        )
        digest = self._tree.root()
        patches = [patch_text(change, text) for change, text in zip(changes, texts, strict=True)]
        before = self._head.digest
        record = ledger.record_text(sequence, ledger.utc(now_s), why.actor, why.source, why.reason, before, digest, patches)
        hashed = ledger.record_hash(self._head.hash, record)
        signature = self._signer.sign(ledger.signed_bytes(sequence, hashed))
        tx.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?)", (sequence, why.submission, record, hashed, signature))
        return Head(sequence, hashed, digest)

    def _write_entries(self, tx: Transaction, changes: Sequence[Change], now_s: int) -> None:
        created = [change for change in changes if change.before is None]
        updated = [change for change in changes if change.before is not None]
        moved = [change for change in updated if change.before and change.before[2:4] != change.after[2:4]]
        # Parked under names that no file can have, so that two documents may swap their paths within one commit.
        tx.execute_many("UPDATE entry SET name = ? WHERE id = ?", [(b"\0" + c.after.id.encode(), int(c.after.id)) for c in moved])
        if tx.execute_many(_UPDATE, [self._update_row(tx, change, now_s) for change in updated]) < len(updated):
            _refuse_stale(tx, updated)
        tx.execute_many(_INSERT, [self._insert_row(tx, change, now_s) for change in created])

    def _insert_row(self, tx: Transaction, change: Change, now_s: int) -> Row:
        return (int(change.after.id), 1, *self._columns(tx, change.after), change.ctime_ns, now_s)

    def _update_row(self, tx: Transaction, change: Change, now_s: int) -> Row:
        read = bool(change.ctime_ns)  # was the content read for this change?
        witness = (change.ctime_ns, now_s) if read else (None, None)
        before = change.before
        assert before is not None
        return (before.rev + 1, *self._columns(tx, change.after), *witness, int(before.id), before.rev)

    def _columns(self, tx: Transaction, entry: Entry) -> Row:
        seen, described = entry.observation, entry.described
        parent, _, name = entry.path.rpartition(b"/")
        is_pending = seen.kind == "file" and entry.status == "active" and seen.sha256 and seen.sha256 != described.sha256
        return (
            self._directory(tx, entry.root, parent),
            name,
            entry.status,
            entry.since_s,
            seen.kind,
            seen.size_bytes,
            seen.mtime_ns,
            to_signed(seen.inode),
            seen.birth_ns,
            seen.sha256,
            seen.mime,
            canonical(described_json(described)) if described != UNDESCRIBED else None,
            1 if is_pending else 0,
        )

    def _directory(self, tx: Transaction, root: str, path: bytes) -> int:
        found = self._directories.get((root, path))
        if found is None:
            root_id = _root_id(tx, root)
            tx.execute("INSERT OR IGNORE INTO directory(root, key) VALUES (?, ?)", (root_id, directory_key(path)))
            found = int(tx.query("SELECT id FROM directory WHERE root = ? AND key = ?", (root_id, directory_key(path)))[0][0])
            self._directories[root, path] = found
            if len(self._directories) > _CACHED_DIRECTORIES:
                self._directories.popitem(last=False)
        return found

    def _set_leaves(self, tx: Transaction, changes: Sequence[Change], texts: Sequence[str]) -> None:
        """Set the leaves of what is committed: of a few entries in the database, of many in memory, to be stored later."""
        touched: dict[int, bytes] = {}
        for change, text in zip(changes, texts, strict=True):
            number = bucket_of(change.after.id)
            touched[number] = touched.get(number, b"") + change.after.id.encode() + leaf_of(text)
        members = self._members(tx, touched)
        for number, pairs in touched.items():
            members[number] = with_members(members[number], pairs)
            self._tree.set(number, bucket_hash(members[number]))
        if len(changes) <= _FEW and not self._late:
            tx.execute_many(_SET_BUCKET, sorted(members.items()))
            return
        if not self._late:
            tx.execute("INSERT INTO meta VALUES ('leaves_until', ?)", (self._head.sequence,))
        for number, pairs in touched.items():
            self._late[number] = self._late.get(number, b"") + pairs
        self._late_count += len(changes)

    def _members(self, reader: Reader, numbers: Iterable[int]) -> dict[int, bytes]:
        """Return what is in these buckets now."""
        full = json.dumps([number for number in numbers if not self._tree.is_empty(number)])
        sql = "SELECT number, members FROM bucket WHERE number IN (SELECT value FROM json_each(?))"
        stored: dict[int, bytes] = dict(reader.query(sql, (full,)))
        return {number: with_members(stored.get(number, b""), self._late.get(number, b"")) for number in numbers}

    def store_leaves(self, *, least: int = 1) -> None:
        """Store the leaves that lag behind, if there are so many."""
        if self._late_count < max(1, least):
            return
        with self._db.transaction() as tx:
            numbers = sorted(self._late)  # in order, so that the b-tree is met page by page
            for at in range(0, len(numbers), _BUCKETS_AT_ONCE):
                tx.execute_many(_SET_BUCKET, self._members(tx, numbers[at : at + _BUCKETS_AT_ONCE]).items())
            tx.execute("DELETE FROM meta WHERE key = 'leaves_until'")
        self._late.clear()
        self._late_count = 0

    # what stands beside the entries, in no commit

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

    def describe_again(self) -> int:
        """Give stage two every active file again, say after its extractors changed; return how many."""
        with self._db.transaction() as tx:
            return tx.execute("UPDATE entry SET pending = 1 WHERE status = 'active' AND kind = 'file' AND sha256 IS NOT NULL")

    def place_roots(self, places: Mapping[str, bytes]) -> None:
        """Keep where the configured roots are."""
        with self._db.transaction() as tx:
            tx.execute(
                "UPDATE root SET path = NULL WHERE name NOT IN (SELECT value FROM json_each(?))", (json.dumps(list(places)),)
            )
            for name, path in places.items():
                tx.execute("UPDATE root SET path = ? WHERE id = ?", (path, _root_id(tx, name)))

    def set_identity(self, root: str, identity: str) -> None:
        """Keep what a root's top directory is."""
        with self._db.transaction() as tx:
            tx.execute("UPDATE root SET identity = ? WHERE id = ?", (identity, _root_id(tx, root)))

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

    def forget_directories(self, root: str, paths: Iterable[bytes]) -> None:
        """Remove rows of directories that hold no entries any more."""
        with self._db.transaction() as tx:
            root_id = _root_id(tx, root)
            tx.execute_many(
                "DELETE FROM directory WHERE root = ? AND key = ?"
                " AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.directory = directory.id)",
                [(root_id, directory_key(path)) for path in paths],
            )
        self._directories.clear()

    def checkpoint(self, *, least_bytes: int = _WAL_BYTES) -> Checkpoint | None:
        """Carry the WAL over into the database when it has grown; None when it has not."""
        return self._db.checkpoint() if self._db.wal_bytes >= least_bytes else None

    @property
    def ledger_head(self) -> Head:
        """Where the ledger stands, without asking the database."""
        return self._head


def _with_ids(changes: Sequence[Change], supply: Iterator[str]) -> list[Change]:
    """Give each new entry its ID. (Not by `_replace`, which costs three times as much.)"""
    return [
        change if change.before else Change(None, Entry(next(supply), *change.after[1:]), change.evidence, change.ctime_ns)
        for change in changes
    ]


def _root_id(tx: Transaction, root: str) -> int:
    row = tx.one("SELECT id FROM root WHERE name = ?", (root,))
    if row is None:
        tx.execute("INSERT INTO root(name) VALUES (?)", (root,))
        row = tx.query("SELECT id FROM root WHERE name = ?", (root,))[0]
    return int(row[0])


def _refuse_stale(tx: Transaction, changes: Sequence[Change]) -> None:
    """Say which entry was not at the revision its change was decided on. Raises PreconditionFailed."""
    for change in changes:
        assert change.before is not None
        # asked of the history, which this commit has not written yet: some of the entries have been updated already
        ((rev,),) = tx.query("SELECT max(rev) FROM history WHERE entry = ?", (int(change.after.id),))
        if rev != change.before.rev:
            found = f"rev {rev}" if rev else "nothing"
            raise PreconditionFailed(what=f"entry {change.after.id}", wanted=f"rev {change.before.rev}", found=found)
    raise AssertionError("fewer rows were updated than changes given: one entry was changed twice, or its history is wrong")
