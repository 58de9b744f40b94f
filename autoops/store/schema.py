"""What a database must look like, how it is made, and how an old one becomes a new one.

`application_id` says that it is ours and which one, `user_version` which schema; both are in the file's header. A database
is made or upgraded in one transaction, under the guard lock. Only `migrate` does either.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from autoops.acting import as_owner_of
from autoops.errors import (
    StorageBusy,
    StorageCorrupt,
    StorageForeign,
    StorageMissing,
    StorageNewer,
    StorageOutdated,
    StorageReadOnly,
    unwritten,
)
from autoops.store.border import FAILURES, flag_of, refuse_suspect, reraise
from autoops.store.filesystem import mount_kind, refuse_remote
from autoops.store.guard import Guard
from autoops.store.missing import missing
from autoops.store.statements import Transaction

BUSY_S = 10.0
OBJECTS = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite!_stat%' ESCAPE '!'"  # ANALYZE makes those


class Schema(NamedTuple):
    """One kind of database. Its SQL file makes the newest version; `migrations[n]` upgrades version n + 1 to n + 2."""

    name: str
    application_id: int
    sql_file: Path
    migrations: tuple[Callable[[Transaction], None], ...] = ()

    @property
    def version(self) -> int:
        """The version this program knows: 1, and one more for each migration."""
        return 1 + len(self.migrations)


def connect(path: Path, mode: Literal["ro", "rw", "still"], busy_s: float) -> sqlite3.Connection:
    """Open a database file that exists; nothing of it is read yet. "still": nobody writes it, so nothing is made beside it."""
    how = "mode=ro&immutable=1" if mode == "still" else f"mode={mode}"  # sqlite.org/c3ref/open.html
    # not the same thread alone: at the end of a process the main thread closes what others left
    return sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False)


def verify(con: sqlite3.Connection, path: Path, spec: Schema) -> None:
    """Raise unless an open database is of this schema and this version. An empty one counts as missing."""
    found_id, version = _header(con)
    if found_id == 0 and version == 0 and _is_empty(con):  # made, but its maker died before it committed
        raise missing(path, "is empty")
    if found_id != spec.application_id:
        raise StorageForeign(database=path, found=f"{found_id:#x}")
    if version > spec.version:
        raise StorageNewer(database=path, found=version, wanted=spec.version)
    if version < spec.version:
        raise StorageOutdated(database=path, found=version, wanted=spec.version)


def migrate(path: Path, spec: Schema, *, busy_s: float = BUSY_S) -> int:
    """Make the database, or upgrade it, in one transaction; return the version it had (0: there was none).

    The directory is made with mode 0700, the file with 0600 (-wal and -shm inherit it), both for the owner of the directory that
    is there. Raises what `Database.open` raises but StorageOutdated and StorageMissing.
    """
    path = path.absolute()
    script = spec.sql_file.read_text(encoding="utf-8")  # as who we are: others may have no way to the program's own files
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(as_owner_of(next(one for one in path.parents if one.exists())))
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            refuse_remote(path, mount_kind(path.parent))
            refuse_suspect(path, str(flag_of(path)))
            with contextlib.suppress(FileExistsError):  # never opened when it exists: closing would drop this process's locks on it
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            guard = stack.enter_context(contextlib.closing(Guard(path)))
        except OSError as error:
            raise unwritten(path, error) from error
        if not guard.take(busy_s):
            raise StorageBusy(database=path, seconds=busy_s)
        try:
            with contextlib.closing(connect(path, "rw", busy_s)) as con:
                before = _upgrade(con, path, spec, script, busy_s)
                con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # the one in close() would hide its errors
                return before
        except FAILURES as error:
            reraise(error, path, busy_s)


def strange(rows: Iterable[tuple[str, str, str | None]], spec: Schema) -> list[str]:
    """Return how tables, indexes and the like (type, name, SQL) differ from those of a schema, [] when they do not."""
    with contextlib.closing(sqlite3.connect(":memory:")) as con:
        for statement in statements(spec.sql_file.read_text(encoding="utf-8")):
            con.execute(statement)
        wanted = {(kind, name): sql for kind, name, sql in con.execute(OBJECTS)}
    found = {(kind, name): sql for kind, name, sql in rows}
    missing = [f"{kind} {name} is missing" for kind, name in wanted.keys() - found.keys()]
    added = [f"{kind} {name} was added" for kind, name in found.keys() - wanted.keys()]
    other = [f"{kind} {name} is another one" for (kind, name), sql in found.items() if wanted.get((kind, name), sql) != sql]
    return sorted(missing + added + other)


def use_wal(con: sqlite3.Connection, path: Path) -> None:
    """Switch to WAL and see that it was done: the pragma reports failure in its row, not as an error."""
    (mode,) = con.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StorageReadOnly(database=path, detail=f"journal mode is {mode}, WAL was refused")
    con.execute("PRAGMA wal_autocheckpoint=0").fetchall()


def _upgrade(con: sqlite3.Connection, path: Path, spec: Schema, script: str, busy_s: float) -> int:
    _refuse_strange(con, path, spec)  # before the first change to it
    use_wal(con, path)
    con.execute("PRAGMA synchronous=FULL")
    con.execute("BEGIN IMMEDIATE")
    _refuse_strange(con, path, spec)  # again: another process may have been faster
    _, before = _header(con)
    if before == spec.version:
        con.execute("ROLLBACK")
        return before
    tx = Transaction(con, path, busy_s)
    if before == 0:
        for statement in statements(script):
            con.execute(statement)
    else:
        for step in spec.migrations[before - 1 :]:
            step(tx)
    broken = con.execute("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise StorageCorrupt(database=path, detail=f"after migration {len(broken)} rows point to nothing; it was taken back")
    con.execute(f"PRAGMA application_id={spec.application_id}")
    con.execute(f"PRAGMA user_version={spec.version}")
    con.execute("COMMIT")
    return before


def statements(script: str) -> Iterator[str]:
    """Yield the statements of an SQL file one by one: `executescript` would commit the open transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    assert not statement.strip() or statement.lstrip().startswith("--"), f"unfinished: {statement}"


def _refuse_strange(con: sqlite3.Connection, path: Path, spec: Schema) -> None:
    with contextlib.suppress(StorageMissing, StorageOutdated):  # the two that are ours to end
        verify(con, path, spec)


def _header(con: sqlite3.Connection) -> tuple[int, int]:
    (application_id,) = con.execute("PRAGMA application_id").fetchone()
    (version,) = con.execute("PRAGMA user_version").fetchone()
    return int(application_id), int(version)


def _is_empty(con: sqlite3.Connection) -> bool:
    return con.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is None
