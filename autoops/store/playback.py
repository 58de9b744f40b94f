"""The ledger played onto a registry: what each commit made, made again, without the key that signed it.

For who rebuilds a registry from a copy and the records after it: what comes out has the entries, history, Merkle leaves and ledger
of the registry whose records these are. What no commit says is not in it: of the entries that were touched, when their contents
were read and what stage two could not describe. Not for a registry that a worker has. Reads and writes registry.db.
"""

from __future__ import annotations

import contextlib
import gc
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from autoops.core.canonical import apply_patch, entry_from_json, entry_json
from autoops.core.ledger import Head
from autoops.errors import AutoopsError, CommitMisfit, EditedPastLedger, PreconditionFailed
from autoops.model import JSON, Change, Entry
from autoops.store.bookkeeping import Bookkeeping
from autoops.store.commit import INSERT_RECORD, SET_LAST_ID, WAL_BYTES
from autoops.store.database import Database, Transaction
from autoops.store.entries import Entries
from autoops.store.records import UNFIT, Record, digest_after, id_of, patches_of
from autoops.store.registry import SCHEMA

_CACHE_KIB = 64 * 1024
_PART_BYTES = 4 << 20  # of records in one transaction
_PART_RECORDS = 1000


class Playback(Bookkeeping):
    """A registry that records are played onto. Nobody else has it open."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._entries, self._head = Entries(self), self.head()

    @classmethod
    def open_alone(cls, path: Path) -> Playback:
        """Open a registry.db, which may be lost in a power cut: sync the file when it is closed. Raises StorageError."""
        return cls(Database.open(path, SCHEMA, synchronous="NORMAL", cache_kib=_CACHE_KIB))

    @property
    def ledger_head(self) -> Head:
        """Where the ledger stands, without asking the database."""
        return self._head

    @property
    def digest(self) -> bytes:
        """Return the digest that the Merkle leaves give."""
        return self._entries.digest()

    def play(self, records: Iterable[Record]) -> Head:
        """Make the commits of records anew, several in one transaction; return where the ledger stands then.

        The records follow each other and the ledger that is there: hashes and signatures are not looked at. Raises CommitMisfit
        for one that does not make what it claims, what the iterator raises, and StorageError: then what came before it is played,
        or only the first of it.
        """
        for part in _parts(records):
            with _without_collections(), self._db.transaction() as tx:
                for record in part:
                    self._play(tx, record)
            if self._db.wal_bytes >= WAL_BYTES:
                self._db.checkpoint()
        return self._head

    def _play(self, tx: Transaction, record: Record) -> None:
        try:
            patches = _patches_by_id(record)
            updated = [entry_id for entry_id, patch in patches.items() if patch["op"] == "update"]
            before = self.by_id(updated) if updated else {}
            changes = [_change(before.get(entry_id), patch) for entry_id, patch in patches.items()]
            digest = self._entries.apply(tx, changes, list(patches), self._head, None).digest
            claimed = digest_after(record.text)
            tx.execute(INSERT_RECORD, (record.sequence, record.submission, record.text, record.hash, record.signature))
        except (*UNFIT, sqlite3.IntegrityError) as error:
            raise CommitMisfit(sequence=record.sequence, detail=f"it cannot be played ({error!r})") from error
        except (EditedPastLedger, PreconditionFailed) as error:
            raise CommitMisfit(sequence=record.sequence, detail=str(error).removeprefix("Refused: ")) from error
        if digest != claimed:
            detail = f"played, it gives the digest {digest.hex()[:16]}..., and claims {claimed.hex()[:16]}..."
            raise CommitMisfit(sequence=record.sequence, detail=detail)
        self._head = Head(record.sequence, record.hash, digest)
        created = max((entry_id for entry_id, patch in patches.items() if patch["op"] == "create"), default="")
        if created:
            tx.execute(SET_LAST_ID, (created,))

    def keep_given(self, given_id: str | None) -> None:
        """Remember the greatest ID that was given in a history that this one does not have, so that it is not given again."""
        if given_id and given_id > (self.given_until() or ""):
            with self._db.transaction() as tx:
                tx.execute("INSERT OR REPLACE INTO meta VALUES ('given_id', ?)", (given_id,))

    def settle(self) -> None:
        """Forget the renames that were under way when the copy was made (the disk says what came of them), and carry the WAL over
        into the file."""
        self.forget_intents(entry_id for entry_id, _ in self.intents())
        self._db.checkpoint(truncate=True)

    def finish(self) -> None:
        """Settle, and close."""
        self.settle()
        self.close()


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """A record of a scan is a million objects and no cycle: looking for some doubles the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _parts(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Yield records in parts that are neither long nor large; when the iterator raises, after what it gave before."""
    part, size_bytes = list[Record](), 0
    try:
        for record in records:
            part.append(record)
            size_bytes += len(record.text)
            if size_bytes >= _PART_BYTES or len(part) >= _PART_RECORDS:
                yield part
                part, size_bytes = [], 0
    except AutoopsError:
        if part:
            yield part
        raise
    if part:
        yield part


def _patches_by_id(record: Record) -> Mapping[str, JSON]:
    patches = patches_of(record)
    found = {id_of(patch): patch for patch in patches}
    if len(found) != len(patches):
        raise ValueError("one entry is changed twice")
    return found


def _change(before: Entry | None, patch: JSON) -> Change:
    return Change(before, entry_from_json(apply_patch(entry_json(before) if before else None, patch)), patch["evidence"])
