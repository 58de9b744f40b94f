"""Taking a snapshot: copy, prove, ship the ledger, pack, sign, publish.

Guarantees: a snapshot has its name only when it is whole, proved and on the disk; what a killed one left is removed by the next;
the services go on meanwhile. Reads the state directory; writes the backup directory, under the lock of its snapshots.
(That of the ledger is held only while records are added: a large snapshot takes minutes, and commits are shipped meanwhile.)
"""

from __future__ import annotations

import contextlib
import shutil
import socket
from pathlib import Path
from typing import NamedTuple

from autoops import __version__
from autoops.backup import check, copying, manifest, proof
from autoops.backup.lock import held
from autoops.backup.manifest import Kind, Manifest, Packed
from autoops.backup.packing import Tell, pack
from autoops.backup.place import CHECKPOINTS, CONFIG, MANIFEST, QUEUE, REGISTRY, SNAPSHOTS_LOCK, Place
from autoops.backup.shelf import SCHEMAS, Shelf, Unreadable
from autoops.backup.shipping import make_own, reaching, ship
from autoops.core.ledger import Head, stamp, utc
from autoops.core.signing import Signer, Verifier
from autoops.errors import CheckFailed
from autoops.files import durable
from autoops.log import emit
from autoops.state import State
from autoops.store.database import Database
from autoops.store.queue import SCHEMA as QUEUE_SCHEMA
from autoops.store.registry import Registry
from autoops.trace import trace

_TAKING, _GONE = ".taking", ".gone"


class Wish(NamedTuple):
    """What is asked for. `config`: the configuration that runs, to be kept too."""

    config: bytes
    full_s: float  # a full one that is older than this is followed by another one
    full: bool = False


class Copies(NamedTuple):
    """What was copied, not yet packed."""

    registry: Path
    queue: Path
    checkpoints: Path


def take(state: State, shelf: Shelf, signer: Signer, begun_s: float, wish: Wish, tell: Tell = lambda *_: None) -> Manifest:
    """Take a snapshot, called as `name_of(begun_s)`, and return what it is. The shelf takes note of what is read and unsound.

    Raises CheckFailed when a copy does not prove itself, LedgerForked when the registry is not the one whose ledger was shipped
    before, BackupBusy, BackupUnwritable, StorageError. Then there is no snapshot, and nothing of it is left.
    """
    place = shelf.place
    with reaching(place):
        make_own(state, place)
        place.snapshots.mkdir(mode=0o700, exist_ok=True)
        with held(place, name=SNAPSHOTS_LOCK):
            tidy(place)
            return _take(state, shelf, signer, begun_s, wish, tell)


def tidy(place: Place) -> None:
    """Remove what processes left that were killed while they took or removed a snapshot. For who holds the lock."""
    for left in (place.snapshots / _TAKING, *place.snapshots.glob(f".*{_GONE}")):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(left)


def name_of(begun_s: float) -> str:
    """Return the name of a snapshot that is begun at a time: 20260131T235959123Z."""
    return stamp(begun_s)


def _take(state: State, shelf: Shelf, signer: Signer, begun_s: float, wish: Wish, tell: Tell) -> Manifest:
    place, verifier, name = shelf.place, Verifier(signer.public), name_of(begun_s)
    scratch = place.snapshots / _TAKING
    scratch.mkdir(mode=0o700)
    try:
        copies = _copy(state, scratch, tell)
        trace("snapshot:copied")
        head, entries = _prove(copies, verifier, tell)
        _ship(state, place, head)
        trace("snapshot:shipped")
        base = None if wish.full else _base(shelf, copies.registry, name, begun_s - wish.full_s, tell)
        files = _pack(copies, wish.config, scratch, tell, with_registry=base is None)
        kind: Kind = "incremental" if base else "full"
        made = Manifest(
            name,
            utc(begun_s),
            kind,
            base or name,
            head,
            entries,
            files,
            SCHEMAS,
            __version__,
            socket.gethostname(),
            signer.public.hex(),
        )
        _publish(made, signer, scratch, place)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    emit("snapshot_taken", name=name, kind=kind, sequence=head.sequence, size_bytes=made.size_bytes)
    return made


# copies


