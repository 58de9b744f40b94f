"""Removing the snapshots that the retention does not keep. Reads manifests; removes directories, under the lock.

Guarantee: the newest snapshot that can be used stays, and every one that stays can be restored. One that cannot be used is left for
a person to look at: it may be evidence, and it protects nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from autoops.backup import snapshot
from autoops.backup.lock import held
from autoops.backup.manifest import Manifest
from autoops.backup.place import SNAPSHOTS_LOCK
from autoops.backup.retention import Keep, kept
from autoops.backup.shelf import Shelf
from autoops.log import emit


class Pruning(NamedTuple):
    """What is kept, with why, and what goes."""

    kept: dict[str, list[str]]
    going: list[Manifest]


def plan(shelf: Shelf, keep: Keep) -> Pruning:
    """Return what would be removed."""
    good = shelf.good()
    why = kept(good, keep)
    return Pruning(why, [one for one in good if one.name not in why])


def prune(shelf: Shelf, keep: Keep) -> Pruning:
    """Remove what is not kept. Raises BackupBusy, OSError; what was removed until then is removed."""
    with held(shelf.place, name=SNAPSHOTS_LOCK):
        snapshot.tidy(shelf.place)
        pruning = plan(shelf, keep)
        # what others are built on goes last
        for one in sorted(pruning.going, key=lambda going: going.kind == "full"):
            snapshot.remove(shelf.place, one.name)
            emit("snapshot_pruned", name=one.name)
    return pruning
