"""The complete lines of a file that grows, each once: across restarts, rotation, truncation, and whatever stands at its name.

Guarantees: a link is never followed and a FIFO never waited for; of a line longer than `LIMIT_BYTES` the rest is
passed over; a last line without a newline is not yet a line; when another file stands at the name, the rest of the old one is read
first, if it was open here. What was read is known by inode, offset and the content of the last line: a file written over is begun
again. Reads the file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

LIMIT_BYTES = 4096  # of one line
BATCH_BYTES = 1 << 20  # of one look
_PART_BYTES = 1 << 16
ABSENT = "it is not there"


class Position(NamedTuple):
    """How far a file was read."""

    inode: int = 0
    offset: int = 0
    lines: int = 0  # that lie before it
    last_bytes: int = 0  # of the last line, with its newline: it ends at the offset
    last: str = ""  # its SHA-256
    inside: bool = False  # the offset is within a line that is too long

    @classmethod
    def of(cls, facts: Any) -> Position:
        """Return the position that was stored as JSON; the beginning for what is none."""
        try:
            found = cls(**facts)
        except TypeError:
            return cls()
        kinds = (int, int, int, int, str, bool)
        good = all(type(value) is kind for value, kind in zip(found, kinds, strict=True)) and min(found[:4]) >= 0
        return found if good and found.last_bytes <= found.offset else cls()


class Batch(NamedTuple):
    """What one look found."""

    lines: list[tuple[int, bytes]]  # (number, from 1; the line without newline, cut after LIMIT_BYTES + 1)
    anew: str = ""  # why this is the beginning of a file, "" when it goes on
    more: bool = False  # there may be more, without waiting for it
    trouble: str = ""  # why there is nothing to read at that name


class Follower:
    """One file, followed by its name."""

    def __init__(self, path: Path, position: Position) -> None:
        self._path, self.position = path, position
        self._fd = -1
        self._seen: tuple[int, int] | None = None  # size and modification time at the last look

    def read(self) -> Batch:
        """Return the lines that have come, about BATCH_BYTES of them at most. Raises OSError when the disk fails."""
        found, trouble = self._at_name()
        if self._fd >= 0 and (found is None or found.st_ino != self.position.inode):
            rest = self._lines("")  # the end of what stood there before
            if rest.lines or rest.more:
                return rest._replace(more=True)
            self.close()
        if found is None:
            return self._nothing(trouble)
        if self._fd < 0:
            return self._begin()
        if (found.st_size, found.st_mtime_ns) == self._seen:
            return self._nothing()
        return self._lines(self._changed(found))

    def is_still(self) -> bool:
        """Tell whether nothing has changed since the last look, so that nothing needs to be read."""
        found, _ = self._at_name()
        same = found is not None and self._fd >= 0 and found.st_ino == self.position.inode
        return same and found is not None and (found.st_size, found.st_mtime_ns) == self._seen

    def _nothing(self, trouble: str = "") -> Batch:
        return Batch([], trouble=trouble)

    def restart(self) -> None:
        """Begin at the first line again."""
        self.position, self._seen = Position(self.position.inode), None

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._seen = -1, None

    def _at_name(self) -> tuple[os.stat_result | None, str]:
        try:
            found = os.lstat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return None, ABSENT
        except PermissionError:
            return None, "it may not be read"
        return (found, "") if stat.S_ISREG(found.st_mode) else (None, "it is no plain file")

    def _begin(self) -> Batch:
        """Open what stands at the name now, and read on where we were if it is that file."""
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.EACCES, errno.ENXIO):
                return self._nothing(f"it cannot be opened ({error.strerror})")
            raise
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode):
            self.close()
            return self._nothing("it is no plain file")
        if found.st_ino != self.position.inode:
            anew = "another file" if self.position.inode else "the first look"
            self.position = Position(found.st_ino)
            return self._lines(anew)
        return self._lines(self._changed(found))

    def _changed(self, found: os.stat_result) -> str:
        """Return why what was read of this file is no longer in it, "" when it is; then go back to its beginning."""
        at = self.position
        anew = ""
        if found.st_size < at.offset:
            anew = "truncated"
        elif at.last_bytes and hashlib.sha256(os.pread(self._fd, at.last_bytes, at.offset - at.last_bytes)).hexdigest() != at.last:
            anew = "written over"
        if anew:
            self.position = Position(found.st_ino)
        return anew

    def _lines(self, anew: str) -> Batch:
        found, taken = list[tuple[int, bytes]](), 0
        before = os.fstat(self._fd)
        while taken < BATCH_BYTES:
            try:
                part = os.pread(self._fd, _PART_BYTES, self.position.offset)
                used = self._take(part, found)
                if not used:  # a disk that fails gives less at first, and says so only when it is asked for the next byte
                    os.pread(self._fd, 1, self.position.offset + len(part))
            except OSError:
                if not found:
                    raise
                return Batch(found, anew, more=True)  # what it gave is not lost with what it does not give
            taken += used
            if not used:
                self._seen = (before.st_size, before.st_mtime_ns)
                return Batch(found, anew)
        return Batch(found, anew, more=True)

    def _take(self, part: bytes, found: list[tuple[int, bytes]]) -> int:
        """Take the complete lines of a part that begins at the position; return how many bytes were passed."""
        start = 0
        while (end := part.find(b"\n", start) + 1) > 0:
            if not self.position.inside:
                found.append((self.position.lines + 1, part[start : end - 1][: LIMIT_BYTES + 1]))
            self.position = _passed(self.position, part[start:end], inside=False)
            start = end
        rest = part[start:]
        if len(rest) > LIMIT_BYTES and not self.position.inside:
            found.append((self.position.lines + 1, rest[: LIMIT_BYTES + 1]))  # told at once; its end is passed over when it comes
            self.position = _passed(self.position, rest, inside=True)
            return len(part)
        if rest and self.position.inside:
            self.position = _passed(self.position, rest, inside=True)
            return len(part)
        return start


def batches(path: Path) -> Iterator[Batch]:
    """Yield what is in a file now, from its first line on. A disk that fails is told as trouble, and ends it."""
    with contextlib.closing(Follower(path, Position())) as follower:
        more = True
        while more:
            try:
                batch = follower.read()
            except OSError as error:
                batch = Batch([], trouble=f"it cannot be read to its end ({error.strerror})")
            more = batch.more
            yield batch


def _passed(at: Position, data: bytes, *, inside: bool) -> Position:
    kept = data[-LIMIT_BYTES:]
    lines = at.lines + (0 if inside else 1)
    return Position(at.inode, at.offset + len(data), lines, len(kept), hashlib.sha256(kept).hexdigest(), inside)
