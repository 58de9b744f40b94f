"""How a database is opened, written, checkpointed, refused. Real files, real locks, real processes."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoops import errors
from autoops.store import border, filesystem, schema
from autoops.store.database import Database, Schema, Transaction, migrate

SPAWN = multiprocessing.get_context("spawn")
SQL = """-- a comment; with a semicolon
CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT; -- and one behind
CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent) STRICT;
CREATE TRIGGER two_statements AFTER INSERT ON child BEGIN SELECT 1; SELECT 2; END;
"""


@pytest.fixture
def spec(tmp_path: Path) -> Schema:
    sql = tmp_path / "test.sql"
    sql.write_text(SQL)
    return Schema("test", 0x74657374, sql)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state dir?#%" / "test.db"


@pytest.fixture
def db(path: Path, spec: Schema) -> Iterator[Database]:
    with Database.open(path, spec, mode="create", guard=True, busy_s=0.05) as db:
        yield db


def add(db: Database, *names: str) -> None:
    with db.transaction() as tx:
        tx.execute_many("INSERT INTO parent (name) VALUES (?)", [(name,) for name in names])


def names(db: Database) -> list[str]:
    return [name for (name,) in db.query("SELECT name FROM parent ORDER BY id")]


def files(path: Path) -> set[str]:
    return {found.name for found in path.parent.iterdir()}


def test_a_missing_database_is_refused_with_the_command_that_makes_it(path: Path, spec: Schema) -> None:
    with pytest.raises(errors.StorageMissing) as caught:
        Database.open(path, spec)
    assert "autoops migrate" in caught.value.advice
    assert not path.parent.exists()


def test_a_database_whose_maker_died_before_the_commit_counts_as_missing_and_is_made(path: Path, spec: Schema) -> None:
    path.parent.mkdir()
    path.touch()
    with pytest.raises(errors.StorageMissing):
        Database.open(path, spec)
    assert migrate(path, spec) == 0
    Database.open(path, spec).close()


def test_files_are_for_their_owner_alone(db: Database, path: Path) -> None:
    add(db, "a")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {found.stat().st_mode & 0o777 for found in path.parent.iterdir()} == {0o600}


def test_every_setting_that_safety_needs_is_on(db: Database) -> None:
    wanted = {"journal_mode": "wal", "wal_autocheckpoint": 0, "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}
    assert {name: (db.one(f"PRAGMA {name}") or [None])[0] for name in wanted} == wanted


def test_migrating_twice_changes_nothing(db: Database, path: Path, spec: Schema) -> None:
    add(db, "a")
    assert migrate(path, spec) == 1
    assert names(db) == ["a"]


def test_an_old_database_is_refused_until_it_is_migrated_and_keeps_its_rows(db: Database, path: Path, spec: Schema) -> None:
    add(db, "a")
    db.close()

    def add_column(tx: Transaction) -> None:
        tx.execute("ALTER TABLE parent ADD COLUMN age INTEGER")

    newer = spec._replace(migrations=(add_column,))
    for mode in ("ro", "rw", "create"):
        with pytest.raises(errors.StorageOutdated) as caught:
            Database.open(path, newer, mode=mode)
        assert caught.value.advice == "run: autoops migrate"
    assert migrate(path, newer) == 1
    with Database.open(path, newer) as again:
        assert again.query("SELECT name, age FROM parent") == [("a", None)]
    with pytest.raises(errors.StorageNewer):
        Database.open(path, spec)
    with pytest.raises(errors.StorageNewer):
        migrate(path, spec)


def test_a_migration_that_fails_or_breaks_a_reference_is_taken_back(db: Database, path: Path, spec: Schema) -> None:
    add(db, "a")
    with db.transaction() as tx:
        tx.execute("INSERT INTO child (parent) VALUES (1)")
    db.close()

    def orphan(tx: Transaction) -> None:
        tx.execute("DELETE FROM parent")

    def stop(tx: Transaction) -> None:
        tx.execute("DELETE FROM child")
        raise ZeroDivisionError

    with pytest.raises(errors.StorageCorrupt, match="point to nothing"):
        migrate(path, spec._replace(migrations=(orphan,)))
    with pytest.raises(ZeroDivisionError):
        migrate(path, spec._replace(migrations=(stop,)))
    with Database.open(path, spec) as again:
        assert again.query("SELECT name, child.id FROM parent JOIN child ON parent = parent.id") == [("a", 1)]


def test_a_foreign_database_is_refused_and_left_as_it_is(tmp_path: Path, spec: Schema) -> None:
    foreign = tmp_path / "foreign.db"
    con = sqlite3.connect(foreign)
    con.execute("CREATE TABLE theirs (a)")
    con.close()
    before = foreign.read_bytes()
    for refused in (lambda: Database.open(foreign, spec), lambda: migrate(foreign, spec)):
        with pytest.raises(errors.StorageForeign):
            refused()
    assert foreign.read_bytes() == before  # not even its journal mode


def test_a_damaged_database_is_refused(db: Database, path: Path, spec: Schema) -> None:
    add(db, *"abc")
    db.checkpoint()
    db.close()
    whole = path.read_bytes()
    path.write_bytes(b"not a database at all" * 300)
    with pytest.raises(errors.StorageCorrupt) as caught:
        Database.open(path, spec)
    assert "RUNBOOK" in caught.value.advice
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with Database.open(path, spec) as broken, pytest.raises(errors.StorageCorrupt):
        names(broken)


@pytest.mark.parametrize("kind", ["nfs4", "nfs", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "ocfs2", "afs"])
def test_a_network_file_system_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(errors.StorageRemote, match=kind):
        filesystem.refuse_remote(tmp_path / "test.db", kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "zfs", "overlay", "fuseblk", ""])
def test_a_local_file_system_is_taken(kind: str, tmp_path: Path) -> None:
    filesystem.refuse_remote(tmp_path / "test.db", kind)


def test_the_kernel_tells_the_type_of_a_real_mount(tmp_path: Path) -> None:
    assert filesystem.mount_kind(Path("/proc")) == "proc"
    assert filesystem.mount_kind(Path("/sys")) == "sysfs"
    assert filesystem.mount_kind(tmp_path) not in ("", "proc")


def test_opening_asks_the_mount_it_is_on(monkeypatch: pytest.MonkeyPatch, path: Path, spec: Schema) -> None:
    here = filesystem.mount_kind(path.parents[1])
    monkeypatch.setattr(filesystem, "REMOTE", frozenset({here}))
    with pytest.raises(errors.StorageRemote):
        Database.open(path, spec, mode="create")
    assert not path.exists()


def test_a_transaction_is_whole_or_not_at_all(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx.execute("INSERT INTO parent (name) VALUES ('a')")
        raise ZeroDivisionError
    assert names(db) == []
    add(db, "b")
    assert names(db) == ["b"]


def test_only_a_transaction_that_need_not_be_durable_waits_for_no_disk(db: Database) -> None:
    def level() -> Any:
        return (db.one("PRAGMA synchronous") or [None])[0]

    with db.transaction(durable=False) as tx:
        tx.execute("INSERT INTO parent (name) VALUES ('a')")
        assert level() == 1
    with pytest.raises(ZeroDivisionError), db.transaction(durable=False):
        raise ZeroDivisionError
    with db.transaction() as tx:
        tx.execute("INSERT INTO parent (name) VALUES ('b')")
        assert level() == 2
    assert names(db) == ["a", "b"]


def test_a_broken_constraint_is_a_bug_and_not_translated(db: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError) as caught:
        add(db, "a", "a")
    assert caught.value.__cause__ is None
    with pytest.raises(sqlite3.OperationalError):
        db.query("SELECT nothing FROM nowhere")
    assert names(db) == []


def test_transactions_do_not_nest_and_do_not_outlive_their_block(db: Database) -> None:
    with db.transaction() as tx:
        for wrong in (db.transaction, db.snapshot):
            with pytest.raises(AssertionError), wrong():
                pass
        with pytest.raises(AssertionError):
            db.checkpoint()
    for late in (lambda: tx.execute("DELETE FROM parent"), lambda: tx.query("DELETE FROM parent RETURNING id")):
        with pytest.raises(AssertionError):
            late()


def test_a_snapshot_sees_one_state_while_others_write(db: Database, path: Path, spec: Schema) -> None:
    with Database.open(path, spec, mode="ro") as reader, reader.snapshot() as seen:
        add(db, "a")
        assert seen.query("SELECT * FROM parent") == []
        assert names(db) == ["a"]


def test_a_reader_cannot_write(db: Database, path: Path, spec: Schema) -> None:
    with Database.open(path, spec, mode="ro") as reader:
        with pytest.raises(AssertionError), reader.transaction():
            pass
        with pytest.raises(errors.StorageReadOnly):
            reader.query("INSERT INTO parent (name) VALUES ('a') RETURNING id")


def test_rows_are_yielded_one_by_one(db: Database) -> None:
    add(db, *"abc")
    rows = db.each("SELECT name FROM parent ORDER BY name")
    assert next(rows) == ("a",)
    assert list(rows) == [("b",), ("c",)]


def test_a_database_locked_by_another_connection_is_busy_and_transient(db: Database, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(errors.StorageBusy) as caught:
        add(db, "a")
    assert caught.value.transient
    other.execute("ROLLBACK")
    other.close()
    add(db, "b")
    assert names(db) == ["b"]


def test_a_reader_that_turns_writer_behind_others_is_busy_too(db: Database, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT * FROM parent").fetchall()
    add(db, "a")
    with pytest.raises(sqlite3.OperationalError) as caught:
        other.execute("INSERT INTO parent (name) VALUES ('b')")
    assert caught.value.sqlite_errorname == "SQLITE_BUSY_SNAPSHOT"
    assert isinstance(border.translate(caught.value, path, 1.0), errors.StorageBusy)
    other.close()


def test_a_writer_waits_for_a_checkpoint_and_a_checkpoint_for_a_writer(db: Database, path: Path, spec: Schema) -> None:
    add(db, "a")
    with Database.open(path, spec, guard=True, busy_s=0.05) as other:
        with other.transaction():
            skipped = db.checkpoint(wait_s=0.05)
            assert not skipped.done
            assert "writers" in skipped.reason
            assert skipped.wal_bytes > 0
        other._guard.take(1.0)  # as a checkpoint does
        with pytest.raises(errors.StorageBusy):
            add(db, "b")
        other._guard.release()
        add(db, "c")
        assert db.checkpoint().done
        assert db.wal_bytes == 0
    assert names(db) == ["a", "c"]


def test_a_checkpoint_that_a_reader_stops_says_so(db: Database, path: Path, spec: Schema) -> None:
    add(db, "a")
    with Database.open(path, spec, mode="ro") as reader, reader.snapshot():
        add(db, "b")
        skipped = db.checkpoint()
        assert not skipped.done
        assert "reader" in skipped.reason
    assert db.checkpoint().done


def test_closing_checkpoints_nothing_and_leaves_what_a_read_only_reader_needs(db: Database, path: Path, spec: Schema) -> None:
    add(db, "a")
    before = path.read_bytes()
    db.close()
    assert path.read_bytes() == before
    assert {"test.db-wal", "test.db-shm"} <= files(path)
    with Database.open(path, spec) as again:
        assert names(again) == ["a"]


ENDS = """
import sys
import threading
from pathlib import Path
from autoops.store.database import Database, Schema
path, sql, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
def write():
    db = Database.open(path, Schema("test", 0x74657374, sql), guard=True)
    with db.transaction() as tx:
        tx.execute("INSERT INTO parent (name) VALUES ('a')")
    return db
