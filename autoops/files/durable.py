"""Writing so that a power cut leaves the old or the new, never a mixture, and that what returned is on the disk."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace a file's content: temporary file in the same directory, fsync, rename, fsync of the directory.

    One writer per file: the temporary file has one name, so that what a killed writer left goes with the next one. What anybody
    else put at that name (a FIFO, which would hold us up; a link, which would have us write elsewhere) goes too.
    Root's files belong to whom the directory belongs, so that a service can go on with them. Raises OSError; then the old content
    stands (after a failed sync of the directory, perhaps the new), and no temporary file is left.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as out:
            give_to_owner_of(path.parent, fd)
            os.fchmod(fd, mode)  # whatever the umask is
            out.write(data)
            out.flush()
            os.fsync(fd)
        temporary.replace(path)
        sync_directory(path.parent)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        if isinstance(error, OSError):
            error.filename = error.filename or os.fspath(path)  # of a write or a sync the system tells none
        raise


def give_to_owner_of(directory: Path, fd: int) -> None:
    """Give an open file to the owner of a directory, if we are root and that is somebody else."""
    owner = directory.stat()
    if os.geteuid() == 0 != owner.st_uid:
        os.fchown(fd, owner.st_uid, owner.st_gid)


def append_line(path: Path, line: bytes, *, mode: int = 0o600) -> None:
    """Append one line and sync it, the name of a new file too. Raises OSError.

    A partial line that a power cut left is ended first, so that it spoils no other.
    """
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "r+b", buffering=0) as out:
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        data = (b"\n" if torn else b"") + line + b"\n"
        while data:
            data = data[out.write(data) :]
        os.fdatasync(fd)
    if not size:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
