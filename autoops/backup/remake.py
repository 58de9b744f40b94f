"""A registry made again as far as anything goes: the best there is to begin with, and every record that follows, whoever has it.

Unlike `rebuild`, which makes one commit's registry or nothing. Each record has to follow from the one before it and be signed,
wherever it is from. Reads backups and what can be read of a damaged registry.db; writes one new file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from autoops.backup.errors import BackupUnsound, NoBackup
from autoops.backup.packing import Tell
from autoops.backup.place import Place
from autoops.backup.rebuild import UNUSABLE, begin, clear, told
from autoops.backup.shelf import Shelf
from autoops.core.ledger import Head
from autoops.core.signing import Verifier
from autoops.errors import CommitMisfit
from autoops.prove import chain
from autoops.store.playback import Playback
from autoops.store.records import Record

Say = Callable[[str], None]
Sources = Mapping[str, Callable[[int], Iterable[Record]]]  # by name: who gives the records after a commit


def remake(target: Path, whole: Path | None, place: Place, sources: Sources, verifier: Verifier, say: Say, tell: Tell) -> Head:
    """Make a registry, out loud, and say where its ledger stands. whole: one that proves itself, to begin with.

    Raises NoBackup when not even an empty one can be begun, StorageError, OSError.
    """
    for name, playback in _begun(target, whole, place, verifier, say, tell):
        with contextlib.closing(playback):
            say(f"beginning with {name}, at commit {playback.ledger_head.sequence}")
            try:
                _play(playback, sources, verifier, say, tell)
            except UNUSABLE as error:
                say(f"{name} is not used: {error}")
                continue
            playback.settle()
            return playback.ledger_head
    raise NoBackup(detail=f"nothing in {place.directory} can be begun with")


def _begun(
    target: Path, whole: Path | None, place: Place, verifier: Verifier, say: Say, tell: Tell
) -> Iterator[tuple[str, Playback]]:
    """Yield what there is to begin with, the best first; each takes the place of the one before."""
    if whole:
        whole.rename(target)
        yield "registry.db itself", Playback.open_alone(target)
    full = [one for one in Shelf(place, verifier).good() if one.kind == "full"]
    for one in [*sorted(full, key=lambda one: (one.head.sequence, one.at), reverse=True), None]:
        clear(target)
        try:
            yield f"snapshot {one.name}" if one else "an empty registry", begin(place, one, target, verifier, tell)
        except UNUSABLE as error:
            say(f"not used: {error}")


def _play(playback: Playback, sources: Sources, verifier: Verifier, say: Say, tell: Tell) -> None:
    """Play what there is from all sources, until none of them goes on."""
    begun = -1
    while begun != playback.ledger_head.sequence:
        begun = playback.ledger_head.sequence
        for name, records in sources.items():
            before = playback.ledger_head
            playback.play(told(_as_far_as_sound(name, records(before.sequence), before, verifier, say), tell))
            if playback.ledger_head != before:
                say(f"commits {before.sequence + 1} to {playback.ledger_head.sequence}: from {name}")


def _as_far_as_sound(name: str, records: Iterable[Record], before: Head, verifier: Verifier, say: Say) -> Iterator[Record]:
    try:
        yield from chain.sound(records, before, verifier)
    except (BackupUnsound, CommitMisfit, OSError) as error:
        say(f"{name} ends: {error}")
