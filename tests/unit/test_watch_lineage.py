"""What the kernel's renames say about where a file came from."""

from __future__ import annotations

import pytest

from autoops.core.hints import Former, rename_facts, renames_of
from autoops.watch import lineage
from autoops.watch.lineage import Lineage


def test_one_rename_tells_the_old_name() -> None:
    assert Lineage().moved(b"a", b"b", 0.0) == ((b"a",),)


def test_a_chain_of_renames_tells_every_name_the_file_had() -> None:
    known = Lineage()
    known.moved(b"a", b"b", 0.0)
    assert known.moved(b"b", b"c", 0.0) == ((b"a", b"b"),)


def test_a_file_renamed_over_another_comes_after_it() -> None:
    known = Lineage()
    known.moved(b"a", b"b", 0.0)
    assert known.moved(b"new", b"b", 0.0) == ((b"a",), (b"new",))


def test_what_was_replaced_goes_on_under_its_own_names() -> None:
    known = Lineage()
    known.moved(b"a", b"b", 0.0)
    known.moved(b"new", b"b", 0.0)
    assert known.moved(b"b", b"c", 0.0) == ((b"a", b"b"),)


def test_a_name_that_was_left_begins_anew() -> None:
    known = Lineage()
    known.moved(b"a", b"b", 0.0)
    known.moved(b"b", b"c", 0.0)
    assert known.moved(b"x", b"b", 0.0) == ((b"x",),)


def test_halves_belong_together_by_their_cookie() -> None:
    known = Lineage()
    known.left(b"a", 1, 0.0)
    known.left(b"b", 2, 0.0)
    assert (known.came(b"c", 2, 0.0), known.came(b"d", 1, 0.0)) == (((b"b",),), ((b"a",),))


def test_what_came_from_elsewhere_has_no_name_before() -> None:
    assert Lineage().came(b"a", 7, 0.0) == ()


def test_a_file_that_left_the_tree_leaves_no_trace_at_its_name() -> None:
    known = Lineage()
    known.moved(b"a", b"b", 0.0)
    known.left(b"b", 3, 0.0)
    assert known.moved(b"x", b"b", 0.0) == ((b"x",),)


def test_old_renames_say_nothing() -> None:
    known = Lineage()
    known.moved(b"a", b"b", 0.0)
    assert known.moved(b"b", b"c", lineage.KEPT_S) == ((b"b",),)


def test_it_is_bounded() -> None:
    known = Lineage()
    for number in range(lineage.LIMIT + 10):
        known.left(b"%d" % number, number, 0.0)
        known.moved(b"a%d" % number, b"b%d" % number, 0.0)
    assert known.came(b"first", 0, 0.0) == ()
    assert known.moved(b"b0", b"c", 0.0) == ((b"b0",),)
    for number in range(2 * lineage.LONGEST):
        chain = known.moved(b"n%d" % number, b"n%d" % (number + 1), 0.0)
        many = known.moved(b"t%d" % number, b"place", 0.0)
    assert len(chain[0]) == len(many) == lineage.LONGEST and many[0] == (b"t0",)


@pytest.mark.parametrize(
    ("moved_from", "vacated", "facts"),
    [
        ((), False, {}),
        (((b"a", b"\xff"), (b"c",)), False, {"moved_from": [["a", "\\xff"], ["c"]]}),
        ((), True, {"vacated": True, "moved_from": None}),
        (((b"a",),), True, {"vacated": True, "moved_from": [["a"]]}),
    ],
)
def test_renames_come_back_from_the_facts_of_a_job(moved_from: tuple[Former, ...], vacated: bool, facts: dict[str, object]) -> None:
    assert rename_facts(moved_from, vacated) == facts
    assert renames_of(facts) == (moved_from, vacated)
