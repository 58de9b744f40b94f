"""Rollback with memory: what a person took back is not put in again by what the worker finds by itself, until it is released.

The memory is the finding `rolled_back` of an entry: which fields the rollback changed, and what they were. It ends when the finding
is released, or when the disk offers another value. Reads and writes queue.db.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autoops.core.drift import ROLLED_BACK, value_of
from autoops.log import emit
from autoops.model import JSON, Change
from autoops.store.findings import Finding, Findings


class Undone:
    """What was taken back. Costs nothing while nothing was."""

    def __init__(self, findings: Findings, now_s: Callable[[], float]) -> None:
        self._findings, self._now_s = findings, now_s
        self._known = {one.subject for one in findings.each({ROLLED_BACK})}

    def remember(self, changes: Sequence[Change], sequence: int) -> None:
        """Remember what a rollback took back."""
        found = []
        for change in changes:
            assert change.before
            undone, now = value_of(change.before), value_of(change.after)
            taken_back = {key: value for key, value in undone.items() if value != now[key]}
            detail: JSON = {"by": f"commit {sequence}", "path": now["path"], "root": now["root"], "undone": taken_back}
            found.append((ROLLED_BACK, change.after.id.encode(), detail))
        self._findings.open(found, int(self._now_s()))
        self._known.update(subject for _, subject, _ in found)

    def forget(self, changes: Sequence[Change]) -> None:
        """Forget what a person has now decided anew."""
        subjects = {change.after.id.encode() for change in changes} & self._known
        self._findings.close([(ROLLED_BACK, subject) for subject in subjects], int(self._now_s()))
        self._known -= subjects

    def allowed(self, changes: Sequence[Change]) -> list[Change]:
        """Leave out what would put in again what was taken back."""
        if not self._known:
            return list(changes)
        keys = [(ROLLED_BACK, key) for change in changes if (key := change.after.id.encode()) in self._known]
        standing = {one.subject: one for one in self._findings.about(keys).values() if one.stands}
        return [change for change in changes if self._is_allowed(change, standing.get(change.after.id.encode()))]

    def _is_allowed(self, change: Change, memory: Finding | None) -> bool:
        subject = change.after.id.encode()
        if memory is None:
            self._known.discard(subject)
            return True
        if memory.holds and puts_in_again(change, memory.detail["undone"]):
            emit("repair_held", path=change.after.path, reason=f"rolled back by {memory.detail['by']}, not released")
            return False
        self._findings.close([(ROLLED_BACK, subject)], int(self._now_s()))
        self._known.discard(subject)
        return True


def puts_in_again(change: Change, undone: JSON) -> bool:
    """Tell whether a change sets any field to the value that was taken back."""
    if change.before is None:
        return False
    before, after = value_of(change.before), value_of(change.after)
    return any(after[key] == value and before[key] != value for key, value in undone.items())
