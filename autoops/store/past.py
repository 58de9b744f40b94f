"""What entries were after an earlier commit, from the ledger alone. Reads registry.db, writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from autoops.core.canonical import apply_patch
from autoops.model import JSON
from autoops.store.records import Record, Records, id_of, patches_of


class Past(NamedTuple):
    """An entry's JSON value, and the commit that made it."""

    value: JSON
    sequence: int


def past_of(records: Records, entry_ids: Collection[str], until: int) -> dict[str, Past]:
    """Return what entries were after a commit; those that it, and the ones before, did not create are left out.

    Goes by the history, which says in which records to look. Raises ValueError, LookupError when that does not fit the ledger.
    """
    made = {sequence for entry_id in entry_ids for _, sequence in records.history(entry_id) if sequence <= until}
    found = []
    for sequence in sorted(made):
        record = records.record(sequence)
        if record is None:
            raise LookupError(f"the ledger has no commit {sequence}")
        found.append(record)
    return _applied(found, frozenset(entry_ids))


def past_by_replay(records: Records, entry_ids: Collection[str], until: int) -> dict[str, Past]:
    """Return the same by reading the whole ledger: for very many entries, or a history that cannot be believed."""
    return _applied((record for record in records.records() if record.sequence <= until), frozenset(entry_ids))


def _applied(records: Iterable[Record], wanted: frozenset[str]) -> dict[str, Past]:
    found: dict[str, Past] = {}
    for record in records:
        for patch in patches_of(record):
            entry_id = id_of(patch)
            if entry_id in wanted:
                before = found.get(entry_id)
                found[entry_id] = Past(apply_patch(before.value if before else None, patch), record.sequence)
    return found
