"""Removing the snapshots that the retention does not keep.

Guarantee: the newest snapshot that can be used stays, and every one that stays can be restored. One that cannot be used is left for
a person to look at: it may be evidence, and it protects nothing. So is what is built on it, as long as it is there.
Reads manifests, and the full snapshots that stay before another one goes; removes directories, under the lock.
"""

from __future__ import annotations

from typing import NamedTuple

from autoops.backup import check, snapshot
from autoops.backup.lock import held
from autoops.backup.manifest import Manifest
from autoops.backup.packing import Tell
from autoops.backup.place import SNAPSHOTS_LOCK
from autoops.backup.retention import Keep, kept
from autoops.backup.shelf import Shelf
from autoops.log import emit


class Pruning(NamedTuple):
    """What is kept, with why, and what goes."""

    kept: dict[str, list[str]]
    going: list[Manifest]


def plan(shelf: Shelf, keep: Keep) -> Pruning:
    """Return what would be removed, as far as manifests tell. When none is good, nothing is."""
    good = shelf.good()
    why = kept(good, keep)
    return Pruning(why, [*(orphans(shelf) if good else ()), *(one for one in good if one.name not in why)])


def orphans(shelf: Shelf) -> list[Manifest]:
    """Return what is built on a snapshot that is not there any more."""
    there = set(shelf.names())
    return [one.manifest for one in shelf.unusable() if one.manifest and one.manifest.base not in there]


def read_plan(shelf: Shelf, keep: Keep, tell: Tell = lambda *_: None) -> Pruning:
    """Return what would be removed. Before a full one goes each that stays is read: what is unsound keeps the place of none."""
    whole: set[str] = set()
    while True:
        pruning = plan(shelf, keep)
        unread = [one for one in shelf.good() if one.kind == "full" and one.name in pruning.kept and one.name not in whole]
        if not unread or all(one.kind != "full" for one in pruning.going):
            return pruning
        for one in unread:
            shelf.found(one.name, check.fault_of(shelf.place, one, tell))
            whole.add(one.name)


def prune(shelf: Shelf, keep: Keep, tell: Tell = lambda *_: None) -> Pruning:
    """Remove what is not kept. Raises BackupBusy, OSError; what was removed until then is removed."""
    with held(shelf.place, name=SNAPSHOTS_LOCK):
        snapshot.tidy(shelf.place)
        pruning = read_plan(shelf, keep, tell)
        # what others are built on goes last
        for one in sorted(pruning.going, key=lambda going: going.kind == "full"):
            snapshot.remove(shelf.place, one.name)
            emit("snapshot_pruned", name=one.name)
    return pruning
