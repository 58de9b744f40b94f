"""Patches that people and programs submit, and rollbacks: resolved, purely, into changes against what the registry says now.

A patch document is one JSON object with exactly one of

    "changes":    {ID: {field: value, …}, …}                    simple
    "operations": [RFC 6902 operations on {ID: entry, …}]       complex: "/2026…0001/tags/-"

and a precondition: "revs": {ID: rev} for each entry it touches, or "digest": the registry digest (hex, its first 16 digits are
enough). "reason" says why, for the ledger. Compare-and-swap: if anything is not as the precondition says, nothing is changed.

What the disk says (path, root, observation) cannot be patched: change the disk. An ID and a rev never can.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from autoops.core import schema
from autoops.core.canonical import apply_patch, canonical, entry_from_json, entry_json, parse
from autoops.core.ids import is_id
from autoops.errors import PatchInvalid, PreconditionFailed
from autoops.model import JSON, Change, Entry

FIELDS = ("class", "class_rule", "confidence", "descriptor", "status", "tags")
_KEYS = ("changes", "operations", "revs", "digest", "reason")
_DIGEST_DIGITS = 16
_DIGEST = re.compile(f"[0-9a-f]{{{_DIGEST_DIGITS},64}}")
MAX_PATCH_BYTES = 8 * 1024 * 1024


class Patch(NamedTuple):
    """A patch document whose form is right."""

    changes: Mapping[str, JSON] | None
    operations: list[JSON] | None
    revs: Mapping[str, int]
    digest: str
    reason: str

    @property
    def ids(self) -> list[str]:
        """The entries it touches."""
        if self.changes is not None:
            return sorted(self.changes)
        return sorted({pointer.split("/")[1] for operation in self.operations or () for pointer in _pointers(operation)})


def read(text: str | bytes) -> Patch:
    """Read a patch document. Raises PatchInvalid that names the first thing wrong with its form."""
    if len(text) > MAX_PATCH_BYTES:
        raise PatchInvalid(detail=f"it is {len(text)} bytes long, {MAX_PATCH_BYTES} are allowed")
    try:
        document = parse(text)
    except (ValueError, RecursionError) as error:
        raise PatchInvalid(detail=f"it is not JSON that autoops takes: {error}") from None
    wrong = schema.unfit(document)
    if wrong:
        raise PatchInvalid(detail=wrong)
    _check_form(document)
    patch = Patch(
        document.get("changes"),
        document.get("operations"),
        document.get("revs", {}),
        document.get("digest", ""),
        document.get("reason", ""),
    )
    for entry_id in patch.ids:
        if not is_id(entry_id):
            raise PatchInvalid(detail=f"{entry_id!r} is not a document ID of 16 digits")
    if not patch.ids:
        raise PatchInvalid(detail="it touches no entry")
    unguarded = [entry_id for entry_id in patch.ids if entry_id not in patch.revs]
    if unguarded and not patch.digest:
        raise PatchInvalid(detail=f'no precondition for {unguarded[0]}: give "revs": {{"{unguarded[0]}": its rev}}, or "digest"')
    return patch


def _check_form(document: object) -> None:
    if not isinstance(document, dict):
        raise PatchInvalid(detail="it is not a JSON object")
    unknown = [key for key in document if key not in _KEYS]
    if unknown:
        raise PatchInvalid(detail=f"unknown key {unknown[0]!r}; known are {', '.join(_KEYS)}")
    if ("changes" in document) == ("operations" in document):
        raise PatchInvalid(detail='it needs exactly one of "changes" and "operations"')
    changes, operations = document.get("changes", {}), document.get("operations", [])
    if not isinstance(changes, dict) or not all(isinstance(fields, dict) and fields for fields in changes.values()):
        raise PatchInvalid(detail='"changes" must be an object of {ID: {field: value}}')
    if not isinstance(operations, list) or not all(_is_operation(operation) for operation in operations):
        raise PatchInvalid(detail='"operations" must be a list of RFC 6902 operations on "/ID/field"')
    revs = document.get("revs", {})
    if not isinstance(revs, dict) or not all(type(rev) is int for rev in revs.values()):
        raise PatchInvalid(detail='"revs" must be an object of {ID: rev}')
    digest = document.get("digest", "")
    if not isinstance(digest, str) or (digest and not _DIGEST.fullmatch(digest)):
        raise PatchInvalid(detail=f'"digest" must be {_DIGEST_DIGITS} to 64 hexadecimal digits, in lower case')
    if not isinstance(document.get("reason", ""), str):
        raise PatchInvalid(detail='"reason" must be text')


def _is_operation(operation: object) -> bool:
    if not isinstance(operation, dict) or operation.get("op") not in ("add", "remove", "replace", "move", "copy", "test"):
        return False
    return all(isinstance(pointer, str) and pointer.startswith("/") and pointer.count("/") >= 2 for pointer in _pointers(operation))


def _pointers(operation: JSON) -> list[Any]:
    return [operation.get("path"), *([operation.get("from")] if operation["op"] in ("move", "copy") else [])]


def resolve(patch: Patch, entries: Mapping[str, Entry], digest: str, actor: str, now_s: int) -> list[Change]:
    """Return the changes a patch makes to `entries` (all that it touches and that exist).

    Raises PreconditionFailed when an entry or the digest is not as the patch wants it, PatchInvalid when the result would not
    be a valid registry. Either way there is nothing to undo.
    """
    _check_preconditions(patch, entries, digest)
    before = {entry_id: entry_json(entries[entry_id]) for entry_id in patch.ids}
    after = _merged(patch, before) if patch.changes is not None else _operated(patch, before)
    evidence = {"actor": actor, "kind": "patch"}
    changes = []
    for entry_id in patch.ids:
        fields = {key: value for key, value in after[entry_id].items() if not _is_same(value, before[entry_id].get(key, ...))}
        if not fields and set(after[entry_id]) == set(before[entry_id]):
            continue
        value = _by_hand(before[entry_id], after[entry_id], fields, actor, now_s)
        schema.require_valid(value)
        changes.append(Change(entries[entry_id], entry_from_json(value), evidence))
    return changes


def _is_same(value: object, old: object) -> bool:
    return value == old and canonical(value) == canonical(old)  # true == 1 in Python, but not in JSON


def _by_hand(before: JSON, after: JSON, fields: JSON, actor: str, now_s: int) -> JSON:
    forbidden = sorted(key for key in {*fields, *(before.keys() - after.keys())} if key not in FIELDS)
    if forbidden:
        raise PatchInvalid(detail=f"{before['id']}: {forbidden[0]!r} cannot be patched; these can: {', '.join(FIELDS)}")
    value = {**after, "rev": before["rev"] + 1}
    if "class" in fields and "class_rule" not in fields:
        value |= {"class_rule": f"operator:{actor}", "confidence": fields.get("confidence", 100)}
    if "status" in fields:
        value["since_s"] = now_s
    return value


def _check_preconditions(patch: Patch, entries: Mapping[str, Entry], digest: str) -> None:
    if patch.digest and not digest.startswith(patch.digest):
        raise PreconditionFailed(what="the registry digest", wanted=patch.digest[:_DIGEST_DIGITS], found=digest[:_DIGEST_DIGITS])
    for entry_id in patch.ids:
        wanted = patch.revs.get(entry_id)
        found = entries[entry_id].rev if entry_id in entries else None
        if found is None or (wanted is not None and wanted != found):
            raise PreconditionFailed(
                what=f"entry {entry_id}",
                wanted=f"rev {wanted}" if wanted is not None else "an entry",
                found=f"rev {found}" if found is not None else "no such entry",
            )


def _merged(patch: Patch, before: Mapping[str, JSON]) -> dict[str, JSON]:
    assert patch.changes is not None
    return {entry_id: {**before[entry_id], **fields} for entry_id, fields in patch.changes.items()}


def _operated(patch: Patch, before: Mapping[str, JSON]) -> dict[str, JSON]:
    import jsonpatch  # only complex patches pay for it

    after = copy.deepcopy(dict(before))
    try:
        for operation in patch.operations or ():
            jsonpatch.apply_patch(after, [operation], in_place=True)
            _require_small(operation, after)
    except jsonpatch.JsonPatchTestFailed as error:
        raise PreconditionFailed(what='an RFC 6902 "test"', wanted="it to hold", found=str(error)) from None
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError) as error:
        raise PatchInvalid(detail=f"an operation does not fit: {error}") from None
    return after


def _require_small(operation: JSON, entries: Mapping[str, JSON]) -> None:
    """Stop a chain of copies, each of which doubles an entry, while it still fits into memory."""
    if operation["op"] == "copy":
        entry = entries[operation["path"].split("/")[1]]
        wrong = schema.unfit(entry) or schema.too_large(entry)
        if wrong:
            raise PatchInvalid(detail=f"an operation does not fit: {wrong}")


def undo(
    patches: Mapping[str, JSON],
    entries: Mapping[str, Entry],
    past: Mapping[str, JSON | None],
    actor: str,
    sequence: int,
    now_s: int,
) -> list[Change]:
    """Return the changes that give entries the values they had before one commit.

    `patches` are that commit's, by ID; `past` each entry's JSON value before it (None: the commit created it; then the
    entry is retired, for nothing is ever erased). Raises PreconditionFailed when an entry was changed since.
    """
    changes = []
    for entry_id, patch in patches.items():
        entry, old = entries[entry_id], past[entry_id]
        rev_after = patch["rev"] + 1 if patch["op"] == "update" else 1
        if entry.rev != rev_after:
            raise PreconditionFailed(
                what=f"entry {entry_id}", wanted=f"rev {rev_after}, as commit {sequence} left it", found=f"rev {entry.rev}"
            )
        if old is None:
            after = entry._replace(status="retired", since_s=now_s)
        else:
            assert apply_patch(old, patch)["rev"] == entry.rev
            after = entry_from_json(old)
        evidence = {"actor": actor, "kind": "rollback", "of": sequence}
        changes.append(Change(entry, after._replace(rev=entry.rev + 1), evidence))
    return changes
