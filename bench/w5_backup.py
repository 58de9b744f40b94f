"""W5: a copy of a SQLite database under a writer, the way back from a backup, and what a second backup stores.

A writer commits one small transaction every 5 ms (WAL, synchronous=FULL). `stall_ms` is its slowest commit while the copy is taken.
A method that has not ended after a while is stopped: the stepwise backup of SQLite begins again whenever another process writes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import peers
from bench.measure import MIB, Target, quantile, rounded, spread, summarize, wait_quiet
from bench.setting import Setting, autoops
from bench.w7_registry import edited, entry, fill_registry

if TYPE_CHECKING:
    from autoops.state import State

NAME = "W5"
NEEDS = {
    "nothing": "",
    "cp": "",
    "python-backup": "",
    "python-backup-1000": "",
    "vacuum-into": "",
    "sqlite3-backup": "program sqlite3",
    "autoops-copy": "own autoops.backup.copying",
    "cp-sync": "",
    "autoops-restore": "own autoops.backup.restore",
    "restic-second": "program restic",
    "autoops-second": "own autoops.backup.snapshot",
}
_LIMIT_S = 20.0
_ROWS = 50_000  # a transaction, while the database is filled, untimed

BACKUP = """
import sqlite3, sys
source, target = sqlite3.connect(sys.argv[1]), sqlite3.connect(sys.argv[2])
source.backup(target, pages=int(sys.argv[3]), sleep=0.001)
"""
COPY = """
import sqlite3, sys
from contextlib import contextmanager
from pathlib import Path
from autoops.backup.copying import copy

@contextmanager
def reading():
    source = sqlite3.connect(sys.argv[1], isolation_level=None)
    source.execute("BEGIN")
    source.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
    yield
    source.close()

copy(Path(sys.argv[1]), Path(sys.argv[2]), reading)
"""


class Run(NamedTuple):
    """One copy under the writer."""

    wall_s: float
    stall_ms: float
    commits: int
    finished: bool


def measure(setting: Setting) -> None:
    """Measure the copies, then a registry's way back and its second backup."""
    names = setting.taking_part(NAME, NEEDS)
    place, mib = setting.folder("w5"), 24 if setting.quick else (setting.files or 1024)
    live = place / "live.db"
    rows = build(live, mib)
    taken: dict[str, list[Run]] = {}
    for name, command in copies(live, place / "copy.db").items():
        for _ in range(setting.rounds(5) if name in names else 0):
            wait_quiet(setting.quiet_s)
            taken.setdefault(name, []).append(under_writer(command, live, place / "copy.db", rows))
    for name, runs in taken.items():
        setting.lines.write(NAME, **_facts(name, runs, mib))
    for left in place.glob("*.db*"):
        left.unlink()
    back, stored = of_a_registry(place, mib * 1000, names, setting)  # a row is about 1 kB
    summarize(setting.lines, NAME, targets(taken, back, stored), mib=mib)


def _facts(name: str, runs: list[Run], mib: int) -> dict[str, Any]:
    return {
        "peer": name,
        "mib": mib,
        "wall_s": spread([run.wall_s for run in runs]),
        "stall_ms": spread([run.stall_ms for run in runs]),
        "commits": rounded(quantile([run.commits for run in runs], 50)),
        "finished": all(run.finished for run in runs),
    }


def targets(taken: dict[str, list[Run]], back: dict[str, list[float]], stored: dict[str, int]) -> list[Target]:
    """Return what is promised."""
    ours, theirs = taken.get("autoops-copy"), taken.get("python-backup")

    def ratio(key: Callable[[Run], float]) -> float | None:
        return quantile([key(run) for run in ours], 50) / quantile([key(run) for run in theirs], 50) if ours and theirs else None

    restored, copied = back.get("autoops-restore"), back.get("cp-sync")
    restore = quantile(restored, 50) / quantile(copied, 50) if restored and copied else None
    second = stored["autoops-second"] / stored["restic-second"] if len(stored) == 2 else None
    return [
        Target("consistent copy / Connection.backup in one step", ratio(lambda run: run.wall_s), 0.7),
        Target("the writer's worst commit meanwhile / that of Connection.backup", ratio(lambda run: run.stall_ms), 0.25),
        Target("verified restore / cp and sync", restore, 3.5),
        Target("stored by the second backup after 1 row in 1,000 / restic", second, 0.1),
    ]


