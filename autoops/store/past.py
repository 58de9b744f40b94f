"""What an entry was after an earlier commit, from the ledger alone. Reads registry.db, writes nothing."""

from __future__ import annotations

from autoops.core.canonical import apply_patch
from autoops.model import JSON
from autoops.store.records import Records, patch_for, patches_about


def value_at(records: Records, entry_id: str, sequence: int) -> tuple[JSON | None, int]:
    """Return an entry's JSON value after a commit, and the commit that made it: (None, 0) before it was created.

    Goes by the history, which says in which records to look. Raises ValueError, LookupError when it does not fit the ledger.
    """
    value: JSON | None = None
    made = 0
    for _, earlier in records.history(entry_id):
        if earlier > sequence:
            break
        record = records.record(earlier)
        if record is None:
            raise LookupError(f"the ledger has no commit {earlier}")
        value, made = apply_patch(value, dict(patch_for(record, entry_id))), earlier
    return value, made


def value_by_replay(records: Records, entry_id: str, sequence: int) -> tuple[JSON | None, int]:
    """Return the same, by reading the whole ledger: for a history that cannot be believed."""
    value: JSON | None = None
    made = 0
    for record in records.records():
        if record.sequence > sequence:
            break
        for patch in patches_about(record, entry_id):
            value, made = apply_patch(value, dict(patch)), record.sequence
    return value, made
