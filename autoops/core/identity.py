"""Which document is this? The decision table of identity, as a pure function of what was seen and what is known.

Same document if, in this order: the path is known and still plausible; a rename pair from the kernel; same inode and birth
time; the ID in the file name or in the xattr `user.autoops.id`; same content as exactly one entry whose path is gone.
Otherwise it is a new one. "Still plausible" means that the file which the entry describes has not turned up elsewhere. The
evidence and its confidence go into the ledger with the change. Two files that claim one ID are a finding, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from autoops import names
from autoops.core.canonical import NEW
from autoops.model import JSON, Change, Entry, Observation


class Sighting(NamedTuple):
    """One path as it was just found on the disk."""

    root: str
    path: bytes
    seen: Observation | None  # None: nothing is there
    claimed: str | None = None  # the ID in its name or xattr
    moved_from: tuple[bytes, ...] = ()  # the kernel's rename pairs: what was renamed to it, below the same root, the first first
    final: bool = False  # asked for a second time: decide with what there is
    ctime_ns: int = 0  # the inode's change time when the content was read; 0: it was not
    unreadable: str = ""  # why its content could not be read


class Finding(NamedTuple):
    """A disagreement that a person has to look at."""

    kind: str
    detail: JSON


class Verdict(NamedTuple):
    """What follows from one sighting. All empty: registry and disk agree."""

    sighting: Sighting
    change: Change | None = None
    deferred: bool = False  # ask again when the rest has been seen
    finding: Finding | None = None


class View:
    """The part of registry and disk that bears on one batch; decided changes are applied to it as they are made."""

    def __init__(
        self, here: Iterable[Entry], others: Iterable[Entry], gone: Iterable[Entry], held: dict[tuple[str, bytes], int | None]
    ) -> None:
        """Take the entries at the sighted paths, those that share an inode or a claimed ID with a sighting, those whose
        path is gone and whose content equals one, and the inode on the disk now (None: nothing) at the paths of all these."""
        self._held = held
        self._by_path: dict[tuple[str, bytes], Entry] = {}
        self._by_id: dict[str, Entry] = {}
        self._by_inode: dict[int, list[str]] = {}
        self._gone: dict[bytes, list[str]] = {}
        self._seen: set[int] = set()
        known = (*here, *others, *gone)
        self.is_bare = not known
        for entry in known:
            if entry.id not in self._by_id:
                self._by_inode.setdefault(entry.observation.inode, []).append(entry.id)
            self._put(entry)
        for entry in gone:
            if entry.observation.sha256:
                self._gone.setdefault(entry.observation.sha256, []).append(entry.id)

    def _put(self, entry: Entry) -> None:
        self._by_id[entry.id] = entry
        if entry.status != "retired":
            self._by_path[entry.root, entry.path] = entry

    def saw(self, sighting: Sighting) -> None:
        """Note what is at a sighted path."""
        self._held[sighting.root, sighting.path] = sighting.seen.inode if sighting.seen else None
        if sighting.seen:
            self._seen.add(sighting.seen.inode)

    def at(self, root: str, path: bytes) -> Entry | None:
        """Return the entry that lives at a path."""
        return self._by_path.get((root, path))

    def applied(self, change: Change) -> None:
        """Go on as if the change were committed."""
        before = change.before
        if before and self._by_path.get((before.root, before.path)) is self._by_id.get(before.id):
            self._by_path.pop((before.root, before.path), None)
        if change.after.id:
            self._put(change.after)
        else:
            self._by_path[change.after.root, change.after.path] = change.after

    def leave(self, entry: Entry) -> None:
        """Free the path of an entry whose file was seen elsewhere, before that sighting's turn comes."""
        self._by_path.pop((entry.root, entry.path), None)

    def holds(self, entry: Entry) -> bool:
        """Tell whether the entry's own path still holds its file; a retired one has no path any more."""
        return entry.status != "retired" and self._held.get((entry.root, entry.path)) == entry.observation.inode

    def was_seen(self, inode: int) -> bool:
        """Tell whether this batch has seen a file with an inode, wherever."""
        return inode in self._seen

    def same_file(self, seen: Observation) -> list[Entry]:
        """Return the entries that describe the very same file: inode and birth time."""
        found = [self._by_id[entry_id] for entry_id in self._by_inode.get(seen.inode, ())]
        return [entry for entry in found if same_file(entry.observation, seen)]

    def with_id(self, entry_id: str) -> Entry | None:
        """Return the entry with an ID."""
        return self._by_id.get(entry_id)

    def gone_with(self, sha256: bytes) -> list[Entry]:
        """Return the entries still missing whose content had this hash."""
        found = [self._by_id[entry_id] for entry_id in self._gone.get(sha256, ())]
        return [entry for entry in found if entry.status == "missing" or (entry.status == "active" and not self.holds(entry))]


