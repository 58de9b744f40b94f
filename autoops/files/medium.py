"""What a bad disk still gives, and whether it holds what the page cache shows. For files that nobody writes, which are read.

After a write-back that failed Linux keeps the right bytes in memory and calls them clean: every ordinary read, an integrity check
too, sees those, and a later fsync reports success. O_DIRECT reads the disk (open(2)).
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from autoops.errors import CannotTell

_BLOCK_BYTES = 1 << 20
_PAGE_BYTES = 4096  # of the cache: what one bad sector takes with it


def copy_readable(source: Path, target: Path) -> int:
    """Copy a file to a new one, with zeros for what its disk does not give; return how many bytes these are. Raises OSError."""
    lost_bytes = at = 0
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        size_bytes = os.fstat(reader).st_size
        with target.open("xb") as writer:
            while at < size_bytes:
                data = _given(reader, at, _BLOCK_BYTES) or _given(reader, at, _PAGE_BYTES)
                if not data:
                    data = bytes(min(_PAGE_BYTES, size_bytes - at))
                    lost_bytes += len(data)
                writer.write(data)
                at += len(data)
    finally:
        os.close(reader)
    return lost_bytes


def _given(fd: int, at: int, size_bytes: int) -> bytes:
    """Return what the disk gives, b"" where it gives nothing."""
    try:
        return os.pread(fd, size_bytes, at)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""


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
