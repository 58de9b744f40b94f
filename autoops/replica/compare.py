"""The comparison of two registries: entries by descent, ledgers by their heads. What it finds, as a value.

Reads both sides; writes nothing. `finding_of` makes a finding (`replica_differs`) of it, for whoever keeps findings.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

from autoops.core.spoken import counted
from autoops.model import JSON
from autoops.prove.descent import Difference, descend
from autoops.replica.side import Ledger, Mark, Whole

DIFFERS = "replica_differs"
LISTED = 100

Standing = Literal["equal", "behind", "ahead", "diverged", "unknown"]


class Relation(NamedTuple):
    """How the other ledger stands to this one."""

    standing: Standing  # "unknown": one of the two has none
    commits: int = 0  # that the other one lacks (behind) or has more (ahead)
    at: int = 0  # the first commit in which they diverge
    faithful: bool = False  # the other one's entries are just what its ledger's head says; behind: it is an old, good copy
    lacks_since: str = ""  # behind: when the first commit was made that the other one lacks

    def __str__(self) -> str:
        match self.standing:
            case "behind":
                return f"behind by {counted(self.commits, 'commit')}, since {self.lacks_since}"
            case "ahead":
                return f"ahead by {counted(self.commits, 'commit')}"
            case "diverged":
                return f"diverged at commit {self.at}"
        return {"equal": "at the same commit", "unknown": "without a ledger to compare"}[self.standing]


class Comparison(NamedTuple):
    """What a comparison found."""

    here: bytes  # the digests
    there: bytes
    counts: dict[str, int]  # of each kind of difference
    listed: list[Difference]
    relation: Relation
    sent_bytes: int
    received_bytes: int

    @property
    def equal(self) -> bool:
        """Tell whether every entry is the same."""
        return self.here == self.there

    def facts(self) -> JSON:
        """Return it as JSON."""
        relation = self.relation
        return {
            "counts": self.counts,
            "differences": [one._asdict() | {"fields": list(one.fields)} for one in self.listed],
            "equal": self.equal,
            "here": self.here.hex(),
            "ledger": {**relation._asdict(), "said": str(relation)},
            "received_bytes": self.received_bytes,
            "sent_bytes": self.sent_bytes,
            "there": self.there.hex(),
        }


def compare(here: Whole, there: Whole, listed: int = LISTED) -> Comparison:
    """Compare the registry here with another one; `listed` differences are named. Raises CannotTell, StorageError."""
    counts = {"different": 0, "missing": 0, "unexpected": 0}
    found: list[Difference] = []
    for one in descend(here, there, listed):
        counts[one.kind] += 1
        if len(found) < listed:
            found.append(one)
    relation = relate(here.ledger, there.ledger, there.root())
    return Comparison(here.root(), there.root(), counts, found, relation, *there.moved_bytes)


def relate(here: Ledger | None, there: Ledger | None, root: bytes) -> Relation:
    """Return how the ledger there, of a registry with this digest, stands to the one here; asks for O(log n) commits."""
    if here is None or there is None:
        return Relation("unknown")
    ours, theirs = here.head(), there.head()
    faithful, shared = root == theirs.digest, min(ours.sequence, theirs.sequence)
    if _same(here, there, shared):
        lacking = here.mark(shared + 1)
        if ours.sequence == theirs.sequence:
            return Relation("equal", faithful=faithful)
        if ours.sequence > theirs.sequence:
            return Relation("behind", ours.sequence - shared, faithful=faithful, lacks_since=lacking.at if lacking else "")
        return Relation("ahead", theirs.sequence - shared, faithful=faithful)
    low, high = 0, shared  # the same at low, another one at high: hashes are chained, so it stays so
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _same(here, there, middle) else (low, middle)
    return Relation("diverged", at=high, faithful=faithful)


def _same(here: Ledger, there: Ledger, sequence: int) -> bool:
    if sequence == 0:
        return True
    ours, theirs = _hash(here.mark(sequence)), _hash(there.mark(sequence))
    return ours is not None and ours == theirs


def _hash(mark: Mark | None) -> bytes | None:
    return mark.hash if mark else None


def finding_of(name: str, found: Comparison, now_s: float, behind_s: float) -> tuple[str, bytes, JSON] | None:
    """Return the finding (kind, subject, detail) about a configured replica, None when it is as it should be.

    An older copy that is just what its own ledger says is good, until the first commit that it lacks is `behind_s` old.
    """
    relation = found.relation
    if found.equal and relation.standing in ("equal", "unknown"):
        return None
    if relation.standing == "behind" and relation.faithful and not _is_late(relation.lacks_since, now_s, behind_s):
        return None
    names = [f"{one.kind} {one.id} {one.root} {one.path}".rstrip() for one in found.listed[:LISTED]]
    return DIFFERS, name.encode(), {**found.counts, "ledger": str(relation), "entries": names}


def _is_late(since: str, now_s: float, behind_s: float) -> bool:
    try:
        return now_s - datetime.fromisoformat(since).timestamp() > behind_s
    except ValueError:
        return True  # no commit wrote this