kept = write() if how == "ends" else None
if how == "forgets":
    write()
if how == "ends in another thread":
    thread = threading.Thread(target=lambda: globals().update(kept=write()))
    thread.start()
    thread.join()
"""


@pytest.mark.parametrize("how", ["ends", "forgets", "ends in another thread"])
def test_a_process_that_closes_nothing_checkpoints_nothing_either(path: Path, spec: Schema, how: str) -> None:
    Database.open(path, spec, mode="create").close()
    before = path.read_bytes()
    subprocess.run([sys.executable, "-c", ENDS, path, spec.sql_file, how], check=True)
    assert path.read_bytes() == before
    assert "test.db-wal" in files(path)
    with Database.open(path, spec) as db:
        assert names(db) == ["a"]


def test_the_wal_is_written_over_after_a_checkpoint_and_cut_when_asked(db: Database, path: Path) -> None:
    wal = path.with_name("test.db-wal")
    for number in range(50):
        add(db, f"{number}")
    size = wal.stat().st_size
    assert db.wal_bytes == size - 32
    assert db.checkpoint() == (True, "", 0)
    assert wal.stat().st_size == size
    add(db, "a")
    assert 0 < db.wal_bytes < size / 10
    assert wal.stat().st_size == size
    assert db.checkpoint(truncate=True) == (True, "", 0)
    assert wal.stat().st_size == 0
    assert len(names(db)) == 51


def test_what_was_checkpointed_is_in_the_file_itself(db: Database, path: Path, tmp_path: Path) -> None:
    add(db, "a")
    assert db.checkpoint().done
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    con = sqlite3.connect(copy)
    assert con.execute("SELECT name FROM parent").fetchall() == [("a",)]
    con.close()


def test_an_io_error_marks_the_database_suspect_for_every_process(db: Database, path: Path, spec: Schema) -> None:
    add(db, "a")
    failed = sqlite3.OperationalError("disk I/O error")
    failed.sqlite_errorname = "SQLITE_IOERR_FSYNC"
    error = border.translate(failed, path, 1.0)
    assert isinstance(error, errors.StorageSuspect)
    assert str(border.flag_of(path)) in error.advice
    with Database.open(path, spec, guard=True) as other:
        for writer in (db, other):
            with pytest.raises(errors.StorageSuspect, match="IOERR_FSYNC"):
                add(writer, "b")
            with pytest.raises(errors.StorageSuspect):
                writer.checkpoint()
            assert names(writer) == ["a"]  # reading goes on
    with pytest.raises(errors.StorageSuspect):
        migrate(path, spec)
    assert border.flag_of(path).stat().st_mode & 0o777 == 0o600


def test_a_suspect_flag_that_cannot_be_read_still_stops_writers(db: Database, path: Path) -> None:
    border.flag_of(path).write_bytes(b"\xff{")
    with pytest.raises(errors.StorageSuspect, match="cannot be read"):
        add(db, "a")


def test_a_suspect_flag_that_cannot_be_written_is_said_in_the_error(tmp_path: Path) -> None:
    error = border.mark_suspect(tmp_path / "gone" / "test.db", "SQLITE_IOERR_WRITE")
    assert "may not be on the disk" in str(error)


def test_check_finds_a_reference_to_nothing(db: Database, path: Path) -> None:
    assert db.check() == db.check(quick=True) == []
    con = sqlite3.connect(path)
    con.execute("INSERT INTO child (parent) VALUES (7)")
    con.commit()
    con.close()
    assert db.check() == ["row 1 of child points to nothing"]


def test_a_half_written_statement_in_a_schema_is_a_bug() -> None:
    assert len(list(schema.statements(SQL))) == 3
    with pytest.raises(AssertionError):
        list(schema.statements("CREATE TABLE a (b INTEGER"))


_WRITES = 500


def _write(path: Path, spec: Schema, name: str) -> None:
    with Database.open(path, spec, guard=True) as db:
        for number in range(_WRITES):
            add(db, f"{name}{number}")


def test_checkpoints_under_the_guard_lose_nothing_while_two_processes_write(db: Database, path: Path, spec: Schema) -> None:
    writers = [SPAWN.Process(target=_write, args=(path, spec, name)) for name in "xy"]
    for writer in writers:
        writer.start()
    done = 0
    while any(writer.is_alive() for writer in writers):
        done += db.checkpoint().done
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert done > 3
    for name in "xy":
        assert db.one("SELECT count(*) FROM parent WHERE name GLOB ?", (f"{name}*",)) == (_WRITES,)
    assert db.check() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted: subprocess.CompletedProcess[Any] = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr!r}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_is_said_and_work_goes_on_when_there_is_room_again(small_disk: Path, spec: Schema) -> None:
    path = small_disk / "test.db"
    with Database.open(path, spec, mode="create", guard=True) as db:
        add(db, "first")
        ballast = small_disk / "ballast"
        free = os.statvfs(small_disk)
        ballast.write_bytes(b"x" * (free.f_bavail - 2) * free.f_frsize)
        with pytest.raises(errors.StorageFull) as caught:
            for number in range(100):
                add(db, *(f"{number}.{index}" + "x" * 1000 for index in range(20)))
        assert caught.value.transient
        kept = len(names(db))
        assert kept % 20 == 1  # whole transactions
        assert not border.flag_of(path).exists()
        ballast.unlink()
        add(db, "last")
        assert len(names(db)) == kept + 1
        assert db.checkpoint().done
        assert db.check() == []


def test_a_checkpoint_that_finds_the_disk_full_leaves_the_patience_of_the_others_as_it_was(small_disk: Path, spec: Schema) -> None:
    path = small_disk / "test.db"
    with Database.open(path, spec, mode="create", busy_s=7) as db:
        for number in range(4):
            add(db, *(f"{number}.{index}" + "x" * 1000 for index in range(20)))
        free = os.statvfs(small_disk)
        (small_disk / "ballast").write_bytes(b"x" * free.f_bavail * free.f_frsize)
        with pytest.raises(errors.StorageError):
            db.checkpoint(readers_s=0.1)
        assert db.one("PRAGMA busy_timeout") == (7000,)


FILLS = """
from autoops.errors import StorageFull
from autoops.store.scratch import Scratch
with Scratch() as scratch:
    try:
        for number in range(10_000):
            scratch.put(str(number), bytes(4096))
    except StorageFull as error:
        print(error)
