"""`autoops verify` as the judge: each tampering is found, by the check that names it; a torn last line is none."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_files import NOW_S, WHY, created, opened, seen, updated

from autoops.core import ledger
from autoops.core.canonical import canonical
from autoops.core.digest import bucket_of
from autoops.core.signing import Signer, Verifier, new_key
from autoops.errors import StorageCorrupt
from autoops.model import Described
from autoops.prove import verify
from autoops.prove.replay import Replay
from autoops.store.registry import Registry

SIGNER = Signer(new_key())
FIRST = "2026013112000001"


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A registry of five commits with a checkpoint after each."""
    path = tmp_path / "registry.db"
    writer = opened(path, SIGNER)
    lines = []
    one, _other = writer.commit(
        [created(b"a"), created(b"b", described=Described(b"\x11" * 32, {"x": 1}, "c"))], WHY, NOW_S
    ).entries
    lines.append(checkpoint(writer))
    for size_bytes in range(4):
        (one,) = writer.commit([updated(one, observation=seen(size_bytes=size_bytes))], WHY, NOW_S + size_bytes).entries
        lines.append(checkpoint(writer))
    path.with_name("checkpoints.jsonl").write_text("".join(line + "\n" for line in lines))
    writer.close()
    yield path


def checkpoint(writer: Any, signer: Signer = SIGNER) -> str:
    line = ledger.checkpoint(ledger.utc(NOW_S), writer.ledger_head, writer.total)
    return canonical({**line, "signature": signer.sign(ledger.checkpoint_bytes(line)).hex()})


def faults(path: Path, public: bytes = SIGNER.public) -> dict[str, list[str]]:
    """Return what each check finds, by the check's name; "damage" when the registry could not be read at all."""
    registry = Registry.open(path)
    verifier = Verifier(public)
    found: dict[str, list[str]] = {}
    try:
        head = registry.head()
        for fault in (
            *verify.database(registry),
            *verify.entries(registry, head),
            *verify.ledger(registry, verifier),
            *verify.checkpoints(path.with_name("checkpoints.jsonl"), registry, verifier),
            *verify.replay(registry, head),
        ):
            found.setdefault(fault.check, []).append(fault.detail)
    except StorageCorrupt as error:
        found["damage"] = [str(error)]
    registry.close()
    return found


def tamper(path: Path, *statements: str) -> dict[str, list[str]]:
    con = sqlite3.connect(path)
    for statement in statements:
        con.execute(statement)
    con.commit()
    con.close()
    return faults(path)


def test_an_untouched_registry_proves_itself(path: Path) -> None:
    assert faults(path) == {}


def test_an_empty_registry_proves_itself(tmp_path: Path) -> None:
    opened(tmp_path / "registry.db", SIGNER).close()
    assert faults(tmp_path / "registry.db") == {}


@pytest.mark.parametrize(
    "change",
    [
        "size_bytes = 99",
        "name = x'63'",
        "status = 'retired'",
        "sha256 = NULL",
        "since_s = 0",
        "mime = 'x/y'",
        "inode = -1",
    ],
)
def test_an_entry_edited_with_sql_is_named(path: Path, change: str) -> None:
    found = tamper(path, f"UPDATE entry SET {change} WHERE id = {FIRST}")
    assert found == {"entry": [f"{FIRST} is not what its commit wrote: it was changed past the ledger"]}


@pytest.mark.parametrize("described", ["{}", "x", '{"class":1.5}'])
def test_an_entry_edited_into_nonsense_is_named(path: Path, described: str) -> None:
    (detail,) = tamper(path, f"UPDATE entry SET described = '{described}' WHERE id = {FIRST}")["entry"]
    assert FIRST in detail and "past the ledger" in detail


def test_a_description_edited_with_sql_is_named(path: Path) -> None:
    found = tamper(path, "UPDATE entry SET described = replace(described, '\"c\"', '\"d\"') WHERE described IS NOT NULL")
    assert list(found) == ["entry"] and "2026013112000002" in found["entry"][0]


