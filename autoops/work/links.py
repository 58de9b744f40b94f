"""Hard links: one file under several names, of which the kernel tells the one that was used. Reads registry and trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoops.core.identity import Verdict
from autoops.files import opening
from autoops.model import Change, Entry, Observation, Work, path_key
from autoops.store.registry import Registry


def without_false(registry: Registry, places: Mapping[str, bytes], verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Put off each hard link that is none: a file that moved on while its batch was read was seen under both names.

    places: where the roots are.
    """
    if not any(_is_link(verdict.change) for verdict in verdicts):
        return list(verdicts)
    decided = {verdict.change.after.id: verdict.change.after for verdict in verdicts if verdict.change}
    return [
        verdict._replace(change=None, deferred=True)
        if verdict.change and _is_link(verdict.change) and not _is_true(registry, places, verdict.change, decided)
        else verdict
        for verdict in verdicts
    ]


def other_names(registry: Registry, verdicts: Sequence[Verdict]) -> list[Work]:
    """Return a job for each other name of what was edited, moved or deleted.

    Two names of one file that were looked at before and after an edit disagree; then both are looked at again.
    """
    changes = [one.change for one in verdicts if one.change and (one.change.before or _is_link(one.change))]
    if not changes:
        return []
    latest = {
        change.after.observation.inode: _content(change.after.observation) for change in changes if change.after.status == "active"
    }
    inodes = latest.keys() | {change.before.observation.inode for change in changes if change.before}
    sightings = {one.sighting.place: one.sighting.seen for one in verdicts}
    found: dict[int, set[object]] = {}
    for seen in sightings.values():
        if seen and seen.inode in inodes:
            found.setdefault(seen.inode, set()).add(_content(seen))
    torn = {inode for inode, contents in found.items() if len(contents) > 1}
    places = {place for place, seen in sightings.items() if seen and seen.inode in torn}
    for other in registry.with_inodes(inodes):
        place, inode = (other.root, other.path), other.observation.inode
        is_behind = place not in sightings and _content(other.observation) != latest.get(inode)
        if other.status == "active" and (is_behind or inode in torn):
            places.add(place)
    return [Work("path", path_key(root, path)) for root, path in sorted(places)]


def _is_link(change: Change | None) -> bool:
    return change is not None and change.evidence["kind"] == "hard-link"


def _is_true(registry: Registry, places: Mapping[str, bytes], change: Change, decided: Mapping[str, Entry]) -> bool:
    """Tell whether the file is under both names now."""
    original = str(change.evidence["of"])
    twin = decided.get(original) or registry.by_id([original]).get(original)
    file = change.after.observation.file
    return all(
        entry is not None and opening.file_at(places.get(entry.root, b""), entry.path) == file for entry in (change.after, twin)
    )


def _content(seen: Observation) -> object:
    return seen.size_bytes, seen.mtime_ns, seen.sha256
