"""Which document is this? The decision table of identity, as a pure function of what was seen and what is known.

Same document if, in this order: the path is known and still plausible; a rename pair from the kernel; same inode and birth
time; the ID in the file name or in the xattr `user.autoops.id`; same content as exactly one entry whose path is gone.
Otherwise it is a new one. "Still plausible" means that the file which the entry describes has not turned up elsewhere. The
evidence and its confidence go into the ledger with the change. Two files that claim one ID are a finding, never a guess.

A batch is decided as a whole: first which file is whose, then who may go where. A document only gives its place up to another
one when it has a place itself, so no two ever stand at one path, in whatever order, and at whatever times, the paths were seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from autoops import names
from autoops.core.canonical import NEW
from autoops.core.view import Place, Sighting, View, same_file
from autoops.model import JSON, Change, Entry, Observation


class Finding(NamedTuple):
    """A disagreement that a person has to look at."""

    kind: str
    detail: JSON


class Verdict(NamedTuple):
    """What follows from one sighting. All empty: registry and disk agree."""

    sighting: Sighting
    change: Change | None = None
    deferred: bool = False  # ask again when the rest has been seen
    beside: Place | None = None  # then look there too: the document that came here left that place, to whom?
    finding: Finding | None = None


def is_doubtful(sighting: Sighting, view: View) -> bool:
    """Tell whether a decision rests on what the kernel said of this path, so that nothing it said may still be on its way."""
    if sighting.seen is None:
        return False
    here = view.at(sighting.place)
    if here is not None:
        return not same_file(here.observation, sighting.seen)
    if view.same_file(sighting.seen):
        return False
    return bool(sighting.moved_from or sighting.claimed or view.gone_with(sighting.seen.sha256))


def decide(sightings: Sequence[Sighting], view: View, now_s: int) -> list[Verdict]:
    """Return a verdict for each sighting of a batch (of a first scan: for each that saw something)."""
    if view.is_bare:
        return [Verdict(one, _created(one, one.seen, NEW, now_s)) for one in sightings if one.seen]
    return list(_Batch(sightings, view, now_s).verdicts())


class _Arrival(NamedTuple):
    """A document that came to a path where it was not registered."""

    entry: Entry
    evidence: JSON


class _Batch:
    """The decision of one batch: `arrivals` are by place, `taken` are the IDs that have one place and can have no other."""

    def __init__(self, sightings: Sequence[Sighting], view: View, now_s: int) -> None:
        self._sightings, self._view, self._now_s = sightings, view, now_s
        self._arrivals: dict[Place, _Arrival] = {}
        self._blocked: dict[Place, _Arrival] = {}  # their file is here, but so is a document that has no other place
        self._taken: set[str] = set()
        self._files = {one.seen.file for one in sightings if one.seen}
        for one in sightings:
            view.saw(one)

    def verdicts(self) -> Iterator[Verdict]:
        """Decide. Known files keep their places, files and names are followed, and what is left is looked up or new."""
        moving, staying, absent = [], [], []
        for one in self._sightings:
            here = self._view.at(one.place)
            if one.seen is None:
                absent.append(one)
            elif here and same_file(here.observation, one.seen):
                self._taken.add(here.id)
                staying.append((one, here))
            else:
                moving.append(one)
        for one, here in staying:
            yield Verdict(one, self._refreshed(here, one, {"confidence": 100, "kind": "same-file"}))
        self._follow_names([one for one in moving if len(one.moved_from) > 1])
        self._follow_files(moving)
        self._follow_names(moving)
        self._block_stuck()
        free = []
        for one in moving:
            verdict = self._at_known_place(one)
            if verdict:
                yield verdict
            else:
                free.append(one)
        for one in free:
            yield self._at_free_place(one)
        for one in absent:
            yield Verdict(one, self._missing(one))

    # who came where

    def _follow_files(self, moving: Iterable[Sighting]) -> None:
        """Find documents by their files. Of several names of one file, the kernel's word comes first, then the same last name."""
        pairs = []
        for number, one in enumerate(moving):
            assert one.seen
            for entry in self._view.same_file(one.seen):
                if entry.id not in self._taken and not self._view.holds(entry):
                    told = entry.root == one.root and any(entry.path in former for former in one.moved_from)
                    rank = (not told, entry.status == "retired", _name(entry.path) != _name(one.path))
                    pairs.append((rank, number, entry.id, one, entry))
        for (untold, *_), _, _, one, entry in sorted(pairs, key=lambda pair: pair[:3]):
            if entry.id not in self._taken and one.place not in self._arrivals:
                assert one.seen
                inode: JSON = {"confidence": 98 if one.seen.birth_ns else 80, "kind": "inode"}
                self._arrive(one.place, _Arrival(entry, inode if untold else {"confidence": 100, "kind": "rename-pair"}))

    def _follow_names(self, moving: Iterable[Sighting]) -> None:
        """Find documents that were renamed, and whose files were replaced at the new name, all before anybody looked.

        The first file that came is the document, later ones are new versions of it. Of the names that file had, the latest counts:
        names are used again. For the same reason, who has the fewest to choose from chooses first.
        """
        waiting = {one.place: one for one in moving if one.moved_from and self._may_come_by_name(one)}
        while waiting:
            choices = {place: self._former(one) for place, one in waiting.items()}
            place, found = min(choices.items(), key=lambda choice: len(choice[1]) or len(self._sightings))
            del waiting[place]
            if found:
                self._arrive(place, _Arrival(found[0], {"confidence": 85, "kind": "rename-pair", "then": "replaced"}))

    def _may_come_by_name(self, one: Sighting) -> bool:
        here = self._view.at(one.place)
        return one.place not in self._arrivals and (here is None or one.vacated or here.id in self._taken)

    def _former(self, one: Sighting) -> list[Entry]:
        """Return the documents at the former names of a file, the likeliest first, whose own files are nowhere to be seen."""
        names_in_turn = (origin for former in one.moved_from for origin in reversed(former))
        found = (self._view.at((one.root, origin)) for origin in names_in_turn if origin != one.path)
        return [
            entry
            for entry in found
            if entry and entry.id not in self._taken and not self._view.holds(entry) and entry.observation.file not in self._files
        ]

    def _arrive(self, place: Place, arrival: _Arrival) -> None:
        self._arrivals[place] = arrival
        self._taken.add(arrival.entry.id)

    def _block_stuck(self) -> None:
        """Take back what would put a document where another one lives that has no place to go; and what followed from it."""
        stuck = [place for place in self._arrivals if self._is_stuck(place)]
        while stuck:
            place = stuck.pop()
            arrival = self._blocked[place] = self._arrivals.pop(place)
            self._taken.discard(arrival.entry.id)
            left = (arrival.entry.root, arrival.entry.path)
            if left in self._arrivals and self._is_stuck(left):
                stuck.append(left)

    def _is_stuck(self, place: Place) -> bool:
        here = self._view.at(place)
        return here is not None and here.id not in self._taken

    # what follows

    def _at_known_place(self, one: Sighting) -> Verdict | None:
        """Decide about a path to which a document came, or where one lives on; None when the path is free."""
        assert one.seen
        arrival = self._arrivals.get(one.place)
        if arrival:
            return Verdict(one, self._moved(arrival, one))
        here = self._view.at(one.place)
        if here is None or here.id in self._taken:
            return None
        blocked = self._blocked.get(one.place)
        if (blocked or one.vacated) and not one.is_final:  # was `here` replaced, or did it move on? the rest of the tree will tell
            return Verdict(one, deferred=True, beside=(blocked.entry.root, blocked.entry.path) if blocked else None)
        self._taken.add(here.id)
        confidence = 95 if here.observation.sha256 == one.seen.sha256 else 85
        evidence: JSON = {"confidence": confidence, "kind": "known-path"}
        if blocked:
            evidence["replaced_by"] = blocked.entry.id
        return Verdict(one, self._refreshed(here, one, evidence))

    def _at_free_place(self, one: Sighting) -> Verdict:
        assert one.seen
        if not one.is_final and self._is_stale(one):
            return Verdict(one, deferred=True)  # the kernel says it came from there: what this batch saw there is stale
        claimant = self._view.with_id(one.claimed) if one.claimed else None
        if claimant and self._is_homeless(claimant):
            return self._returned(one, claimant, {"confidence": 95, "kind": "claimed-id"})
        if claimant:
            detail = {"id": claimant.id, "first": names.text(claimant.path), "root": claimant.root}
            evidence: JSON = {"confidence": 100, "kind": "copy", "of": claimant.id}
            return Verdict(one, _created(one, one.seen, evidence, self._now_s), finding=Finding("duplicate_id", detail))
        returned = self._same_content(one, one.seen)
        if returned:
            return self._returned(one, *returned)
        same = self._view.same_file(one.seen)
        linked = next((entry for entry in same if entry.status == "active" or entry.id in self._taken), None)
        evidence = {"confidence": 100, "kind": "hard-link", "of": linked.id} if linked else NEW
        return Verdict(one, _created(one, one.seen, evidence, self._now_s))

    def _is_stale(self, one: Sighting) -> bool:
        origins = (self._view.at((one.root, former[-1])) for former in one.moved_from)
        return any(entry is not None and self._view.holds(entry) for entry in origins)

    def _is_homeless(self, entry: Entry) -> bool:
        return entry.id not in self._taken and self._view.is_homeless(entry)

    def _returned(self, one: Sighting, entry: Entry, evidence: JSON) -> Verdict:
        self._taken.add(entry.id)
        return Verdict(one, self._moved(_Arrival(entry, evidence), one))

    def _same_content(self, one: Sighting, seen: Observation) -> tuple[Entry, JSON] | None:
        """Return the one missing entry with this content; by the same name if there are several. Empty files prove nothing."""
        if not seen.sha256 or not seen.size_bytes:
            return None
        gone = [
            entry for entry in self._view.gone_with(seen.sha256) if entry.observation.kind == seen.kind and self._is_homeless(entry)
        ]
        named = [entry for entry in gone if _name(entry.path) == _name(one.path)]
        if len(named) == 1:
            return named[0], {"confidence": 90, "kind": "content-and-name"}
        if len(gone) == 1:
            return gone[0], {"confidence": 75, "kind": "content"}
        return None

    def _missing(self, one: Sighting) -> Change | None:
        here = self._view.at(one.place)
        if here is None or here.status != "active" or here.id in self._taken:
            return None
        after = here._replace(rev=here.rev + 1, status="missing", since_s=self._now_s)
        return Change(here, after, {"confidence": 100, "kind": "absent"})

    def _refreshed(self, here: Entry, one: Sighting, evidence: JSON) -> Change | None:
        seen = one.seen
        assert seen
        if seen.sha256 is None and here.observation._replace(sha256=None, mime=seen.mime) == seen:
            seen = here.observation  # it cannot be read now, but nothing says that it changed
        if here.observation == seen and here.status == "active":
            return None
        return self._changed(here, one, seen, evidence)

    def _moved(self, arrival: _Arrival, one: Sighting) -> Change:
        assert one.seen
        entry = arrival.entry
        evidence = arrival.evidence | {"from": names.text(entry.path), "from_root": entry.root}
        return self._changed(entry, one, one.seen, evidence)

    def _changed(self, before: Entry, one: Sighting, seen: Observation, evidence: JSON) -> Change:
        since_s = before.since_s if before.status == "active" else self._now_s
        after = before._replace(
            rev=before.rev + 1, root=one.root, path=one.path, observation=seen, status="active", since_s=since_s
        )
        return Change(before, after, evidence, one.ctime_ns)


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _created(sighting: Sighting, seen: Observation, evidence: JSON, now_s: int) -> Change:
    return Change(None, Entry("", 1, sighting.root, sighting.path, seen, "active", now_s), evidence, sighting.ctime_ns)


def retired(entry: Entry, now_s: int) -> Change:
    """Return the change that retires an entry which was missing for longer than the grace time."""
    after = entry._replace(rev=entry.rev + 1, status="retired", since_s=now_s)
    return Change(entry, after, {"confidence": 100, "kind": "grace-over"})