def test_an_entry_slipped_in_is_found(path: Path) -> None:
    columns = (
        "rev, sequence, directory, name, status, since_s, kind, size_bytes, mtime_ns, inode, birth_ns, mime, ctime_ns, verified_s,"
        " pending"
    )
    found = tamper(
        path, f"INSERT INTO entry(id, {columns}) SELECT id + 5, {columns.replace('name', '''x'7a' ''', 1)} FROM entry LIMIT 1"
    )
    assert "2026013112000006" in found["entry"][0] and found["digest"] == ["2 leaves for 3 entries"]


def test_a_deleted_entry_is_found(path: Path) -> None:
    found = tamper(path, f"DELETE FROM entry WHERE id = {FIRST}")
    assert found["digest"] == ["2 leaves for 1 entries"] and found.keys() == {"digest", "history"}


def test_an_entry_edited_together_with_its_leaf_is_found_by_the_digest(path: Path) -> None:
    found = tamper(
        path,
        f"DELETE FROM entry WHERE id = {FIRST}",
        f"UPDATE bucket SET members = substr(members, 49) WHERE substr(members, 1, 16) = x'{FIRST.encode().hex()}'",
    )
    assert found.keys() == {"digest", "history"} and "the entries give" in found["digest"][1]


def test_an_edited_patch_in_a_record_is_found_by_the_replay_too(path: Path) -> None:
    found = tamper(path, "UPDATE ledger SET record = replace(record, '\"size_bytes\":1', '\"size_bytes\":7') WHERE sequence = 3")
    assert found["ledger"] == ["commit 3 does not hash to what is stored: it, or its order, was changed"]
    assert found["replay"][0].startswith("commit 3 claims ")


def test_an_edited_digest_in_a_record_breaks_the_next_one_and_the_checkpoint(path: Path) -> None:
    found = tamper(
        path, """UPDATE ledger SET record = replace(record, '"digest_after":"', '"digest_after":"0000') WHERE sequence = 3"""
    )
    assert "commit 4 does not begin at the digest where the one before ended" in found["ledger"]
    assert found["checkpoint"] == ["checkpoints.jsonl line 3: commit 3 is another one now: the ledger was rewritten"]
    assert found["replay"]


@pytest.mark.parametrize("record", ["x", "", "{}", '{"at":"","digest_after":"' + "0" * 64 + '"}', "[" * 5000])
@pytest.mark.parametrize("sequence", [3, 5])
def test_a_record_edited_into_nonsense_is_named(path: Path, record: str, sequence: int) -> None:
    found = tamper(path, f"UPDATE ledger SET record = '{record}' WHERE sequence = {sequence}")
    details = [detail for check in found.values() for detail in check]
    assert any(f"commit {sequence}" in detail for detail in details)


@pytest.mark.parametrize("entry_id", ["x", "x026013112000001", "9" * 20, "²" * 16])
def test_an_id_edited_into_nonsense_in_a_record_is_named(path: Path, entry_id: str) -> None:
    found = tamper(
        path, f"""UPDATE ledger SET record = replace(record, '"id":"{FIRST}"', '"id":"{entry_id}"') WHERE sequence < 4"""
    )
    assert any("commit 1 " in detail for detail in found["ledger"]) and any("commit 1 " in detail for detail in found["replay"])
    with contextlib.closing(Registry.open(path)) as registry:
        assert [one.detail for one in verify.history(registry)] == ["commit 1 cannot be read"]


def test_a_foreign_key_signed_nothing_here(path: Path) -> None:
    found = faults(path, Signer(new_key()).public)
    assert found["ledger"] == [f"commit {sequence} is not signed by the ledger key" for sequence in range(1, 6)]
    assert found["checkpoint"] == [f"checkpoints.jsonl line {sequence}: not signed by the ledger key" for sequence in range(1, 6)]


# checkpoints


