"""The border that `sqlite3.Error` does not cross: what SQLite says becomes one of the storage errors.

A failed read or write of the disk (SQLITE_IOERR) makes the database *suspect*: a flag file beside it, which every process sees
before each transaction and each checkpoint, and refuses. After a failed sync the kernel may drop the data and report success
the next time, so nothing later can be believed (PostgreSQL's `data_sync_retry`, and seen on ext4). Reading goes on.

Writes `DATABASE.suspect`. Errors that are our own bugs (constraint, syntax, misuse) are not translated.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path
from typing import NoReturn

from autoops.acting import as_owner_of
from autoops.errors import (
    StorageBusy,
    StorageCorrupt,
    StorageDenied,
    StorageFull,
    StorageMissing,
    StorageReadOnly,
    StorageSuspect,
)
from autoops.store.missing import missing

_TIGHT_BYTES = 1 << 20


# Python decodes what SQLite says, and that may quote a damaged schema.
FAILURES = (sqlite3.Error, UnicodeDecodeError)


def reraise(error: sqlite3.Error | UnicodeDecodeError, path: Path, busy_s: float) -> NoReturn:
    """Raise the storage error that stands for what SQLite said, or `error` as it is when it is a bug of ours."""
    translated = translate(error, path, busy_s)
    if translated is None:
        raise error
    raise translated from error


def translate(error: sqlite3.Error | UnicodeDecodeError, path: Path, busy_s: float) -> Exception | None:
    """Return the storage error that stands for what SQLite said, None when it is a bug of ours.

    Marks the database suspect on an I/O error. Extended result codes (sqlite.org/rescode.html) begin with their primary code.
    """
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_IOERR"):
        return _disk_failed(name, error, path)
    if name.startswith(("SQLITE_BUSY", "SQLITE_PROTOCOL")):
        return StorageBusy(database=path, seconds=busy_s)
    if name == "SQLITE_FULL":
        return StorageFull(database=path)
    # Python's own errors have no code; the second is about a message of SQLite's that quotes what is damaged
    undecodable = isinstance(error, UnicodeDecodeError) or (not name and "Could not decode to UTF-8" in str(error))
    unparsable = name == "SQLITE_ERROR" and str(error) == "malformed JSON"  # what we write never is
    if undecodable or unparsable or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StorageCorrupt(database=path, detail=error)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return unopened(path, str(error))
    return None


def unopened(path: Path, why: str) -> StorageDenied | StorageMissing | StorageReadOnly:
    """Return the error that stands for a database that cannot be opened: not there, not for us, or not for writing."""
    try:
        path.stat()
    except FileNotFoundError:
        return missing(path)
    except PermissionError:
        return StorageDenied(database=path, user=os.geteuid())
    if not os.access(path, os.R_OK, effective_ids=True):
        return StorageDenied(database=path, user=os.geteuid())
    return StorageReadOnly(database=path, detail=why)


def _disk_failed(name: str, error: Exception, path: Path) -> Exception:
    if name == "SQLITE_IOERR_NOMEM":
        return MemoryError(str(error))
    if name.startswith("SQLITE_IOERR_SHM") and _is_tight(path):
        return StorageFull(database=path)  # -shm holds no data: SQLite makes it anew from the WAL
    return mark_suspect(path, f"{name}: {error}")


def _is_tight(path: Path) -> bool:
    room = os.statvfs(path.parent)
    return room.f_bavail * room.f_frsize < _TIGHT_BYTES


def flag_of(path: Path) -> Path:
    """Return where the suspect flag of a database stands."""
    return path.with_name(path.name + ".suspect")


def mark_suspect(path: Path, what: str) -> StorageSuspect:
    """Write the suspect flag, as durably as the disk still allows, and return the error to raise."""
    flag = flag_of(path)
    line = json.dumps({"what": what, "when_s": int(time.time()), "process": os.getpid()}) + "\n"
    try:
        with as_owner_of(path.parent):  # who has to be able to read it, and to remove it
            fd = os.open(flag, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as out:
            out.write(line.encode())
            out.flush()
            os.fsync(fd)
    except OSError as error:  # the same disk fails here too; the caller stops in any case
        what += f"; the flag may not be on the disk: {error.strerror}"
    return StorageSuspect(database=path, detail=what, flag=flag)


def refuse_suspect(path: Path, flag: str) -> None:
    """Raise StorageSuspect when the flag (its path as text: asked before each transaction, so nothing is built) exists."""
    try:
        os.stat(flag)
    except FileNotFoundError:
        return
    raise StorageSuspect(database=path, detail=_told(Path(flag)), flag=flag)


def _told(flag: Path) -> str:
    try:
        return str(json.loads(flag.read_text().splitlines()[0])["what"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        return f"its flag cannot be read: {error}"
