"""Patches: what they change, and each reason for which one is refused, by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from entries import DESCRIBED, ID, OTHER, SEEN, entry

from autoops.core import patch as patches
from autoops.core.canonical import changed_fields, entry_json, entry_text, parse, patch_text
from autoops.core.patch import Patch
from autoops.errors import PatchInvalid, PreconditionFailed
from autoops.model import JSON, Change, Entry

DIGEST = "0123456789abcdef" * 4
NOW_S = 1_800_000_000
ENTRIES = {ID: entry(rev=4), OTHER: entry(id=OTHER, path=b"c.txt")}


def resolved(document: JSON | str) -> list[Change]:
    text = document if isinstance(document, str) else json.dumps(document)
    return patches.resolve(patches.read(text), ENTRIES, DIGEST, "eva", NOW_S)


def refused(document: JSON | str) -> str:
    with pytest.raises(PatchInvalid) as caught:
        resolved(document)
    assert caught.value.exit_code == 4 and caught.value.advice
    assert "Nothing was changed" in str(caught.value)
    return str(caught.value)


def simple(fields: JSON, **more: Any) -> JSON:
    return {"changes": {ID: fields}, "revs": {ID: 4}, **more}


def operations(*some: JSON, **more: Any) -> JSON:
    return {"operations": list(some), "revs": {ID: 4}, **more}


# what they change


def test_a_simple_patch_sets_fields_and_raises_the_rev() -> None:
    (change,) = resolved(simple({"tags": ["x"]}))
    assert change.before == ENTRIES[ID]
    assert change.after == ENTRIES[ID]._replace(rev=5, described=DESCRIBED._replace(tags=("x",)))
    assert change.evidence == {"actor": "eva", "kind": "patch"}


def test_a_class_that_a_person_sets_is_that_persons_and_certain() -> None:
    (change,) = resolved(simple({"class": "policy"}))
    assert changed_fields(change) == {"class": "policy", "class_rule": "operator:eva", "confidence": 100}
    (change,) = resolved(simple({"class": "policy", "class_rule": "import", "confidence": 7}))
    assert changed_fields(change) == {"class": "policy", "class_rule": "import", "confidence": 7}
    (change,) = resolved(simple({"class": "policy", "confidence": 7}))
    assert changed_fields(change) == {"class": "policy", "class_rule": "operator:eva", "confidence": 7}


def test_a_status_that_is_set_begins_now() -> None:
    (change,) = resolved(simple({"status": "retired"}))
    assert (change.after.status, change.after.since_s) == ("retired", NOW_S)


def test_a_complex_patch_is_rfc_6902() -> None:
    (change,) = resolved(
        operations(
            {"op": "test", "path": f"/{ID}/tags/0", "value": "old"},
            {"op": "remove", "path": f"/{ID}/tags/0"},
            {"op": "add", "path": f"/{ID}/tags/-", "value": "last"},
            {"op": "replace", "path": f"/{ID}/descriptor/title", "value": "B"},
        )
    )
    assert change.after.described.tags == ("new", "last")
    assert change.after.described.descriptor == {"lines": 3, "title": "B"}


def test_a_patch_touches_several_entries_at_once() -> None:
    found = resolved(
        {"operations": [{"op": "copy", "from": f"/{ID}/tags", "path": f"/{OTHER}/tags"}, *adding(OTHER)], "digest": DIGEST[:16]}
    )
    assert [change.after.id for change in found] == [OTHER]  # the one that was only read does not change
    assert found[0].after.described.tags == ("old", "new", "x")


def adding(entry_id: str) -> list[JSON]:
    return [{"op": "add", "path": f"/{entry_id}/tags/-", "value": "x"}]


def test_a_patch_that_changes_nothing_is_no_change() -> None:
    assert resolved(simple({"class": "document"})) == []


def test_true_in_place_of_one_is_a_change() -> None:
    (change,) = resolved(simple({"descriptor": {"lines": True, "title": "A"}}))
    assert change.after.described.descriptor == {"lines": True, "title": "A"}
    assert resolved(simple({"descriptor": {"title": "A", "lines": 3}})) == []


def test_resolving_changes_none_of_the_entries_given() -> None:
    before = {entry_id: entry_text(one) for entry_id, one in ENTRIES.items()}
    resolved(operations({"op": "replace", "path": f"/{ID}/descriptor/title", "value": "B"}))
    assert {entry_id: entry_text(one) for entry_id, one in ENTRIES.items()} == before


# the form


def test_a_document_is_read_as_it_is_written() -> None:
    changes = {ID: {"class": "x"}}
    assert patches.read(json.dumps(simple({"class": "x"}, reason="why"))) == Patch(changes, None, {ID: 4}, "", "why")
    assert patches.read(json.dumps({"changes": changes, "digest": DIGEST})) == Patch(changes, None, {}, DIGEST, "")


def test_a_document_of_the_greatest_size_is_taken() -> None:
    assert len(resolved(json.dumps(simple({"class": "x"})).ljust(patches.MAX_PATCH_BYTES))) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"a":1.5}', "1.5 is not a whole number"),
        ('{"a":NaN}', "NaN is not a whole number"),
        ('{"a":-Infinity}', "-Infinity is not a whole number"),
        ('{"a":1e400}', "1e400 is not a whole number"),
        ('{"a":' + "9" * 5000 + "}", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"reason":' * 300 + "1" + "}" * 300, "nested deeper than 64"),
        ('{"reason":"\\ud800"}', "surrogate"),
        ("null", "not a JSON object"),
        ("[]", "not a JSON object"),
        ('"x"', "not a JSON object"),
        (json.dumps({"reason": "x" * patches.MAX_PATCH_BYTES}), f"{patches.MAX_PATCH_BYTES} are allowed"),
    ],
)
def test_a_text_that_is_no_patch_document_is_refused(text: str, reason: str) -> None:
    assert reason in refused(text)


def test_bytes_that_are_no_utf_8_are_refused() -> None:
    with pytest.raises(PatchInvalid):
        patches.read(b'{"reason":"\xff"}')


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "exactly one of"),
        ({"changes": {}, "operations": []}, "exactly one of"),
        ({"changes": {}, "colour": 1}, "unknown key 'colour'"),
        ({"changes": {}}, "touches no entry"),
        ({"operations": []}, "touches no entry"),
        ({"changes": []}, '"changes" must be'),
        ({"changes": {ID: []}}, '"changes" must be'),
        ({"changes": {ID: {}}}, '"changes" must be'),
        ({"changes": {"12": {"class": "x"}}}, "'12' is not a document ID"),
        ({"changes": {ID + "\n": {"class": "x"}}}, "is not a document ID"),
        ({"operations": {}}, '"operations" must be'),
        ({"operations": ["add"]}, '"operations" must be'),
        ({"operations": [{"path": f"/{ID}/class"}]}, '"operations" must be'),
        ({"operations": [{"op": ["add"], "path": f"/{ID}/class"}]}, '"operations" must be'),
        ({"operations": [{"op": "add", "path": f"/{ID}", "value": {}}]}, '"operations" must be'),
        ({"operations": [{"op": "add", "path": "", "value": {}}]}, '"operations" must be'),
        ({"operations": [{"op": "add", "path": f"{ID}/a/b", "value": {}}]}, '"operations" must be'),
        ({"operations": [{"op": "move", "path": f"/{ID}/class"}]}, '"operations" must be'),
        ({"operations": [{"op": "move", "path": f"/{ID}/class", "from": 1}]}, '"operations" must be'),
        ({"operations": [{"op": "test", "path": "/x/class", "value": 1}]}, "'x' is not a document ID"),
        ({"changes": {ID: {"class": "x"}}}, f"no precondition for {ID}"),
        ({"changes": {ID: {"class": "x"}}, "revs": {OTHER: 1}}, f"no precondition for {ID}"),
        (simple({"class": "x"}, revs=[4]), '"revs" must be'),
        (simple({"class": "x"}, revs={ID: "4"}), '"revs" must be'),
        (simple({"class": "x"}, revs={ID: True}), '"revs" must be'),
        (simple({"class": "x"}, digest=DIGEST[:15]), '"digest" must be'),
        (simple({"class": "x"}, digest=DIGEST.upper()), '"digest" must be'),
        (simple({"class": "x"}, digest=DIGEST + "0"), '"digest" must be'),
        (simple({"class": "x"}, digest="not hexadecimal!"), '"digest" must be'),
        (simple({"class": "x"}, digest=5), '"digest" must be'),
        (simple({"class": "x"}, reason=5), '"reason" must be text'),
    ],
)
def test_a_document_of_another_form_is_refused(document: JSON, reason: str) -> None:
    assert reason in refused(document)


# the preconditions


def unmet(document: JSON) -> tuple[object, object, object]:
    with pytest.raises(PreconditionFailed) as caught:
        resolved(document)
    assert caught.value.exit_code == 4
    facts = caught.value.facts
    return facts["what"], facts["wanted"], facts["found"]


def test_an_entry_that_was_changed_since_is_refused_with_both_revs() -> None:
    assert unmet(simple({"class": "x"}, revs={ID: 3})) == (f"entry {ID}", "rev 3", "rev 4")


def test_an_entry_that_does_not_exist_is_refused() -> None:
    absent = "2026010100000009"
    document = {"changes": {absent: {"class": "x"}}, "revs": {absent: 1}}
    assert unmet(document) == (f"entry {absent}", "rev 1", "no such entry")
    assert unmet({**document, "revs": {}, "digest": DIGEST}) == (f"entry {absent}", "an entry", "no such entry")


def test_another_registry_digest_is_refused() -> None:
    assert unmet(simple({"class": "x"}, digest="f" * 64)) == ("the registry digest", "f" * 16, DIGEST[:16])
    assert unmet(simple({"class": "x"}, digest=DIGEST[:63] + "0"))[0] == "the registry digest"


@pytest.mark.parametrize("digits", [16, 17, 64])
def test_the_beginning_of_the_digest_is_enough(digits: int) -> None:
    assert len(resolved({"changes": {ID: {"class": "x"}}, "digest": DIGEST[:digits]})) == 1


def test_a_test_operation_that_does_not_hold_is_refused() -> None:
    what, wanted, found = unmet(operations({"op": "test", "path": f"/{ID}/class", "value": "x"}))
    assert (what, wanted) == ('an RFC 6902 "test"', "it to hold") and "document" in str(found)


# the result


@pytest.mark.parametrize("field", ["id", "rev", "root", "path", "observation", "since_s", "described", "colour", ""])
def test_a_field_that_is_not_a_persons_to_change_is_refused(field: str) -> None:
    assert f"{field!r} cannot be patched" in refused(simple({field: "x"}))
    assert f"{field!r} cannot be patched" in refused(simple({field: None}))
    assert f"{field!r} cannot be patched" in refused(operations({"op": "add", "path": f"/{ID}/{field}", "value": "x"}))


@pytest.mark.parametrize("field", ["id", "rev", "path", "since_s"])
def test_a_field_cannot_be_taken_away_either(field: str) -> None:
    assert f"{field!r} cannot be patched" in refused(operations({"op": "remove", "path": f"/{ID}/{field}"}))
    assert f"{field!r} cannot be patched" in refused(
        operations({"op": "remove", "path": f"/{ID}/{field}"}, {"op": "replace", "path": f"/{ID}/status", "value": "retired"})
    )


@pytest.mark.parametrize("pointer", ["observation/size_bytes", "observation/sha256", "path", "tags/../path"])
def test_a_pointer_into_another_field_is_refused(pointer: str) -> None:
    refused(operations({"op": "replace", "path": f"/{ID}/{pointer}", "value": 1}))


def test_a_required_field_cannot_be_moved_away() -> None:
    assert "class" in refused({"operations": [{"op": "move", "from": f"/{ID}/class", "path": f"/{OTHER}/class"}], "digest": DIGEST})


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": f"/{ID}/class"},
        {"op": "add", "path": f"/{ID}/tags/9", "value": "x"},
        {"op": "add", "path": f"/{ID}/tags/x", "value": "x"},
        {"op": "add", "path": f"/{ID}/tags/~2", "value": "x"},
        {"op": "add", "path": f"/{ID}/class/x", "value": "x"},
        {"op": "add", "path": f"/{ID}/confidence/x", "value": "x"},
        {"op": "remove", "path": f"/{ID}/descriptor/none"},
        {"op": "replace", "path": f"/{ID}/descriptor/none", "value": 1},
        {"op": "copy", "from": f"/{ID}/descriptor/none", "path": f"/{ID}/class"},
        {"op": "move", "from": f"/{ID}/descriptor", "path": f"/{ID}/descriptor/x"},
    ],
)
def test_an_operation_that_does_not_fit_is_refused(operation: JSON) -> None:
    assert "does not fit" in refused(operations(operation))


@pytest.mark.parametrize(
    "fields", [{"class": 5}, {"tags": "abc"}, {"tags": ["a", "a"]}, {"confidence": True}, {"status": "gone"}, {"descriptor": [1]}]
)
def test_a_value_of_the_wrong_type_is_refused(fields: JSON) -> None:
    assert f"entry {ID}: {next(iter(fields))}" in refused(simple(fields))


def test_an_entry_grown_too_large_is_refused() -> None:
    assert "are allowed" in refused(simple({"descriptor": {"a": "x" * 70_000}}))


def test_copies_that_double_an_entry_again_and_again_are_stopped_in_time() -> None:
    twice = [{"op": "copy", "from": f"/{ID}/descriptor", "path": f"/{ID}/descriptor/{number}"} for number in range(60)]
    assert "does not fit" in refused(operations(*twice))


def test_copies_that_nest_an_entry_deeper_and_deeper_are_stopped_in_time() -> None:
    deeper = {"op": "copy", "from": f"/{ID}/descriptor/a", "path": f"/{ID}/descriptor/a/b"}
    assert "deeper than 64" in refused(operations({"op": "add", "path": f"/{ID}/descriptor/a", "value": {}}, *[deeper] * 1500))


# undoing


def committed(before: Entry | None, after: Entry) -> JSON:
    patch: JSON = parse(patch_text(Change(before, after, {}), entry_text(after)))
    return patch


def test_undoing_an_update_restores_the_values_under_a_new_rev() -> None:
    before = entry()
    after = before._replace(rev=2, path=b"moved", observation=SEEN._replace(size_bytes=1))
    (change,) = patches.undo({ID: committed(before, after)}, {ID: after}, {ID: entry_json(before)}, "eva", 7, NOW_S)
    assert change.before == after and change.after == before._replace(rev=3)
    assert change.evidence == {"actor": "eva", "kind": "rollback", "of": 7}


def test_undoing_a_creation_retires_the_entry() -> None:
    created = entry()
    (change,) = patches.undo({ID: committed(None, created)}, {ID: created}, {ID: None}, "eva", 7, NOW_S)
    assert change.after == created._replace(rev=2, status="retired", since_s=NOW_S)


def test_undoing_what_was_changed_since_is_refused() -> None:
    before = entry()
    after = before._replace(rev=2, path=b"moved")
    now = after._replace(rev=3)
    with pytest.raises(PreconditionFailed, match=f"entry {ID}.*rev 2, as commit 7 left it, found rev 3"):
        patches.undo({ID: committed(before, after)}, {ID: now}, {ID: entry_json(before)}, "eva", 7, NOW_S)
