"""debian/snapshot: the databases are copied before an upgrade changes them, and nothing half done stays."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

SNAPSHOT = Path(__file__).parents[2] / "debian" / "snapshot"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for room in ("registry", "queue", "backups"):
        (tmp_path / room).mkdir()
    for room in ("registry", "queue"):
        with closing(sqlite3.connect(tmp_path / room / f"{room}.db")) as database:
            database.execute("CREATE TABLE x (y)")
    return tmp_path


def snapshot(state: Path, name: str = "upgrade-from-1") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SNAPSHOT, state, name], capture_output=True, text=True)


def left(state: Path) -> list[str]:
    return sorted(path.name for path in (state / "backups").iterdir())


def test_both_databases_are_copied_and_the_three_newest_copies_stay(state: Path) -> None:
    for at in ("1-20260101T000000Z", "2-20260102T000000Z", "10-20260103T000000Z"):
        (state / "backups" / f"upgrade-from-{at}").mkdir()
    (state / "backups" / ".upgrade-from-0-20250101T000000Z.tmp").mkdir()  # of one that was killed
    (state / "backups" / "snapshots").mkdir()
    assert snapshot(state).returncode == 0
    (made,) = (state / "backups").glob("*/registry.db")
    kept = {"upgrade-from-2-20260102T000000Z", "upgrade-from-10-20260103T000000Z"}
    assert set(left(state)) == kept | {"snapshots", made.parent.name}
    with closing(sqlite3.connect(made)) as copy:
        assert copy.execute("SELECT name FROM sqlite_schema").fetchall() == [("x",)]
    assert made.with_name("queue.db").exists()


def test_of_one_that_fails_nothing_stays(state: Path) -> None:
    (state / "queue" / "queue.db").write_bytes(b"no database, but as long as one" * 100)
    assert snapshot(state).returncode == 1
    assert left(state) == []
