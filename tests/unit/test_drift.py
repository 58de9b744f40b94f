"""What a difference between disk and registry is called, what it is known by, and when two are the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
from entries import DESCRIBED, ID, SEEN, entry

from autoops.core.canonical import described_json
from autoops.core.drift import Difference, action, differences, evidence_of, fingerprint, kind_of, severity_of, value_of
from autoops.core.identity import Finding, Verdict
from autoops.core.view import Sighting
from autoops.model import Change

KNOWN = entry()
DISK = {"kind": "file", "mtime_ns": SEEN.mtime_ns, "sha256": "11" * 32, "size_bytes": 12}


def seen(**fields: Any) -> dict[str, Any]:
    return {"observation": SEEN._replace(**fields)}


@pytest.mark.parametrize(
    ("before", "after", "kind", "said"),
    [
        (None, {}, "unregistered", "register"),
        ({}, {"status": "missing"}, "missing", "mark missing"),
        ({"status": "missing"}, {"status": "retired"}, "unregistered", "retire"),
        ({"status": "missing"}, {}, "unregistered", "return"),
        ({"status": "missing"}, {"path": b"c"}, "moved", "return"),
        ({}, {"path": b"c"}, "moved", "move"),
        ({}, {"root": "code"}, "moved", "move"),
        ({}, seen(mtime_ns=1), "metadata", "update"),
        ({}, seen(sha256=b"\x22" * 32), "modified", "update"),
        ({}, seen(sha256=b"\x22" * 32, inode=1), "replaced", "update"),
        ({}, seen(kind="link"), "wrong_kind", "update"),
    ],
)
def test_a_difference_is_called_by_what_would_settle_it(
    before: dict[str, Any] | None, after: dict[str, Any], kind: str, said: str
) -> None:
    change = Change(None if before is None else entry(**before), entry(**after), {})
    assert (kind_of(change), action(change)) == (kind, said)


def test_a_difference_is_known_by_both_sides_and_by_why_it_is_the_same_document() -> None:
    change = Change(KNOWN, KNOWN._replace(path=b"c", **seen(sha256=None)), {"confidence": 98, "kind": "inode"}, -5)
    assert evidence_of(change) == {
        "evidence": {"kind": "inode"},
        "confidence": 98,
        "id": ID,
        "registered": DISK,
        "changed_ns": 5,
        "disk": DISK | {"sha256": None},
    }
    assert evidence_of(Change(None, KNOWN, {})) == {"evidence": {}, "confidence": 100, "changed_ns": 0, "disk": DISK}
    assert "disk" not in evidence_of(Change(KNOWN, KNOWN._replace(status="missing"), {}))


def test_a_verdict_is_a_difference_for_its_change_and_one_for_its_finding() -> None:
    one, change = Sighting("docs", b"c", SEEN), Change(None, KNOWN, {})
    assert differences([Verdict(one), Verdict(one, change, finding=Finding("duplicate_id", {"id": ID}))]) == [
        Difference("unregistered", "docs", b"c", evidence_of(change)),
        Difference("duplicate_id", "docs", b"c", {"id": ID}),
    ]


def test_two_repairs_are_the_same_when_kind_and_outcome_are() -> None:
    one = fingerprint("modified", {"disk": DISK, "confidence": 1})
    assert re.fullmatch("look [0-9a-f]{12}", one) and one == fingerprint("modified", {"disk": DISK, "confidence": 2})
    assert len({one, fingerprint("metadata", {"disk": DISK}), fingerprint("modified", {"disk": None})}) == 3
    assert fingerprint("catalog_stale", {}).startswith("build ")


def test_a_rollback_takes_back_where_a_document_is_and_what_it_is_without_times() -> None:
    later = KNOWN._replace(rev=9, since_s=1, **seen(mtime_ns=1, inode=1, birth_ns=1, size_bytes=1))
    assert value_of(later) == value_of(KNOWN)
    assert value_of(KNOWN).keys() == {*described_json(DESCRIBED), "root", "path", "status", "kind", "sha256"}  # findings hold them
    others = [{"path": b"c"}, {"root": "code"}, {"status": "missing"}, seen(kind="link"), seen(sha256=None)]
    assert all(value_of(entry(**other)) != value_of(KNOWN) for other in others)
    assert value_of(entry(described=DESCRIBED._replace(tags=()))) != value_of(KNOWN)


@pytest.mark.parametrize(("kind", "severity"), [("corrupt", "critical"), ("catalog_stale", "info"), ("modified", "warning")])
def test_what_is_gone_is_critical_and_what_waits_for_nobody_is_told_only(kind: str, severity: str) -> None:
    assert severity_of(kind) == severity
