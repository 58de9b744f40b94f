"""The commit on a real registry.db: all or nothing, under compare-and-swap, and what a reader finds afterwards."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_files import NOW_S, WHY, created, digest_of, opened, seen, updated

from autoops.core.canonical import entry_text, parse
from autoops.core.patch import undo
from autoops.core.signing import Signer, new_key
from autoops.errors import EditedPastLedger, LedgerKeyChanged, PreconditionFailed, StorageCorrupt
from autoops.model import Change, Described, Entry
from autoops.prove import verify
from autoops.store.commit import RegistryWriter, Why
from autoops.store.records import patch_for, patches_of, said_by
from autoops.store.registry import Registry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.db"


@pytest.fixture
def signer() -> Signer:
    return Signer(new_key())


@pytest.fixture
def writer(path: Path, signer: Signer) -> Iterator[RegistryWriter]:
    writer = opened(path, signer)
    yield writer
    writer.close()


def commit(writer: RegistryWriter, *changes: Change) -> list[Entry]:
    return writer.commit(changes, WHY, NOW_S).entries


def state(registry: Registry) -> list[str]:
    return [entry_text(entry) for entry in registry.entries()]


def sound(writer: RegistryWriter) -> bool:
    """Tell whether memory, tables and ledger agree."""
    head = writer.head()
    assert head == writer.ledger_head
    assert head.digest == digest_of(state(writer)) == writer.tree().root()
    assert writer.total == writer.count() == len(state(writer))
    return not [*verify.entries(writer, head), *verify.replay(writer, head), *verify.database(writer)]


def test_a_commit_gives_ids_and_writes_what_was_decided(writer: RegistryWriter) -> None:
    one, other = commit(writer, created(b"a"), created(b"d/b", described=Described(b"\x01" * 32, {"x": 1}, "c", "r", 5, ("t",))))
    assert [one.id, other.id] == ["2026013112000001", "2026013112000002"]
    assert list(writer.entries()) == [one, other]
    assert writer.at("docs", [b"a", b"d/b", b"none", b"d/none"]) == [one, other]
    assert writer.by_id([other.id, "2026013112000009"]) == {other.id: other}
    assert sound(writer)


def test_a_note_is_a_record_without_patches(writer: RegistryWriter) -> None:
    (one,) = commit(writer, created(b"a"))
    before = writer.ledger_head
    done = writer.commit((), Why("operator:eva", "restore", "sequence 1 was put back", "restore:1"), NOW_S)
    assert (done.entries, done.head.sequence, done.head.digest) == ([], 2, before.digest)
    record = writer.record(2)
    assert record and patches_of(record) == [] and said_by(record).reason == "sequence 1 was put back"
    assert writer.sequence_of("restore:1") == 2 and list(writer.entries()) == [one]
    assert sound(writer)


def test_a_commit_updates_and_moves_under_the_next_rev(writer: RegistryWriter) -> None:
    (one,) = commit(writer, created(b"a"))
    (moved,) = commit(writer, updated(one, path=b"x/y/b", observation=seen(size_bytes=5)))
    assert (moved.id, moved.rev, moved.path) == (one.id, 2, b"x/y/b")
    assert writer.at("docs", [b"a"]) == [] and writer.at("docs", [b"x/y/b"]) == [moved]
    assert writer.history(one.id) == [(1, 1), (2, 2)]
    assert sound(writer)


def test_two_documents_swap_their_paths_in_one_commit(writer: RegistryWriter) -> None:
    one, other = commit(writer, created(b"a"), created(b"b"))
    commit(writer, updated(one, path=b"b"), updated(other, path=b"a"))
    assert {entry.path: entry.id for entry in writer.entries()} == {b"b": one.id, b"a": other.id}
    assert sound(writer)


def test_a_path_that_is_left_can_be_taken_in_the_same_commit(writer: RegistryWriter) -> None:
    (one,) = commit(writer, created(b"log"))
    _, new = commit(writer, updated(one, path=b"log.1"), created(b"log"))
    assert writer.at("docs", [b"log"]) == [new] and sound(writer)


def test_the_path_of_a_retired_document_is_free(writer: RegistryWriter) -> None:
    (one,) = commit(writer, created(b"a"))
    commit(writer, updated(one, status="retired"))
    (new,) = commit(writer, created(b"a"))
    assert writer.at("docs", [b"a"]) == [new] and writer.counts() == {"active": 1, "missing": 0, "retired": 1}
    assert sound(writer)


@pytest.mark.parametrize("behind", [1, 2])
def test_a_stale_change_rolls_the_whole_commit_back_and_the_writer_goes_on(writer: RegistryWriter, behind: int) -> None:
    one, other = commit(writer, created(b"a"), created(b"b"))
    now = other
    for size_bytes in range(behind):
        (now,) = commit(writer, updated(now, observation=seen(size_bytes=size_bytes)))
    before, head = state(writer), writer.ledger_head
    with pytest.raises(PreconditionFailed) as caught:
        commit(writer, created(b"new/c"), updated(one, path=b"new/moved"), updated(other, path=b"e"))
    assert caught.value.facts == {"what": f"entry {other.id}", "wanted": "rev 1", "found": f"rev {1 + behind}"}
    assert (state(writer), writer.ledger_head) == (before, head) and sound(writer)
    (new,) = commit(writer, created(b"new/c"))  # the directory cached by the failed commit was never made
    assert (new.id, writer.ledger_head.sequence) == ("2026013112000003", 2 + behind)
    assert sound(writer)


def test_a_change_of_a_document_that_does_not_exist_is_refused(writer: RegistryWriter) -> None:
    (one,) = commit(writer, created(b"a"))
    with pytest.raises(PreconditionFailed, match="found nothing"):
        commit(writer, updated(one._replace(id="2026013112000077")))
    assert sound(writer)


def test_one_document_cannot_be_changed_twice_in_one_commit(writer: RegistryWriter) -> None:
    (one,) = commit(writer, created(b"a"))
    with pytest.raises(AssertionError):  # a bug of the decision
        commit(writer, updated(one, path=b"b"), updated(one, path=b"c"))
    assert sound(writer) and writer.at("docs", [b"a"]) == [one]


@pytest.mark.parametrize("status", ["active", "missing"])
def test_a_path_has_one_document(writer: RegistryWriter, status: Any) -> None:
    (one,) = commit(writer, created(b"a"))
    if status == "missing":
        commit(writer, updated(one, status=status))
    with pytest.raises(sqlite3.IntegrityError):  # a bug of the decision, so it is not translated
        commit(writer, created(b"a"))
    assert sound(writer)
    assert len(commit(writer, created(b"b"))) == 1 and sound(writer)


def test_one_name_may_live_in_two_roots(writer: RegistryWriter) -> None:
    commit(writer, created(b"a"), created(b"a", root="code"))
    assert [entry.root for entry in writer.entries()] == ["docs", "code"]
    assert [entry.root for entry in writer.entries(root="code")] == ["code"] and sound(writer)


def test_a_submission_is_applied_once(writer: RegistryWriter) -> None:
    (one,) = commit(writer, created(b"a"))
    why = Why("operator:eva", "patch:1", "because", "1")
    assert writer.sequence_of("1") is None
    writer.commit([updated(one, path=b"b")], why, NOW_S)
    assert writer.sequence_of("1") == 2
    with pytest.raises(sqlite3.IntegrityError):
        writer.commit([created(b"c"), created(b"e")], why, NOW_S)
    assert sound(writer) and writer.count() == 1
    commit(writer, created(b"d"))  # the tree in memory was ahead of what was rolled back
    assert sound(writer)


def test_a_record_says_who_why_what_and_when(writer: RegistryWriter) -> None:
    (one,) = commit(writer, created(b"a\xff"))
    before = writer.ledger_head.digest.hex()
    (after,) = writer.commit([updated(one, status="missing", since_s=9)], Why("eva", "job", 'ä\n"', None), NOW_S + 60.5).entries
    record = writer.record(2)
    assert record and parse(record.text) == {
        "actor": "eva",
        "at": "2026-01-31T12:01:00.500Z",
        "digest_after": writer.ledger_head.digest.hex(),
        "digest_before": before,
        "format": 1,
        "patches": [
            {"evidence": {"kind": "t"}, "id": one.id, "op": "update", "rev": 1, "set": {"since_s": 9, "status": "missing"}}
        ],
        "reason": 'ä\n"',
        "sequence": 2,
        "source": "job",
    }
    assert [found.sequence for found in writer.records()] == [1, 2] and writer.record(3) is None
    assert patch_for(record, after.id) == patches_of(record)[0]
    with pytest.raises(LookupError):
        patch_for(record, "2026013112000009")


def test_a_commit_is_undone_by_another_one(writer: RegistryWriter) -> None:
    (one,) = commit(writer, created(b"a"))
    (moved,) = commit(writer, updated(one, path=b"b", status="missing"))
    record = writer.record(2)
    assert record
    past = {one.id: parse(entry_text(one))}
    (back,) = commit(writer, *undo({one.id: patches_of(record)[0]}, {one.id: moved}, past, "eva", 2, int(NOW_S)))
    assert back == one._replace(rev=3) and sound(writer)


def test_seeing_a_content_again_is_no_commit(writer: RegistryWriter) -> None:
    (one,) = commit(writer, created(b"a"))
    head, before = writer.ledger_head, state(writer)
    writer.saw_again([(one.id, 12345)], NOW_S + 100)
    assert (writer.head(), state(writer)) == (head, before) and sound(writer)
    assert writer.stamps_in("docs", b"")[b"a"][0] == 12345


@pytest.mark.parametrize(
    "name", [b"\n", b"\x1b[2J", b"'; DROP TABLE entry; --", b"\xff\xfe", b"x" * 255, b"-rf", b"=1+1", b"a\\b", b" "]
)
def test_any_name_is_kept_to_the_byte(writer: RegistryWriter, name: bytes) -> None:
    commit(writer, created(name), created(b"in/" + name + b"/x"))
    assert [entry.path for entry in writer.entries()] == [name, b"in/" + name + b"/x"]
    assert [entry.path for entry in writer.at("docs", [name, b"in/" + name + b"/x"])] == [name, b"in/" + name + b"/x"]
    assert writer.directories_between("docs", b"", None) == [b"", b"in/" + name] and sound(writer)


def test_directories_between_two_are_those_that_a_walk_would_come_to(writer: RegistryWriter) -> None:
    commit(writer, *(created(path) for path in (b"x", b"a.b/x", b"a/x", b"a/\xff/x", b"b/x")))
    walk = [b"", b"a", b"a/\xff", b"a.b", b"b"]
    for low, first in enumerate(walk):
        for high, end in enumerate((*walk, None)):
            assert writer.directories_between("docs", first, end) == walk[low:high]
    assert writer.directories_between("docs", b"a/", b"a\x01") == [b"a/\xff"]
    assert writer.directories_between("others", b"", None) == []


@pytest.mark.parametrize("inode", [0, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("mtime_ns", [-(2**63), 0, 2**63 - 1])
def test_numbers_at_their_limits_are_kept(writer: RegistryWriter, inode: int, mtime_ns: int) -> None:
    observation = seen(inode=inode, mtime_ns=mtime_ns, birth_ns=mtime_ns, size_bytes=2**63 - 1)
    (one,) = commit(writer, created(b"a", observation=observation))
    assert list(writer.entries()) == [one] == writer.with_inodes([inode])
    assert one.observation == observation and sound(writer)


def test_the_digest_is_right_after_each_of_two_hundred_commits(writer: RegistryWriter) -> None:
    choose = random.Random(2026)
    entries: dict[str, Entry] = {}
    for number in range(200):
        picked = choose.sample(sorted(entries), min(len(entries), choose.randrange(4)))
        changes = [updated(entries[one], path=b"m/%d/%s" % (number, one.encode())) for one in picked]
        changes += [created(b"n/%d/%d" % (number, one)) for one in range(choose.randrange(0 if changes else 1, 4))]
        entries |= {entry.id: entry for entry in commit(writer, *changes)}
        wanted = digest_of(entry_text(entries[one]) for one in sorted(entries))
        assert writer.ledger_head.digest == writer.head().digest == wanted
    assert writer.ledger_head.sequence == 200 and sound(writer)


def test_a_second_opening_finds_the_same_state(path: Path, signer: Signer) -> None:
    writer = opened(path, signer)
    one, _ = commit(writer, created(b"a"), created(b"b"))
    before, head = state(writer), writer.ledger_head
    writer.close()
    writer = opened(path, signer)
    assert (state(writer), writer.ledger_head, writer.total) == (before, head, 2) and sound(writer)
    _, new = commit(writer, updated(one, path=b"z"), created(b"a"))
    assert new.id == "2026013112000003" and sound(writer)
    writer.close()


def test_an_id_is_never_used_again_even_when_the_clock_goes_back(path: Path, signer: Signer) -> None:
    writer = opened(path, signer)
    writer.commit([created(b"a")], WHY, NOW_S)
    writer.close()
    writer = opened(path, signer)
    (new,) = writer.commit([created(b"b")], WHY, NOW_S - 1_000_000).entries
    assert new.id == "2026013112000002"
    writer.close()


def test_a_reader_sees_commits_as_they_come(path: Path, writer: RegistryWriter) -> None:
    reader = Registry.open(path)
    assert (reader.head().sequence, list(reader.entries())) == (0, [])
    entries = commit(writer, created(b"a"), created(b"b", observation=seen(kind="link")))
    assert list(reader.entries()) == entries and reader.head() == writer.ledger_head
    assert list(reader.entries(after=entries[0].id)) == entries[1:] == list(reader.entries(limit=1, after=entries[0].id))
    assert list(reader.entries(status="missing")) == []
    assert [one.id for one in reader.pending("", 9)] == [entries[0].id] and reader.pending_count() == 1
    reader.close()


def test_missing_documents_are_found_by_content_and_by_time(writer: RegistryWriter) -> None:
    one, _ = commit(writer, created(b"a"), created(b"b"))
    (gone,) = commit(writer, updated(one, status="missing", since_s=50))
    assert writer.missing_with([one.observation.sha256 or b""]) == [gone]
    assert writer.missing_since("docs", 51, 9) == [gone] and writer.missing_since("docs", 50, 9) == []
    assert writer.missing_counts(51) == {"docs": 1} and writer.missing_counts(50) == {}


def test_a_registry_is_signed_by_one_key(path: Path, writer: RegistryWriter, signer: Signer) -> None:
    writer.require_key(signer.public.hex())
    writer.require_key(signer.public.hex())
    with pytest.raises(LedgerKeyChanged):
        writer.require_key("00" * 32)


def test_intents_are_kept_until_they_are_forgotten(writer: RegistryWriter) -> None:
    (one,) = commit(writer, created(b"a"))
    writer.intend({one.id: b"x\xff"})
    assert writer.intents() == [(one.id, b"x\xff")]
    writer.forget_intents([one.id])
    assert writer.intents() == []


@pytest.mark.parametrize("described", ["x", "{}", "[]", '{"descriptor":1.5}', "[" * 5000])
def test_an_entry_that_no_commit_wrote_is_damage_not_a_traceback(path: Path, writer: RegistryWriter, described: str) -> None:
    (one,) = commit(writer, created(b"a"))
    with sqlite3.connect(path) as con:
        con.execute("UPDATE entry SET described = ?", (described,))
    con.close()
    with pytest.raises(StorageCorrupt, match=one.id):
        list(writer.entries())
    if described == "x":
        with pytest.raises(StorageCorrupt, match="malformed JSON"):
            writer.counts_by_class()


def test_a_last_record_that_no_commit_wrote_is_damage_not_a_traceback(path: Path, writer: RegistryWriter) -> None:
    commit(writer, created(b"a"))
    with sqlite3.connect(path) as con:
        con.execute("UPDATE ledger SET record = 'x'")
    con.close()
    for ask in (writer.head, writer.began_s, lambda: writer.behind(0)):
        with pytest.raises(StorageCorrupt, match="commit 1"):
            ask()


def test_a_row_that_was_edited_past_the_ledger_is_not_committed_over(writer: RegistryWriter) -> None:
    one, other = commit(writer, created(b"f0"), created(b"f1"))
    with writer._db.transaction() as tx:
        tx.execute("UPDATE entry SET size_bytes = size_bytes + 1 WHERE id = ?", (int(one.id),))
    edited = writer.by_id([one.id])[one.id]
    head, before = writer.ledger_head, state(writer)
    changes = [Change(entry, entry._replace(rev=2, status="missing"), {"kind": "absent"}) for entry in (edited, other)]
    with pytest.raises(EditedPastLedger) as refused:
        writer.commit(changes, WHY, NOW_S)
    assert refused.value.facts["ids"] == [one.id]
    assert (writer.head(), state(writer)) == (head, before), "nothing was changed"
    with writer._db.transaction() as tx:
        tx.execute("UPDATE entry SET size_bytes = size_bytes - 1 WHERE id = ?", (int(one.id),))
    assert sound(writer)
    commit(writer, Change(one, one._replace(rev=2, status="missing"), {"kind": "absent"}))
    assert sound(writer)
