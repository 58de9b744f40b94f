"""A registry with a past and its backups, for tests: real snapshots and segments, and what the tables held after each commit."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from histories import History, Tables, tables
from registry_files import opened

from autoops.backup import snapshot
from autoops.backup.manifest import Manifest
from autoops.backup.place import Place
from autoops.backup.segments import Segments
from autoops.backup.shelf import Shelf
from autoops.core.canonical import entry_text
from autoops.core.ledger import Head
from autoops.core.signing import Signer, Verifier
from autoops.prove import verify
from autoops.state import State
from autoops.store.database import migrate
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.registry import Registry

SIGNER = Signer(bytes(range(32)))
VERIFIER = Verifier(SIGNER.public)
FLIPS = int(os.environ.get("AUTOOPS_FLIPS", "60"))  # how many damages of each kind are tried
_WEEK_S = 7 * 86400.0


class Kept(NamedTuple):
    """What there was after each commit (before the first one at 0), and the snapshots by the commit that they are of."""

    state: State
    place: Place
    tables: list[Tables]
    texts: list[list[str]]
    heads: list[Head]
    snapshots: dict[int, Manifest]


def live_and_keep(
    directory: Path, commits: int, full: Collection[int], incremental: Collection[int] = (), seed: object = 0
) -> Kept:
    """Make commits in a state directory below `directory`, and backups: snapshots after those named, and every commit shipped."""
    state, place = State(directory / "state"), Place(directory / "backups")
    for path in (place.directory, place.snapshots, place.ledger):
        path.mkdir(parents=True)
    migrate(state.queue_db, QUEUE)
    writer = opened_in(state)
    history = History(writer, seed)
    kept = Kept(state, place, [tables(state.registry_db)], [[]], [writer.head()], {})
    for _ in range(commits):
        sequence = history.step()
        kept.tables.append(tables(state.registry_db))
        kept.texts.append([entry_text(entry) for entry in writer.entries()])
        kept.heads.append(writer.head())
        if sequence in full or sequence in incremental:
            kept.snapshots[sequence] = take(kept, full=sequence in full, at_s=history.now_s)
    Segments(place.ledger).append(writer.records(Segments(place.ledger).last()[0]))
    writer.close()
    return kept


def opened_in(state: State):  # type: ignore[no-untyped-def]
    state.registry_db.parent.mkdir(parents=True, exist_ok=True)
    writer = opened(state.registry_db, SIGNER)
    writer.require_key(SIGNER.public.hex())
    return writer


def take(kept: Kept, *, full: bool, at_s: float) -> Manifest:
    wish = snapshot.Wish(b"", _WEEK_S, full)
    return snapshot.take(kept.state, Shelf(kept.place, Verifier(SIGNER.public)), SIGNER, at_s, wish)


def faults(path: Path) -> list[verify.Fault]:
    """Return what `verify --deep` would find in a registry."""
    registry = Registry.open(path)
    head = registry.head()
    found = [
        *verify.database(registry),
        *verify.entries(registry, head),
        *verify.notes(registry, SIGNER.public),
        *verify.ledger(registry, VERIFIER),
        *verify.replay(registry, head),
    ]
    registry.close()
    return found
