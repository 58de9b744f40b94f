"""Reading the registry. Contains no decision and writes nothing; rows become `Entry` values at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from autoops.core.canonical import described_from_json, parse
from autoops.core.digest import EMPTY_MID, FAN, Tree, bucket_of, members_of
from autoops.errors import StorageCorrupt
from autoops.model import JSON, UNDESCRIBED, Described, Entry, Observation
from autoops.store.database import Database, Row, Schema
from autoops.store.directories import FROM, Directories
from autoops.store.leaves import tree_of
from autoops.store.records import UNFIT
from autoops.store.schema import OBJECTS, strange
from autoops.store.verified import Verified

SCHEMA = Schema("registry", 0x6175_7267, Path(__file__).with_name("registry.sql"))

COLUMNS = (
    "e.id, e.rev, r.name, d.key, e.name, e.status, e.since_s,"
    " e.kind, e.size_bytes, e.mtime_ns, e.inode, e.birth_ns, e.sha256, e.mime, e.described"
)
_SIGN = 1 << 63
_DATABASE = "registry.db"


class Pending(NamedTuple):
    """A file that stage two has not described yet."""

    id: str
    root: str
    path: bytes
    size_bytes: int
    mtime_ns: int
    inode: int
    sha256: bytes
    mime: str


def to_signed(inode: int) -> int:
    """Return an inode number (64 bits, unsigned) as SQLite's signed integer."""
    return inode - 2 * _SIGN if inode >= _SIGN else inode


def unsigned(inode: int) -> int:
    """Return an inode number from SQLite's signed integer."""
    return inode + 2 * _SIGN if inode < 0 else inode


def entry_of(row: Row) -> Entry:
    """Return the entry in a row of COLUMNS. Raises StorageCorrupt."""
    entry_id, rev, root, key, name, status, since_s, kind, size_bytes, mtime_ns, inode, birth_ns, sha256, mime, described = row
    return Entry(
        f"{entry_id:016d}",
        rev,
        root,
        key.replace(b"\0", b"/") + b"/" + name if key else name,
        Observation(kind, size_bytes, mtime_ns, unsigned(inode), birth_ns, sha256, mime),
        status,
        since_s,
        _described(entry_id, described) if described else UNDESCRIBED,
    )


def _described(entry_id: int, text: str) -> Described:
    try:
        return described_from_json(parse(text))
    except UNFIT as error:
        raise StorageCorrupt(database=_DATABASE, detail=f"entry {entry_id:016d} cannot be read ({error!r})") from None


