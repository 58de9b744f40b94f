"""A drill: what was kept is made a registry again, in scratch, and compared with the one that is in use and with files on the disk.

Nothing of the live registry goes into what is restored but the commits that came after the last one that was shipped: those are
played on, so that both stand at the same commit, and then every entry must be the same. Reads backups, the live registry and the
trees; writes scratch only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from autoops import names
from autoops.backup import check
from autoops.backup.packing import Tell
from autoops.backup.place import Place
from autoops.backup.rebuild import rebuild
from autoops.backup.segments import Segments
from autoops.backup.shelf import Shelf
from autoops.core.signing import Verifier
from autoops.core.view import Sighting
from autoops.errors import AutoopsError
from autoops.model import JSON, Entry
from autoops.pool.pool import Pool
from autoops.prove import chain
from autoops.replica.compare import compare
from autoops.replica.side import Whole, of_registry
from autoops.store.playback import Playback
from autoops.store.registry import Registry
from autoops.walk.looking import looked_at

_NAMED = 20


class Files(NamedTuple):
    """What came of the files that were read. `changed`: since they were registered, or gone; the worker is about to see that."""

    looked: int
    same: int
    changed: int
    faults: list[str]  # paths whose content is another one although size and time are the same


class Outcome(NamedTuple):
    """What a drill found."""

    snapshot: str
    shipped: int  # the last commit that the backups alone give back
    sequence: int  # the commit at which both were compared
    entries: int
    counts: dict[str, int]  # of entries that are not the same
    differences: list[str]
    files: Files
    fault: str  # why the drill failed, "" when it was good

    def facts(self) -> JSON:
        """Return it as JSON."""
        return {**self._asdict(), "files": self.files._asdict()}


_NO_FILES = Files(0, 0, 0, [])


def failed(fault: str, snapshot: str = "", sequence: int = 0) -> Outcome:
    """Return the outcome of a drill that came to nothing."""
    return Outcome(snapshot, sequence, 0, 0, {}, [], _NO_FILES, fault)


def drill(
    source: Place, scratch: Path, live: Registry, verifier: Verifier, look: Callable[[Registry], Files], tell: Tell
) -> Outcome:
    """Try out a restore in an empty directory. What is wrong with the backups is in the outcome.

    Raises NoBackup when there is none, OSError.
    """
    shelf = Shelf(source, verifier)
    newest = shelf.newest()
    beside = [str(one.error) for one in shelf.unusable() if one.name > newest.name]  # they should have been tried out
    found = failed("", newest.name, newest.head.sequence)
    target = scratch / "registry.db"
    try:
        tell("restoring", 0)
        found = found._replace(shipped=max(newest.head.sequence, Segments(source.ledger).last()[0]))
        rebuild(source, target, found.shipped, verifier)
        with of_registry(live, rows=True) as here:  # one read snapshot: what is played on ends where it is compared
            _play_on(target, live, verifier)
            fault = check.restored_fault(source, newest, target, verifier, tell)
            with contextlib.closing(Registry.open_still(target)) as restored:
                tell("comparing", 0)
                found = _compared(found._replace(fault=fault), here, restored)
                found = found._replace(files=look(restored))
    except AutoopsError as error:
        return found._replace(fault=str(error))
    beside.append(check.ledger_fault(source, newest.head.sequence, tell))  # what is before the snapshot was not played
    return found._replace(fault=found.fault or _fault(found) or next(filter(None, beside), ""))


def _play_on(target: Path, live: Registry, verifier: Verifier) -> None:
    """Play the commits that were not shipped yet, at most those of the last seconds when the shipper runs."""
    playback = Playback.open_alone(target)
    try:
        records = live.records(playback.ledger_head.sequence)
        playback.play(chain.sound(records, playback.ledger_head, verifier))
    except BaseException:
        playback.close()
        raise
    playback.finish()


def _compared(found: Outcome, here: Whole, restored: Registry) -> Outcome:
    with of_registry(restored, rows=True) as there:
        comparison = compare(here, there, _NAMED)
    differences = [f"{one.kind} {one.id} {names.show(one.root)}:{names.show(one.path)}" for one in comparison.listed]
    head = restored.head()
    return found._replace(sequence=head.sequence, entries=restored.count(), counts=dict(comparison.counts), differences=differences)


def _fault(found: Outcome) -> str:
    differing = sum(found.counts.values())
    if differing:
        return f"{differing} entries are not what the live registry has: {', '.join(found.differences[:3])}"
    if found.files.faults:
        return f"{len(found.files.faults)} files are not what was registered, though size and time are: {found.files.faults[0]}"
    return ""


# files


def read_files(restored: Registry, pool: Pool, most: int) -> Files:
    """Read some files, chosen at random, and compare them with what a restored registry says of them."""
    expected = {(entry.root, entry.path): entry for entry in restored.some_files(most)}
    seen = {sighting.place: sighting for sighting in looked_at(pool, list(expected))}
    judged = [_judged(entry, seen.get(place)) for place, entry in expected.items()]
    faults = [f"{root}:{names.text(path)}" for (root, path), verdict in zip(expected, judged, strict=True) if verdict == "fault"]
    return Files(len(expected), judged.count("same"), judged.count("changed"), faults)


def _judged(entry: Entry, sighting: Sighting | None) -> str:
    seen, known = sighting.seen if sighting else None, entry.observation
    if seen is None:
        return "changed"
    if (seen.kind, seen.sha256) == (known.kind, known.sha256):
        return "same"
    return "fault" if (seen.size_bytes, seen.mtime_ns) == (known.size_bytes, known.mtime_ns) else "changed"
