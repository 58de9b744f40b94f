"""One process at a time: a lock on a file that the kernel gives up when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_LOOK_S = 0.05


@contextlib.contextmanager
def locked(path: Path, refusal: Callable[[str], Exception], wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock on a file, which is made if it is not there, and write into it who does.

    Raises OSError, and what `refusal` makes of the holder's process number ("unknown": it does not say) when another process has it
    for longer than `wait_s`.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        end_s = time.monotonic() + wait_s
        while not _taken(fd):
            if time.monotonic() >= end_s:
                raise refusal(os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown")
            time.sleep(_LOOK_S)
        with contextlib.suppress(OSError):  # it helps whoever is refused; a full disk must not keep us from making room
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
