"""Opening what lies below a root, without ever leaving it.

Every component is opened by itself with O_NOFOLLOW, so a symbolic link, planted before or swapped in meanwhile, is an error and
not a way out. (`openat2` with RESOLVE_BENEATH would be one call, but fails with ENOSYS under RestrictSUIDSGID=yes.)
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import os
import stat as modes
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from autoops.model import File, Observation

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_AT_EMPTY_PATH = 0x1000
_AT_SYMLINK_NOFOLLOW = 0x100
_BASIC_STATS_AND_BIRTH = 0x7FF | 0x800
_NS = 1_000_000_000
_INT64 = (1 << 63) - 1

# struct statx of <linux/stat.h>: mask, mode, inode, size, birth, change and modification time
_unpack_statx = struct.Struct("=I24xH2xQQ16x16xqI4xqI4xqI4x").unpack_from
_LONG = struct.Struct("=q")
_PSEUDO = frozenset(
    {
        0x9FA0,  # proc
        0x62656572,  # sysfs
        0x1CD1,  # devpts
        0x27E0EB,  # cgroup
        0x63677270,  # cgroup2
        0x64626720,  # debugfs
        0x74726163,  # tracefs
        0x73636673,  # securityfs
        0x6165676C,  # pstore
        0xCAFE4A11,  # bpf
        0x19800202,  # mqueue
        0x62656570,  # configfs
        0xDE5E81E4,  # efivarfs
        0x42494E4D,  # binfmt_misc
        0x65735543,  # fusectl
        0xF97CFF8C,  # selinuxfs
        0x6E736673,  # nsfs
        0x0187,  # autofs
        0x67596969,  # rpc_pipefs
    }
)
_libc = ctypes.CDLL(None, use_errno=True)
_statx = _libc.statx
_buffer = ctypes.create_string_buffer(256)


class Stat(NamedTuple):
    """What statx(2) says, as far as identity needs it. Times in nanoseconds since 1970."""

    mode: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    birth_ns: int  # 0: the file system does not say


class Pseudo(OSError):
    """A directory whose files are the kernel talking, not documents: /proc and the like."""


class Loop(OSError):
    """A directory that is one of its own ancestors, by a bind mount."""


def stat(fd: int, name: bytes = b"") -> Stat:
    """Return what is known of an open file, or of a name in an open directory (a link is not followed). Raises OSError.

    statx(2) because os.stat has no birth time on Linux; through ctypes it costs as much as os.stat.
    """
    flags = _AT_SYMLINK_NOFOLLOW if name else _AT_EMPTY_PATH
    if _statx(fd, name, flags, _BASIC_STATS_AND_BIRTH, _buffer) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
    mask, mode, inode, size, born_s, born_ns, changed_s, changed_ns, mtime_s, mtime_ns = _unpack_statx(_buffer)
    birth_ns = born_s * _NS + born_ns if mask & 0x800 else 0
    mtime_ns += mtime_s * _NS
    changed_ns += changed_s * _NS
    if size > _INT64 or not -_INT64 <= mtime_ns <= _INT64 or not -_INT64 <= changed_ns <= _INT64:
        size, mtime_ns, changed_ns = min(size, _INT64), _bounded(mtime_ns), _bounded(changed_ns)
    return Stat(mode, inode, size, mtime_ns, changed_ns, birth_ns)


def _bounded(time_ns: int) -> int:
    return max(-_INT64, min(_INT64, time_ns))  # a file may claim the year 500 billion; SQLite counts to 2**63


class Descent:
    """Opens directories below a root, one after the other; the way to those that lie in the same directory is gone once.

    Use as a context manager, and not for long: what is moved away meanwhile is still found where it was.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._fd = -1  # of the directory that was gone to
        self._way: list[bytes] | None = None  # to it, None: there is none yet
        self._met: set[tuple[int, int]] = set()  # on that way, the root and the directory itself too

    def __enter__(self) -> Descent:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def open(self, path: bytes) -> int:
        """Return a descriptor of a directory below the root (b"" is the root itself), which the caller closes.

        Raises OSError (ELOOP or ENOTDIR for a link in the way), Loop when the directory is one of its own ancestors.
        """
        *way, name = path.split(b"/")
        if way != self._way:
            self._go(way)
        return self._step(name)[0] if path else os.dup(self._fd)

    def _go(self, way: list[bytes]) -> None:
        self._way = None
        self._stand(os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))  # the operator named it: it may be a link
        self._met = {_identity(self._fd)}
        for component in way:
            fd, here = self._step(component)
            self._stand(fd)
            self._met.add(here)
        self._way = way

    def _stand(self, fd: int) -> None:
        left, self._fd = self._fd, fd
        if left >= 0:
            os.close(left)

    def _step(self, component: bytes) -> tuple[int, tuple[int, int]]:
        if component in (b"", b".", b".."):  # no listing has them: somebody wrote them into a registry or a queue
            raise FileNotFoundError(errno.ENOENT, "no path below a root", component)
        fd = os.open(component, _DIRECTORY, dir_fd=self._fd)
        try:
            here = _identity(fd)
            if here in self._met:
                raise Loop(f"{component!r} is one of its own ancestors")
        except OSError:
            os.close(fd)
            raise
        return fd, here


