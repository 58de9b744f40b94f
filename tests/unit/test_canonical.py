"""The canonical form: one text for one value, on every program."""

from __future__ import annotations

import json
from typing import Any

import pytest
from entries import DESCRIBED, ENTRIES, ID, OTHER, SEEN, VALUES, entry
from hypothesis import given
from hypothesis import strategies as st

from autoops.core import canonical as form
from autoops.core import schema
from autoops.core.canonical import (
    NEW,
    apply_patch,
    canonical,
    changed_fields,
    entry_from_json,
    entry_json,
    entry_text,
    parse,
    patch_text,
)
from autoops.model import JSON, UNDESCRIBED, Change, Described, Entry


@given(ENTRIES)
def test_the_quick_text_of_an_entry_is_its_canonical_text(one: Entry) -> None:
    assert entry_text(one) == canonical(entry_json(one))


@given(ENTRIES)
def test_an_entry_that_has_no_id_yet_has_the_text_of_the_one_it_will_be(one: Entry) -> None:
    assert entry_text(one._replace(id=""), one.id) == entry_text(one)


@given(ENTRIES)
def test_an_entry_comes_back_from_its_text_and_satisfies_the_schema(one: Entry) -> None:
    value = parse(entry_text(one))
    assert entry_from_json(value) == one
    assert schema.fault(value) is None


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), VALUES, max_size=5))
def test_an_outsider_gets_the_same_text_with_the_standard_library(value: dict[str, Any]) -> None:
    assert canonical(value) == json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert parse(canonical(value)) == value
    assert "\n" not in canonical(value)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=6))
def test_the_order_in_which_a_dictionary_was_filled_does_not_matter(value: dict[str, Any]) -> None:
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@pytest.mark.parametrize("number", ["1.0", "1e3", "-0.5", "NaN", "Infinity", "-Infinity"])
def test_what_is_no_whole_number_is_refused(number: str) -> None:
    with pytest.raises(form.FloatFound):
        parse(f'{{"a":[{number}]}}')


def test_not_a_number_is_never_written() -> None:
    with pytest.raises(ValueError):
        canonical(float("nan"))


def test_an_entry_without_description_is_written_like_this() -> None:
    assert entry_text(entry(described=UNDESCRIBED)) == (
        '{"class":null,"class_rule":null,"confidence":null,"described":null,"descriptor":null,"id":"2026010100000001",'
        '"observation":{"birth_ns":1600000000000000000,"inode":77,"kind":"file","mime":"text/plain","mtime_ns":1700000000000000000,'
        '"sha256":"' + "11" * 32 + '","size_bytes":12},"path":"a/b.txt","rev":1,"root":"docs","since_s":1700000000,'
        '"status":"active","tags":[]}'
    )


@given(ENTRIES, ENTRIES)
def test_a_ledger_patch_makes_the_entry_after_from_the_entry_before(before: Entry, other: Entry) -> None:
    after = other._replace(id=before.id, rev=before.rev + 1)
    change = Change(before, after, {"kind": "test"})
    text = patch_text(change, entry_text(after))
    assert canonical(parse(text)) == text
    assert canonical(apply_patch(entry_json(before), parse(text))) == entry_text(after)


@given(ENTRIES)
def test_a_ledger_patch_that_creates_holds_the_whole_entry(one: Entry) -> None:
    text = patch_text(Change(None, one, {"kind": "new"}), entry_text(one))
    assert canonical(parse(text)) == text
    assert entry_from_json(apply_patch(None, parse(text))) == one


@pytest.mark.parametrize("before", [None, entry()])
@pytest.mark.parametrize("evidence", [NEW, {"confidence": 100, "kind": "copy", "of": OTHER}])
def test_a_ledger_patch_says_why(before: Entry | None, evidence: JSON) -> None:
    text = patch_text(Change(before, entry(rev=2), evidence), entry_text(entry(rev=2)))
    assert canonical(parse(text)) == text
    assert (parse(text)["evidence"], parse(text)["op"]) == (evidence, "update" if before else "create")


def test_an_edit_sets_what_the_disk_says_and_nothing_else() -> None:
    before = entry()
    after = before._replace(rev=2, observation=SEEN._replace(size_bytes=13))
    assert changed_fields(Change(before, after, {})).keys() == {"observation"}
    after = before._replace(rev=2, status="missing", since_s=7)
    assert changed_fields(Change(before, after, {})) == {"status": "missing", "since_s": 7}


@pytest.mark.parametrize(("old", "new"), [(1, True), (True, 1), (0, False), ([0], [False]), ({"x": 1}, {"x": True})])
def test_true_is_not_one(old: object, new: object) -> None:
    """A replay must give the very text that was hashed, and Python holds 1 and true for equal."""
    before = entry(described=DESCRIBED._replace(descriptor={"draft": old}))
    after = before._replace(rev=2, described=DESCRIBED._replace(descriptor={"draft": new}, tags=()))
    patch = parse(patch_text(Change(before, after, {}), entry_text(after)))
    assert canonical(apply_patch(entry_json(before), patch)) == entry_text(after)


@pytest.mark.parametrize(
    ("known", "patch", "wrong"),
    [
        (True, {"op": "create", "entry": {"id": ID}}, "created twice"),
        (False, {"op": "update", "id": ID, "rev": 1, "set": {}}, "before it is created"),
        (True, {"op": "update", "id": ID, "rev": 2, "set": {}}, "is at rev 1, the patch is for rev 2"),
    ],
)
def test_a_ledger_patch_that_does_not_fit_is_refused(known: bool, patch: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        apply_patch(entry_json(entry()) if known else None, patch)


def test_undescribed_is_told_by_value_too() -> None:
    assert entry_text(entry(described=Described())) == entry_text(entry(described=UNDESCRIBED))
