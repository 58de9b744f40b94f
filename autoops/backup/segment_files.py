"""One file of the shipped ledger: open (`N.jsonl`, it grows) or closed (`N.jsonl.zst`). Reads and writes what it is told to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from autoops.backup import frame
from autoops.backup.errors import SegmentUnsound
from autoops.files import durable

MOST_BYTES = 8 << 20  # of an open segment; the next record begins another
MOST_RECORDS = 10_000
PACKED = ".zst"
_PART_BYTES = 1 << 16


class Segment(NamedTuple):
    """One file of them."""

    first: int  # the sequence of the record that it begins with
    path: Path

    @property
    def is_closed(self) -> bool:
        """Tell whether it is compressed: nothing is added to it any more."""
        return self.path.suffix == PACKED


class Open:
    """The newest segment, being written. What is not synced when it is closed is taken back."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(segment.path, flags, 0o600)
        durable.give_to_owner_of(segment.path.parent, self._fd)
        self._bytes = self._synced_bytes = os.fstat(self._fd).st_size

    def is_full(self, last: int) -> bool:
        """Tell whether another one has to begin after a record."""
        return self._bytes >= MOST_BYTES or last - self._segment.first + 1 >= MOST_RECORDS

    def write(self, data: bytes) -> None:
        """Write all of it."""
        while data:
            count = os.write(self._fd, data)
            self._bytes += count
            data = data[count:]

    def sync(self) -> None:
        """Make it durable."""
        os.fsync(self._fd)
        if self._synced_bytes == 0:
            durable.sync_directory(self._segment.path.parent)
        self._synced_bytes = self._bytes

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):  # the disk fails: the next writer cuts off what is no whole line
            if self._bytes > self._synced_bytes:
                os.ftruncate(self._fd, self._synced_bytes)
        os.close(self._fd)
        self._fd = -1


def packed(plain: Path) -> Path:
    """Return the name of an open segment after it is closed."""
    return plain.with_name(plain.name + PACKED)


def valid(plain: Path) -> Path:
    """Return which of a segment's two files counts. A crash may leave both: the same, or the open one is a part of the other."""
    return packed(plain) if packed(plain).exists() else plain


def superfluous(plain: Path) -> Path:
    """Return which of a segment's two files is not needed."""
    try:
        return plain if frame.unpack(packed(plain).read_bytes()).startswith(plain.read_bytes()) else packed(plain)
    except ValueError:
        return packed(plain)


def content_of(segment: Segment) -> bytes:
    """Return what is in a segment, under whichever of its names it has by now. Raises SegmentUnsound."""
    plain = segment.path.with_suffix("") if segment.is_closed else segment.path
    for path in (segment.path, packed(plain), plain):
        with contextlib.suppress(FileNotFoundError), _reading(path):
            return frame.unpack(path.read_bytes()) if path != plain else path.read_bytes()
    raise SegmentUnsound(name=segment.path.name, detail="it is gone")


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say of a file that its disk does not give, or that is not what was written, that it is that. Raises SegmentUnsound."""
    try:
        yield
    except FileNotFoundError:  # it may have another name by now
        raise
    except (OSError, ValueError) as error:
        detail = f"it cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error)
        raise SegmentUnsound(name=path.name, detail=detail) from error


def end_of(segment: Segment) -> bytes:
    """Return the end of a segment, with at least one complete line if it has any; all of one that is closed, maybe by now.

    Raises SegmentUnsound.
    """
    try:
        return content_of(segment) if segment.is_closed else _tail_of(segment.path)
    except FileNotFoundError:
        return content_of(segment)


def _tail_of(plain: Path) -> bytes:
    with _reading(plain), plain.open("rb", buffering=0) as source:
        size_bytes = source.seek(0, os.SEEK_END)
        wanted = _PART_BYTES
        while True:
            data = os.pread(source.fileno(), wanted, max(0, size_bytes - wanted))
            if wanted >= size_bytes or data.count(b"\n") > 1:
                return data
            wanted *= 2


def truncate(path: Path, size_bytes: int) -> None:
    """Cut a file short, durably."""
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, size_bytes)
        os.fsync(fd)
    finally:
        os.close(fd)
