"""Before the worker writes again: was the registry written while it did not hold it, and if so, what becomes of that?

Untouched: nothing. Edited, and whole: the edits become one commit. Broken: the worker is held, and says why and how to go back.
Reads what `inspect` reads, and the seal; writes the registry through its writer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from autoops.core.signing import Verifier
from autoops.errors import Held
from autoops.log import emit
from autoops.model import JSON, Change, Work, path_key
from autoops.runtime.maintenance import Maintenance
from autoops.state import State
from autoops.store.commit import RegistryWriter, Why
from autoops.store.entries import Restored
from autoops.window import seal
from autoops.window.declared import is_declared
from autoops.window.inspect import Alive, Edit, changed_by_hand, inspect
from autoops.window.snapshot import snapshots

_NOBODY = Maintenance(who="unknown", why="edited while autoops did not run")


class Admission(NamedTuple):
    """What is to be taken over."""

    edits: list[Edit]
    window: Maintenance


NOTHING = Admission([], _NOBODY)


class Gate:
    """What the worker passes before it opens the registry. Remembers what it refused, so as not to look at it again and again."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._refused: tuple[object, Held] | None = None

    def pass_through(self, verifier: Verifier, alive: Alive, window: Maintenance | None) -> Admission:
        """Return what is to be taken over; `window` is what is known of the one that has just ended.

        After a window everything is looked at, edited or not: nobody writes to a registry that was broken before.

        Raises Held; StorageError when the database is damaged, and nobody had opened a window to edit it.
        """
        left = seal.read(self._state)
        found = seal.stamp(self._state.registry_db)
        window = window or (left.window if left else None)
        if window is None and (left is None or left.files == found):
            return NOTHING
        looked_at = (found, seal.stamp(self._state.checkpoints), verifier.public)
        if self._refused and self._refused[0] == looked_at:
            raise self._refused[1]
        inspection = inspect(self._state, verifier, alive)
        if inspection.damage and not window:
            raise inspection.damage
        if inspection.faults:
            more = f" (and {len(inspection.faults) - 1} more)" if len(inspection.faults) > 1 else ""
            others = "" if window else "; with autoops stopped, autoops-backup recover makes it good from the backups"
            remedy = f"autoops maintenance status tells all of it; {way_back(self._state)}{others}"
            error = Held(detail=inspection.faults[0] + more, remedy=remedy)
            self._refused = (looked_at, error)
            raise error
        return Admission(inspection.edits, window or _NOBODY)


def way_back(state: State) -> str:
    """Return what an operator can do about a broken edit."""
    if snapshots(state):
        return "correct it, or go back: autoops resume --restore-snapshot"
    return "correct it: no snapshot was taken to go back to (autoops pause takes one)"


def changes_by_hand(edits: Sequence[Edit], window: Maintenance, places: Mapping[str, bytes], now_s: int) -> list[Change]:
    """Return the changes that edits make, each with whether the window declares it; `places` says where the roots are."""
    changes = []
    for edit in edits:
        after = changed_by_hand(edit, window.who or "unknown", now_s)
        if after is not None:
            declared = is_declared(window.what, (edit.before, after), places)
            evidence: JSON = {"confidence": 100, "declared": declared, "kind": "by-hand"}
            changes.append(Change(edit.before, after, evidence))
    return changes


def take_over(registry: RegistryWriter, admission: Admission) -> list[Work]:
    """Make one commit of what was edited by hand; return jobs to look at the files of it, for the disk is the truth.

    Raises StorageError.
    """
    edits, window = admission
    if not edits:
        return []
    now_s = time.time()
    who = window.who or "unknown"
    changes = changes_by_hand(edits, window, registry.root_paths(), int(now_s))
    restored = [Restored(edit.before, edit.sequence) for edit in edits]
    if not changes:
        registry.restore(restored)
        return []
    why = Why(f"operator:{who}", f"window:{window.since}" if window.since else "window", _reason(window))
    done = registry.commit(changes, why, now_s, restored=restored)
    undeclared = sum(1 for change in changes if not change.evidence["declared"])
    emit("edited_by_hand", sequence=done.head.sequence, entries=len(changes), undeclared=undeclared, who=who)
    entries = (entry for change in changes for entry in (change.before, change.after) if entry)
    return [Work("path", key) for key in sorted({path_key(entry.root, entry.path) for entry in entries})]


def _reason(window: Maintenance) -> str:
    declared = f"declared: {', '.join(window.what)}" if window.what else "nothing was declared"
    return f"{window.why or 'edited by hand'}; {declared}"
