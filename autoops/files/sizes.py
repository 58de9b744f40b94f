"""How much room things take: a file with what SQLite keeps beside it, a directory, a file system. Reads names and sizes alone."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple


class Size(NamedTuple):
    """How much there is."""

    size_bytes: int
    files: int


class Room(NamedTuple):
    """What of a file system is used, and what users may use of it, as df counts."""

    used_bytes: int
    limit_bytes: int


def database(path: Path) -> Size:
    """Return the size of a database with its write-ahead log; nothing when it is not there. Raises OSError."""
    there = [one for one in (path, path.with_name(f"{path.name}-wal")) if one.exists()]
    return Size(sum(one.stat().st_size for one in there), len(there))


def directory(top: Path) -> Size:
    """Return the size of the files below a directory; nothing when it is not there. Links are not followed. Raises OSError.

    What disappears meanwhile does not count. A file of two names counts twice.
    """
    size_bytes = files = 0
    waiting = [os.fsencode(top)]
    while waiting:
        with contextlib.suppress(FileNotFoundError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):  # of this one: the others are still there
                        size_bytes += entry.stat(follow_symlinks=False).st_size
                        files += 1
    return Size(size_bytes, files)


def room(path: bytes | Path) -> Room:
    """Return how full the file system of a path is. Raises OSError."""
    found = os.statvfs(path)
    taken = found.f_blocks - found.f_bfree
    return Room(taken * found.f_frsize, (taken + found.f_bavail) * found.f_frsize)
