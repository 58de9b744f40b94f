"""The guard lock of a database: whoever writes, checkpoints or migrates it holds the lock alone.

Why: up to SQLite 3.51.2 a checkpoint that runs beside a writer can lose data (sqlite.org/wal.html#walresetbug). And SQLite's
own wait for a lock sleeps up to 100 ms at a time: beside a process that commits without a pause another got 1 turn in 2 s, with
this lock 40 in 100. It is a flock(2) on a file of its own: it ends with its process, and opening or closing the database
elsewhere does not drop it. Writes `DATABASE.guard` (always empty).
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

SUFFIX = ".guard"
_FIRST_WAIT_S = 0.0001
_LONGEST_WAIT_S = 0.001


class Guard:
    """The lock of one process on one database. Not for two threads."""

    def __init__(self, database: Path) -> None:
        """Open the lock file, made if need be; raises OSError."""
        self._fd = os.open(database.with_name(database.name + SUFFIX), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, wait_s: float) -> bool:
        """Wait for it `wait_s` seconds at most; False: others held it all the time.

        Asked again and again: a blocking flock(2) has no time limit, and a stopped holder must not stop us too.
        """
        pause_s, until_s = _FIRST_WAIT_S, 0.0
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                until_s = until_s or time.monotonic() + wait_s
                if time.monotonic() >= until_s:
                    return False
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_WAIT_S)

    def release(self) -> None:
        """Let go."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go for good."""
        os.close(self._fd)
