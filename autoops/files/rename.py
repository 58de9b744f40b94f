"""Renaming without ever overwriting another file, and two directories changing places in one step: renameat2(2)."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path, PurePosixPath

from autoops.files import opening

NAME_MAX = 255
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_libc = ctypes.CDLL(None, use_errno=True)


def target_name(entry_id: str, name: bytes) -> bytes | None:
    """Return `<ID>_<name>`; None when the name has that prefix already, or would be too long for a file system."""
    prefix = entry_id.encode() + b"_"
    if name.startswith(prefix) or len(prefix) + len(name) > NAME_MAX:
        return None
    return prefix + name


def rename_in_place(root: bytes, path: bytes, new_name: bytes, inode: int) -> None:
    """Rename a file within its directory, durably, if it still is the file with this inode.

    Raises FileExistsError when the new name is taken, FileNotFoundError when the file is another one or gone, OSError.
    """
    parent, name = opening.parts(path)
    with opening.directory(root, parent) as fd:
        if os.stat(name, dir_fd=fd, follow_symlinks=False).st_ino != inode:
            raise FileNotFoundError(f"{os.fsdecode(path)} is another file now")
        if _libc.renameat2(fd, name, fd, new_name, _RENAME_NOREPLACE) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), PurePosixPath(os.fsdecode(path)))
        os.fsync(fd)


def rename_new(source: Path, target: Path) -> None:
    """Rename a file or directory to a name that is free. Not yet synced. Raises FileExistsError, OSError."""
    _rename(source, target, _RENAME_NOREPLACE)


def exchange(one: Path, other: Path) -> None:
    """Let two files or directories change places; nobody ever sees either name without one. Not yet synced. Raises OSError."""
    _rename(one, other, _RENAME_EXCHANGE)


def _rename(source: Path, target: Path, flags: int) -> None:
    if _libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(source), None, str(target))
