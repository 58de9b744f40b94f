"""What the log says of a commit."""

from __future__ import annotations

from collections.abc import Sequence

from autoops.core.drift import action
from autoops.log import emit, is_verbose
from autoops.model import Change, Entry
from autoops.store.commit import Committed, Why

_FEW = 20  # changes of one commit that are reported one by one


def report(changes: Sequence[Change], done: Committed, why: Why) -> None:
    """Report a commit, and what it changed when that is little, or everything is reported."""
    emit(
        "batch_committed",
        sequence=done.head.sequence,
        patches=len(changes),
        digest=done.head.digest.hex()[:16],
        root=changes[0].after.root if changes else "",
        source=why.source,
    )
    if is_verbose() or (len(changes) <= _FEW and why.source != "describe"):
        for change, entry in zip(changes, done.entries, strict=True):
            _report_one(change, entry)


def _report_one(change: Change, entry: Entry) -> None:
    match action(change):
        case "register":
            emit("entry_created", id=entry.id, path=entry.path, evidence=change.evidence["kind"])
        case "move":
            assert change.before
            emit("entry_moved", id=entry.id, path=entry.path, was=change.before.path, evidence=change.evidence["kind"])
        case "mark missing":
            emit("entry_missing", id=entry.id, path=entry.path)
        case "retire":
            emit("entry_retired", id=entry.id, path=entry.path)
        case _:
            emit("entry_changed", id=entry.id, path=entry.path, evidence=change.evidence["kind"])
