"""The door to inotify(7): four system calls through ctypes, and the parser of what they read.

Guarantee: nothing here blocks; errors are OSError with errno and path. Reads and writes no file.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

MODIFY, ATTRIB, CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE, DELETE_SELF, MOVE_SELF = (
    0x2,
    0x4,
    0x8,
    0x40,
    0x80,
    0x100,
    0x200,
    0x400,
    0x800,
)
UNMOUNT, OVERFLOW, IGNORED, ONLYDIR, DONT_FOLLOW, ISDIR = 0x2000, 0x4000, 0x8000, 0x1000000, 0x2000000, 0x40000000

READ_BYTES = 1 << 20  # one read empties a full kernel queue of usual names
_HEAD = struct.Struct("iIII")

RawEvent = tuple[int, int, int, bytes]  # watch descriptor, mask, cookie, name; a NamedTuple would double the parser's time


class Inotify:
    """One inotify instance."""

    def __init__(self) -> None:
        """Raise OSError (EMFILE) when the user has fs.inotify.max_user_instances of them."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise _error(b"inotify")

    def fileno(self) -> int:
        """Return the descriptor to poll; -1 when closed."""
        return int(self._fd)

    def add(self, path: bytes, mask: int) -> int:
        """Watch a path and return its watch descriptor, the known one when that directory is watched already.

        Raises OSError: ENOSPC at the watch limit, EACCES when the directory cannot be read.
        """
        wd = self._libc.inotify_add_watch(self._fd, path, mask)
        if wd < 0:
            raise _error(path)
        return int(wd)

    def remove(self, wd: int) -> bool:
        """Stop watching; return False when the kernel had already stopped (the directory is gone)."""
        return bool(self._libc.inotify_rm_watch(self._fd, wd) == 0)

    def read(self) -> bytes:
        """Return what waits, b"" when nothing does."""
        try:
            return os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Give the instance and all its watches back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class NameWatch:
    """Its descriptor is readable when a name in a directory may have come or gone."""

    def __init__(self, directory: bytes) -> None:
        """Raise OSError: no such directory, or no inotify instance or watch left for this user."""
        self._inotify = Inotify()
        try:
            self._inotify.add(directory, CREATE | MOVED_TO | DELETE | MOVED_FROM | ONLYDIR)
        except OSError:
            self._inotify.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._inotify.fileno()

    def drain(self) -> None:
        """Take what has arrived, without waiting."""
        while self._inotify.read():
            pass

    def close(self) -> None:
        """Stop watching."""
        self._inotify.close()


class FileWatch:
    """Its descriptor is readable when a file may have been written, or another one may have come to its name."""

    def __init__(self, path: bytes) -> None:
        """Raise OSError: its directory is not there, or no inotify instance or watch is left for this user."""
        self._path = path
        self._inotify = Inotify()
        try:
            self._inotify.add(os.path.dirname(path), CREATE | MOVED_TO | DELETE | MOVED_FROM | ONLYDIR)
        except OSError:
            self._inotify.close()
            raise
        self._file = -1
        self.drain()

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._inotify.fileno()

    def drain(self) -> bool:
        """Take what has arrived, without waiting, and watch what stands at the name now; say whether anything had arrived."""
        arrived = False
        while self._inotify.read():
            arrived = True
        try:
            file = self._inotify.add(self._path, MODIFY | DONT_FOLLOW)  # the same watch for the same file
        except OSError:  # it is not there now: its directory tells when it comes
            file = -1
        if self._file not in (-1, file):
            self._inotify.remove(self._file)
        self._file = file
        return arrived

    def close(self) -> None:
        """Stop watching."""
        self._inotify.close()


def parse(buffer: bytes) -> Iterator[RawEvent]:
    """Yield the events of one read, in order."""
    at, end, unpack = 0, len(buffer), _HEAD.unpack_from
    while at < end:
        wd, mask, cookie, length = unpack(buffer, at)
        start = at + 16
        at = start + length
        yield wd, mask, cookie, buffer[start:at].rstrip(b"\0")


def _error(path: bytes) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code), path)