# the copies


def build(path: Path, mib: int) -> int:
    """Fill a database; return how many rows it has."""
    rows = 0
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
            "CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT UNIQUE, sha256 BLOB, info BLOB)"
        )
        while path.stat().st_size < mib * MIB:
            con.execute("BEGIN")
            con.executemany(
                "INSERT INTO file VALUES (?, ?, ?, ?)",
                (
                    (number, f"pkg{number // 6400}/mod{number // 800 % 8}/f{number:08d}.py", os.urandom(32), os.urandom(300))
                    for number in range(rows, rows + min(_ROWS, mib * 2000))
                ),
            )
            con.execute("COMMIT")
            con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            rows += min(_ROWS, mib * 2000)
    return rows


def copies(live: Path, copy: Path) -> dict[str, list[str]]:
    """Return the ways to take a copy."""
    python = sys.executable
    return {
        "nothing": ["sleep", "3"],
        "cp": ["cp", "--reflink=never", str(live), str(copy)],
        "python-backup": [python, "-c", BACKUP, str(live), str(copy), "-1"],
        "python-backup-1000": [python, "-c", BACKUP, str(live), str(copy), "1000"],
        "vacuum-into": [
            python,
            "-c",
            "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('VACUUM INTO ?', sys.argv[2:])",
            str(live),
            str(copy),
        ],
        "sqlite3-backup": ["sqlite3", str(live), f".backup {copy}"],
        "autoops-copy": [python, "-c", COPY, str(live), str(copy)],
    }


def under_writer(command: list[str], live: Path, copy: Path, rows: int) -> Run:
    """Take one copy while the writer writes."""
    for left in copy.parent.glob(f"{copy.name}*"):
        left.unlink()
    stop, taken = multiprocessing.Event(), multiprocessing.SimpleQueue()
    process = multiprocessing.Process(target=write, args=(live, rows, stop, taken))
    process.start()
    time.sleep(0.5)
    begun_s = time.monotonic()
    try:
        subprocess.run(command, check=True, timeout=_LIMIT_S)
        finished = True
    except subprocess.TimeoutExpired:
        finished = False
    ended_s = time.monotonic()
    stop.set()
    commits = [(at_s, lasted_ms) for at_s, lasted_ms in taken.get() if begun_s <= at_s <= ended_s]
    process.join()
    return Run(ended_s - begun_s, max((lasted_ms for _, lasted_ms in commits), default=0.0), len(commits), finished)


def write(live: Path, rows: int, stop: Event, taken: Any) -> None:
    """Commit every 5 ms, until told to stop; give back when each commit ended, and how long it took."""
    con = sqlite3.connect(live, timeout=60, isolation_level=None)
    con.execute("PRAGMA synchronous=FULL")
    lasted, number = [], 0
    while not stop.is_set():
        number += 7919
        begun_s = time.monotonic()
        con.execute("BEGIN IMMEDIATE")
        con.execute("UPDATE file SET sha256 = randomblob(32) WHERE id = ?", (number % rows,))
        con.execute("COMMIT")
        ended_s = time.monotonic()
        lasted.append((ended_s, (ended_s - begun_s) * 1e3))
        time.sleep(0.005)
    con.close()
    taken.put(lasted)


# a registry, its backups, and the way back


