"""One runner of playbooks at a time: a lock that the kernel gives up when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from autoops.playbook.errors import AnotherRunner


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock, and write into it who does. Raises AnotherRunner at once, OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
            raise AnotherRunner(pid=holder or "unknown") from None
        with contextlib.suppress(OSError):  # it helps whoever is refused; a full disk must not keep us from making room
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)
