"""`autoops verify`: does the registry prove itself?

Reads the registry and its checkpoints; writes nothing but a temporary database for the replay. Constant memory.
Each check yields the faults it finds, the first of each kind with what was wanted and what was found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from autoops.core import digest
from autoops.core.canonical import apply_patch, canonical, entry_text, parse
from autoops.core.ids import is_id
from autoops.core.ledger import GENESIS, Head, checkpoint_bytes
from autoops.core.signing import Verifier
from autoops.errors import CannotTell, StorageCorrupt
from autoops.files.following import ABSENT, batches
from autoops.model import JSON
from autoops.prove import chain
from autoops.prove.replay import Replay
from autoops.store.records import UNFIT, id_of, patches_of
from autoops.store.registry import Registry

MAX_LINE_BYTES = 4096
_KEPT = "give a copy of registry/checkpoints.jsonl, or its last line with the newline"


class Fault(NamedTuple):
    """One thing that does not agree."""

    check: str
    detail: str
    subject: str = ""  # what exactly: an ID, a commit, a line; "" when it is all of it


def database(registry: Registry) -> Iterator[Fault]:
    """SQLite's own integrity check."""
    for line in registry.check():
        yield Fault("database", line)


def entries(registry: Registry, head: Head) -> Iterator[Fault]:
    """Every entry against its stored Merkle leaf, and all leaves together against the stored mids and the ledger's last digest."""
    leaves: dict[int, bytes] = dict(registry.leaves())
    tree = digest.Tree()
    for number, members in leaves.items():
        tree.set(number, members)
    yield from mids(registry, tree)
    total = 0
    try:
        for entry in registry.entries():
            total += 1
            number = digest.bucket_of(entry.id)
            if not digest.has_member(leaves.get(number, b""), entry.id, digest.leaf_of(entry_text(entry))):
                yield Fault("entry", f"{entry.id} is not what its commit wrote: it was changed past the ledger", entry.id)
    except StorageCorrupt as error:
        yield Fault("entry", f"{error} It was changed past the ledger")
        return
    stored = sum(len(members) // digest.MEMBER_BYTES for members in leaves.values())
    if stored != total:
        yield Fault("digest", f"{stored} leaves for {total} entries")
    if tree.root() != head.digest:
        yield Fault("digest", f"the ledger says {head.digest.hex()}, the entries give {tree.root().hex()}")


def mids(registry: Registry, tree: digest.Tree) -> Iterator[Fault]:
    """Every stored mid against the tree of the stored leaves, which are written together."""
    if changed := digest.differing(tree.mids(), registry.mids()):
        yield Fault(
            "digest", f"{len(changed)} stored hash(es) of mids are not those of their leaves, that of mid {changed[0]} first"
        )


def ledger(registry: Registry, verifier: Verifier) -> Iterator[Fault]:
    """The chain of records: sequence, hashes, signatures, and that each digest is the next one's beginning."""
    before = Head(0, GENESIS, digest.Tree().root())
    for record in registry.records():
        where = f"commit {record.sequence}"
        for fault in chain.faults(record, before, verifier):
            yield Fault("ledger", f"{where} {fault}", where)
            if fault == chain.NO_RECORD:
                return
        before = chain.head_after(record)


def notes(registry: Registry, public_key: bytes) -> Iterator[Fault]:
    """What stands beside the entries and decides about the next commit: the key, and the last ID that was given."""
    key, last, greatest = registry.meta("public_key"), registry.meta("last_id"), registry.greatest_id()
    if key not in (None, public_key.hex()):
        yield Fault("notes", f"public_key was changed: {str(key)[:16]} is not the key of this ledger, {public_key.hex()[:16]}...")
    if last != greatest:  # no entry is ever deleted
        yield Fault("notes", f"last_id was changed: it is {str(last)[:20]}, the last ID that was given is {greatest}")
    given = registry.meta("given_id")
    if given is not None and not is_id(str(given)):
        yield Fault("notes", f"given_id was changed: {str(given)[:20]} is no ID")


def checkpoints(path: Path, registry: Registry, verifier: Verifier, *, needed: bool = False) -> Iterator[Fault]:
    """Every line of checkpoints.jsonl: its signature, and its hash and digest against the ledger at that sequence.

    `needed`: raise CannotTell when there is no line; else none is no fault.
    """
    told = False
    for batch in batches(path):  # without a last line that has no end: being written, or torn by a power cut
        if batch.trouble and batch.trouble != ABSENT:
            yield Fault("checkpoint", f"{path.name}: {batch.trouble}")
        for number, line in batch.lines:
            told = told or bool(line.strip())
            fault = checkpoint_fault(line, registry, verifier) if line.strip() else None
            if fault:
                yield Fault("checkpoint", f"{path.name} line {number}: {fault}")
    if needed and not told:
        raise CannotTell(detail=f"what was known of the ledger elsewhere: no whole line is in {path}", remedy=_KEPT)


def checkpoint_fault(line: bytes, registry: Registry, verifier: Verifier) -> str | None:
    """Return what is wrong with a line of checkpoints.jsonl, None when ledger and key confirm it."""
    value, fault = signed_checkpoint(line, verifier)
    return fault or ledger_fault(value, registry)


def signed_checkpoint(line: bytes, verifier: Verifier) -> tuple[JSON, str | None]:
    """Return what a line says, and why it is not what our key signed; {} for what is no checkpoint."""
    if len(line) > MAX_LINE_BYTES:
        return {}, f"not a checkpoint: longer than {MAX_LINE_BYTES} bytes"
    try:
        value: JSON = parse(line)
        signature = bytes.fromhex(value["signature"])
        message = checkpoint_bytes(value)
        if not {"sequence", "hash", "digest"} <= value.keys():
            return {}, "not a checkpoint"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, "not a checkpoint"
    return value, None if verifier.verify(signature, message) else "not signed by the ledger key"


def ledger_fault(value: JSON, registry: Registry) -> str | None:
    """Return how the ledger contradicts a checkpoint that our key signed."""
    sequence, hashed, digested = value["sequence"], value["hash"], value["digest"]
    if sequence == 0:
        return None
    record = registry.record(sequence) if isinstance(sequence, int) else None
    if record is None:
        return f"the ledger has no commit {sequence}: it was cut, or replaced by an older copy"
    if record.hash.hex() != hashed or f'"digest_after":"{digested}"' not in record.text:
        return f"commit {sequence} is another one now: the ledger was rewritten"
    return None


def history(registry: Registry) -> Iterator[Fault]:
    """Every revision against the commit that made it, as the ledger says: no more of them, and no fewer."""
    revisions = 0
    for record in registry.records():
        try:
            made = [made_by(patch) for patch in patches_of(record)]
        except UNFIT:
            yield Fault("history", f"commit {record.sequence} cannot be read", f"commit {record.sequence}")
            return
        yield from _unmade(registry, record.sequence, made)
        revisions += len(made)
    yield from _miscounted(registry, revisions)


def made_by(patch: JSON) -> tuple[str, int]:
    """Return (ID, rev) of what a patch makes."""
    return id_of(patch), 1 if patch["op"] == "create" else int(patch["rev"]) + 1


def _unmade(registry: Registry, sequence: int, made: Iterable[tuple[str, int]]) -> Iterator[Fault]:
    for entry_id, rev in made:
        if registry.commit_of(entry_id, rev) != sequence:
            yield Fault("history", f"history does not say that commit {sequence} made rev {rev} of {entry_id}")


def _miscounted(registry: Registry, revisions: int) -> Iterator[Fault]:
    if registry.history_count() != revisions:
        yield Fault("history", f"history has {registry.history_count()} revisions, the ledger {revisions}")


def replay(registry: Registry, head: Head) -> Iterator[Fault]:
    """The whole ledger, from nothing: it must give the registry's digest and history, and what it claims after each commit."""
    revisions = 0
    with Replay() as state:
        for record in registry.records():
            try:
                value = parse(record.text)
                made = [_replay_patch(state, patch) for patch in value["patches"]]
                claimed = value["digest_after"]
            except UNFIT as error:
                yield Fault("replay", f"commit {record.sequence} cannot be replayed: {error!r}")
                return
            if state.digest().hex() != claimed:
                yield Fault("replay", f"commit {record.sequence} claims {claimed}, replayed it is {state.digest().hex()}")
                return
            yield from _unmade(registry, record.sequence, made)
            revisions += len(made)
        if state.digest() != head.digest:
            yield Fault("replay", f"the registry's digest is {head.digest.hex()}, the ledger's {state.digest().hex()}")
    yield from _miscounted(registry, revisions)


def _replay_patch(state: Replay, patch: JSON) -> tuple[str, int]:
    """Apply one patch and return (ID, rev) of what it made."""
    entry_id = id_of(patch)
    before = state.get(entry_id)
    after = apply_patch(json.loads(before) if before else None, patch)
    state.put(entry_id, canonical(after))
    return entry_id, int(after["rev"])