class Registry(Verified, Directories):
    """The registry for readers."""

    @classmethod
    def open(cls, path: Path, *, busy_s: float = 10.0) -> Registry:
        """Open registry.db for reading. Raises StorageError."""
        return cls(Database.open(path, SCHEMA, mode="ro", busy_s=busy_s))

    @classmethod
    def open_still(cls, path: Path) -> Registry:
        """Open a copy of a registry that nobody writes; nothing is made beside it. Raises StorageError."""
        return cls(Database.open_still(path, SCHEMA))

    def snapshot(self) -> AbstractContextManager[object]:
        """Read one commit in all that follows, whatever is committed meanwhile. It holds the WAL: no hours."""
        assert isinstance(self._reader, Database)
        return self._reader.snapshot()

    # the whole

    def tree(self) -> Tree:
        """Return the Merkle tree of the stored leaves."""
        return tree_of(self._reader)

    def counts(self) -> dict[str, int]:
        """Return how many entries have each status."""
        return dict.fromkeys(("active", "missing", "retired"), 0) | dict(
            self._reader.query("SELECT status, count(*) FROM entry GROUP BY status")
        )

    def count(self) -> int:
        """Return how many entries there are, retired ones too."""
        return int(self._reader.query("SELECT count(*) FROM entry")[0][0])

    def counts_by_class(self) -> dict[str, int]:
        """Return how many active entries have each class; "" counts the undescribed."""
        sql = "SELECT coalesce(json_extract(described, '$.class'), ''), count(*) FROM entry WHERE status = 'active' GROUP BY 1"
        return dict(self._reader.query(sql))

    def pending_count(self) -> int:
        """Return how many files stage two has still to describe."""
        return int(self._reader.query("SELECT count(*) FROM entry WHERE pending = 1")[0][0])

    def meta(self, key: str) -> Any:
        """Return a value of the meta table."""
        row = self._reader.one("SELECT value FROM meta WHERE key = ?", (key,))
        return row[0] if row else None

    def given_until(self) -> str | None:
        """Return the greatest ID that was ever given, also in a history that was left; None when none was."""
        given = [one for one in (self.meta("last_id"), self.meta("given_id")) if one]
        return max(given, default=None)

    def greatest_id(self) -> str | None:
        """Return the greatest ID there is, None when there is no entry."""
        (found,) = self._reader.query("SELECT max(id) FROM entry")[0]
        return None if found is None else f"{found:016d}"

    def roots(self) -> dict[str, str | None]:
        """Return the identity of each root that was ever registered, by name."""
        return dict(self._reader.query("SELECT name, identity FROM root ORDER BY name"))

    def root_paths(self) -> dict[str, bytes]:
        """Return where each configured root is, by name."""
        return dict(self._reader.query("SELECT name, path FROM root WHERE path IS NOT NULL ORDER BY name"))

    # entries

    def entries(self, *, after: str = "", root: str | None = None, status: str | None = None, limit: int = -1) -> Iterator[Entry]:
        """Yield entries by ID, those after an ID; of one root or status only, if given."""
        sql = (
            f"SELECT {COLUMNS} {FROM} WHERE e.id > :after AND (:root IS NULL OR r.name = :root)"
            " AND (:status IS NULL OR e.status = :status) ORDER BY e.id LIMIT :limit"
        )
        params = {"after": int(after or 0), "root": root, "status": status, "limit": limit}
        for row in self._reader.each(sql, params):
            yield entry_of(row)

    def by_id(self, entry_ids: Iterable[str]) -> dict[str, Entry]:
        """Return the entries with these IDs."""
        rows = self._reader.query(
            f"SELECT {COLUMNS} FROM json_each(?) j JOIN entry e ON e.id = j.value"
            " JOIN directory d ON d.id = e.directory JOIN root r ON r.id = d.root",
            (json.dumps([int(entry_id) for entry_id in entry_ids]),),
        )
        return {entry.id: entry for entry in map(entry_of, rows)}

    def at(self, root: str, paths: Iterable[bytes]) -> list[Entry]:
        """Return the entries (not retired) that live at these paths."""
        by_directory: dict[bytes, list[bytes]] = {}
        for path in paths:
            parent, _, name = path.rpartition(b"/")
            by_directory.setdefault(parent, []).append(name)
        found = []
        sql = f"SELECT {COLUMNS} {FROM} WHERE e.directory = ? AND e.name = ? AND e.status <> 'retired'"
        for parent, names_there in by_directory.items():
            directory = self.directory_id(root, parent)
            if directory is not None:
                for name in names_there:
                    found += self._reader.query(sql, (directory, name))
        return [entry_of(row) for row in found]

    def with_inodes(self, inodes: Iterable[int]) -> list[Entry]:
        """Return the entries that describe files with these inodes."""
        wanted = json.dumps([to_signed(inode) for inode in inodes])
        rows = self._reader.query(
            f"SELECT {COLUMNS} FROM json_each(?) j CROSS JOIN entry e ON e.inode = j.value"
            " JOIN directory d ON d.id = e.directory JOIN root r ON r.id = d.root",
            (wanted,),
        )
        return [entry_of(row) for row in rows]

    def missing_with(self, contents: Iterable[bytes]) -> list[Entry]:
        """Return the missing entries that had one of these contents (sha256), at most a hundred for each."""
        if not self._reader.one("SELECT 1 FROM entry WHERE status = 'missing' LIMIT 1"):
            return []
        sql = f"SELECT {COLUMNS} {FROM} WHERE e.sha256 = ? AND e.status = 'missing' LIMIT 100"
        return [entry_of(row) for sha256 in set(contents) for row in self._reader.query(sql, (sha256,))]

    def missing_since(self, root: str, before_s: int, limit: int) -> list[Entry]:
        """Return entries of a root that have been missing since before a time."""
        sql = f"SELECT {COLUMNS} {FROM} WHERE e.status = 'missing' AND e.since_s < ? AND r.name = ? ORDER BY e.since_s LIMIT ?"
        return [entry_of(row) for row in self._reader.query(sql, (before_s, root, limit))]

    def some_files(self, most: int) -> list[Entry]:
        """Return files that should be on the disk, chosen at random."""
        chosen = "SELECT id FROM entry WHERE status = 'active' AND kind = 'file' AND sha256 IS NOT NULL ORDER BY random() LIMIT ?"
        return [entry_of(row) for row in self._reader.query(f"SELECT {COLUMNS} {FROM} WHERE e.id IN ({chosen})", (most,))]

    # what stage two asks

    def pending(self, after: str, limit: int) -> list[Pending]:
        """Return files to describe, by ID."""
        sql = (
            f"SELECT e.id, r.name, d.key, e.name, e.size_bytes, e.mtime_ns, e.inode, e.sha256, e.mime {FROM}"
            " WHERE e.pending = 1 AND e.id > ? ORDER BY e.id LIMIT ?"
        )
        return [
            Pending(
                f"{entry_id:016d}",
                root,
                key.replace(b"\0", b"/") + b"/" + name if key else name,
                size,
                mtime,
                unsigned(inode),
                sha256,
                mime,
            )
            for entry_id, root, key, name, size, mtime, inode, sha256, mime in self._reader.query(sql, (int(after or 0), limit))
        ]

    def descriptor_of(self, sha256: bytes, mime: str) -> JSON | None:
        """Return the descriptor that stage two made for this content before, wherever the file was."""
        row = self._reader.one(
            "SELECT described FROM entry WHERE sha256 = ? AND mime = ? AND described IS NOT NULL"
            " AND json_extract(described, '$.described') = ? LIMIT 1",
            (sha256, mime, sha256.hex()),
        )
        return parse(row[0])["descriptor"] if row else None

    def leaves(self) -> Iterator[Row]:
        """Yield (bucket number, members) of the stored Merkle leaves."""
        yield from self._reader.each("SELECT number, members FROM bucket ORDER BY number")

    def mids(self) -> bytes:
        """Return the stored mids, one after the other."""
        found: dict[int, bytes] = dict(self._reader.query("SELECT number, hash FROM mid"))
        return b"".join(found.get(number, EMPTY_MID) for number in range(FAN))

    def members(self, buckets: Iterable[int]) -> dict[int, bytes]:
        """Return what the stored leaves have in these buckets, by number."""
        sql = "SELECT number, members FROM bucket WHERE number IN (SELECT value FROM json_each(?))"
        return dict(self._reader.query(sql, (json.dumps(list(buckets)),)))

    def leaves_in_parts(self, buckets: int) -> Iterator[list[Row]]:
        """Yield the stored leaves in lists of so many buckets."""
        part: list[Row] = []
        for row in self.leaves():
            part.append(row)
            if len(part) == buckets:
                yield part
                part = []
        if part:
            yield part

    def leaf(self, entry_id: str) -> bytes | None:
        """Return the stored leaf of an entry."""
        row = self._reader.one("SELECT members FROM bucket WHERE number = ?", (bucket_of(entry_id),))
        return dict(members_of(row[0])).get(entry_id) if row else None

    def intents(self) -> list[tuple[str, bytes]]:
        """Return the renames that were begun: (ID, target path below the root)."""
        return [(f"{entry_id:016d}", target) for entry_id, target in self._reader.query("SELECT entry, target FROM intent")]

    def check(self, *, quick: bool = False) -> list[str]:
        """Return what SQLite's own check finds wrong."""
        assert isinstance(self._reader, Database)
        return self._reader.check(quick=quick)

    def strange_schema(self) -> list[str]:
        """Return how tables, indexes, triggers and views differ from what they should be."""
        return strange(self._reader.query(OBJECTS), SCHEMA)

    def copy_to(self, path: Path) -> None:
        """Copy one state of the registry to a new file. Raises StorageError."""
        assert isinstance(self._reader, Database)
        self._reader.copy_to(path)

    def watched(self, alive: Callable[[], None]) -> AbstractContextManager[None]:
        """Call `alive` again and again while it is read."""
        assert isinstance(self._reader, Database)
        return self._reader.watched(alive)

    def close(self) -> None:
        """Close the connection."""
        assert isinstance(self._reader, Database)
        self._reader.close()
