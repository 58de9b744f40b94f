"""Writing the registry: the commit, which is the only way an entry comes to be or changes. Only the worker opens this.

One commit is one transaction: entries, history, Merkle leaves and one signed ledger record, all or nothing. It is a
compare-and-swap: every changed entry must still be at the revision the change was decided on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from autoops.core import ids, ledger
from autoops.core.canonical import patch_text
from autoops.core.ledger import Head
from autoops.errors import EditedPastLedger
from autoops.model import Change, Entry
from autoops.store.bookkeeping import Bookkeeping
from autoops.store.database import Checkpoint, Database, Transaction
from autoops.store.entries import Entries, Restored
from autoops.store.registry import SCHEMA
from autoops.trace import trace

_CACHE_KIB = 4 * 1024
WAL_BYTES = 64 * 1024 * 1024
_READERS_S = 0.02  # nobody is committed for meanwhile

INSERT_RECORD = "INSERT INTO ledger VALUES (?, ?, ?, ?, ?)"
SET_LAST_ID = "INSERT OR REPLACE INTO meta VALUES ('last_id', ?)"


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
        self._load()

    @classmethod
    def open_for_writing(cls, path: Path, signer: Signing, *, busy_s: float = 10.0) -> RegistryWriter:
        """Open registry.db for the worker. Raises StorageError."""
        return cls(Database.open(path, SCHEMA, mode="rw", synchronous="FULL", busy_s=busy_s, cache_kib=_CACHE_KIB), signer)

    def _load(self) -> None:
        """Take from the database what is kept in memory between commits."""
        self._entries = Entries(self)
        self._head = self.head()
        self._last_id = self.given_until()
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
                self._entries.restore(tx, restored)
                head = self._write(tx, changes, entry_ids, why, now_s)
                if new:
                    tx.execute(SET_LAST_ID, (new[-1],))
                trace("commit:inside")
        except EditedPastLedger:
            self._entries.forget_directories()  # leaves and tree are as they were
            raise
        except BaseException:
            self._load()  # the tree and the caches may be ahead of what was rolled back
            raise
        trace("commit:after")
        self._head, self._last_id = head, new[-1] if new else self._last_id
        self.total += len(new)
        return Committed(head, changes, entry_ids)

    def _write(self, tx: Transaction, changes: Sequence[Change], entry_ids: Sequence[str], why: Why, now_s: float) -> Head:
        sequence, before = self._head.sequence + 1, self._head.digest
        texts, digest = self._entries.apply(tx, changes, entry_ids, self._head, int(now_s))
        patches = map(patch_text, changes, texts)
        record = ledger.record_text(sequence, ledger.utc(now_s), why.actor, why.source, why.reason, before, digest, patches)
        hashed = ledger.record_hash(self._head.hash, record)
        signature = self._signer.sign(ledger.signed_bytes(sequence, hashed))
        tx.execute(INSERT_RECORD, (sequence, why.submission, record, hashed, signature))
        return Head(sequence, hashed, digest)

    def restore(self, restored: Sequence[Restored]) -> None:
        """Put rows back to what the ledger says."""
        with self._db.transaction() as tx:
            self._entries.restore(tx, restored)

    def checkpoint(self, *, least_bytes: int = WAL_BYTES, truncate: bool = False) -> Checkpoint | None:
        """Carry the WAL over into the database when it has grown; None when it has not."""
        if self._db.wal_bytes < least_bytes:
            return None
        return self._db.checkpoint(truncate=truncate, readers_s=1.0 if truncate else _READERS_S)

    @property
    def ledger_head(self) -> Head:
        """Where the ledger stands, without asking the database."""
        return self._head