"""


def test_a_temporary_table_that_finds_the_disk_full_says_where(small_disk: Path) -> None:
    env = os.environ | {"SQLITE_TMPDIR": str(small_disk)}
    filled = subprocess.run([sys.executable, "-c", FILLS], env=env, stdout=subprocess.PIPE)
    assert b"TMPDIR" in filled.stdout and b"no room left" in filled.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_what_root_makes_in_the_directory_of_a_service_is_for_the_service(spec: Schema) -> None:
    with tempfile.TemporaryDirectory() as state:
        os.chown(state, 65534, 65534)
        path = Path(state) / "queue" / "test.db"
        migrate(path, spec)
        made = [path.parent, *path.parent.iterdir()]
        assert {one.name for one in made} >= {"queue", "test.db", "test.db.guard"}
        border.mark_suspect(path, "SQLITE_IOERR_WRITE")
        assert {one.stat().st_uid for one in (*made, border.flag_of(path))} == {65534}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_root_does_not_write_where_a_link_in_place_of_the_suspect_flag_leads(spec: Schema) -> None:
    with tempfile.TemporaryDirectory() as state:
        ours = Path(state) / "ours"
        theirs = Path(state) / "theirs"
        ours.write_bytes(b"")
        theirs.mkdir()
        border.flag_of(theirs / "test.db").symlink_to(ours)
        assert "may not be on the disk" in str(border.mark_suspect(theirs / "test.db", "SQLITE_IOERR_WRITE"))
        assert ours.read_bytes() == b""
