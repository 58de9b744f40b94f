"""Is a copy of the registry what its ledger says? Reads copies; nothing of it is written but SQLite's temporary files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from autoops.core.signing import Verifier
from autoops.errors import AutoopsError
from autoops.prove import verify
from autoops.store.database import Database
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.registry import Registry
from autoops.store.schema import OBJECTS, strange

Alive = Callable[[], None]


def registry_fault(
    copied: Path, checkpoints: Path, verifier: Verifier, alive: Alive = lambda: None, *, with_history: bool = False
) -> str:
    """Return the first thing that is wrong with a copy of registry.db, "" when it proves itself.

    That is SQLite's integrity, the schema, the ledger's chain and signatures, every entry and the digest, and every line of a copy
    of checkpoints.jsonl from before. with_history: also every revision, for which the whole ledger is parsed.
    """
    try:
        with contextlib.closing(Registry.open_still(copied)) as registry, registry.watched(alive):
            fault = next(_faults(registry, checkpoints, verifier), "")
            if not fault and with_history:
                fault = next((one.detail for one in verify.history(registry)), "")
            return fault
    except AutoopsError as error:
        return str(error)


def _faults(registry: Registry, checkpoints: Path, verifier: Verifier) -> Iterator[str]:
    yield from registry.check()
    yield from registry.strange_schema()
    for found in (
        verify.ledger(registry, verifier),
        verify.entries(registry, registry.head()),
        verify.notes(registry, verifier.public),
        verify.checkpoints(checkpoints, registry, verifier),
    ):
        yield from (fault.detail for fault in found)


def queue_fault(copied: Path) -> str:
    """Return what is wrong with a copy of queue.db, "" when it is whole."""
    try:
        with contextlib.closing(Database.open_still(copied, QUEUE)) as database:
            return next(iter([*database.check(), *strange(database.query(OBJECTS), QUEUE)]), "")
    except AutoopsError as error:
        return str(error)
