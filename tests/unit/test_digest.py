"""The registry digest against its formula in plain code."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import example, given, settings
from hypothesis import strategies as st

from autoops.core.digest import Buckets, Tree, bucket_of, has_member, leaf_of, leaves_by_bucket, members_of, with_member

IDS = (st.integers(1, 10**16 - 1) | st.integers(1, 40)).map(lambda number: f"{number:016d}")  # often in one bucket, too
ENTRIES = st.dictionaries(IDS, st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=30)

TWINS = {"2026010100003331": "a", "2026010100003332": "b", "2026010100004931": "c"}  # two tens of one bucket


def naive(entries: dict[str, str]) -> bytes:
    """Return the digest of {ID: canonical text} as the formula has it, with nothing kept between calls."""
    pairs: list[list[bytes]] = [[] for _ in range(65536)]
    for entry_id in sorted(entries):
        leaf = sha256(b"\x00" + entries[entry_id].encode()).digest()
        pairs[int(sha256(entry_id[:-1].encode()).hexdigest()[:4], 16)].append(entry_id.encode() + leaf)
    buckets = [sha256(b"\x01" + b"".join(some)).digest() if some else bytes(32) for some in pairs]
    mids = [sha256(b"\x02" + b"".join(buckets[at : at + 256])).digest() for at in range(0, 65536, 256)]
    return sha256(b"\x03" + b"".join(mids)).digest()


def put(tree: Tree, members: dict[int, bytes], entry_id: str, text: str) -> None:
    number = bucket_of(entry_id)
    members[number] = with_member(members.get(number, b""), entry_id, leaf_of(text))
    tree.set(number, members[number])


def test_the_twins_of_the_tests_share_a_bucket() -> None:
    assert len({bucket_of(entry_id) for entry_id in TWINS}) == 1


def test_an_empty_registry_has_the_digest_of_empty_buckets() -> None:
    assert Tree().root() == naive({})
    assert Tree().root().hex() == "0917f4e7ad330a74d4171e05e916ae36aab05a7244acc71bc7c5bf4f5a661022"  # as published in formats.md


@settings(max_examples=8, deadline=None)
@given(st.lists(ENTRIES, min_size=1, max_size=3))
@example([TWINS])
def test_a_tree_kept_current_has_the_digest_of_the_formula(rounds: list[dict[str, str]]) -> None:
    tree, members, now = Tree(), dict[int, bytes](), dict[str, str]()
    for changed in rounds:
        for entry_id, text in changed.items():
            put(tree, members, entry_id, text)
        now |= changed
        assert tree.root() == naive(now)


@given(ENTRIES, st.randoms(use_true_random=False))
def test_one_bucket_of_many_members_is_in_order_of_id_whatever_the_order_of_arrival(
    entries: dict[str, str], random: object
) -> None:
    order = list(entries)
    random.shuffle(order)  # type: ignore[attr-defined]
    members = b""
    for entry_id in [*order, *order[:3]]:
        members = with_member(members, entry_id, leaf_of(entries[entry_id]))
    assert members_of(members) == [(entry_id, leaf_of(entries[entry_id])) for entry_id in sorted(entries)]


def test_a_member_set_again_is_replaced() -> None:
    first, second = "2026010100000001", "2026010100000002"
    members = with_member(with_member(b"", second, leaf_of("b")), first, leaf_of("a"))
    members = with_member(members, first, leaf_of("c"))
    assert has_member(members, first, leaf_of("c")) and has_member(members, second, leaf_of("b"))
    assert not has_member(members, first, leaf_of("a")) and not has_member(members, first, leaf_of("b"))
    assert len(members) == 2 * 48


def test_a_member_is_found_at_its_place_only() -> None:
    entry_id, leaf = "2026010100000001", leaf_of("a")
    shifted = b"x" * 20 + entry_id.encode() + leaf + b"y" * 28  # the pair, but across two members
    assert len(shifted) % 48 == 0 and not has_member(shifted, entry_id, leaf)
    ones = b"1" * 48
    assert has_member(b"x" * 47 + b"1" + ones, "1" * 16, b"1" * 32)  # the pair, also one byte before its place
    pair = entry_id.encode() + leaf
    assert all(has_member(members, entry_id, leaf) for members in (shifted + pair, pair + shifted, shifted + pair + shifted))


@settings(max_examples=8, deadline=None)
@given(ENTRIES)
@example(TWINS)
def test_entries_read_in_order_have_the_digest_of_the_formula(entries: dict[str, str]) -> None:
    read = Buckets()
    for entry_id in sorted(entries):
        read.add(entry_id, entries[entry_id])
    assert read.tree().root() == naive(entries)


@given(ENTRIES)
@example(TWINS)
def test_leaves_by_bucket_are_the_members_of_the_buckets(entries: dict[str, str]) -> None:
    members: dict[int, bytes] = {}
    for entry_id in sorted(entries):
        number = bucket_of(entry_id)
        members[number] = with_member(members.get(number, b""), entry_id, leaf_of(entries[entry_id]))
    assert leaves_by_bucket(sorted(entries.items())) == members


def test_the_buckets_in_which_two_trees_differ_are_named() -> None:
    one, other, members = Tree(), Tree(), dict[int, bytes]()
    assert one.differing(other) == set()
    ids = [f"{number:016d}" for number in range(1, 4)]
    for entry_id in ids:
        put(one, members, entry_id, "a")
    for number in members:
        other.set(number, members[number])
    put(other, dict(members), ids[0], "b")
    assert one.differing(other) == other.differing(one) == {bucket_of(ids[0])}


def test_an_empty_bucket_is_known_to_be_empty() -> None:
    tree, members = Tree(), dict[int, bytes]()
    number = bucket_of("2026010100000001")
    assert tree.occupied([number, number ^ 1]) == []
    put(tree, members, "2026010100000001", "a")
    assert tree.occupied([number, number ^ 1]) == [number]
    tree.set(number, b"")
    assert tree.occupied([number]) == [] and tree.root() == Tree().root()


def test_ten_ids_in_a_row_share_a_bucket() -> None:
    first, second = ([bucket_of(f"202601010000{tens}{digit}") for digit in range(10)] for tens in ("001", "002"))
    assert first == [int.from_bytes(sha256(b"202601010000001").digest()[:2])] * 10
    assert set(second).isdisjoint(first) and len(set(second)) == 1
