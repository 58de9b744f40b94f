"""Is a snapshot still what was kept? By its checksums, and by making it a registry again. Reads backups; writes scratch only."""

from __future__ import annotations

from pathlib import Path

from autoops.backup import proof
from autoops.backup.errors import BackupUnsound
from autoops.backup.manifest import Manifest
from autoops.backup.packing import Tell, require_whole, unpack
from autoops.backup.place import CHECKPOINTS, QUEUE, Place
from autoops.backup.rebuild import rebuild
from autoops.core.signing import Verifier


def require_sound(place: Place, one: Manifest, base: Manifest, tell: Tell) -> None:
    """Read every file of a snapshot, and of the one that it is built on. Raises BackupUnsound, OSError."""
    for snapshot in dict.fromkeys((one.name, base.name)):
        for file, packed in (one if snapshot == one.name else base).files.items():
            require_whole(place.snapshot(snapshot) / file, packed, snapshot, lambda done: tell("reading", done))


def require_restorable(place: Place, one: Manifest, verifier: Verifier, scratch: Path, tell: Tell) -> None:
    """Make a snapshot a registry and a queue again, in an empty directory, and prove both. Raises BackupUnsound, OSError."""
    registry, queue, checkpoints = scratch / "registry.db", scratch / "queue.db", scratch / "checkpoints.jsonl"
    tell("restoring", 0)
    head = rebuild(place, registry, one.head.sequence, verifier)
    if head != one.head:
        raise BackupUnsound(name=one.name, detail=f"restored, its ledger ends with another commit {head.sequence}")
    for file, target in ((QUEUE, queue), (CHECKPOINTS, checkpoints)):
        if file in one.files:
            unpack(place.snapshot(one.name) / file, target, one.files[file], one.name)
    tell("verifying", 0)
    fault = proof.queue_fault(queue) or proof.registry_fault(registry, checkpoints, verifier, lambda: tell("verifying", 0))
    if fault:
        raise BackupUnsound(name=one.name, detail=f"restored, it does not prove itself: {fault}")
