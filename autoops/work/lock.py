"""One state directory has one worker: a lock that the kernel gives up when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from autoops.errors import AnotherWorker


class WorkerLock:
    """An exclusive flock(2) on `registry/worker.lock`, which also names the holder's process."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises AnotherWorker."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip()
            os.close(self._fd)
            raise AnotherWorker(state=path.parent.parent, pid=holder or "unknown") from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._fd)
