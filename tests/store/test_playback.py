"""The ledger, played onto a registry, gives the registry that it is of: after each commit, row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from histories import History, Tables, tables
from registry_files import NOW_S, WHY, created, opened, updated

from autoops.backup.errors import BackupUnsound
from autoops.core.canonical import entry_text
from autoops.core.ledger import Head
from autoops.core.signing import Signer, Verifier, new_key
from autoops.errors import CommitMisfit
from autoops.prove import chain, verify
from autoops.store.commit import RegistryWriter
from autoops.store.database import migrate
from autoops.store.playback import Playback
from autoops.store.records import Record
from autoops.store.registry import SCHEMA, Registry

SIGNER = Signer(new_key())
VERIFIER = Verifier(SIGNER.public)
COMMITS = 120


class Lived(NamedTuple):
    """A registry, and what its tables and export were after each commit; before the first one at 0."""

    path: Path
    tables: list[Tables]
    texts: list[list[str]]
    heads: list[Head]
    records: list[Record]


@pytest.fixture(scope="module", params=range(2))
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    path = tmp_path_factory.mktemp("lived") / "registry.db"
    writer = opened(path, SIGNER)
    history = History(writer, request.param)
    found: list[Tables] = [tables(path)]
    texts: list[list[str]] = [[]]
    heads = [writer.head()]
    for _ in range(COMMITS):
        history.step()
        found.append(tables(path))
        texts.append([entry_text(entry) for entry in writer.entries()])
        heads.append(writer.head())
    records = list(writer.records())
    writer.close()
    return Lived(path, found, texts, heads, records)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Playback]:
    migrate(tmp_path / "fresh.db", SCHEMA)
    playback = Playback.open_alone(tmp_path / "fresh.db")
    yield playback
    playback.close()


def faults(path: Path) -> list[verify.Fault]:
    registry = Registry.open(path)
    head = registry.head()
    found = [
        *verify.database(registry),
        *verify.entries(registry, head),
        *verify.notes(registry, SIGNER.public),
        *verify.ledger(registry, VERIFIER),
        *verify.replay(registry, head),
    ]
    registry.close()
    return found


def copy_until(lived: Lived, target: Path, sequence: int) -> None:
    """Make a registry as it was after a commit, by playing; what it is, is compared elsewhere."""
    migrate(target, SCHEMA)
    playback = Playback.open_alone(target)
    playback.play(lived.records[:sequence])
    playback.finish()


def test_after_each_commit_the_rows_are_those_of_the_registry_that_lived(lived: Lived, fresh: Playback) -> None:
    path = fresh.reader.path
    for sequence, record in enumerate(lived.records, 1):
        assert fresh.play([record]) == fresh.head() == lived.heads[sequence]
        assert tables(path) == lived.tables[sequence], sequence
        assert [entry_text(entry) for entry in fresh.entries()] == lived.texts[sequence]
        assert fresh.tree().root() == lived.heads[sequence].digest
    fresh.finish()
    assert faults(path) == []


def test_all_at_once_gives_the_same_and_one_whole_file(lived: Lived, fresh: Playback) -> None:
    path = fresh.reader.path
    assert fresh.play(lived.records) == lived.heads[-1]
    fresh.finish()
    assert fresh.ledger_head == lived.heads[-1]
    path.with_name(path.name + "-wal").unlink()  # all of it is in the file
    assert tables(path) == lived.tables[-1] and faults(path) == []


@pytest.mark.parametrize("begun", [1, 17, 60, 100, COMMITS - 1])
def test_it_goes_on_from_any_copy_to_any_commit(lived: Lived, tmp_path: Path, begun: int) -> None:
    for until in {begun, begun + 1, (begun + COMMITS) // 2, COMMITS}:
        path = tmp_path / f"{begun}-{until}.db"
        copy_until(lived, path, begun)
        playback = Playback.open_alone(path)
        assert playback.ledger_head == lived.heads[begun]
        playback.play(lived.records[begun:until])
        playback.finish()
        assert tables(path) == lived.tables[until] and faults(path) == []


def test_a_writer_goes_on_where_it_ended(lived: Lived, tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    copy_until(lived, path, 40)
    writer = opened(path, SIGNER)
    history = History(writer, "on")
    for _ in range(30):
        history.step()
    writer.close()
    assert faults(path) == []


def test_what_was_touched_is_to_be_read_again_and_the_rest_is_not(tmp_path: Path) -> None:
    writer = opened(tmp_path / "registry.db", SIGNER)
    touched, other = writer.commit([created(b"a"), created(b"b")], WHY, NOW_S).entries
    writer.saw_again([(touched.id, 5), (other.id, 6)], NOW_S + 9)
    writer.intend({other.id: b"ID_b"})
    writer.checkpoint(least_bytes=0, truncate=True)
    (tmp_path / "copy.db").write_bytes((tmp_path / "registry.db").read_bytes())
    writer.commit([updated(touched, path=b"c"), created(b"new")], WHY, NOW_S + 10)
    playback = Playback.open_alone(tmp_path / "copy.db")
    playback.play(writer.records(1))
    playback.finish()
    writer.close()
    with sqlite3.connect(tmp_path / "copy.db") as con:
        rows = con.execute("SELECT name, ctime_ns, verified_s FROM entry ORDER BY id").fetchall()
        assert con.execute("SELECT count(*) FROM intent").fetchone() == (0,)
    assert rows == [(b"c", 0, 0), (b"b", 6, int(NOW_S) + 9), (b"new", 0, 0)]


def test_a_large_record_and_many_small_ones_are_played(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    writer = opened(path, SIGNER)
    changes = [created(b"d%d/f%d" % (number % 50, number)) for number in range(20_000)]
    entries = writer.commit(changes, WHY, NOW_S).entries
    for number, entry in enumerate(entries[:2500]):
        writer.commit([updated(entry, path=b"moved/%d" % number)], WHY, NOW_S)
    migrate(tmp_path / "fresh.db", SCHEMA)
    playback = Playback.open_alone(tmp_path / "fresh.db")
    playback.play(chain.sound(writer.records(), playback.ledger_head, VERIFIER))
    playback.finish()
    writer.close()
    assert tables(tmp_path / "fresh.db") == tables(path) and faults(tmp_path / "fresh.db") == []


# what does not fit


def small(path: Path) -> RegistryWriter:
    writer = opened(path, SIGNER)
    (one,) = writer.commit([created(b"a")], WHY, NOW_S).entries
    writer.commit([updated(one, path=b"b")], WHY, NOW_S)
    writer.commit([created(b"c")], WHY._replace(submission="s"), NOW_S)
    return writer


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    writer = small(tmp_path / "small.db")
    found = list(writer.records())
    writer.close()
    return found


@pytest.mark.parametrize(
    ("number", "old", "new", "said"),
    [
        (0, '"size_bytes":12', '"size_bytes":13', "claims"),
        (0, '"op":"create"', '"op":"update"', "cannot be played"),
        (0, '"path":"a"', '"path":7', "cannot be played"),
        (0, '"patches":[', '"patches":[7,', "cannot be played"),
        (1, '"rev":1', '"rev":2', "cannot be played"),
        (1, '"set":{"path":"b"}', '"set":{}', "claims"),
        (1, '"id":"2026013112000001"', '"id":"2026013112000002"', "cannot be played"),
        (2, '"id":"2026013112000002"', '"id":"2026013112000001"', "cannot be played"),
        (2, "{", "[" * 100_000, "cannot be played"),
    ],
)
def test_a_record_that_does_not_make_what_it_claims_is_refused(
    fresh: Playback, records: list[Record], number: int, old: str, new: str, said: str
) -> None:
    assert old in records[number].text
    records[number] = records[number]._replace(text=records[number].text.replace(old, new, 1))
    with pytest.raises(CommitMisfit, match=said) as caught:
        fresh.play(records)
    assert caught.value.facts["sequence"] == number + 1


def test_a_row_that_was_edited_past_the_ledger_is_not_built_on(tmp_path: Path, records: list[Record]) -> None:
    with sqlite3.connect(tmp_path / "small.db") as con:
        con.execute("DELETE FROM ledger WHERE sequence > 1")
        con.execute("UPDATE entry SET size_bytes = 99 WHERE name = x'62'")
    playback = Playback.open_alone(tmp_path / "small.db")
    with pytest.raises(CommitMisfit):
        playback.play(records[1:])
    playback.close()


def test_a_submission_that_is_there_twice_is_refused(fresh: Playback, records: list[Record]) -> None:
    records[1] = records[1]._replace(submission="s")
    with pytest.raises(CommitMisfit, match="UNIQUE"):
        fresh.play(records)


def test_what_came_before_a_gap_is_played(fresh: Playback, records: list[Record]) -> None:
    def broken() -> Iterator[Record]:
        yield from records[:2]
        raise BackupUnsound(name="ledger", detail="a gap")

    with pytest.raises(BackupUnsound):
        fresh.play(broken())
    assert fresh.ledger_head.sequence == fresh.head().sequence == 2
    assert fresh.play(records[2:]).sequence == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one._replace(sequence=3), "records are missing"),
        (lambda one: one._replace(text=one.text.replace("worker", "walker")), "does not hash"),
        (lambda one: one._replace(hash=bytes(32)), "does not hash"),
        (lambda one: one._replace(signature=bytes(64)), "is not signed"),
        (lambda one: one._replace(text="{}"), "does not hash"),
    ],
)
def test_a_record_that_does_not_follow_or_is_not_signed_ends_the_chain(records: list[Record], change, said: str) -> None:  # type: ignore[no-untyped-def]
    before = Head(0, bytes(32), bytes.fromhex("0917f4e7ad330a74d4171e05e916ae36aab05a7244acc71bc7c5bf4f5a661022"))
    assert list(chain.sound(records, before, VERIFIER)) == records
    records[1] = change(records[1])
    taken: list[Record] = []
    with pytest.raises(CommitMisfit, match=said):
        taken.extend(chain.sound(records, before, VERIFIER))
    assert taken == records[:1]
