"""Renaming a watched file without ever overwriting another: renameat2(2) with RENAME_NOREPLACE, on an opened directory."""

from __future__ import annotations

import ctypes
import os
from pathlib import PurePosixPath

from autoops.files import opening

NAME_MAX = 255
_RENAME_NOREPLACE = 1
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
