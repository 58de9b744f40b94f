"""Findings in words: what says most in a line, and everything in lines; whatever lies in the database."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoops.cli.finding_text import in_a_line, in_lines
from autoops.core.drift import RULES

A, B = "a" * 64, "b" * 64
BLAME = {"at": "2026-01-31T12:00:00.000Z", "by": "downtime", "said": "nobody works on the registry at present"}
MODIFIED: dict[str, Any] = {
    "blame": BLAME,
    "changed_ns": 1769861000123456789,
    "confidence": 100,
    "disk": {"kind": "file", "mtime_ns": 1769861000123456789, "sha256": B, "size_bytes": 1},
    "evidence": {"kind": "same-file"},
    "id": "2026013112000001",
    "registered": {"kind": "file", "mtime_ns": 0, "sha256": A, "size_bytes": 4000},
    "then": "the new content is registered",
    "winner": "the disk",
}
MISMATCH = {"file": "/f", "line": A, "provider": B, "missing_total": 1, "missing": ["2026013112000001 tree:a"]}


@pytest.mark.parametrize(
    ("kind", "detail", "line"),
    [
        ("modified", MODIFIED, "nobody works on the registry at present"),
        ("moved", MODIFIED | {"evidence": {"from": "old", "kind": "inode"}}, "it was old; nobody works on the registry at present"),
        (
            "corrupt",
            {key: MODIFIED[key] for key in ("disk", "registered")},
            f"sha256 {A[:16]}... was registered, {B[:16]}... is there",
        ),
        ("unreadable", {"reason": "Permission denied"}, "Permission denied"),
        ("mass_missing", {"absent": 1000, "limit_percent": 50, "of": 1200}, "1,000 of 1,200 files are gone at once"),
        ("rolled_back", {"by": "commit 7", "path": "a", "undone": {"class": "x", "tags": []}}, "commit 7 took back class, tags"),
        ("quarantined", {"kind": "modified", "said": "it came back"}, "it came back"),
        ("duplicate_id", {"first": "a", "id": "2026013112000001", "root": "tree"}, "its ID 2026013112000001 is that of tree/a"),
        ("checkpoint_mismatch", {"fault": "line 3: not signed", "faults": 3}, "line 3: not signed and 2 more"),
        ("checkpoint_mismatch", {"fault": "it is no plain file"}, "it is no plain file"),
        ("catalog_stale", {"commits": 1, "reason": "its entries were changed"}, "its entries were changed, 1 commit behind"),
        (
            "catalog_stale",
            {"job": "given up: it failed", "reason": "it was never built"},
            "it was never built; its job was given up: it failed",
        ),
        ("catalog_checksum", {"file": "a.csv", "found": A, "reason": "its content is another"}, "a.csv: its content is another"),
        ("registry_mismatch", MISMATCH, f"the file has {A[:16]}..., who knows says {B[:16]}..."),
        ("registry_provider_error", {"error": "no answer", "provider": "/p"}, "no answer"),
        (
            "replica_differs",
            {"different": 1, "entries": [], "ledger": "diverged at commit 3", "missing": 0, "unexpected": 2},
            "0 only there, 2 only here, 1 different; ledger there: diverged at commit 3",
        ),
        ("unit_failed", {"result": "exit-code", "status": "1"}, "exit-code, status 1"),
    ],
)
def test_a_list_has_a_sentence_for_each_kind(kind: str, detail: dict[str, Any], line: str) -> None:
    assert in_a_line(kind, detail) == line
    assert next(in_lines(kind, 7, detail)) == line


def test_one_finding_is_shown_with_both_sides_evidence_and_who_is_right() -> None:
    assert list(in_lines("modified", 7, MODIFIED)) == [
        "nobody works on the registry at present",
        f"registered: file, 4,000 bytes, of 1970-01-01T00:00:00.000Z, sha256 {A}",
        f"on the disk: file, 1 byte, of 2026-01-31T12:03:20.123Z, sha256 {B}",
        "document: 2026013112000001",
        "known by: same-file; 100 % sure",
        "the disk changed: 2026-01-31T12:00:00.000Z",
        "who is right: the disk",
        "what follows: the new content is registered",
        "more: RUNBOOK, 'Finding: modified'",
    ]


def test_what_holds_something_back_says_how_it_is_released_and_lists_are_lines() -> None:
    assert "held back until: it is no longer true, or autoops findings release 7" in in_lines(
        "mass_missing", 7, {"absent": 1, "of": 2}
    )
    told = list(in_lines("registry_mismatch", 7, MISMATCH))
    assert told[told.index("missing:") + 1] == "  2026013112000001 tree:a" and "missing total: 1" in told


def test_who_found_it_need_not_say_who_is_right() -> None:
    assert f"who is right: {RULES['corrupt'].winner}" in in_lines(
        "corrupt", 7, {key: MODIFIED[key] for key in ("disk", "registered")}
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
KEYS = (
    "absent",
    "blame",
    "by",
    "commits",
    "disk",
    "evidence",
    "faults",
    "file",
    "line",
    "of",
    "reason",
    "registered",
    "since_s",
    "undone",
)


@given(
    st.sampled_from(["corrupt", "moved", "catalog_stale", "mass_missing", "rolled_back", "checkpoint_mismatch", "x"]),
    st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUES)),
)
def test_a_detail_that_nobody_wrote_is_told_as_it_is(kind: str, detail: dict[str, Any]) -> None:
    assert isinstance(in_a_line(kind, detail), str)
    assert all(isinstance(line, str) for line in in_lines(kind, 7, detail))
