"""One process at a time changes a backup directory: a lock that the kernel gives up when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from autoops.backup.errors import BackupBusy
from autoops.backup.place import Place

_LOOK_S = 0.05


@contextlib.contextmanager
def held(place: Place, wait_s: float = 10.0, name: str = "lock") -> Iterator[None]:
    """Hold a backup directory, or another lock in it. Raises BackupBusy when a process has it for longer than that, OSError."""
    fd = os.open(place.directory / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        end_s = time.monotonic() + wait_s
        while not _take(fd):
            if time.monotonic() >= end_s:
                holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
                raise BackupBusy(directory=place.directory, pid=holder or "unknown")
            time.sleep(_LOOK_S)
        with contextlib.suppress(OSError):  # it helps whoever is refused; on a full disk snapshots can still be removed
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _take(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
