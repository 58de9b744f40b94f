"""One SQLite database in WAL mode: how it is opened, written, read, checkpointed and migrated.

Guarantees: a write is one BEGIN IMMEDIATE transaction, whole or not at all; nothing is checkpointed but by `checkpoint`, so
each failed sync is seen; a database that is newer, foreign, damaged, suspect or on a network is refused with its own error.
Reads and writes the database, its -wal and -shm, `.guard` (see guard.py) and `.suspect` (see border.py).
A `Database` belongs to the thread that opened it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from autoops.acting import as_owner_of
from autoops.errors import StorageBusy, StorageInUse, unwritten
from autoops.store.border import FAILURES, flag_of, refuse_suspect, reraise, unopened
from autoops.store.filesystem import mount_kind, refuse_remote
from autoops.store.guard import Guard
from autoops.store.schema import BUSY_S, Schema, connect, migrate, use_wal, verify
from autoops.store.statements import Reader, Row, Transaction

__all__ = ["BUSY_S", "Checkpoint", "Database", "Reader", "Row", "Schema", "Transaction", "migrate"]

Mode = Literal["ro", "rw", "create"]
Synchronous = Literal["NORMAL", "FULL"]

CACHE_KIB = 4096
WAL_KEPT_BYTES = 16 << 20  # a WAL that a burst made larger is cut back to this when it begins anew
_WATCHED_STEPS = 10_000  # of SQLite's virtual machine: about a millisecond
_READERS_S = 1.0  # how long a checkpoint waits for readers, while every writer waits for it


class Checkpoint(NamedTuple):
    """What a checkpoint did."""

    done: bool  # the whole WAL is in the database, and is written from its start again
    reason: str  # why not, "" when done
    wal_bytes: int  # what is left to move


class Database(Reader):
    """An open database. `open` is the way to make one."""

    def __init__(
        self, con: sqlite3.Connection, path: Path, mode: Mode, synchronous: Synchronous, guard: Guard | None, busy_s: float
    ) -> None:
        super().__init__(con, path, busy_s)
        self.writable = mode != "ro"
        self._promised = self._synchronous = synchronous  # of durable transactions, and of the last one
        self._flag = str(flag_of(path))
        self._guard = guard
        self._tx = Transaction(con, path, busy_s)
        # however it ends: closed, forgotten, or with its process
        self._close = weakref.finalize(self, _close, con, path, self.writable, guard, os.getpid(), threading.current_thread())
        self._emptied = b""  # the header of the WAL when the last checkpoint had moved all of it

    @classmethod
    def open(
        cls,
        path: Path,
        spec: Schema,
        *,
        mode: Mode = "rw",
        synchronous: Synchronous = "FULL",
        guard: bool = False,
        busy_s: float = BUSY_S,
        cache_kib: int = CACHE_KIB,
    ) -> Database:
        """Open a database of schema `spec`; "create" makes it when it is missing, but upgrades nothing.

        synchronous: FULL, what was committed survives a power cut; NORMAL, it may be lost, but never in part.
        guard: several processes write this database, so each transaction holds the guard lock (guard.py).
        Raises StorageMissing, StorageOutdated, StorageNewer, StorageForeign, StorageCorrupt, StorageRemote, StorageReadOnly.
        """
        path = path.absolute()
        if mode == "create" and not path.exists():
            migrate(path, spec, busy_s=busy_s)
        if not os.access(path, os.R_OK, effective_ids=True):
            raise unopened(path, "")
        refuse_remote(path, mount_kind(path))
        lock = None
        con: sqlite3.Connection | None = None
        try:
            with as_owner_of(path.parent):  # SQLite makes files beside it, and gives them away
                lock = Guard(path) if guard and mode != "ro" else None
                con = connect(path, "ro" if mode == "ro" else "rw", busy_s)
                verify(con, path, spec)  # before anything of it is changed
                _set_up(con, path, mode, synchronous, cache_kib)
            return cls(con, path, mode, synchronous, lock, busy_s)
        except BaseException as error:
            for opened in (con, lock):
                if opened:
                    opened.close()
            if isinstance(error, FAILURES):
                reraise(error, path, busy_s)
            if isinstance(error, OSError):
                raise unwritten(path, error) from error
            raise

    @classmethod
    def open_still(cls, path: Path, spec: Schema) -> Database:
        """Open a database that nobody writes, for reading, and make nothing beside it: a copy, on read-only media too.

        Raises StorageInUse when there is a write-ahead log beside it, without which it would not be whole; StorageError.
        """
        path = path.absolute()
        if not os.access(path, os.R_OK, effective_ids=True):
            raise unopened(path, "")
        with contextlib.suppress(FileNotFoundError):
            if path.with_name(path.name + "-wal").stat().st_size:
                raise StorageInUse(database=path)
        con: sqlite3.Connection | None = None
        try:
            con = connect(path, "still", 0)
            verify(con, path, spec)
            _set_up(con, path, "ro", "FULL", CACHE_KIB)
            return cls(con, path, "ro", "FULL", None, 0)
        except BaseException as error:
            if con:
                con.close()
            if isinstance(error, FAILURES):
                reraise(error, path, 0)
            raise

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Transaction]:
        """Write: BEGIN IMMEDIATE, then COMMIT, or ROLLBACK on any exception. Not nestable.

        durable: False for what a power cut makes void anyway; it waits for no disk, and is kept with the next durable commit.
        Raises StorageBusy, StorageFull, StorageReadOnly, StorageSuspect; then nothing was written.
        """
        assert self.writable, "opened for reading"
        assert not self._con.in_transaction, "transactions do not nest"
        if self._guard and not self._guard.take(self._busy_s):
            raise StorageBusy(database=self.path, seconds=self._busy_s)
        try:
            refuse_suspect(self.path, self._flag)  # under the guard: a checkpoint may have failed while we waited
            with self._span("BEGIN IMMEDIATE", self._promised if durable else "NORMAL"):
                yield self._tx
        finally:
            if self._guard:
                self._guard.release()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Reader]:
        """Read one state of the database over several queries. Keep it short: it holds the WAL."""
        assert not self._con.in_transaction, "transactions do not nest"
        with self._span("BEGIN", self._synchronous):
            self.query("SELECT 1 FROM sqlite_schema LIMIT 1")  # BEGIN alone reads nothing, so it holds no state yet
            yield self

    @contextlib.contextmanager
    def _span(self, begin: str, synchronous: Synchronous) -> Iterator[None]:
        """Begin, commit; roll back on any exception: COMMIT too may fail and leave the transaction open."""
        try:
            if synchronous != self._synchronous:
                self._con.execute(f"PRAGMA synchronous={synchronous}")
                self._synchronous = synchronous
            self._con.execute(begin)
            yield
            self._con.execute("COMMIT")
        except sqlite3.Error as error:
            reraise(error, self.path, self._busy_s)
        finally:
            if self._con.in_transaction:
                self._roll_back()

    def _roll_back(self) -> None:
        try:
            self._con.execute("ROLLBACK")
        except sqlite3.Error as error:
            reraise(error, self.path, self._busy_s)

    @property
    def wal_bytes(self) -> int:
        """How much the next checkpoint has to move; in a process that did not make the last one, maybe what that one moved."""
        header, held = _wal_state(self.path)
        return 0 if header == self._emptied else held

    def checkpoint(self, wait_s: float = 2.0, *, readers_s: float = _READERS_S, truncate: bool = False) -> Checkpoint:
        """Carry the WAL over into the database and begin it anew, with every guarded writer held out.

        The file is written over from its start, for growing it costs each commit a third of its speed; truncate: cut it to
        nothing, before somebody else gets the files. Skipped, with the reason in the result, when writers leave no gap for
        `wait_s` seconds or a reader holds the WAL for `readers_s`; call it again later. Raises StorageSuspect when the disk
        fails; then nobody writes or checkpoints this database again.
        """
        assert self.writable, "opened for reading"
        assert not self._con.in_transaction, "a checkpoint is no part of a transaction"
        if self._guard and not self._guard.take(wait_s):
            return Checkpoint(False, f"writers left no gap for {wait_s} s", self.wal_bytes)
        try:
            refuse_suspect(self.path, self._flag)
            busy, pages, moved = self._move("TRUNCATE" if truncate else "RESTART", readers_s)
            if not busy:
                self._emptied = _wal_state(self.path)[0]
        finally:
            if self._guard:
                self._guard.release()
        return Checkpoint(not busy, f"a reader holds the WAL: {moved} of {pages} pages moved" if busy else "", self.wal_bytes)

    def _move(self, kind: str, readers_s: float) -> Row:
        """Run the checkpoint and return its row (busy, pages in the WAL, pages moved): errors are raised, busy is not."""
        try:
            # Not 0: with no wait at all it becomes PASSIVE, the kind that loses data beside an unguarded writer.
            self._con.execute(f"PRAGMA busy_timeout={max(1, int(readers_s * 1000))}").fetchall()
            row: Row = self._con.execute(f"PRAGMA wal_checkpoint({kind})").fetchone()
            return row
        except sqlite3.Error as error:
            reraise(error, self.path, self._busy_s)
        finally:
            self._con.execute(f"PRAGMA busy_timeout={int(self._busy_s * 1000)}").fetchall()

    def check(self, *, quick: bool = False) -> list[str]:
        """Return what SQLite's own check finds wrong, [] when nothing; quick leaves the indexes unread."""
        found = self.query("PRAGMA quick_check" if quick else "PRAGMA integrity_check")
        broken = self.query("PRAGMA foreign_key_check")
        return [text for (text,) in found if text != "ok"] + [
            f"row {row} of {table} points to nothing" for table, row, *_ in broken
        ]

    def copy_to(self, path: Path) -> None:
        """Copy one state of the database to a new file, in one step: writers go on, and are not in it. Not yet synced.

        The copy is one file: it is in WAL mode only when somebody opens it for writing.
        """
        try:
            with contextlib.closing(sqlite3.connect(path)) as target:
                self._con.backup(target)
                target.execute("PRAGMA journal_mode=DELETE").fetchall()
        except sqlite3.Error as error:
            reraise(error, path, self._busy_s)

    @contextlib.contextmanager
    def watched(self, alive: Callable[[], None]) -> Iterator[None]:
        """Call `alive` again and again while statements run, the longest too."""
        self._con.set_progress_handler(alive, _WATCHED_STEPS)
        try:
            yield
        finally:
            self._con.set_progress_handler(None, 0)

    def close(self) -> None:
        """Close without a checkpoint. What is not closed is, when nobody has it any more, and when its process ends."""
        self._close()
        self._guard = None


