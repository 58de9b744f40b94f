"""The entries of a slice as a catalog reads them: by ID or by path, in constant memory. Reads registry.db, writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from autoops import names
from autoops.core.canonical import UNDESCRIBED_TEXT
from autoops.core.catalog import LOWEST, Range, Slice
from autoops.errors import StorageCorrupt
from autoops.model import Entry
from autoops.store.database import Reader, Row
from autoops.store.directories import FROM
from autoops.store.registry import COLUMNS, entry_of, unsigned

EVERYTHING = Range(LOWEST, "")
_TAGS = ',"tags":['


class Line(NamedTuple):
    """One entry, and its canonical text."""

    id: str
    text: str


class Slices:
    """The slices of one registry, or of a snapshot of it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def lines(self, slice_: Slice, where: Range = EVERYTHING) -> Iterator[Line]:
        """Yield the entries with these IDs, by ID, as their canonical texts only: half the time of making values of them."""
        for row in self._rows(slice_, where):
            yield Line(f"{row[0]:016d}", text_of(row))

    def entries(self, slice_: Slice, where: Range = EVERYTHING) -> Iterator[tuple[Entry, str]]:
        """Yield (entry, canonical text) of the entries with these IDs, by ID."""
        for row in self._rows(slice_, where):
            yield entry_of(row), text_of(row)

    def by_path(self, slice_: Slice) -> Iterator[Entry]:
        """Yield all entries by root and by path, a directory's own files before those of the directories below it."""
        sql, params = _where(slice_, EVERYTHING)
        for row in self._reader.each(f"SELECT {COLUMNS} {FROM} WHERE {sql} ORDER BY r.name, d.key, e.name, e.id", params):
            yield entry_of(row)

    def count(self, slice_: Slice, where: Range = EVERYTHING) -> int:
        """Return how many entries with these IDs there are."""
        sql, params = _where(slice_, where)
        return int(self._reader.query(f"SELECT count(*) {_from(slice_)} WHERE {sql}", params)[0][0])

    def cuts(self, slice_: Slice, part_entries: int) -> list[str]:
        """Return the first ID of each part when the slice is cut into parts of so many entries; one part at least."""
        sql, params = _where(slice_, EVERYTHING)
        rows = self._reader.each(f"SELECT e.id {_from(slice_)} WHERE {sql} ORDER BY e.id", params)
        return [f"{entry_id:016d}" for number, (entry_id,) in enumerate(rows) if number % part_entries == 0] or [LOWEST]

    def _rows(self, slice_: Slice, where: Range) -> Iterator[Row]:
        sql, params = _where(slice_, where)
        return self._reader.each(f"SELECT {COLUMNS} {FROM} WHERE {sql} ORDER BY e.id", params)


def _from(slice_: Slice) -> str:
    return FROM if slice_.root else "FROM entry e"


def _where(slice_: Slice, where: Range) -> tuple[str, dict[str, Any]]:
    """Return only the conditions that there are: one that is always true costs a comparison for each of a million rows."""
    conditions: dict[str, tuple[str, Any]] = {"first": ("e.id >= :first", int(where.first))}
    if where.end:
        conditions["end"] = ("e.id < :end", int(where.end))
    if slice_.root:
        conditions["root"] = ("r.name = :root", slice_.root)
    if slice_.status:
        conditions["status"] = ("+e.status = :status", slice_.status)  # +: by ID, whatever index there is for a status
    if slice_.class_name:
        conditions["class"] = ("json_extract(e.described, '$.class') = :class", slice_.class_name)
    return " AND ".join(text for text, _ in conditions.values()), {name: value for name, (_, value) in conditions.items()}


def text_of(row: Row) -> str:
    """Return the canonical text of the entry in a row, without parsing what stage two found: that is canonical already.

    `tags` is the last of its keys and a list of texts, so its last occurrence is it: within a text the quotation mark is escaped.
    A test holds this and core.canonical.entry_text equal. Raises StorageCorrupt.
    """
    entry_id, rev, root, key, name, status, since_s, kind, size_bytes, mtime_ns, inode, birth_ns, sha256, mime, described = row
    if described:
        at = described.rfind(_TAGS)
        if at < 0 or described[0] != "{":
            raise StorageCorrupt(database="registry.db", detail=f"entry {entry_id:016d} cannot be read")
        before, tags = described[1:at], described[at:]
    else:
        before, tags = UNDESCRIBED_TEXT, ',"tags":[]}'
    hashed = f'"{sha256.hex()}"' if sha256 else "null"
    path = names.text(key.replace(b"\0", b"/") + b"/" + name if key else name)
    return (
        f'{{{before},"id":"{entry_id:016d}","observation":{{"birth_ns":{birth_ns},"inode":{unsigned(inode)},"kind":"{kind}",'
        f'"mime":{encode_basestring(mime)},"mtime_ns":{mtime_ns},"sha256":{hashed},"size_bytes":{size_bytes}}},'
        f'"path":{encode_basestring(path)},"rev":{rev},"root":{encode_basestring(root)},"since_s":{since_s},"status":"{status}"{tags}'
    )
