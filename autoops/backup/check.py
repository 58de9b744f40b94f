"""Are backups still what was kept? By their checksums, and by making a snapshot a registry again.

Reads backups; writes scratch only.
"""

from __future__ import annotations

from pathlib import Path

from autoops.backup import proof
from autoops.backup.errors import BackupUnsound, SegmentUnsound
from autoops.backup.manifest import Manifest
from autoops.backup.packing import Tell, require_whole, unpack
from autoops.backup.place import CHECKPOINTS, QUEUE, Place
from autoops.backup.rebuild import first_shipped, rebuild
from autoops.backup.segments import Segments
from autoops.core.signing import Verifier
from autoops.errors import AutoopsError


def fault_of(place: Place, one: Manifest, tell: Tell) -> str:
    """Read every file of a snapshot, not of what it is built on. Return what is wrong with it, "" for nothing."""
    try:
        for file, packed in one.files.items():
            require_whole(place.snapshot(one.name) / file, packed, one.name, lambda done: tell("reading", done))
    except BackupUnsound as error:
        return str(error)
    return ""


def ledger_fault(place: Place, reach: int, tell: Tell) -> str:
    """Read the whole shipped ledger: each line's checksum, and the chain. Return what is wrong with it, "" for nothing.

    reach: the commit that it has to go up to, for a snapshot needs it.
    """
    last = 0
    try:
        for record in Segments(place.ledger).records(max(first_shipped(place) - 1, 0)):
            last = record.sequence
            tell("reading the ledger", len(record.text))
    except AutoopsError as error:
        return str(error)
    if last < reach:
        return str(SegmentUnsound(name=place.ledger, detail=f"it ends with commit {last}, before commit {reach}"))
    return ""


def require_restorable(place: Place, one: Manifest, verifier: Verifier, scratch: Path, tell: Tell) -> None:
    """Make a snapshot a registry and a queue again, in an empty directory, and prove both. Raises BackupUnsound, OSError."""
    registry = scratch / "registry.db"
    tell("restoring", 0)
    head = rebuild(place, registry, one.head.sequence, verifier)
    if head != one.head:
        raise BackupUnsound(name=one.name, detail=f"restored, its ledger ends with another commit {head.sequence}")
    if fault := restored_fault(place, one, registry, verifier, tell):
        raise BackupUnsound(name=one.name, detail=f"restored, it does not prove itself: {fault}")


def restored_fault(place: Place, one: Manifest, registry: Path, verifier: Verifier, tell: Tell) -> str:
    """Prove a registry that was made again, by the checkpoints of a snapshot, and that one's queue, both unpacked beside it.

    Return what is wrong, "" for nothing. Raises BackupUnsound, OSError.
    """
    queue, checkpoints = registry.with_name("queue.db"), registry.with_name("checkpoints.jsonl")
    for file, target in ((QUEUE, queue), (CHECKPOINTS, checkpoints)):
        if file in one.files:
            unpack(place.snapshot(one.name) / file, target, one.files[file], one.name)
    tell("verifying", 0)
    return proof.queue_fault(queue) or proof.registry_fault(registry, checkpoints, verifier, lambda: tell("verifying", 0))
