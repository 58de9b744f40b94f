"""The registry as a walk through a root sees it: directory by directory, in the order of the walk. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterable

from autoops.store.records import Records

# what a scan compares with the disk, by name: (ctime_ns, mtime_ns, size_bytes, inode), and (kind, sha256)
Stamps = dict[bytes, tuple[int, int, int, int]]
Contents = dict[bytes, tuple[str, bytes | None]]
_IN_DIRECTORY = (  # "status <> 'retired'": the index entry_path asks for it first
    "FROM root r JOIN directory d ON d.root = r.id JOIN entry e ON e.directory = d.id"
    " WHERE r.name = ? AND d.key = ? AND e.status <> 'retired' AND e.status = 'active'"
)
FROM = "FROM entry e JOIN directory d ON d.id = e.directory JOIN root r ON r.id = d.root"
_SIGN = 1 << 63


def directory_key(path: bytes) -> bytes:
    """Return the key of a directory given by its path below the root."""
    return path.replace(b"/", b"\0")


class Directories(Records):
    """What a walk can ask."""

    def missing_counts(self, before_s: int) -> dict[str, int]:
        """Return how many entries have been missing since before a time, by root."""
        sql = f"SELECT r.name, count(*) {FROM} WHERE e.status = 'missing' AND e.since_s < ? GROUP BY r.name"
        return dict(self._reader.query(sql, (before_s,)))

    def living_count(self, root: str) -> int:
        """Return how many entries of a root are not retired. Reads all of them."""
        return int(self._reader.query(f"SELECT count(*) {FROM} WHERE e.status <> 'retired' AND r.name = ?", (root,))[0][0])

    def directory_id(self, root: str, path: bytes) -> int | None:
        """Return the row of a directory that holds, or held, entries."""
        sql = "SELECT d.id FROM root r JOIN directory d ON d.root = r.id WHERE r.name = ? AND d.key = ?"
        row = self._reader.one(sql, (root, directory_key(path)))
        return row[0] if row else None

    def knows_directory(self, root: str, path: bytes) -> bool:
        """Tell whether there are, or were, entries in a directory or below it."""
        sql = (
            "SELECT 1 FROM root r JOIN directory d ON d.root = r.id WHERE r.name = ?"
            " AND (d.key = ? OR d.key > ? AND d.key < ?) LIMIT 1"
        )
        key = directory_key(path)
        return self._reader.one(sql, (root, key, key + b"\0", key + b"\1")) is not None

    def stamps_in(self, root: str, path: bytes) -> Stamps:
        """Return what the active entries of one directory are known by, without reading them."""
        sql = f"SELECT e.name, e.ctime_ns, e.mtime_ns, e.size_bytes, e.inode {_IN_DIRECTORY}"
        return {
            name: (ctime_ns, mtime_ns, size_bytes, inode if inode >= 0 else inode + 2 * _SIGN)
            for name, ctime_ns, mtime_ns, size_bytes, inode in self._reader.query(sql, (root, directory_key(path)))
        }

    def contents_in(self, root: str, path: bytes) -> Contents:
        """Return what is in the active entries of one directory."""
        rows = self._reader.query(f"SELECT e.name, e.kind, e.sha256 {_IN_DIRECTORY}", (root, directory_key(path)))
        return {name: (kind, sha256) for name, kind, sha256 in rows}

    def directories_between(self, root: str, first: bytes, end: bytes | None) -> list[bytes]:
        """Return the paths of known directories with active entries from a first place in walk order to an end, which is left
        out (None: to the last one): the ones that a walk did not meet. b"" is the root, the first of all."""
        high = () if end is None else (directory_key(end),)
        sql = (
            "SELECT d.key FROM root r JOIN directory d ON d.root = r.id WHERE r.name = ? AND d.key >= ?"
            + (" AND d.key < ?" if high else "")  # as a range of the index: with "? IS NULL OR" all keys before it are read
            + " AND EXISTS (SELECT 1 FROM entry e WHERE e.directory = d.id AND e.status <> 'retired' AND e.status = 'active')"
            " ORDER BY d.key"
        )
        return [key.replace(b"\0", b"/") for (key,) in self._reader.query(sql, (root, directory_key(first), *high))]

    def directories_of(self, root: str) -> list[bytes]:
        """Return the path of each directory of a root that holds, or held, entries, in walk order."""
        sql = "SELECT d.key FROM root r JOIN directory d ON d.root = r.id WHERE r.name = ? ORDER BY d.key"
        return [key.replace(b"\0", b"/") for (key,) in self._reader.query(sql, (root,))]

    def ctimes(self, entry_ids: Iterable[str]) -> dict[str, int]:
        """Return the change time of each entry's inode when its content was last hashed, in ns; negative when it proves nothing."""
        wanted = json.dumps([int(entry_id) for entry_id in entry_ids])
        sql = "SELECT e.id, e.ctime_ns FROM json_each(?) j JOIN entry e ON e.id = j.value"
        return {f"{entry_id:016d}": ctime_ns for entry_id, ctime_ns in self._reader.query(sql, (wanted,))}