def _close(con: sqlite3.Connection, path: Path, writable: bool, guard: Guard | None, owner: int, thread: threading.Thread) -> None:
    """Close a connection without a checkpoint.

    SQLite's own checkpoint in the last close throws its errors away, and removes the -wal and -shm that a reader with the
    directory mounted read-only needs. It is left out while another connection is open, so for that moment there is one.
    """
    if os.getpid() != owner or (thread.is_alive() and thread is not threading.current_thread()):
        return  # a forked child, whose it is not; or it may be at work
    with contextlib.ExitStack() as last:
        if writable:
            with contextlib.suppress(sqlite3.Error):  # the file may be gone; then there is nothing to checkpoint either
                keeper = last.enter_context(contextlib.closing(connect(path, "ro", 0)))
                keeper.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        con.close()
    if guard:
        guard.close()


def _set_up(con: sqlite3.Connection, path: Path, mode: Mode, synchronous: str, cache_kib: int) -> None:
    con.execute(f"PRAGMA synchronous={synchronous}")
    con.execute("PRAGMA foreign_keys=ON")
    con.execute("PRAGMA trusted_schema=OFF")  # a database edited by hand may not run functions of its own through views
    con.execute(f"PRAGMA cache_size=-{cache_kib}")
    if mode != "ro":
        use_wal(con, path)
        con.execute(f"PRAGMA journal_size_limit={WAL_KEPT_BYTES}").fetchall()


def _wal_state(path: Path) -> tuple[bytes, int]:
    """Return the header of the WAL and the size of its frames that are of its present run: those with the header's salt.

    Frames of older runs stay behind them until they are written over (sqlite.org/fileformat2.html#the_write_ahead_log).
    No lock of SQLite is on this file, so opening it drops none.
    """
    try:
        with path.with_name(path.name + "-wal").open("rb", buffering=0) as wal:
            header = wal.read(32)
            if len(header) < 32:
                return b"", 0
            frame_bytes = 24 + int.from_bytes(header[8:12], "big")
            low, high = 0, (wal.seek(0, os.SEEK_END) - 32) // frame_bytes
            while low < high:
                middle = (low + high) // 2
                wal.seek(32 + middle * frame_bytes + 8)
                low, high = (middle + 1, high) if wal.read(8) == header[16:24] else (low, middle)
            return header, low * frame_bytes
    except FileNotFoundError:
        return b"", 0
