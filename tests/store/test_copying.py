"""A copy of a database under a writer is one committed state, not older than when it was begun."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoops.backup import copying
from autoops.backup.packing import pack, unpack

COPIES = 40

# Every commit writes the same number into rows all over the file, and one more row of some pages; a checkpoint of each kind comes
# in between, as fast as it can, so that copies meet all of them.
WRITER = """
import random, sqlite3, sys
con = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
con.execute("PRAGMA wal_autocheckpoint=0"); con.execute("PRAGMA synchronous=OFF")
number, last = con.execute("SELECT max(n) FROM a").fetchone()[0], con.execute("SELECT max(id) FROM a").fetchone()[0]
pick = random.Random(1)
while True:
    number += 1
    con.execute("BEGIN IMMEDIATE")
    con.execute("UPDATE b SET n = ?", (number,))
    for _ in range(20):
        con.execute("UPDATE a SET n = ?, filler = randomblob(900) WHERE id = ?", (number, pick.randint(1, last)))
    con.execute("UPDATE a SET n = ? WHERE id IN (1, ?)", (number, last))
    con.execute("COMMIT")
    if number % pick.randint(3, 25) == 0:
        con.execute("PRAGMA busy_timeout=1")
        con.execute("PRAGMA wal_checkpoint(%s)" % pick.choice(["PASSIVE", "FULL", "RESTART", "TRUNCATE"])).fetchall()
        con.execute("PRAGMA busy_timeout=10000")
    if number == 20:
        print("writing", flush=True)
"""


def make(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.execute("PRAGMA journal_mode=WAL")
        con.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER, filler BLOB)")
        con.execute("CREATE TABLE b (id INTEGER PRIMARY KEY, n INTEGER)")
        con.executemany("INSERT INTO a VALUES (?, 0, randomblob(900))", [(number,) for number in range(1, 8000)])
        con.execute("CREATE INDEX a_n ON a (n)")
        con.executemany("INSERT INTO b VALUES (?, 0)", [(number,) for number in range(1, 600)])
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout and writer.stdout.readline() == "writing\n"
            yield writer
        finally:
            writer.kill()


class Reading:
    """A read transaction, and what was committed when it began."""

    def __init__(self, path: Path) -> None:
        self.path, self.begun_at = path, 0

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as con:
            con.execute("BEGIN")
            (self.begun_at,) = con.execute("SELECT max(n) FROM a").fetchone()
            yield


def require_one_state(path: Path, at_least: int) -> int:
    with contextlib.closing(sqlite3.connect(path)) as con:
        assert con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        states = {*con.execute("SELECT n FROM b"), con.execute("SELECT max(n) FROM a").fetchone()}
        assert len(states) == 1
        ((number,),) = states
        assert number >= at_least
        return number


def test_copies_under_a_writer_and_its_checkpoints_are_committed_states(tmp_path: Path) -> None:
    live, seen = tmp_path / "live.db", []
    make(live)
    reading = Reading(live)
    with writing(live) as writer:
        for number in range(COPIES):
            target = tmp_path / f"{number}.db"
            copying.copy(live, target, reading)
            seen.append(require_one_state(target, reading.begun_at))
            assert not list(tmp_path.glob(f"{number}.db-*"))
            target.unlink()
        assert writer.poll() is None
    assert len(set(seen)) > COPIES // 2  # they were copies of a database that changed


def test_a_database_whose_writer_was_killed_is_copied_up_to_its_last_commit(tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    make(live)
    with writing(live) as writer:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    reading = Reading(live)
    copying.copy(live, tmp_path / "copy.db", reading)
    assert require_one_state(tmp_path / "copy.db", 0) == reading.begun_at > 0


def test_without_the_wal_the_copy_would_not_be_one_state(tmp_path: Path) -> None:
    """The control: the file alone is what a checkpoint left, or less."""
    live, broken = tmp_path / "live.db", 0
    make(live)
    with writing(live):
        for number in range(COPIES):
            target = tmp_path / f"{number}.db"
            target.write_bytes(live.read_bytes())
            try:
                with contextlib.closing(sqlite3.connect(target)) as con:
                    whole = con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                    broken += (
                        not whole or len({*con.execute("SELECT n FROM b"), con.execute("SELECT max(n) FROM a").fetchone()}) > 1
                    )
            except sqlite3.DatabaseError:
                broken += 1
    assert broken


@pytest.mark.parametrize("flip", [0, 3, 200, -2])
def test_a_packed_file_gives_back_what_was_packed_or_says_that_it_cannot(tmp_path: Path, flip: int) -> None:
    from autoops.backup.errors import BackupUnsound

    source, packed, back = tmp_path / "a", tmp_path / "a.zst", tmp_path / "b"
    source.write_bytes(bytes(range(256)) * 5000 + os.urandom(1000))
    told = pack(source, packed)
    unpack(packed, back, told, "x")
    assert back.read_bytes() == source.read_bytes()
    back.unlink()
    data = bytearray(packed.read_bytes())
    data[flip] ^= 1
    packed.write_bytes(data)
    with pytest.raises(BackupUnsound):
        unpack(packed, back, told, "x")
    packed.write_bytes(data[: len(data) // 2])
    with pytest.raises(BackupUnsound):
        unpack(packed, back, told, "x")
    assert not back.exists()