def _copy(state: State, scratch: Path, tell: Tell) -> Copies:
    """Copy what there is, in the order in which nothing can be missed: a checkpoint line speaks of commits that are in a later copy
    of the registry, and a job that is not in the queue any more made commits that are."""
    copies = Copies(scratch / "registry.db", scratch / "queue.db", scratch / "checkpoints.jsonl")
    tell("copying", 0)
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(state.checkpoints, copies.checkpoints, follow_symlinks=False)
    with Database.open(state.queue_db, QUEUE_SCHEMA, mode="ro") as queue:
        copying.copy(state.queue_db, copies.queue, queue.snapshot)
    with contextlib.closing(Registry.open(state.registry_db)) as registry:
        copying.copy(state.registry_db, copies.registry, registry.snapshot)
    return copies


def _prove(copies: Copies, verifier: Verifier, tell: Tell) -> tuple[Head, int]:
    """Return where the copied ledger stands, and how many entries there are. Raises CheckFailed."""
    tell("verifying", 0)
    fault = proof.queue_fault(copies.queue)
    if fault:
        raise CheckFailed(detail=f"no snapshot was taken: the copy of queue.db is not whole ({fault}). See: autoops doctor")
    fault = proof.registry_fault(copies.registry, copies.checkpoints, verifier, lambda: tell("verifying", 0))
    if fault:
        raise CheckFailed(detail=f"no snapshot was taken: the registry does not prove itself ({fault}). See: autoops verify")
    with contextlib.closing(Registry.open_still(copies.registry)) as registry:
        return registry.head(), registry.count()


def _ship(state: State, place: Place, head: Head) -> None:
    """Have the segments reach as far as the copy. From the registry itself, for the shipper may be further than the copy by now.

    Raises LedgerForked; CheckFailed when another registry was put in its place since it was copied.
    """
    with contextlib.closing(Registry.open(state.registry_db)) as registry, held(place):
        ship(registry, place)
        if head.sequence and registry.hash_of(head.sequence) != head.hash:
            raise CheckFailed(detail="no snapshot was taken: another registry was put in the place of the one that was copied")


def _base(shelf: Shelf, copied: Path, name: str, not_before_s: float, tell: Tell) -> str | None:
    """Return the full snapshot that the ledger can be played onto, None when a new one is due.

    It is read first: no other snapshot would be usable without it. Beside the copy and its proof that is little.
    """
    with contextlib.closing(Registry.open_still(copied)) as registry:
        for one in reversed(shelf.all()):
            if _was_base(one, before=name):
                return None
            if isinstance(one, Unreadable) or one.kind != "full" or one.at < utc(not_before_s):
                continue
            record = registry.record(one.head.sequence)
            if record and record.hash == one.head.hash:
                fault = check.fault_of(shelf.place, one, tell)
                shelf.found(one.name, fault)
                return None if fault else one.name
    return None


def _was_base(one: Manifest | Unreadable, before: str) -> bool:
    """Tell whether a snapshot that cannot be used would have been built on; `before`: what a clock that was wrong named later, is
    not."""
    return isinstance(one, Unreadable) and one.name < before and (one.manifest is None or one.manifest.kind == "full")


# what is kept


def _pack(copies: Copies, config: bytes, scratch: Path, tell: Tell, *, with_registry: bool) -> dict[str, Packed]:
    given = scratch / "autoops.toml"
    given.write_bytes(config)
    sources = {QUEUE: copies.queue, CHECKPOINTS: copies.checkpoints, CONFIG: given}
    if with_registry:
        sources[REGISTRY] = copies.registry
    packed = {}
    for name, source in sources.items():
        if source.exists():
            packed[name] = pack(source, scratch / name, lambda done: tell("packing", done))
    for source in (*copies, given):
        source.unlink(missing_ok=True)
    return packed


def _publish(made: Manifest, signer: Signer, scratch: Path, place: Place) -> None:
    signed = manifest.text(made, signer.sign(manifest.signed_bytes(made)))
    durable.write(scratch / MANIFEST, signed.encode() + b"\n")
    trace("snapshot:packed")
    scratch.rename(place.snapshot(made.name))
    trace("snapshot:published")
    durable.sync_directory(place.snapshots)


def remove(place: Place, name: str) -> None:
    """Remove a snapshot, for who holds the lock: it is whole, or it has no name any more. Raises OSError."""
    gone = place.snapshots / f".{name}{_GONE}"
    place.snapshot(name).rename(gone)
    durable.sync_directory(place.snapshots)
    trace("prune:renamed")
    shutil.rmtree(gone)
