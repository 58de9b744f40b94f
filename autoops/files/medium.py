"""Does the disk hold what the page cache shows?

After a write-back that failed Linux keeps the right bytes in memory and calls them clean: every ordinary read, an integrity check
too, sees those, and a later fsync reports success. O_DIRECT reads the disk (open(2)). For a file that nobody writes, which is read.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from autoops.errors import CannotTell

_BLOCK_BYTES = 1 << 20


def differing(path: Path) -> int | None:
    """Return where a file first differs between cache and disk, None when it does not.

    Raises OSError when the disk cannot be read; CannotTell where the file system has no way around its cache (tmpfs).
    """
    cached = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        direct = _direct(path)
        try:
            return next(_differing(cached, direct), None)
        finally:
            os.close(direct)
    finally:
        os.close(cached)


def _direct(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        remedy = "copy the state directory to a disk, and look at it there"
        raise CannotTell(
            detail=f"whether {path} is on its disk: its file system cannot be read past the cache", remedy=remedy
        ) from None


def _differing(cached: int, direct: int) -> Iterator[int]:
    offset = 0
    with mmap.mmap(-1, _BLOCK_BYTES) as block:  # aligned, as O_DIRECT asks for
        while (count := os.preadv(direct, [block], offset)) > 0:
            if os.pread(cached, count, offset) != block[:count]:
                yield offset
            offset += count
            if count % 512:
                return  # the end of the file
