"""The ledger as it is stored, and the history of entries that points into it. Reads registry.db, writes nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from autoops.core.canonical import parse
from autoops.core.digest import Tree
from autoops.core.ids import has_form
from autoops.core.ledger import GENESIS, Head
from autoops.errors import StorageCorrupt
from autoops.model import JSON
from autoops.store.database import Reader

_DATABASE = "registry.db"
UNFIT = (ValueError, LookupError, TypeError, AttributeError, RecursionError)  # what reading raises that no commit wrote


class Record(NamedTuple):
    """One ledger record as it is stored."""

    sequence: int
    text: str
    hash: bytes
    signature: bytes
    submission: str | None = None  # the job that asked for it, where one may do so only once


class Behind(NamedTuple):
    """How far somebody is behind the ledger; fewer than no commits: it does not go as far."""

    commits: int
    since_s: float | None  # when the first of them was made, in seconds since 1970; None: there is none


class Records:
    """A reader of the ledger."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def reader(self) -> Reader:
        """Return what it reads with, for others who are to see the same state."""
        return self._reader

    def head(self) -> Head:
        """Return where the ledger stands; sequence 0 before the first commit."""
        row = self._reader.one("SELECT sequence, hash, record FROM ledger ORDER BY sequence DESC LIMIT 1")
        if row is None:
            return Head(0, GENESIS, Tree().root())
        try:
            return Head(row[0], row[1], digest_after(row[2]))
        except ValueError:
            raise unreadable(row[0]) from None

    def records(self, after: int = 0) -> Generator[Record, None, None]:
        """Yield ledger records in order, those after a sequence."""
        sql = "SELECT sequence, record, hash, signature, submission FROM ledger WHERE sequence > ? ORDER BY sequence"
        for row in self._reader.each(sql, (after,)):
            yield Record(*row)

    def record(self, sequence: int) -> Record | None:
        """Return one ledger record."""
        row = self._reader.one("SELECT sequence, record, hash, signature, submission FROM ledger WHERE sequence = ?", (sequence,))
        return Record(*row) if row else None

    def began_s(self) -> int | None:
        """Return when the first commit was made, in seconds since 1970; None before it. Raises StorageCorrupt."""
        record = self.record(1)
        return int(committed_s(record)) if record else None

    def hash_of(self, sequence: int) -> bytes | None:
        """Return the hash of one ledger record."""
        row = self._reader.one("SELECT hash FROM ledger WHERE sequence = ?", (sequence,))
        return row[0] if row else None

    def behind(self, sequence: int) -> Behind:
        """Return what came after a commit. Raises StorageCorrupt."""
        newest: int = self._reader.query("SELECT coalesce(max(sequence), 0) FROM ledger")[0][0]
        next_one = self.record(sequence + 1) if newest > sequence else None
        return Behind(newest - sequence, committed_s(next_one) if next_one else None)

    def sequence_of(self, submission: str) -> int | None:
        """Return the commit that a submitted patch made."""
        row = self._reader.one("SELECT sequence FROM ledger WHERE submission = ?", (submission,))
        return row[0] if row else None

    def history(self, entry_id: str) -> list[tuple[int, int]]:
        """Return (rev, sequence) of every revision of an entry, oldest first."""
        sql = (
            "SELECT rev, sequence FROM history WHERE entry = ?1"
            " UNION ALL SELECT rev, sequence FROM entry WHERE id = ?1 ORDER BY rev"
        )
        return [(rev, sequence) for rev, sequence in self._reader.query(sql, (int(entry_id),))]

    def commit_of(self, entry_id: str, rev: int) -> int | None:
        """Return the commit that made a revision of an entry, as history has it."""
        return dict(self.history(entry_id)).get(rev)

    def history_of(self, wanted: Collection[str]) -> Iterator[tuple[str, int, int]]:
        """Yield (ID, rev, earlier revisions kept) of these entries, and of all of which not every revision is kept."""
        sql = "SELECT e.id, e.rev, count(h.rev) FROM entry e LEFT JOIN history h ON h.entry = e.id GROUP BY e.id"
        for number, rev, kept in self._reader.each(sql):
            if kept != rev - 1 or f"{number:016d}" in wanted:
                yield f"{number:016d}", rev, kept

    def roots_of(self, entry_ids: Collection[str]) -> dict[str, str]:
        """Return in which root entries are."""
        sql = (
            "SELECT e.id, r.name FROM json_each(?) j JOIN entry e ON e.id = j.value JOIN directory d ON d.id = e.directory"
            " JOIN root r ON r.id = d.root"
        )
        rows = self._reader.query(sql, (json.dumps([int(entry_id) for entry_id in entry_ids]),))
        return {f"{entry_id:016d}": root for entry_id, root in rows}

    def history_count(self) -> int:
        """Return how many revisions history knows, the present ones among them."""
        return int(self._reader.query("SELECT (SELECT count(*) FROM history) + (SELECT count(*) FROM entry)")[0][0])


def unreadable(sequence: int) -> StorageCorrupt:
    """Return the error for a record that no commit wrote."""
    return StorageCorrupt(database=_DATABASE, detail=f"the record of commit {sequence} cannot be read")


def digest_after(record: str) -> bytes:
    """Return the registry digest after a commit from its record's text, without parsing megabytes of patches.

    Raises ValueError when it is not the text of a record.
    """
    marker = '"digest_after":"'
    at = record.index(marker, record.index('"at":')) + len(marker)
    return bytes.fromhex(record[at : at + 64])


class Said(NamedTuple):
    """Who made a commit, when and why."""

    at: str  # RFC 3339
    actor: str
    reason: str


def said_by(record: Record) -> Said:
    """Return who made a commit, when and why, without parsing megabytes of patches between the two. Raises what UNFIT has."""
    head = parse(record.text[: record.text.index('"patches":[')].rstrip(",") + "}")
    tail = parse("{" + record.text[record.text.rindex('"reason":') :])
    return Said(str(head["at"]), str(head["actor"]), str(tail["reason"]))


def committed_s(record: Record) -> float:
    """Return when a commit was made, in seconds since 1970. Raises StorageCorrupt."""
    try:
        return datetime.fromisoformat(said_by(record).at).timestamp()
    except UNFIT:
        raise unreadable(record.sequence) from None


def patches_of(record: Record) -> Sequence[JSON]:
    """Return the patches of a record. Raises what UNFIT has."""
    patches: Sequence[JSON] = parse(record.text)["patches"]
    return patches


def id_of(patch: JSON) -> str:
    """Return the entry that a patch of a record is about. Raises UNFIT."""
    entry_id = str(patch["id"] if patch["op"] == "update" else patch["entry"]["id"])
    if not has_form(entry_id):
        raise ValueError(f"{entry_id[:20]!r} is no ID")
    return entry_id


def patch_for(record: Record, entry_id: str) -> Mapping[str, object]:
    """Return the patch of one entry in a record. Raises LookupError."""
    for patch in patches_of(record):
        if id_of(patch) == entry_id:
            return patch
    raise LookupError(f"commit {record.sequence} has no patch for {entry_id}")