def same_file(known: Observation, seen: Observation) -> bool:
    """Tell whether two observations are of one file: same inode, same birth time, same kind.

    Inodes are used again after a deletion. Where the file system gives no birth time, size and mtime must be the same too.
    """
    if known.inode != seen.inode or known.kind != seen.kind or known.birth_ns != seen.birth_ns:
        return False
    return bool(seen.birth_ns) or (known.size_bytes, known.mtime_ns) == (seen.size_bytes, seen.mtime_ns)


def decide(sightings: Sequence[Sighting], view: View, now_s: int) -> list[Verdict]:
    """Return a verdict for each sighting of a batch.

    A file that was seen to move on frees its path first, so that chains and swaps keep every ID. Then: what lies at free or
    unchanged paths, known paths that hold another file now, last those that hold nothing (what moved from there is not missing).
    """
    if view.is_bare:  # a first scan: nothing is known, so everything there is new
        return [Verdict(sighting, _created(sighting, sighting.seen, NEW, now_s)) for sighting in sightings if sighting.seen]
    for sighting in sightings:
        view.saw(sighting)
    _free_left_paths(sightings, view)
    turns: tuple[list[Sighting], ...] = ([], [], [])
    for sighting in sightings:
        turns[_turn(sighting, view)].append(sighting)
    verdicts = []
    for sighting in chain(*turns):
        verdict = _decide_one(sighting, view, now_s)
        if verdict.change:
            view.applied(verdict.change)
        verdicts.append(verdict)
    return verdicts


def _free_left_paths(sightings: Sequence[Sighting], view: View) -> None:
    """Free the paths of entries whose files moved on to a place that is free, or freed by this very rule, rings included."""
    goes: dict[str, Entry | None] = {}  # ID -> the entry that lives where its file is now
    for sighting in sightings:
        here = view.at(sighting.root, sighting.path)
        if sighting.seen and not (here and same_file(here.observation, sighting.seen)):
            mover = _mover(sighting, sighting.seen, view)
            if mover:
                goes.setdefault(mover[0].id, here)
    stuck: set[str] = set()  # the place they went to is not left
    for entry_id in goes:
        passed: list[str] = []
        at: str | None = entry_id
        while at in goes and at not in stuck and at not in passed:
            passed.append(at)
            occupant = goes[at]
            at = occupant.id if occupant else None
        if at is not None and at not in passed:
            stuck.update(passed)
    for entry_id, occupant in goes.items():
        if occupant and entry_id not in stuck:
            view.leave(occupant)


def _turn(sighting: Sighting, view: View) -> int:
    if sighting.seen is None:
        return 2
    here = view.at(sighting.root, sighting.path)
    return 1 if here and not same_file(here.observation, sighting.seen) else 0


def _decide_one(sighting: Sighting, view: View, now_s: int) -> Verdict:
    here = view.at(sighting.root, sighting.path)
    seen = sighting.seen
    if seen is None:
        return Verdict(sighting, _missing(here, now_s) if here else None)
    if here and same_file(here.observation, seen):
        return Verdict(sighting, _refreshed(here, sighting, seen, {"confidence": 100, "kind": "same-file"}, now_s))
    mover = _mover(sighting, seen, view)
    if here is None:
        return _at_free_path(sighting, seen, mover, view, now_s)
    if mover and not sighting.final:
        return Verdict(sighting, deferred=True)  # was `here` replaced, or did it move on? the rest of the tree will tell
    confidence = 95 if here.observation.sha256 == seen.sha256 else 85
    evidence: JSON = {"confidence": confidence, "kind": "known-path"}
    if mover:
        evidence["replaced_by"] = mover[0].id
    return Verdict(sighting, _refreshed(here, sighting, seen, evidence, now_s))


def _mover(sighting: Sighting, seen: Observation, view: View) -> tuple[Entry, JSON] | None:
    """Return the entry whose file was moved to this path, with the evidence: its own path no longer holds it."""
    loose = [entry for entry in view.same_file(seen) if not view.holds(entry)]
    if not loose:
        return None
    for entry in loose:
        if entry.root == sighting.root and entry.path in sighting.moved_from:
            return entry, {"confidence": 100, "kind": "rename-pair"}
    loose.sort(key=lambda entry: (entry.status == "retired", _name(entry.path) != _name(sighting.path)))
    return loose[0], {"confidence": 98 if seen.birth_ns else 80, "kind": "inode"}


