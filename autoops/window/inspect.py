"""Can a registry that somebody else has written be taken over, and what did they change?

Every part is compared with what the worker signed: database, schema, ledger, the tree of leaves, and each entry with its leaf. An
entry that differs is an edit; anything else that differs is a fault, and then nothing is taken over. Constant memory.
Reads registry.db and checkpoints.jsonl; writes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from autoops import names
from autoops.core import digest, schema
from autoops.core.canonical import canonical, entry_from_json, entry_json, entry_text
from autoops.core.signing import Verifier
from autoops.errors import StorageCorrupt, StorageError
from autoops.model import Entry
from autoops.prove import verify
from autoops.state import State
from autoops.store.past import past_by_replay, past_of
from autoops.store.registry import Registry

_BUCKETS = 64  # looked at together: of a million entries a thousand
MOST_EDITED = 100_000  # in one commit, in memory: some 3 KiB each
_MANY = 1000  # edits: from here on one reading of the whole ledger is the quicker way to what was
_TOLD = 20  # faults; more would say nothing new

Alive = Callable[[], None]


class Edit(NamedTuple):
    """An entry as the ledger has it, and as it was found; they may differ in nothing but the registry's own fields."""

    before: Entry
    sequence: int  # the commit that made `before`
    found: Entry


class Inspection(NamedTuple):
    """What came of looking. With faults, the edits mean nothing."""

    faults: list[str]
    edits: list[Edit]
    damage: StorageError | None = None  # the fault, when it is one of the database itself: nobody could work with this file


def inspect(state: State, verifier: Verifier, alive: Alive = lambda: None) -> Inspection:
    """Look through a registry that nobody writes. `alive` is called while it takes long."""
    try:
        registry = Registry.open(state.registry_db)
    except StorageError as error:
        return Inspection([str(error)], [], error)
    faults: list[str] = []
    edits: list[Edit] = []
    try:
        with registry.watched(alive):
            for one in _looked_through(registry, state, verifier):
                if isinstance(one, Edit):
                    edits.append(one)
                elif len(faults) < _TOLD:
                    faults.append(one)
    except StorageError as error:
        return Inspection([str(error)], [], error)
    finally:
        registry.close()
    return Inspection(faults, [] if faults else edits)


def _looked_through(registry: Registry, state: State, verifier: Verifier) -> Iterator[str | Edit]:
    for line in registry.check():
        raise StorageCorrupt(database=state.registry_db, detail=line)
    broken = registry.strange_schema()
    if not broken:  # else the rest would read what is damaged
        proofs = (*verify.ledger(registry, verifier), *verify.checkpoints(state.checkpoints, registry, verifier))
        broken = [fault.detail for fault in proofs]
    yield from broken or _entries(registry)
    yield from (fault.detail for fault in verify.notes(registry, verifier.public))


def _entries(registry: Registry) -> Iterator[str | Edit]:
    head, tree = registry.head(), registry.tree()
    yield from (fault.detail for fault in verify.mids(registry, tree))
    if tree.root() != head.digest:
        yield f"the Merkle leaves were changed: they give {tree.root().hex()[:16]}, the signed digest is {head.digest.hex()[:16]}"
        return
    total = 0
    edited: list[Entry] = []
    for part in registry.leaves_in_parts(_BUCKETS):
        wanted = dict(member for _, members in part for member in digest.members_of(members))
        present = registry.by_id(wanted)
        total += len(present)
        for entry_id in wanted.keys() - present.keys():
            yield f"entry {entry_id} was deleted: an entry is retired, never removed"
        edited += [entry for entry in present.values() if digest.leaf_of(entry_text(entry)) != wanted[entry.id]]
    if registry.count() != total:
        yield "entries were added: only a scan registers files, and only the worker gives IDs"
        return
    if len(edited) > MOST_EDITED:
        yield f"{len(edited):,} entries were edited, {MOST_EDITED:,} may be: one commit has to hold them all"
        return
    edits = list(_edits(registry, edited, head.sequence))
    yield from edits
    yield from _history(registry, [one for one in edits if isinstance(one, Edit)])


def _edits(registry: Registry, edited: Sequence[Entry], until: int) -> Iterator[str | Edit]:
    wrong = {found.id: fault for found in edited if (fault := _fault_of(found))}
    for entry_id, fault in wrong.items():
        yield f"entry {entry_id}: {fault}"
    left = {found.id: found for found in edited if found.id not in wrong}
    # By history first: it is quick, but an editor may have written into it too.
    for past in (past_of, past_by_replay) if len(left) < _MANY else (past_by_replay,):
        with contextlib.suppress(ValueError, LookupError, TypeError):
            for entry_id, (value, sequence) in past(registry, left, until).items():
                if digest.leaf_of(canonical(value)) == registry.leaf(entry_id):
                    yield Edit(entry_from_json(value), sequence, left.pop(entry_id))
    for entry_id in left:
        yield f"entry {entry_id}: the ledger does not give back what it was"


def _history(registry: Registry, edits: Sequence[Edit]) -> Iterator[str]:
    """Of each entry as the ledger has it, history must keep every revision but the present one."""
    revs = {edit.before.id: edit.before.rev for edit in edits}
    for entry_id, rev, kept in registry.history_of(revs):
        earlier = revs.get(entry_id, rev) - 1
        if kept != earlier:
            yield f"entry {entry_id}: its history was changed: it has {kept} earlier revisions, there were {earlier}"


def _fault_of(found: Entry) -> str | None:
    if any(part in (b"", b".", b"..") or b"\0" in part for part in found.path.split(b"/")):
        return f"{names.show(found.path)} is no path below a root"
    return schema.fault(entry_json(found))


def changed_by_hand(edit: Edit, actor: str, now_s: int) -> Entry | None:
    """Return the entry that an edit makes, with the fields that are the registry's own in order; None: nothing was changed."""
    before, found = edit.before, edit.found
    after = found._replace(rev=before.rev, since_s=now_s if found.status != before.status else before.since_s)
    if _value(after) == _value(before):
        return None
    described, old = after.described, before.described
    if (described.class_name, described.tags) != (old.class_name, old.tags) and described.class_rule == old.class_rule:
        described = described._replace(class_rule=f"operator:{actor}", confidence=100)  # or the next description undoes it
    return after._replace(rev=before.rev + 1, described=described)


def _value(entry: Entry) -> str:
    return canonical(entry_json(entry))
