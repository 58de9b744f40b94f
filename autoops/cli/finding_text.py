"""A finding in words: a line for a list, and lines for one that is shown. Pure.

A detail that is not as its kind has it (a queue.db edited by hand) is told as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from autoops.core.drift import HOLDING, MASS_MISSING, MASS_RETIRED, ROLLED_BACK, RULES
from autoops.core.ledger import utc
from autoops.core.spoken import counted
from autoops.model import JSON

_NS = 1_000_000_000
_LATEST_S = 1 << 33  # the year 2242; what is later is no time
_SAID = ("reason", "said", "fault", "error")  # what is wrong, in the words of whoever found it
_LABELS = {"registered": "registered", "disk": "on the disk", "id": "document"}


def in_a_line(kind: str, detail: JSON) -> str:
    """Return what says most about a finding: what is wrong, and what explains it."""
    try:
        told = [_what(kind, detail), detail["blame"]["said"] if "blame" in detail else ""]
        return "; ".join(filter(None, told)) or plain(detail)
    except (KeyError, TypeError, ValueError):
        return plain(detail)


def _what(kind: str, detail: JSON) -> str:
    """Return what is wrong, "" where the kind says it all. Raises KeyError, TypeError, ValueError for what no finding has."""
    said = "; ".join(str(detail[key]) for key in _SAID if key in detail)
    return _WHAT[kind](detail, said) if kind in _WHAT else said


def _corrupt(detail: JSON, _said: str) -> str:
    return f"sha256 {_short(detail['registered']['sha256'])} was registered, {_short(detail['disk']['sha256'])} is there"


def _checkpoint(detail: JSON, said: str) -> str:
    more = detail.get("faults", 1) - 1
    return f"{said} and {more:,} more" if more else said


def _stale(detail: JSON, said: str) -> str:
    behind = f", {counted(detail['commits'], 'commit')} behind" if detail.get("commits") else ""
    return said + behind + (f"; its job was {detail['job']}" if "job" in detail else "")


def _replica(detail: JSON, _said: str) -> str:
    counts = f"{detail['missing']} only there, {detail['unexpected']} only here, {detail['different']} different"
    return f"{counts}; ledger there: {detail['ledger']}"


def _mass(what: str) -> _Teller:
    return lambda detail, _said: f"{detail['absent']:,} of {counted(detail['of'], 'file')} {what}"


_Teller = Callable[[JSON, str], str]  # of the detail, and of what its finder says in words
_WHAT: dict[str, _Teller] = {
    "catalog_checksum": lambda detail, said: f"{detail['file']}: {said}",
    "catalog_stale": _stale,
    "checkpoint_mismatch": _checkpoint,
    "corrupt": _corrupt,
    "moved": lambda detail, _: f"it was {detail['evidence']['from']}",
    "duplicate_id": lambda detail, _: f"its ID {detail['id']} is that of {detail['root']}/{detail['first']}",
    "registry_mismatch": lambda detail, _: f"the file has {_short(detail['line'])}, who knows says {_short(detail['provider'])}",
    "replica_differs": _replica,
    "unit_failed": lambda detail, _: f"{detail['result']}, status {detail['status']}",
    MASS_MISSING: _mass("are gone at once"),
    MASS_RETIRED: _mass("have been missing for too long, all at once"),
    ROLLED_BACK: lambda detail, _: f"{detail['by']} took back {', '.join(detail['undone'])}",
}


def in_lines(kind: str, number: int, detail: JSON) -> Iterator[str]:
    """Yield what there is to say about a standing finding, each fact in a line."""
    left = dict(detail)
    yield in_a_line(kind, detail)
    for key in (*_SAID, "blame", "changed_ns", "faults"):  # told already
        left.pop(key, None)
    for key, label in _LABELS.items():
        if key in left:
            yield f"{label}: {_side(left.pop(key))}"
    if "evidence" in left:
        sure = f"; {left.pop('confidence')} % sure" if "confidence" in left else ""
        yield f"known by: {_evidence(left.pop('evidence'))}{sure}"
    if isinstance(why := detail.get("blame"), dict) and "at" in why:
        yield f"the disk changed: {why['at']}"
    rule = RULES.get(kind)
    winner, then = left.pop("winner", rule.winner if rule else ""), left.pop("then", rule.then if rule else "")
    for key, value in left.items():
        yield from _rest(key, value)
    if winner:
        yield f"who is right: {winner}"
    if then:
        yield f"what follows: {then}"
    if kind in HOLDING:
        yield f"held back until: it is no longer true, or autoops findings release {number}"
    yield f"more: RUNBOOK, 'Finding: {kind}'"


def _side(value: object) -> str:
    """Return what disk or registry say about a file."""
    try:
        side: Any = value
        content = f"sha256 {side['sha256']}" if side["sha256"] else "not read"
        return f"{side['kind']}, {counted(side['size_bytes'], 'byte')}, of {utc(side['mtime_ns'] / _NS)}, {content}"
    except (KeyError, TypeError, ValueError, OverflowError):
        return plain(value)


def _evidence(value: object) -> str:
    if not isinstance(value, dict) or "kind" not in value:
        return plain(value)
    rest = plain({key: one for key, one in value.items() if key != "kind"})
    return f"{value['kind']}{f' ({rest})' if rest else ''}"


def _rest(key: str, value: object) -> Iterator[str]:
    label = key.removesuffix("_s").replace("_", " ")
    if isinstance(value, list):
        yield f"{label}:"
        yield from (f"  {plain(one)}" for one in value)
    elif key == "since_s" and isinstance(value, int) and abs(value) <= _LATEST_S:
        yield f"{label}: {utc(value)}"
    else:
        yield f"{label}: {plain(value)}"


def plain(value: object) -> str:
    """Return any value of a detail without the marks of JSON."""
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {plain(one)}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value)) or "none"
    return "none" if value is None else str(value)


def _short(digest: object) -> str:
    return f"{str(digest)[:16]}..." if digest else "none"
