"""What is done about a finding, or why nothing is. Pure."""

from __future__ import annotations

from typing import NamedTuple

from autoops import names
from autoops.core.drift import RULES, Difference, Repair, fingerprint
from autoops.store.findings import Finding

MOST_REPAIRS = 2  # of one kind with one outcome in a day: a third one would be a loop


class Plan(NamedTuple):
    """One decision."""

    repair: Repair  # "": none
    then: str  # what comes of it, or has to
    held: str = ""  # why a repair that there is, is not made
    quarantined: bool = False


class Memory(NamedTuple):
    """What is known of a finding's past."""

    finding: Finding | None = None  # it, as it stood before this run
    quarantine: Finding | None = None
    undone: Finding | None = None  # the rollback that it would undo
    is_edited: bool = False  # its entry was changed past the ledger


def decide_repair(difference: Difference, memory: Memory) -> Plan:
    """Return what is to be done about a difference."""
    rule = RULES[difference.kind]
    if not rule.repair:
        return Plan("", rule.then)
    if memory.is_edited:  # a commit over it would make the edit a part of the ledger's digest, and nobody would find it any more
        return Plan("", rule.then, "its entry was changed past the ledger (registry_edited)")
    if memory.undone and memory.undone.holds:
        return Plan("", rule.then, f"it was rolled back by {memory.undone.detail.get('by', 'a person')}, and is not released")
    if _is_loop(difference, memory):
        return Plan("", rule.then, f"quarantined: it was repaired {MOST_REPAIRS} times, and came back", quarantined=True)
    return Plan(rule.repair, rule.then)


def would_undo(difference: Difference, memory: Finding) -> bool:
    """Tell whether settling a difference would put in again what a rollback (finding `rolled_back`) took back."""
    undone = memory.detail.get("undone", {})
    disk = difference.detail.get("disk") or {}
    same_content = "sha256" in undone and disk.get("sha256") == undone["sha256"]
    same_path = difference.kind == "moved" and undone.get("path") == names.text(difference.path)
    return same_content or same_path


def _is_loop(difference: Difference, memory: Memory) -> bool:
    known = memory.finding
    if known is None or known.repairs < MOST_REPAIRS or known.repair != fingerprint(difference.kind, difference.detail):
        return False
    return not (memory.quarantine and memory.quarantine.is_released)
