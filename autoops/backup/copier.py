"""Copies one file to a new one: `python copier.py SOURCE TARGET`.

A process of its own, because closing a descriptor of a database drops every lock that SQLite holds on it in the same process
(sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import errno
import os
import sys

_CHUNK_BYTES = 1 << 26
_UNABLE = (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)


def copy(source: str, target: str) -> None:
    """Copy what the file holds now; on file systems that can, the two share their blocks."""
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        while os.copy_file_range(reader, writer, _CHUNK_BYTES):
            pass
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        while data := os.read(reader, 1 << 20):
            while data:
                data = data[os.write(writer, data) :]


if __name__ == "__main__":
    try:
        copy(*sys.argv[1:])
    except OSError as error:
        sys.exit(error.errno if error.errno is not None and error.errno < 256 else 1)
