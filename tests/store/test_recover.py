"""Damaged databases are made good again: nothing that anything still has is lost, and what is lost is told, entry by entry."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from histories import History, Tables, tables
from kept import FLIPS, SIGNER, VERIFIER, Kept, faults, live_and_keep, opened_in, take

from autoops.backup.packing import unpack
from autoops.backup.place import REGISTRY, Place
from autoops.backup.queue_back import Carried
from autoops.backup.recover import Recovered, Recovery
from autoops.backup.restore import Ask, restore_to
from autoops.core import ledger
from autoops.core.canonical import canonical
from autoops.errors import AutoopsError
from autoops.model import PRIORITY_OPERATOR, Work
from autoops.state import State
from autoops.store.database import Database, migrate
from autoops.store.findings import Findings
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.queue import Queue
from autoops.store.records import id_of, patches_of
from autoops.store.registry import SCHEMA, Registry

COMMITS, UNSHIPPED = 60, 8


class Case(NamedTuple):
    """A state directory with backups, to be damaged; the last few commits were not shipped."""

    kept: Kept
    last: Tables

    @property
    def state(self) -> State:
        return self.kept.state

    @property
    def shipped(self) -> int:
        return COMMITS


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    kept = live_and_keep(tmp_path_factory.mktemp("lived"), COMMITS, (20, 40), (50,))
    writer = opened_in(kept.state)
    history = History(writer, "unshipped")
    history.now_s += 100_000
    for _ in range(UNSHIPPED):
        history.step()
    line = ledger.checkpoint(ledger.utc(history.now_s), writer.ledger_head, writer.total)
    line["signature"] = SIGNER.sign(ledger.checkpoint_bytes(line)).hex()
    kept.state.checkpoints.write_text(canonical(line) + "\n")
    writer.checkpoint(least_bytes=0, truncate=True)
    writer.close()
    return kept


@pytest.fixture
def case(lived: Kept, tmp_path: Path) -> Case:
    shutil.copytree(lived.state.directory, tmp_path / "state")
    shutil.copytree(lived.place.directory, tmp_path / "backups")
    kept = lived._replace(state=State(tmp_path / "state"), place=Place(tmp_path / "backups"))
    return Case(kept, tables(kept.state.registry_db))


def recovered(case: Case, *, dry_run: bool = False) -> tuple[Recovered, list[str]]:
    said: list[str] = []
    recovery = Recovery(case.state, case.kept.place, VERIFIER, said.append, lambda *_: None)
    return recovery.run("STAMP", "operator:eva", dry_run=dry_run), said


def require_good(case: Case) -> Tables:
    assert faults(case.state.registry_db) == []
    assert not [path for path in case.state.directory.rglob("*") if path.name.startswith(".")]
    return tables(case.state.registry_db)


def pages(database: Path, table: str) -> list[int]:
    """Return the pages of a table, or an index."""
    with closing(sqlite3.connect(database)) as con:
        try:
            return [page for (page,) in con.execute("SELECT pageno FROM dbstat WHERE name = ? ORDER BY pageno", (table,))]
        except sqlite3.OperationalError:  # built without dbstat
            return [page for (page,) in con.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))]


def damage(database: Path, page: int, content: bytes = b"") -> None:
    """Write over one page as a disk does that lost it."""
    with database.open("r+b") as file:
        size = int.from_bytes(file.read(18)[16:18])
        file.seek((page - 1) * size)
        file.write((content or bytes(size))[:size])


# registry.db


def test_what_is_whole_is_left_alone(case: Case) -> None:
    before = case.state.registry_db.stat()
    done, said = recovered(case)
    assert (done.installed, done.queue, done.lost, done.head.sequence) == (None, None, [], COMMITS + UNSHIPPED)
    assert "registry.db: whole" in said and "queue.db: whole" in said
    after = case.state.registry_db.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert require_good(case) == case.last


@pytest.mark.parametrize("table", ["entry", "history", "directory", "bucket", "entry_path", "entry_inode", "meta", "root"])
def test_damage_beside_the_ledger_costs_nothing(case: Case, table: str) -> None:
    for page in pages(case.state.registry_db, table):
        damage(case.state.registry_db, page)
    done, said = recovered(case)
    assert done.lost == [] and done.installed and done.head.sequence == COMMITS + UNSHIPPED
    assert any(line.startswith("registry.db: damaged") for line in said)
    assert f"commits {COMMITS + 1} to {COMMITS + UNSHIPPED}: from what can be read of the damaged file" in said
    assert require_good(case) == case.last
    assert case.state.registry_db.with_name("registry.db.damaged-STAMP") in done.kept


def test_without_any_backup_the_ledger_in_the_file_gives_everything_back(case: Case) -> None:
    shutil.rmtree(case.kept.place.directory)
    for page in pages(case.state.registry_db, "entry"):
        damage(case.state.registry_db, page)
    done, said = recovered(case)
    assert done.lost == [] and "beginning with an empty registry, at commit 0" in said
    assert require_good(case) == case.last


def ledger_leaf_of(database: Path, sequence: int) -> int:
    """Return a page that holds a record, or a part of it."""
    with closing(sqlite3.connect(database)) as con:
        (hashed,) = con.execute("SELECT hash FROM ledger WHERE sequence = ?", (sequence,)).fetchone()
    size = int.from_bytes(database.read_bytes()[16:18])
    return database.read_bytes().index(hashed) // size + 1


def test_what_was_neither_shipped_nor_can_be_read_is_told_entry_by_entry(case: Case) -> None:
    with closing(Registry.open(case.state.registry_db)) as registry:
        touched = {one.sequence: sorted({id_of(patch) for patch in patches_of(one)}) for one in registry.records(COMMITS)}
    damage(case.state.registry_db, ledger_leaf_of(case.state.registry_db, COMMITS + 3))
    done, said = recovered(case)
    head = done.head.sequence
    assert COMMITS <= head < COMMITS + 3
    assert [one.sequence for one in done.lost] == list(range(head + 1, COMMITS + UNSHIPPED + 1))
    for one in done.lost:
        assert set(one.entries) <= set(touched[one.sequence])
        assert f"lost: {one}" in said
    named = {entry_id for one in done.lost for entry_id in one.entries}
    with closing(sqlite3.connect(done.kept[-1])) as con:  # its table of entries is whole, and says which it was
        rows = con.execute("SELECT id FROM entry WHERE sequence > ?", (head,)).fetchall()
    assert {f"{number:016d}" for (number,) in rows} <= named
    assert done.report is not None
    told = [json.loads(line) for line in done.report.read_text().splitlines()]
    assert [line["sequence"] for line in told] == [one.sequence for one in done.lost]
    assert require_good(case) == (case.kept.tables[head] if head <= COMMITS else tables(case.state.registry_db))


def test_a_registry_that_is_gone_is_made_of_the_backups_and_the_checkpoints_say_what_is_lost(case: Case) -> None:
    for path in case.state.registry_db.parent.glob("registry.db*"):
        path.unlink()
    done, said = recovered(case)
    assert "registry.db: it is not there" in said
    assert [one.sequence for one in done.lost] == list(range(COMMITS + 1, COMMITS + UNSHIPPED + 1))
    assert all(str(one).endswith("nothing says of which entries") for one in done.lost)
    assert require_good(case) == case.kept.tables[COMMITS]
    assert case.state.checkpoints.read_text() == ""  # its line does not hold for this registry


@pytest.mark.parametrize("found", ["made anew", "empty"])
def test_a_registry_without_a_commit_in_the_place_of_the_lost_one_is_made_of_the_backups(case: Case, found: str) -> None:
    for path in case.state.registry_db.parent.glob("registry.db*"):
        path.unlink()
    if found == "empty":
        case.state.registry_db.touch()
    else:
        migrate(case.state.registry_db, SCHEMA)
    done, said = recovered(case)
    assert done.installed and done.head.sequence == COMMITS
    assert [one.sequence for one in done.lost] == list(range(COMMITS + 1, COMMITS + UNSHIPPED + 1)) and done.report
    assert any(line.startswith("registry.db: damaged: ") for line in said) and "registry.copy" not in "".join(said)
    assert require_good(case) == case.kept.tables[COMMITS]


def test_commits_that_are_known_of_and_in_nothing_that_is_left_are_written_down_too(case: Case) -> None:
    shutil.rmtree(case.kept.place.directory)
    later = ledger.checkpoint(ledger.utc(1e9), ledger.Head(COMMITS + UNSHIPPED + 1, bytes(32), bytes(32)), 1)
    later["signature"] = SIGNER.sign(ledger.checkpoint_bytes(later)).hex()
    case.state.checkpoints.write_text(canonical(later) + "\n")
    done, _ = recovered(case)
    assert [one.sequence for one in done.lost] == [COMMITS + UNSHIPPED + 1]
    assert done.report and len(done.report.read_text().splitlines()) == 1


def test_an_older_copy_that_is_whole_goes_on_with_what_was_shipped(case: Case) -> None:
    older = case.kept.place.snapshot(case.kept.snapshots[20].name)
    case.state.registry_db.unlink()
    unpack(older / REGISTRY, case.state.registry_db, case.kept.snapshots[20].files[REGISTRY], older.name)
    done, said = recovered(case)
    assert "beginning with registry.db itself, at commit 20" in said
    assert done.head.sequence == COMMITS and done.installed
    assert require_good(case) == case.kept.tables[COMMITS]


def test_another_history_in_the_backups_is_nothing_that_was_lost(case: Case, tmp_path: Path) -> None:
    other = live_and_keep(tmp_path / "other", 30, (), (), seed="other")
    shutil.rmtree(case.kept.place.directory)
    shutil.copytree(other.place.directory, case.kept.place.directory)
    done, _ = recovered(case)
    assert done.lost == [] and done.installed is None and done.head.sequence == COMMITS + UNSHIPPED
    assert require_good(case) == case.last


def test_the_wal_of_a_killed_worker_is_recovered_by_sqlite_itself(case: Case) -> None:
    writer = opened_in(case.state)
    history = History(writer, "wal")
    history.now_s += 200_000
    for _ in range(5):
        history.step()
    shutil.copytree(case.state.directory, case.state.directory.with_name("killed"))
    writer.close()
    killed = Case(case.kept._replace(state=State(case.state.directory.with_name("killed"))), case.last)
    assert killed.state.registry_db.with_name("registry.db-wal").stat().st_size > 0
    done, said = recovered(killed)
    assert (done.head.sequence, done.installed, done.lost) == (COMMITS + UNSHIPPED + 5, None, [])
    assert "registry.db: whole" in said


def test_what_is_in_the_wal_beside_a_damaged_file_is_not_lost(case: Case) -> None:
    writer = opened_in(case.state)
    history = History(writer, "wal")
    history.now_s += 200_000
    for _ in range(5):
        history.step()
    shutil.copytree(case.state.directory, case.state.directory.with_name("killed"))
    last = tables(case.state.registry_db)
    writer.close()
    killed = Case(case.kept._replace(state=State(case.state.directory.with_name("killed"))), last)
    for page in pages(case.state.registry_db, "directory"):
        damage(killed.state.registry_db, page)
    done, _ = recovered(killed)
    assert done.head.sequence == COMMITS + UNSHIPPED + 5 and done.lost == []
    assert require_good(killed) == last
    with closing(sqlite3.connect(done.kept[-1])) as con:  # and what is kept has it too
        assert con.execute("SELECT max(sequence) FROM ledger").fetchone() == (done.head.sequence,)


def test_a_suspect_file_is_replaced_by_its_copy(case: Case) -> None:
    flag = case.state.registry_db.with_name("registry.db.suspect")
    flag.write_text('{"what": "SQLITE_IOERR_FSYNC"}\n')
    before = case.state.registry_db.stat().st_ino
    done, said = recovered(case)
    assert done.installed and done.lost == [] and any("suspect" in line for line in said)
    assert not flag.exists() and case.state.registry_db.stat().st_ino != before
    assert case.state.registry_db.with_name("registry.db.damaged-STAMP.suspect").exists()
    assert require_good(case) == case.last


@pytest.fixture
def bad(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], None]:
    """Have the disk give no more of a file than what lies before an offset, as pread(2) tells it."""

    def spoil(file: Path, first: int) -> None:
        inode, real = file.stat().st_ino, os.pread

        def pread(fd: int, size: int, at: int) -> bytes:
            if os.fstat(fd).st_ino != inode:
                return real(fd, size, at)
            if at >= first:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(fd, min(size, first - at), at)

        monkeypatch.setattr(os, "pread", pread)

    return spoil


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_what_the_disk_does_not_give_is_made_of_the_backups(case: Case, bad: Callable[[Path, int], None], share: float) -> None:
    file = case.state.registry_db
    count = file.stat().st_size // 4096
    bad(file, min(count - 1, int(count * share)) * 4096)
    done, said = recovered(case)
    assert done.installed and any("its disk does not give" in line for line in said)
    found = require_good(case)
    assert done.head.sequence >= COMMITS if done.lost else found == case.last


def test_patches_are_carried_over_from_what_the_disk_gives_of_a_queue(case: Case, bad: Callable[[Path, int], None]) -> None:
    acknowledged(case.state)
    file = case.state.queue_db
    (heartbeats,) = pages(file, "heartbeat")
    damage(file, heartbeats)
    bad(file, file.stat().st_size - 4096)
    done, _ = recovered(case)
    assert done.queue and done.queue.jobs and done.queue.findings


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_of_checkpoints_what_the_disk_gives_is_kept(case: Case, bad: Callable[[Path, int], None], share: float) -> None:
    (line,) = case.state.checkpoints.read_text().splitlines(keepends=True)
    case.state.checkpoints.write_text(line * 2)
    bad(case.state.checkpoints, int(len(line) * 3 * share))
    damage(case.state.registry_db, pages(case.state.registry_db, "entry")[0])
    done, _ = recovered(case)
    assert done.installed and done.head.sequence == COMMITS + UNSHIPPED
    assert case.state.checkpoints.read_text() == (line if share else "")
    assert case.state.checkpoints.with_name("checkpoints.jsonl.damaged-STAMP") in done.kept


def test_a_file_of_a_snapshot_that_the_disk_does_not_give_is_that_of_the_one_before(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = case.kept.place.snapshot(case.kept.snapshots[50].name) / "queue.db.zst"
    real = os.open

    def failing(path: str | bytes | os.PathLike[str], flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if os.fspath(path) == os.fspath(newest):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", failing)
    case.state.queue_db.unlink()
    done, said = recovered(case)
    assert done.queue and done.queue.snapshot == case.kept.snapshots[40].name
    assert any(line.startswith("not used: ") and "cannot be read (Input/output error)" in line for line in said)


@pytest.mark.parametrize("shipped", ["nothing", "an empty segment"])
def test_a_whole_registry_without_a_commit_is_left_alone(tmp_path: Path, shipped: str) -> None:
    state, place = State(tmp_path / "state"), Place(tmp_path / "backups")
    place.ledger.mkdir(parents=True)
    if shipped == "an empty segment":
        (place.ledger / "000000000001.jsonl").touch()
    migrate(state.queue_db, QUEUE)
    opened_in(state).close()
    done = Recovery(state, place, VERIFIER, lambda _: None, lambda *_: None).run("STAMP", "operator:eva")
    assert (done.installed, done.queue, done.lost, done.head.sequence) == (None, None, [], 0)


def test_a_dry_run_finds_out_and_puts_nothing_in_its_place(case: Case) -> None:
    damage(case.state.registry_db, pages(case.state.registry_db, "entry")[0])
    before = case.state.registry_db.read_bytes()
    done, said = recovered(case, dry_run=True)
    assert done.installed is None and done.head.sequence == COMMITS + UNSHIPPED
    assert any(line.startswith("registry.db: damaged") for line in said)
    assert case.state.registry_db.read_bytes() == before and not list(case.state.directory.glob(".*"))


def test_damaged_backups_beside_a_damaged_file_give_what_is_left_of_both(case: Case) -> None:
    for path in case.kept.place.snapshots.rglob(REGISTRY):
        path.write_bytes(path.read_bytes()[:-5])
    (segment,) = case.kept.place.ledger.glob("*.jsonl")
    lines = segment.read_bytes().split(b"\n")
    lines[29] = lines[29][:-9] + b"?" + lines[29][-8:]
    segment.write_bytes(b"\n".join(lines))
    for page in pages(case.state.registry_db, "entry"):
        damage(case.state.registry_db, page)
    done, said = recovered(case)  # up to 29 from the shipped ledger, then from the file, and from the shipped one again
    assert done.head.sequence == COMMITS + UNSHIPPED and done.lost == []
    assert require_good(case) == case.last
    assert any(line.startswith("the shipped ledger ends: ") for line in said)


@pytest.mark.parametrize("number", range(FLIPS // 2))
def test_flipped_bytes_anywhere_in_the_file_are_never_taken_for_good(case: Case, number: int) -> None:
    flip_and_require(case, number)


def flip_and_require(case: Case, number: int) -> None:
    pick = random.Random(number)
    content = bytearray(case.state.registry_db.read_bytes())
    for _ in range(pick.choice([1, 1, 3, 50])):
        content[pick.randrange(len(content))] ^= pick.randrange(1, 256)
    case.state.registry_db.write_bytes(content)
    for wal in case.state.registry_db.parent.glob("registry.db-*"):
        wal.unlink()
    done, _ = recovered(case)
    found = require_good(case)
    if done.head.sequence == COMMITS + UNSHIPPED:
        assert found == case.last
    else:
        # a row that is damaged may name any commit: then that one too is told of, and nothing before it
        numbers = [one.sequence for one in done.lost]
        certain = list(range(done.head.sequence + 1, COMMITS + UNSHIPPED + 1))
        assert numbers[: len(certain)] == certain and len(numbers) < len(certain) + 50


# queue.db


def acknowledged(state: State, count: int = 200) -> None:
    with Database.open(state.queue_db, QUEUE, guard=True) as database:
        queue = Queue(database)
        queue.enqueue([Work("path", b"docs\0%d" % number) for number in range(count)])
        facts = {"actor": "eva", "patch": json.dumps({"changes": {}, "reason": "x" * 300})}
        queue.enqueue([Work("patch", b"patch-%d" % number, PRIORITY_OPERATOR, facts) for number in range(count)])
        Findings(database).open([("corrupt", b"docs\0%d" % number, {"why": "x" * 50}) for number in range(count)], 1000)
        database.checkpoint(truncate=True)


def test_the_queue_of_a_new_directory_is_that_of_the_snapshot_and_nothing_was_carried_over(case: Case, tmp_path: Path) -> None:
    acknowledged(case.state)
    made = take(case.kept, full=True, at_s=2e9)
    faults: list[AutoopsError] = []
    ask = Ask(case.kept.place, made.head.sequence, VERIFIER)
    done = restore_to(tmp_path / "to", ask, lambda *_: None, faults.append)
    assert (done.queue, faults) == (Carried(made.name, 0, 0), [])
    assert found_in(State(tmp_path / "to")) == found_in(case.state)


def test_a_snapshot_leaves_alone_what_others_hid_beside_it(case: Case) -> None:
    for name in (".taking", ".20260101T000000000Z.gone"):
        (case.kept.place.snapshots / name).mkdir()
    (case.kept.place.snapshots / ".directory").write_text("of a file manager\n")
    take(case.kept, full=True, at_s=2e9)
    assert [path.name for path in case.kept.place.snapshots.glob(".*")] == [".directory"]


def found_in(state: State) -> tuple[set[bytes], int]:
    with Database.open(state.queue_db, QUEUE, mode="ro") as database:
        keys = {key for (key,) in database.query("SELECT key FROM job WHERE kind = 'patch'")}
        return keys, len(Findings(database).list(limit=10_000))


def test_a_queue_that_is_gone_is_that_of_the_last_snapshot(case: Case) -> None:
    shutil.rmtree(case.state.queue_db.parent)
    done, said = recovered(case)
    assert done.queue and done.queue.snapshot == case.kept.snapshots[50].name and done.installed is None
    assert "queue.db: it is not there" in said
    assert found_in(case.state) == (set(), 0)


def test_a_queue_that_is_empty_is_told_from_one_that_is_gone(case: Case) -> None:
    for path in case.state.queue_db.parent.glob("queue.db*"):
        path.unlink()
    case.state.queue_db.touch()
    done, said = recovered(case)
    assert "queue.db: it is empty" in said
    assert done.queue and done.queue.snapshot == case.kept.snapshots[50].name


@pytest.mark.parametrize("table", ["heartbeat", "job_ready", "gap", "sample"])
def test_of_a_damaged_queue_all_that_was_acknowledged_is_carried_over(case: Case, table: str) -> None:
    acknowledged(case.state)
    for page in pages(case.state.queue_db, table):
        damage(case.state.queue_db, page, os.urandom(65536))
    done, _ = recovered(case)
    assert done.queue and (done.queue.jobs, done.queue.findings) == (200, 200)
    assert found_in(case.state) == ({b"patch-%d" % number for number in range(200)}, 200)
    assert case.state.queue_db.with_name("queue.db.damaged-STAMP") in done.kept
    with Database.open(case.state.queue_db, QUEUE, mode="ro") as database:
        assert {key for (key,) in database.query("SELECT key FROM job WHERE kind = 'scan'")} == {b"docs\0", b"code\0"}
        assert database.query("SELECT count(*) FROM job WHERE kind = 'path'") == [(0,)]  # hints: the scan finds them


def test_of_a_queue_whose_jobs_are_damaged_those_around_the_damage_are_carried_over(case: Case) -> None:
    acknowledged(case.state)
    leaves = pages(case.state.queue_db, "job")
    damage(case.state.queue_db, leaves[len(leaves) // 2])
    done, _ = recovered(case)
    keys, found = found_in(case.state)
    assert done.queue and 100 < len(keys) <= 200 and found == 200


@pytest.mark.parametrize("number", range(FLIPS // 4))
def test_a_queue_with_flipped_bytes_is_whole_afterwards(case: Case, number: int) -> None:
    acknowledged(case.state, 50)
    pick = random.Random(number)
    content = bytearray(case.state.queue_db.read_bytes())
    for _ in range(pick.choice([3, 50])):
        content[pick.randrange(len(content))] ^= pick.randrange(1, 256)
    case.state.queue_db.write_bytes(content)
    try:
        recovered(case)
    except AutoopsError as error:  # a version of the schema that this program does not know: nobody can tell
        assert "newer" in str(error)
        return
    with Database.open(case.state.queue_db, QUEUE, mode="ro") as database:
        assert database.check() == []