def of_a_registry(place: Path, entries: int, names: list[str], setting: Setting) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Return how long the ways back took, and how many bytes a second backup stores when one entry in 1,000 has changed."""
    wanted: list[str] = [name for name in ("autoops-second", "restic-second") if name in names]
    back: list[str] = [name for name in ("cp-sync", "autoops-restore") if name in names]
    if not wanted and not back:
        return {}, {}
    state, change = make_state(place / "state", entries)
    environment, restic = setting.environment(), peers.restic(place)
    snapshot = " ".join(map(quote, autoops("backup", "snapshot", "--no-prune", "--state", state.directory)))
    takes = {"autoops-second": snapshot, "restic-second": f"{restic} backup {quote(str(state.registry_db))}"}
    if "restic-second" in wanted:
        peers.run(f"{restic} init", environment)
    for name, command in takes.items():
        if name in wanted or name == "autoops-second":
            peers.run(command, environment)
    walls_s = restores(state, place, back, setting)
    change()
    stored = {name: _second(name, takes[name], state, place, entries, setting) for name in wanted}
    return walls_s, stored


def restores(state: State, place: Path, names: list[str], setting: Setting) -> dict[str, list[float]]:
    """Time cp and sync of a registry, and the command that makes a whole state directory of its newest backup, proved."""
    database, copy, back = quote(str(state.registry_db)), place / "copy.db", place / "back"
    command = autoops("backup", "restore", "--latest", "--to", back, "--state", state.directory)
    ways = {
        "cp-sync": f"cp --reflink=never {database} {quote(str(copy))} && sync {quote(str(copy))}",
        "autoops-restore": " ".join(map(quote, command)),
    }
    walls_s: dict[str, list[float]] = {}
    for _ in range(setting.rounds(5)):
        for name in names:
            copy.unlink(missing_ok=True)
            shutil.rmtree(back, ignore_errors=True)
            wait_quiet(setting.quiet_s)
            begun_s = time.monotonic()
            peers.run(ways[name], setting.environment())
            walls_s.setdefault(name, []).append(time.monotonic() - begun_s)
    registry_mib = rounded(state.registry_db.stat().st_size / MIB)
    for name, taken_s in walls_s.items():
        setting.lines.write(NAME, peer=name, registry_mib=registry_mib, wall_s=spread(taken_s))
    copy.unlink(missing_ok=True)
    shutil.rmtree(back, ignore_errors=True)
    return walls_s


def _second(name: str, command: str, state: State, place: Path, entries: int, setting: Setting) -> int:
    """Return how many bytes a backup stores."""
    kept = {"autoops-second": state.backups, "restic-second": place / "restic"}[name]
    before, begun_s = size_of(kept), time.monotonic()
    peers.run(command, setting.environment())
    took_s, stored = time.monotonic() - begun_s, size_of(kept) - before
    registry_mib = rounded(state.registry_db.stat().st_size / MIB)
    wall_s, stored_mib = rounded(took_s), rounded(stored / MIB)
    setting.lines.write(NAME, peer=name, entries=entries, registry_mib=registry_mib, wall_s=wall_s, stored_mib=stored_mib)
    return stored


def make_state(directory: Path, entries: int) -> tuple[State, Callable[[], None]]:
    """Make a state directory with a registry; return it, and what changes one entry in 1,000, each in a commit of its own."""
    from autoops.core.signing import Signer, new_key
    from autoops.state import State
    from autoops.store.commit import RegistryWriter, Why
    from autoops.store.database import migrate
    from autoops.store.queue import SCHEMA as QUEUE
    from autoops.store.registry import SCHEMA

    state, key, why = State(directory), new_key(), Why("bench", "path:bench", "measured")
    migrate(state.queue_db, QUEUE)
    migrate(state.registry_db, SCHEMA)
    signer = Signer(key)
    state.private_key.write_bytes(key)
    state.public_key.write_text(signer.public.hex() + "\n")
    writer = RegistryWriter.open_for_writing(state.registry_db, signer)
    writer.require_key(signer.public.hex())
    fill_registry(writer, entries, why)

    def settle() -> None:
        writer.checkpoint(least_bytes=0, truncate=True)

    def change() -> None:
        for number in range(0, entries, 1000):
            (before,) = writer.at("bench", [entry(number)[0].encode()])
            writer.commit([edited(before)], why, time.time())
        settle()

    settle()
    return state, change


def size_of(directory: Path) -> int:
    """Return how many bytes the files below a directory have."""
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file())
