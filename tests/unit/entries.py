"""Entries for the tests: plain ones, and every one there can be."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from autoops.model import UNDESCRIBED, Described, Entry, Observation

ID = "2026010100000001"
OTHER = "2026010100000002"
SEEN = Observation("file", 12, 1_700_000_000_000_000_000, 77, 1_600_000_000_000_000_000, b"\x11" * 32, "text/plain")
DESCRIBED = Described(b"\x11" * 32, {"lines": 3, "title": "A"}, "document", "builtin:text", 50, ("old", "new"))


def entry(**fields: Any) -> Entry:
    """Return a plain entry with some fields set otherwise."""
    return Entry(ID, 1, "docs", b"a/b.txt", SEEN, "active", 1_700_000_000, DESCRIBED)._replace(**fields)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMED = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
HASH = st.none() | st.binary(min_size=32, max_size=32)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBSERVATIONS = st.builds(
    Observation,
    kind=st.sampled_from(["file", "link", "fifo", "socket", "block", "char"]),
    size_bytes=st.integers(0, 2**63 - 1),
    mtime_ns=INTEGERS,
    inode=st.integers(0, 2**64 - 1),
    birth_ns=INTEGERS,
    sha256=HASH,
    mime=NAMED,
)
DESCRIPTIONS = st.builds(
    Described,
    sha256=HASH,
    descriptor=st.none() | st.dictionaries(TEXT, VALUES, max_size=4),
    class_name=st.none() | NAMED,
    class_rule=st.none() | NAMED,
    confidence=st.none() | st.integers(0, 100),
    tags=st.lists(NAMED, max_size=3, unique=True).map(tuple),
)
PATHS = st.lists(st.binary(min_size=1, max_size=8).filter(lambda name: not set(name) & {0, 47}), min_size=1, max_size=3).map(
    b"/".join
)
ENTRIES = st.builds(
    Entry,
    id=st.integers(1, 10**16 - 1).map(lambda number: f"{number:016d}"),
    rev=st.integers(1, 2**40),
    root=NAMED,
    path=PATHS,
    observation=OBSERVATIONS,
    status=st.sampled_from(["active", "missing", "retired"]),
    since_s=st.integers(-(2**40), 2**40),
    described=st.just(UNDESCRIBED) | st.just(Described()) | DESCRIPTIONS,
)
