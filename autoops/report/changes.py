"""What the ledger says of a time: changes by root, and what people did. Streamed: one record and a thousand IDs in memory.

Where it begins is found by bisection of the times of commits; a clock that was set back in between makes that a little wrong, and
no other. Reads registry.db, writes nothing.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from autoops.model import JSON
from autoops.store.records import UNFIT, Record, Records, committed_s, id_of, patches_of, said_by, unreadable

ACTIONS = ("added", "modified", "moved", "returned", "removed", "retired", "described", "other")
_AT_ONCE = 1000
_MOST_PEOPLE = 20
_NOTES_KEPT = 50


class Note(NamedTuple):
    """What the ledger says without a change."""

    at: str
    actor: str
    reason: str


class Told(NamedTuple):
    """What a time changed."""

    roots: Mapping[str, Counter[str]]
    commits: int
    people: Counter[str]  # changes by who made them, if that was a person
    by_hand: int  # changes in a maintenance window, or while nothing ran
    undeclared: int  # of these
    notes: list[Note]  # the newest


def told(registry: Records, since_s: float, until_s: float) -> Told:
    """Read the ledger of a time. Raises StorageError."""
    roots: dict[str, Counter[str]] = {}
    people: Counter[str] = Counter()
    notes: list[Note] = []
    waiting: list[tuple[str, str]] = []  # (ID, action) of which the root is not known yet
    commits = by_hand = undeclared = 0
    for record in _records(registry, since_s):
        try:
            said, patches = said_by(record), patches_of(record)
            if datetime.fromisoformat(said.at).timestamp() >= until_s:
                break
            for patch in patches:
                root, action = action_of(patch)
                if root:
                    roots.setdefault(root, Counter())[action] += 1
                else:
                    waiting.append((id_of(patch), action))
                if patch["evidence"].get("kind") == "by-hand":
                    by_hand += 1
                    undeclared += not patch["evidence"].get("declared")
        except UNFIT:
            raise unreadable(record.sequence) from None
        commits += 1
        if said.actor.startswith("operator:"):
            people[said.actor.removeprefix("operator:")] += len(patches)
        if not patches:
            notes = [*notes[1 - _NOTES_KEPT :], Note(*said)]
        if len(waiting) >= _AT_ONCE:
            _placed(registry, waiting, roots)
            waiting.clear()
        if len(people) > _MOST_PEOPLE:
            people = Counter(dict(people.most_common(_MOST_PEOPLE)))
    _placed(registry, waiting, roots)
    return Told(roots, commits, people, by_hand, undeclared, notes)


def _records(registry: Records, since_s: float) -> Iterator[Record]:
    with contextlib.closing(registry.records(first_since(registry, since_s) - 1)) as found:  # open, it holds the WAL
        yield from found


def first_since(registry: Records, since_s: float) -> int:
    """Return the sequence of the first commit of a time, one past the last when there is none."""
    low, high = 1, registry.behind(0).commits + 1
    while low < high:
        middle = (low + high) // 2
        record = registry.record(middle)
        if record is not None and committed_s(record) < since_s:
            low = middle + 1
        else:
            high = middle
    return low


def action_of(patch: JSON) -> tuple[str, str]:
    """Return (root, what was done) of a patch; root: "" where the patch does not say it."""
    if patch["op"] == "create":
        return str(patch["entry"]["root"]), "added"
    changed = patch["set"]
    root = str(changed.get("root", ""))
    if "status" in changed:
        return root, {"missing": "removed", "retired": "retired"}.get(changed["status"], "returned")
    if "path" in changed or "root" in changed:
        return root, "moved"
    if "observation" in changed:
        return root, "modified"
    return root, "described" if "descriptor" in changed or "described" in changed else "other"


def _placed(registry: Records, waiting: Iterable[tuple[str, str]], roots: dict[str, Counter[str]]) -> None:
    """Count changes with the root in which their entry is now."""
    for root, action in _rooted(registry, list(waiting)):
        roots.setdefault(root, Counter())[action] += 1


def _rooted(registry: Records, waiting: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    known = registry.roots_of({one for one, _ in waiting})
    for entry_id, action in waiting:
        if entry_id in known:
            yield known[entry_id], action
