"""What a decision about identity rests on: paths as they were just found, and the part of registry and disk that bears on them.

Values and look-ups only; the decision itself is core/identity.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from autoops.core.hints import Former
from autoops.model import Entry, File, Observation

Place = tuple[str, bytes]  # root, path below it
MOST_ASKED = 3  # each time one more place is looked at together, so a ring of three documents is seen whole


class Sighting(NamedTuple):
    """One path as it was just found on the disk."""

    root: str
    path: bytes
    seen: Observation | None  # None: nothing is there
    claimed: str | None = None  # the ID in its name or xattr
    moved_from: tuple[Former, ...] = ()  # each rename to it, in order: the names the file had, the first first
    vacated: bool = False  # the kernel says that what was here before was renamed away
    asked: int = 0  # how often a decision was put off
    ctime_ns: int = 0  # the inode's change time when the content was read, negative if it proves nothing; 0: it was not
    unreadable: str = ""  # why its content could not be read

    @property
    def place(self) -> Place:
        """Where it is."""
        return self.root, self.path

    @property
    def is_final(self) -> bool:
        """Whether to decide with what there is."""
        return self.asked >= MOST_ASKED


class View:
    """The part of registry and disk that bears on one batch."""

    def __init__(
        self,
        here: Iterable[Entry],
        others: Iterable[Entry],
        gone: Iterable[Entry],
        held: dict[Place, File | None],
        on_their_way: Collection[Place] = (),
    ) -> None:
        """Take the entries at the sighted paths, those that share an inode, a claimed ID or a former name with a sighting, those
        whose path is gone and whose content equals one, and the file on the disk now (None: nothing) at the paths of these.

        on_their_way: places from which the kernel says that a file was renamed to where nobody has looked yet.
        """
        self._held, self._on_their_way = held, on_their_way
        self._by_place: dict[Place, Entry] = {}
        self._by_id: dict[str, Entry] = {}
        self._by_inode: dict[int, list[Entry]] = {}
        self._gone: dict[bytes, list[Entry]] = {}
        for entry in (*here, *others, *gone):
            if entry.id not in self._by_id:
                self._put(entry)
        for entry in gone:
            if entry.observation.sha256:
                self._gone.setdefault(entry.observation.sha256, []).append(entry)

    def _put(self, entry: Entry) -> None:
        self._by_id[entry.id] = entry
        self._by_inode.setdefault(entry.observation.inode, []).append(entry)
        if entry.status != "retired":
            self._by_place[entry.root, entry.path] = entry

    @property
    def is_bare(self) -> bool:
        """Whether nothing is known at all."""
        return not self._by_id

    def saw(self, sighting: Sighting) -> None:
        """Note what is at a sighted path."""
        self._held[sighting.place] = sighting.seen.file if sighting.seen else None

    def at(self, place: Place) -> Entry | None:
        """Return the entry that lives at a path."""
        return self._by_place.get(place)

    def holds(self, entry: Entry) -> bool:
        """Tell whether the entry's own path still holds its file; a retired one has no path any more."""
        return entry.status != "retired" and self._held.get((entry.root, entry.path)) == entry.observation.file

    def is_homeless(self, entry: Entry) -> bool:
        """Tell whether nothing at all is at the entry's own path, nor did its file go elsewhere, so that another may be it now."""
        place = (entry.root, entry.path)
        return entry.status == "retired" or (self._held.get(place) is None and place not in self._on_their_way)

    def same_file(self, seen: Observation) -> list[Entry]:
        """Return the entries that describe the very same file: inode and birth time."""
        return [entry for entry in self._by_inode.get(seen.inode, ()) if same_file(entry.observation, seen)]

    def with_id(self, entry_id: str) -> Entry | None:
        """Return the entry with an ID."""
        return self._by_id.get(entry_id)

    def gone_with(self, sha256: bytes | None) -> list[Entry]:
        """Return the entries that are missing and whose content had this hash."""
        return self._gone.get(sha256, []) if sha256 else []


def same_file(known: Observation, seen: Observation) -> bool:
    """Tell whether two observations are of one file: same inode, same birth time, same kind.

    Inodes are used again after a deletion. Where the file system gives no birth time, size and mtime must be the same too.
    """
    if known.inode != seen.inode or known.kind != seen.kind or known.birth_ns != seen.birth_ns:
        return False
    return bool(seen.birth_ns) or (known.size_bytes, known.mtime_ns) == (seen.size_bytes, seen.mtime_ns)
