"""What registry and disk know that bears on a batch of sightings: the facts for the pure decision of core.identity."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from autoops.core.view import Place, Sighting, View, same_file
from autoops.files import opening
from autoops.model import Entry, File, path_key
from autoops.store.registry import Registry


def entries_at(registry: Registry, sightings: Sequence[Sighting]) -> list[Entry]:
    """Return the entries that live at the sighted paths."""
    by_root: dict[str, list[bytes]] = {}
    for one in sightings:
        by_root.setdefault(one.root, []).append(one.path)
    return [entry for root, paths in by_root.items() for entry in registry.at(root, paths)]


def view_of(
    registry: Registry,
    places: Mapping[str, bytes],
    sightings: Sequence[Sighting],
    is_lost: Callable[[str], bool] = lambda _: False,
    on_their_way: Callable[[Collection[bytes]], Collection[Place]] = lambda _: (),
) -> View:
    """Return the view for a batch; `places` says where the roots are, `is_lost` whether one is away just now, `on_their_way`
    which places files left for others, told in other jobs than those with these keys.

    A document of a root that is away still has its place: nobody else may take its ID over meanwhile.
    """
    here = entries_at(registry, sightings)
    at = {(entry.root, entry.path): entry for entry in here}
    strange = [one for one in sightings if one.seen and not _is_same(at.get((one.root, one.path)), one)]
    others: list[Entry] = []
    gone: list[Entry] = []
    moving: Collection[Place] = ()
    if strange:
        others = registry.with_inodes({one.seen.inode for one in strange if one.seen})
        claimed = {one.claimed for one in strange if one.claimed}
        others += registry.by_id(claimed).values() if claimed else ()
        origins = [Sighting(one.root, origin, None) for one in strange for former in one.moved_from for origin in former]
        others += entries_at(registry, origins) if origins else ()
        gone = registry.missing_with(one.seen.sha256 for one in strange if one.seen and one.seen.sha256)
        if gone or claimed:
            moving = on_their_way({path_key(*one.place) for one in strange})
    sighted = {(one.root, one.path) for one in sightings}
    lost = {root for root in {entry.root for entry in (*others, *gone)} if root in places and is_lost(root)}
    held = {
        (entry.root, entry.path): entry.observation.file if entry.root in lost else _file(places, entry)
        for entry in (*others, *gone)
        if (entry.root, entry.path) not in sighted
    }
    return View(here, others, [entry for entry in gone if entry.root not in lost], held, moving)


def _file(places: Mapping[str, bytes], entry: Entry) -> File | None:
    return opening.file_at(places[entry.root], entry.path) if entry.root in places else None


def _is_same(entry: Entry | None, sighting: Sighting) -> bool:
    return bool(entry and sighting.seen and same_file(entry.observation, sighting.seen))
