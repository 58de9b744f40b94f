"""The entry's schema: each field's bad values are refused, by name."""

from __future__ import annotations

from typing import Any

import pytest
from entries import ID, entry

from autoops.core import schema
from autoops.core.canonical import canonical, entry_json
from autoops.errors import PatchInvalid

HASH = "ab" * 32
BAD: dict[str, list[Any]] = {
    "class": ["", "x" * 101, 1, []],
    "class_rule": ["", "x" * 201, 1],
    "confidence": [-1, 101, "50", True, 50.5],
    "described": ["", HASH[:-1], HASH + "0", HASH.upper(), HASH + "\n", 1],
    "descriptor": [[], "x", 1, {"a": 1.5}, {"a": [1.5]}, {"a": float("inf")}],
    "id": ["", ID[:-1], ID + "0", ID + "\n", "x" * 16, int(ID), None],
    "path": ["", None, 1],
    "rev": [0, -1, "1", None, True],
    "root": ["", None],
    "since_s": ["0", None, 1.5],
    "status": ["", "gone", None, "Active"],
    "tags": [None, "a", [""], ["a", "a"], [1], ["x" * 101], [str(number) for number in range(101)]],
    "observation": [None, [], {}],
    "observation.birth_ns": [None, "0", 0.5],
    "observation.inode": [None, -1, "1"],
    "observation.kind": [None, "", "directory"],
    "observation.mime": [None, "", "x" * 128],
    "observation.mtime_ns": [None, "0", True],
    "observation.sha256": ["", HASH[:-1], HASH.upper(), 0],
    "observation.size_bytes": [None, -1, "1"],
}


def with_field(field: str, value: object) -> dict[str, Any]:
    whole = entry_json(entry())
    outer, _, inner = field.partition(".")
    return {**whole, outer: {**whole[outer], inner: value} if inner else value}


def test_every_field_of_an_entry_is_tried() -> None:
    whole = entry_json(entry())
    assert {field for field in BAD if "." not in field} == set(whole)
    assert {field.partition(".")[2] for field in BAD if "." in field} == set(whole["observation"])


def test_a_good_entry_has_no_fault() -> None:
    assert schema.fault(entry_json(entry())) is None
    schema.require_valid(entry_json(entry()))


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in BAD.items() for value in values])
def test_a_bad_value_is_refused(field: str, value: object) -> None:
    fault = schema.fault(with_field(field, value))
    assert fault
    assert field.rpartition(".")[2] in fault or "fraction" in fault


@pytest.mark.parametrize("field", sorted(entry_json(entry())))
def test_a_field_that_is_not_there_is_refused(field: str) -> None:
    value = entry_json(entry())
    del value[field]
    assert field in (schema.fault(value) or "")


def test_a_field_that_nobody_knows_is_refused() -> None:
    assert "colour" in (schema.fault(with_field("colour", "red")) or "")
    assert "colour" in (schema.fault(with_field("observation.colour", "red")) or "")


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_deep_nesting_is_refused_however_deep() -> None:
    assert schema.fault(with_field("descriptor", nested(60))) is None
    for depth in (64, 1000, 100_000):
        assert "nested" in (schema.fault(with_field("descriptor", nested(depth))) or "")


def test_an_entry_of_more_than_64_kib_is_refused() -> None:
    room = 65_536 - len(canonical(with_field("descriptor", {"a": ""})).encode())
    assert schema.fault(with_field("descriptor", {"a": "ä" * (room // 2) + "a" * (room % 2)})) is None
    fault = schema.fault(with_field("descriptor", {"a": "ä" * (room // 2) + "a" * (room % 2 + 1)}))
    assert fault == "the entry is 65537 bytes long, 65536 are allowed"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"a": ["ä", -1, True, None, {}]}, None),
        ("a\udcff", "it holds half a character (a lone surrogate), which is no UTF-8"),
        ({"\ud800": 1}, "it holds half a character (a lone surrogate), which is no UTF-8"),
        ([{"a": [0.5]}], "it holds a number with a fraction"),
        (nested(64), "it is nested deeper than 64 levels"),
    ],
)
def test_what_has_no_canonical_form_is_refused_and_says_why(value: object, why: str | None) -> None:
    assert schema.unfit(value) == why
    assert schema.fault(with_field("descriptor", {"a": value})) == why


def test_the_refusal_says_which_entry() -> None:
    with pytest.raises(PatchInvalid, match=f"entry {ID}: rev must be"):
        schema.require_valid(with_field("rev", 0))