def edited(path: Path, edit: Callable[[dict[str, Any]], object]) -> list[str]:
    """Change the third checkpoint line and return what is found."""
    file = path.with_name("checkpoints.jsonl")
    lines = file.read_text().splitlines(keepends=True)
    value = json.loads(lines[2])
    lines[2] = json.dumps(edit(value)) + "\n"
    file.write_text("".join(lines))
    found = faults(path)
    assert set(found) <= {"checkpoint"}
    return found.get("checkpoint", [])


@pytest.mark.parametrize(
    "change",
    [{"entries": 3}, {"sequence": 2}, {"digest": "00" * 32}, {"at": "x"}, {"more": 1}, {"signature": "00" * 64}, {"at": "\ud800"}],
)
def test_an_edited_checkpoint_line_is_named(path: Path, change: dict[str, Any]) -> None:
    (detail,) = edited(path, lambda value: {**value, **change})
    assert detail in ("checkpoints.jsonl line 3: not signed by the ledger key", "checkpoints.jsonl line 3: not a checkpoint")


@pytest.mark.parametrize(
    "value", [None, 5, [], {}, "x", {"signature": 1}, {"signature": "zz", "sequence": 1, "hash": "", "digest": ""}]
)
def test_a_line_that_is_no_checkpoint_is_named(path: Path, value: object) -> None:
    assert edited(path, lambda _: value) == ["checkpoints.jsonl line 3: not a checkpoint"]


def test_bytes_that_are_no_text_are_no_checkpoint(path: Path) -> None:
    with path.with_name("checkpoints.jsonl").open("ab") as file:
        file.write(b"\xff\xfe\n" + b"[" * 100_000 + b"\n")
    assert faults(path) == {
        "checkpoint": [
            "checkpoints.jsonl line 6: not a checkpoint",
            "checkpoints.jsonl line 7: not a checkpoint: longer than 4096 bytes",
        ]
    }


def test_a_partial_last_line_is_no_fault(path: Path) -> None:
    with path.with_name("checkpoints.jsonl").open("ab") as file:
        file.write(b'{"at":"2026-01-31T')
    assert faults(path) == {}


def test_a_missing_checkpoint_file_is_no_fault(path: Path) -> None:
    path.with_name("checkpoints.jsonl").unlink()
    assert faults(path) == {}


# the replay


def test_a_replay_begins_at_the_digest_of_nothing_and_follows_each_entry() -> None:
    from registry_files import digest_of

    texts = [f'{{"id":"{20260131120000_00 + number:016d}"}}' for number in range(30)]
    with Replay() as state:
        assert state.digest() == digest_of([])
        for text in texts:
            state.put(text[7:23], text)
        assert state.digest() == digest_of(texts)
        assert state.get(texts[3][7:23]) == texts[3].encode() and state.get("none") is None
        state.put(texts[3][7:23], texts[3].replace("}", ',"x":1}'))
        assert state.digest() != digest_of(texts)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE history SET sequence = sequence + 1",
        "UPDATE entry SET sequence = sequence + 1",
        "DELETE FROM history WHERE rev = 1",
        "INSERT INTO history VALUES (1, 1, 1)",
    ],
)
def test_a_history_that_is_not_the_ledgers_is_found_by_the_replay(path: Path, change: str) -> None:
    faults = tamper(path, change)
    assert "history" in faults and set(faults) == {"history"}


def test_a_revision_changed_with_sql_is_found_in_entry_and_history(path: Path) -> None:
    assert tamper(path, f"UPDATE entry SET rev = 9 WHERE id = {FIRST}").keys() == {"entry", "history"}


@pytest.mark.parametrize("change", ["UPDATE mid SET hash = zeroblob(32)", "DELETE FROM mid"])
def test_a_stored_mid_that_is_not_that_of_its_leaves_is_named(path: Path, change: str) -> None:
    number = bucket_of(FIRST) // 256
    found = tamper(path, f"{change} WHERE number = {number}")
    assert found == {"digest": [f"1 stored hash(es) of mids are not those of their leaves, that of mid {number} first"]}
