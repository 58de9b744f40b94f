"""One state directory has one worker."""

from __future__ import annotations

import contextlib
from pathlib import Path

from autoops.errors import AnotherWorker
from autoops.files.lock import locked


class WorkerLock:
    """The lock on `registry/worker.lock`."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises AnotherWorker, OSError."""
        self._held = contextlib.ExitStack()
        self._held.enter_context(locked(path, lambda pid: AnotherWorker(state=path.parent.parent, pid=pid)))

    def release(self) -> None:
        """Give the lock back."""
        self._held.close()