@contextlib.contextmanager
def directory(root: bytes, path: bytes) -> Iterator[int]:
    """Open a directory below a root and yield its descriptor. Raises what `Descent.open` raises."""
    with Descent(root) as descent:
        fd = descent.open(path)
    try:
        yield fd
    finally:
        os.close(fd)


def require_documents(fd: int) -> None:
    """Raise Pseudo when an open directory is on a file system that holds no documents (statfs(2), <linux/magic.h>)."""
    if _libc.fstatfs(fd, _buffer) == 0 and _LONG.unpack_from(_buffer)[0] in _PSEUDO:
        raise Pseudo("it belongs to the kernel")


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def file(directory_fd: int, name: bytes) -> int:
    """Open a file of an open directory for reading, not through a link, and so that no FIFO blocks; the caller closes it."""
    return os.open(name, _FILE, dir_fd=directory_fd)


def plain(name: bytes | Path, directory_fd: int | None = None) -> io.BufferedReader:
    """Open a plain file for reading, of an open directory if one is given. Raises OSError, also for a link and what is no file."""
    fd = os.open(name, _FILE, dir_fd=directory_fd)
    try:
        if not modes.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is no file")
    except OSError:
        os.close(fd)
        raise
    return os.fdopen(fd, "rb")


def parts(path: bytes) -> tuple[bytes, bytes]:
    """Return (directory, name) of a path below a root."""
    parent, _, name = path.rpartition(b"/")
    return parent, name


def within(path: bytes, directory: bytes) -> bool:
    """Tell whether a path below a root is this directory, or lies in it; b"" is the root."""
    return not directory or path == directory or path.startswith(directory + b"/")


def file_at(root: bytes, path: bytes) -> File | None:
    """Return which file is at a path below a root now; None when there is nothing, or no way to it."""
    found = _stat_at(root, path)
    return (found.inode, found.birth_ns) if found else None


def is_absent(root: bytes, path: bytes) -> bool:
    """Tell whether there certainly is nothing, or no directory, at a path below a root that itself is there."""
    try:
        with directory(root, path):
            return False
    except OSError as error:
        absent = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
        return error.errno in absent and os.path.isdir(root)


def unread(root: bytes, path: bytes) -> Observation | None:
    """Return what is known of a file below a root without opening it; None when there is no file."""
    found = _stat_at(root, path)
    if found is None or not modes.S_ISREG(found.mode):
        return None
    return Observation("file", found.size_bytes, found.mtime_ns, found.inode, found.birth_ns, None, "application/x-unreadable")


def _stat_at(root: bytes, path: bytes) -> Stat | None:
    parent, name = parts(path)
    try:
        with directory(root, parent) as fd:
            return stat(fd, name)
    except OSError:  # nothing there, a link in the way, no permission: in any case no file that we can speak of
        return None
