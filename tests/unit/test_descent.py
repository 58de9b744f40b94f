"""The descent against plain sets: it names exactly what differs, asks for little, and believes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoops.core.digest import Tree, bucket_of, leaf_of, with_member
from autoops.errors import CannotTell
from autoops.prove.descent import Difference, descend

IDS = st.integers(1, 10**16 - 1).map(lambda number: f"{number:016d}")
FIELDS = st.fixed_dictionaries({"path": st.sampled_from(["a", "b/c", "ü"]), "rev": st.integers(1, 3), "root": st.just("docs")})
ENTRIES = st.dictionaries(IDS, FIELDS, max_size=40)


class Memory:
    """A side made of a dictionary; counts what was asked of it."""

    def __init__(self, entries: dict[str, dict[str, object]]) -> None:
        self.texts = {
            entry_id: json.dumps({**value, "id": entry_id}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            for entry_id, value in entries.items()
        }
        self.by_bucket: dict[int, bytes] = {}
        self.tree = Tree()
        self.asked: list[str] = []
        for entry_id, text in self.texts.items():
            number = bucket_of(entry_id)
            self.by_bucket[number] = with_member(self.by_bucket.get(number, b""), entry_id, leaf_of(text))
            self.tree.set(number, self.by_bucket[number])

    def root(self) -> bytes:
        return self.tree.root()

    def mids(self) -> bytes:
        self.asked.append("mids")
        return self.tree.mids()

    def buckets(self, mids: Sequence[int]) -> list[bytes]:
        self.asked += ["buckets"] * len(mids)
        return [self.tree.buckets(mid) for mid in mids]

    def members(self, buckets: Sequence[int]) -> list[bytes]:
        self.asked += ["members"] * len(buckets)
        return [self.by_bucket.get(number, b"") for number in buckets]

    def entries(self, ids: Sequence[str]) -> list[str]:
        self.asked += ["entries"] * len(ids)
        return [self.texts[entry_id] for entry_id in ids]


def plain(ours: dict[str, dict[str, object]], theirs: dict[str, dict[str, object]]) -> set[Difference]:
    """Return what differs, by comparing everything."""
    found = set()
    for entry_id in ours.keys() | theirs.keys():
        a, b = ours.get(entry_id), theirs.get(entry_id)
        if a == b:
            continue
        value, kind = a or b or {}, "missing" if a is None else "unexpected" if b is None else "different"
        fields = tuple(sorted(key for key in a if a[key] != b[key])) if a and b else ()
        found.add(Difference(kind, entry_id, str(value["root"]), str(value["path"]), fields))  # type: ignore[arg-type]
    return found


@settings(max_examples=60, deadline=None)
@given(ENTRIES, ENTRIES, ENTRIES)
def test_exactly_what_differs_is_named(
    both: dict[str, dict[str, object]], ours: dict[str, dict[str, object]], theirs: dict[str, dict[str, object]]
) -> None:
    here, there = both | ours, both | theirs
    found = list(descend(Memory(here), Memory(there), 10_000))
    assert set(found) == plain(here, there) and len(found) == len(set(found))


@settings(max_examples=30, deadline=None)
@given(ENTRIES, ENTRIES, st.integers(0, 5))
def test_what_is_not_named_is_counted_all_the_same(
    here: dict[str, dict[str, object]], there: dict[str, dict[str, object]], named: int
) -> None:
    found = list(descend(Memory(here), Memory(there), named))
    assert {(one.kind, one.id) for one in found} == {(one.kind, one.id) for one in plain(here, there)}
    assert sum(1 for one in found if one.path) == min(named, len(found))


def test_equal_registries_are_asked_for_nothing_but_their_digest() -> None:
    sides = [Memory({f"{number:016d}": {"path": "a", "root": "docs"} for number in range(1, 200)}) for _ in range(2)]
    assert list(descend(*sides, 10)) == []
    assert sides[0].asked == sides[1].asked == []


def test_what_is_asked_for_grows_with_the_differences_alone() -> None:
    entries: dict[str, dict[str, object]] = {f"{number:016d}": {"path": "a", "rev": 1, "root": "docs"} for number in range(1, 5000)}
    other = {**entries, "0000000000000007": {"path": "a", "rev": 2, "root": "docs"}}
    here, there = Memory(entries), Memory(other)
    assert list(descend(here, there, 10)) == [Difference("different", "0000000000000007", "docs", "a", ("rev",))]
    assert there.asked == ["mids", "buckets", "members", "entries"]


@pytest.mark.parametrize("lie", ["mids", "buckets", "members", "entries", "short", "foreign", "order"])
def test_a_side_that_contradicts_itself_is_found_out(lie: str) -> None:
    ids = ["0000000000000001", "0000000000000002"]
    here, there = Memory({}), Memory({entry_id: {"path": "a", "root": "docs"} for entry_id in ids})
    match lie:
        case "mids":
            there.mids = lambda: bytes(8192)  # type: ignore[method-assign]
        case "buckets":
            there.buckets = lambda mids: [bytes(8192)] * len(mids)  # type: ignore[method-assign]
        case "members":
            there.members = lambda buckets: [b""] * len(buckets)  # type: ignore[method-assign]
        case "entries":
            there.entries = lambda ids: ['{"path":"forged","root":"docs"}'] * len(ids)  # type: ignore[method-assign]
        case "short":
            there.entries = lambda ids: []  # type: ignore[method-assign]
        case "foreign":  # an entry in a bucket where it does not belong
            number = bucket_of(ids[0])
            there.by_bucket[number] = ids[1].encode() + leaf_of("x")
            there.tree.set(number, there.by_bucket[number])
        case "order":
            number = bucket_of(ids[0])
            there.by_bucket[number] *= 2
            there.tree.set(number, there.by_bucket[number])
    with pytest.raises(CannotTell, match="the other registry contradicts itself"):
        list(descend(here, there, 10))