def _at_free_path(sighting: Sighting, seen: Observation, mover: tuple[Entry, JSON] | None, view: View, now_s: int) -> Verdict:
    mover = _renamed_and_replaced(sighting, view) or mover
    if mover:
        return Verdict(sighting, _moved(*mover, sighting, seen, now_s))
    if not sighting.final and any(_still_held(view, sighting.root, origin) for origin in sighting.moved_from):
        return Verdict(sighting, deferred=True)  # the kernel says it came from there: what this batch saw there is stale
    claimant = view.with_id(sighting.claimed) if sighting.claimed else None
    if claimant and not view.holds(claimant):
        return Verdict(sighting, _moved(claimant, {"confidence": 95, "kind": "claimed-id"}, sighting, seen, now_s))
    if claimant:
        detail = {"id": claimant.id, "first": names.text(claimant.path), "root": claimant.root}
        finding = Finding("duplicate_id", detail)
        evidence = {"confidence": 100, "kind": "copy", "of": claimant.id}
        return Verdict(sighting, _created(sighting, seen, evidence, now_s), finding=finding)
    returned = _same_content(sighting, seen, view)
    if returned:
        return Verdict(sighting, _moved(*returned, sighting, seen, now_s))
    linked = next((entry for entry in view.same_file(seen) if entry.status == "active"), None)
    evidence = {"confidence": 100, "kind": "hard-link", "of": linked.id} if linked else NEW
    return Verdict(sighting, _created(sighting, seen, evidence, now_s))


def _renamed_and_replaced(sighting: Sighting, view: View) -> tuple[Entry, JSON] | None:
    """Return the entry that was renamed to this path, and whose file was replaced there before anybody looked."""
    for origin in sighting.moved_from:
        entry = view.at(sighting.root, origin)
        if entry and not view.holds(entry) and not view.was_seen(entry.observation.inode):
            return entry, {"confidence": 85, "kind": "rename-pair", "then": "replaced"}
    return None


def _still_held(view: View, root: str, origin: bytes) -> bool:
    entry = view.at(root, origin)
    return entry is not None and view.holds(entry)


def _same_content(sighting: Sighting, seen: Observation, view: View) -> tuple[Entry, JSON] | None:
    """Return the one missing entry with this content; by the same name if there are several. Empty files prove nothing."""
    if not seen.sha256 or not seen.size_bytes:
        return None
    gone = [entry for entry in view.gone_with(seen.sha256) if entry.observation.kind == seen.kind]
    named = [entry for entry in gone if _name(entry.path) == _name(sighting.path)]
    if len(named) == 1:
        return named[0], {"confidence": 90, "kind": "content-and-name"}
    if len(gone) == 1:
        return gone[0], {"confidence": 75, "kind": "content"}
    return None


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _created(sighting: Sighting, seen: Observation, evidence: JSON, now_s: int) -> Change:
    return Change(None, Entry("", 1, sighting.root, sighting.path, seen, "active", now_s), evidence, sighting.ctime_ns)


def _missing(here: Entry, now_s: int) -> Change | None:
    if here.status != "active":
        return None
    return Change(here, here._replace(rev=here.rev + 1, status="missing", since_s=now_s), {"confidence": 100, "kind": "absent"})


def _refreshed(here: Entry, sighting: Sighting, seen: Observation, evidence: JSON, now_s: int) -> Change | None:
    if seen.sha256 is None and here.observation._replace(sha256=None, mime=seen.mime) == seen:
        seen = here.observation  # it cannot be read now, but nothing says that it changed
    if here.observation == seen and here.status == "active":
        return None
    since_s = here.since_s if here.status == "active" else now_s
    after = here._replace(rev=here.rev + 1, observation=seen, status="active", since_s=since_s)
    return Change(here, after, evidence, sighting.ctime_ns)


def _moved(entry: Entry, evidence: JSON, sighting: Sighting, seen: Observation, now_s: int) -> Change:
    since_s = entry.since_s if entry.status == "active" else now_s
    after = entry._replace(
        rev=entry.rev + 1, root=sighting.root, path=sighting.path, observation=seen, status="active", since_s=since_s
    )
    evidence = evidence | {"from": names.text(entry.path), "from_root": entry.root}
    return Change(entry, after, evidence, sighting.ctime_ns)


def retired(entry: Entry, now_s: int) -> Change:
    """Return the change that retires an entry which was missing for longer than the grace time."""
    after = entry._replace(rev=entry.rev + 1, status="retired", since_s=now_s)
    return Change(entry, after, {"confidence": 100, "kind": "grace-over"})
