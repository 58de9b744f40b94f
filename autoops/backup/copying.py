"""A copy of one state of a database that others write: its file and then its WAL, while a read transaction holds both still.

Why this is one state. While we read, SQLite carries over into the file only frames of the WAL up to our mark, and begins the WAL
anew only when all of it is in the file and no reader is in it (sqlite.org/wal.html, "Concurrency"). So
- either the WAL is not begun anew: then every page that was written into the file under our hands is also in the WAL, which is
  copied after it and wins over it; or
- all of the WAL was in the file when we began: then nothing is written into the file at all while we read, and the WAL that is
  begun anew, once at most, continues it. It may be begun while we copy it; then its header is another one, and it is copied again.
What was half written when the WAL was copied has no valid checksum, and SQLite leaves it out: what is copied ends with a commit.
Writers never wait for this, and it never begins again because somebody writes, as the stepwise backup of SQLite does.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from autoops.errors import CheckFailed, StorageFull, StorageReadOnly
from autoops.runtime.signals import die_with_parent
from autoops.store.folding import fold

_TRIES = 3  # two are enough
_HEADER_BYTES = 32
_COPIER = os.fspath(Path(__file__).with_name("copier.py"))  # run by its path it loads nothing else: 15 ms


def copy(database: Path, target: Path, reading: Callable[[], AbstractContextManager[object]]) -> None:
    """Copy a database to a new file, one file without a WAL, not yet synced. `reading` begins a read transaction on it.

    Raises StorageFull, StorageReadOnly, CheckFailed; then what was copied so far is removed.
    """
    wal, wal_copy = _wal(database), _wal(target)
    try:
        with reading():
            _copy_file(database, target)
            for _ in range(_TRIES):
                before = _header(wal)
                if before:
                    _copy_file(wal, wal_copy)
                if _header(wal) == before:
                    break
            else:
                raise CheckFailed(detail=f"no copy was taken: the WAL of {database} is begun anew again and again")
        fold(target)
    except BaseException:
        for left in (target, wal_copy, target.with_name(target.name + "-shm")):
            left.unlink(missing_ok=True)
        raise


def _wal(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def _header(wal: Path) -> bytes:
    """Return what is another one when the WAL is begun anew. No lock of SQLite is on this file, so opening it drops none."""
    try:
        with wal.open("rb", buffering=0) as opened:
            return opened.read(_HEADER_BYTES)
    except FileNotFoundError:
        return b""


def _copy_file(source: Path, target: Path) -> None:
    command = [sys.executable, "-I", "-S", _COPIER, os.fspath(source), os.fspath(target)]
    code = subprocess.run(command, preexec_fn=die_with_parent, check=False).returncode
    if code in (errno.ENOSPC, errno.EDQUOT):
        raise StorageFull(database=target.parent)
    if code:
        reason = os.strerror(code) if code > 0 else f"killed by signal {-code}"
        raise StorageReadOnly(database=target, detail=f"{source.name} could not be copied: {reason}")
