"""Drift: what a difference between disk and registry is called, who is right about it, and what mends it. Pure.

The winner rule, in one sentence: about a file, the disk is right, unless it says that nothing happened while the content is another
one; about what happened, the ledger is right; what was made from the registry is made again; and where two of a kind disagree (two
files that claim one ID, two hosts), a person decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Literal, NamedTuple

from autoops.core.canonical import canonical, entry_json
from autoops.core.identity import Verdict
from autoops.core.view import same_file
from autoops.model import JSON, Change, Entry, Observation

# kinds that worker and reconciler both know: what one of them finds, the other one minds
MASS_MISSING, MASS_RETIRED, ROOT_REPLACED = "mass_missing", "mass_retired", "root_replaced"
ROLLED_BACK, REGISTRY_EDITED, QUARANTINED = "rolled_back", "registry_edited", "quarantined"
HOLDING = (MASS_MISSING, MASS_RETIRED, QUARANTINED, ROLLED_BACK)  # something is not done while these stand, until they are released
LEDGER_FORKED, LEDGER_UNSHIPPED = "ledger_forked", "ledger_unshipped"
DRILL_FAILED = "drill_failed"
UNIT_FAILED = "unit_failed"
PLAYBOOK_FAILED, PLAYBOOK_SPENT = "playbook_failed", "playbook_spent"
REPORT_FAILED = "report_failed"

# a whole tree, or a whole service, is not looked after; a content is gone; what proves the rest does not prove itself
GRAVE = (
    ROOT_REPLACED,
    MASS_MISSING,
    UNIT_FAILED,
    "corrupt",
    REGISTRY_EDITED,
    "ledger_broken",
    "checkpoint_mismatch",
    LEDGER_FORKED,
    DRILL_FAILED,
    PLAYBOOK_FAILED,
    PLAYBOOK_SPENT,
)

MINOR = ("not_described", "not_renamed", "catalog_stale", ROLLED_BACK)  # known, and nothing waits for a person

Repair = Literal["look", "build", ""]  # a job that looks at the path again; a job that builds a catalog; none


class Rule(NamedTuple):
    """What holds for one kind of finding."""

    winner: str
    repair: Repair
    then: str  # what the repair does, or what a person has to


_DISK = "the disk"
RULES: dict[str, Rule] = {
    "unregistered": Rule(_DISK, "look", "it is registered"),
    "missing": Rule(_DISK, "look", "its entry is called missing, and retired after the grace time"),
    "modified": Rule(_DISK, "look", "the new content is registered"),
    "metadata": Rule(_DISK, "look", "the new time, size or inode is registered"),
    "moved": Rule(_DISK, "look", "its entry follows it"),
    "replaced": Rule(_DISK, "look", "the file that stands there now is registered as the document of that path"),
    "wrong_kind": Rule(_DISK, "look", "what stands there now is registered"),
    "duplicate_id": Rule("nobody", "", "a person decides which file is the document; the other one has an ID of its own"),
    "unreadable": Rule("nobody", "", "a person permits reading it"),
    "corrupt": Rule("the registry", "", "a person puts the content back from a backup; or touches the file, if it is right"),
    REGISTRY_EDITED: Rule("the ledger", "", "a person puts the registry back, or has the edit taken over (a maintenance window)"),
    "ledger_broken": Rule("the checkpoints", "", "a person goes back to a registry from before"),
    "checkpoint_mismatch": Rule("the signed checkpoint", "", "a person goes back to a registry from before"),
    LEDGER_FORKED: Rule("nobody", "", "a person finds out which ledger is the true one, and goes back to that"),
    LEDGER_UNSHIPPED: Rule("nobody", "", "a person brings the backup directory back, and makes room in it"),
    DRILL_FAILED: Rule("nobody", "", "a person finds out which of the two is wrong, and takes a new snapshot or goes back"),
    "catalog_stale": Rule("the registry", "build", "the catalog is built again"),
    "catalog_checksum": Rule("the registry", "build", "the catalog is built again"),
    "replica_unreachable": Rule("nobody", "", "a person makes it answer"),
    "replica_differs": Rule("nobody", "", "a person finds out which host is behind"),
}
SETTLED_BY_A_LOOK = ("unregistered", "missing", "modified", "metadata", "moved", "replaced", "wrong_kind", QUARANTINED)
OF_FILES = (*SETTLED_BY_A_LOOK[:-1], "duplicate_id", "corrupt")


def severity_of(kind: str) -> Literal["critical", "warning", "info"]:
    """Return how grave a finding of a kind is."""
    return "critical" if kind in GRAVE else "info" if kind in MINOR else "warning"


class Difference(NamedTuple):
    """One thing about which disk and registry do not agree."""

    kind: str
    root: str
    path: bytes
    detail: JSON


def action(change: Change) -> str:
    """Return what a change does, in a word or two."""
    before, after = change.before, change.after
    if before is None:
        return "register"
    if before.status != after.status:
        return {"active": "return", "missing": "mark missing", "retired": "retire"}[after.status]
    return "move" if (before.root, before.path) != (after.root, after.path) else "update"


def kind_of(change: Change) -> str:
    """Return the kind of difference that a change would settle."""
    before, after = change.before, change.after
    if before is None or after.status == "missing":
        return "missing" if before else "unregistered"
    if (before.root, before.path) != (after.root, after.path):
        return "moved"
    if before.status != "active":
        return "unregistered"
    return _kind_in_place(before.observation, after.observation)


def _kind_in_place(old: Observation, new: Observation) -> str:
    if old.kind != new.kind:
        return "wrong_kind"
    if old.sha256 == new.sha256:
        return "metadata"
    return "modified" if same_file(old, new) else "replaced"


def differences(verdicts: Iterable[Verdict]) -> list[Difference]:
    """Return what a batch of verdicts says about disk and registry."""
    found = []
    for verdict in verdicts:
        root, path = verdict.sighting.place
        if verdict.change:
            found.append(Difference(kind_of(verdict.change), root, path, evidence_of(verdict.change)))
        if verdict.finding:
            found.append(Difference(verdict.finding.kind, root, path, verdict.finding.detail))
    return found


def evidence_of(change: Change) -> JSON:
    """Return what a difference is known by: the document, what both sides say, and why it is the same document."""
    before, after = change.before, change.after
    said = {key: value for key, value in change.evidence.items() if key != "confidence"}
    detail: JSON = {"evidence": said, "confidence": change.evidence.get("confidence", 100)}
    if before:
        detail |= {"id": before.id, "registered": _side(before)}
    if after.status == "active":
        detail |= {"changed_ns": abs(change.ctime_ns), "disk": _side(after)}
    return detail


def _side(entry: Entry) -> JSON:
    seen = entry.observation
    facts: JSON = {"kind": seen.kind, "mtime_ns": seen.mtime_ns, "size_bytes": seen.size_bytes}
    return facts | {"sha256": seen.sha256.hex() if seen.sha256 else None}


def fingerprint(kind: str, detail: JSON) -> str:
    """Return what makes two repairs of one place the same: what is done, and what comes of it."""
    outcome = sha256(canonical([kind, detail.get("disk")]).encode()).hexdigest()
    return f"{RULES[kind].repair} {outcome[:12]}"


def value_of(entry: Entry) -> JSON:
    """Return what a rollback takes back: where a document is and what it is, without times, which change with each look."""
    whole = entry_json(entry)
    seen = whole["observation"]
    kept = {key: value for key, value in whole.items() if key not in ("id", "observation", "rev", "since_s")}
    return kept | {"kind": seen["kind"], "sha256": seen["sha256"]}
