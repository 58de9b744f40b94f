"""Observing one file: what it is, what is in it, and whether it holds still.

Guarantee: a content hash is only reported for a content that did not change while it was read, by (size, mtime, ctime) before
and after, and that nobody has open for writing, or that stayed the same for the settle time. FIFOs, sockets and devices are
never opened, links never followed. Reads the watched trees only; writes nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat as modes
import time
from typing import NamedTuple

from autoops.describe.sniff import HEAD_BYTES, sniff
from autoops.files import opening
from autoops.files.opening import Stat
from autoops.model import Kind, Observation

ID_ATTRIBUTE = "user.autoops.id"
RACY_NS = 100_000_000  # a change within this time of the reading may leave size, mtime and ctime as they are
_CHUNK_BYTES = 1 << 16
_BUFFER = memoryview(bytearray(_CHUNK_BYTES))
_TYPE = 0o170000  # the bits of the mode that say what it is (inode(7)): all that S_ISREG looks at, without the call
_PREFIX = re.compile(rb"(\d{16})_")
_SIGURG = 23  # signal(7), on all that Debian runs on: nothing happens to a process that does not ask for it
_KINDS: dict[int, Kind] = {
    modes.S_IFREG: "file",
    modes.S_IFLNK: "link",
    modes.S_IFIFO: "fifo",
    modes.S_IFSOCK: "socket",
    modes.S_IFBLK: "block",
    modes.S_IFCHR: "char",
}


class Seen(NamedTuple):
    """A file that held still."""

    name: bytes
    observation: Observation
    ctime_ns: int
    claimed: str | None  # the ID in its name or xattr


class Unsettled(NamedTuple):
    """A file that somebody is still writing."""

    name: bytes
    sample: tuple[int, int]  # (size_bytes, mtime_ns), to be compared with the next one
    wait_s: float


class Unreadable(NamedTuple):
    """A file that is there but cannot be read; `observation` has what is known of it without its content."""

    name: bytes
    observation: Observation
    ctime_ns: int
    reason: str


class Rules(NamedTuple):
    """How patient to be."""

    settle_s: float
    min_age_s: float
    with_xattr: bool


Outcome = Seen | Unsettled | Unreadable | None  # None: nothing is there, or a directory is


def observe(
    fd: int,
    name: bytes,
    rules: Rules,
    *,
    is_regular: bool = False,
    closed: bool = False,
    sample: tuple[int, int] | None = None,
) -> Outcome:
    """Observe one name of an open directory.

    `is_regular`: the directory's listing says that it is a regular file; `closed`: its writer just closed it; `sample`: what
    (size, mtime) were at least `settle_s` ago.
    """
    if not is_regular:  # to open a FIFO lets its writer go on, to open a device may be an order to it: ask first
        try:
            found = opening.stat(fd, name)
        except OSError:
            return None
        if found.mode & _TYPE != modes.S_IFREG:
            return _special(fd, name)
    try:
        file_fd = opening.file(fd, name)
    except OSError as error:
        return _not_opened(fd, name, error)
    try:
        found = opening.stat(file_fd)
        if found.mode & _TYPE == modes.S_IFREG:
            return _regular(file_fd, name, found, rules, closed, sample)
    except OSError as error:
        return _not_opened(fd, name, error)
    finally:
        os.close(file_fd)
    return _special(fd, name)


def _not_opened(fd: int, name: bytes, error: OSError) -> Outcome:
    """Tell a file without permission, and what took its place just now, from one that went away."""
    try:
        found = opening.stat(fd, name)
    except OSError:
        return None
    if not modes.S_ISREG(found.mode):
        return _special(fd, name)
    return Unreadable(name, _observation("file", found, None, "application/x-unreadable"), found.ctime_ns, str(error.strerror))


def _special(fd: int, name: bytes) -> Outcome:
    try:
        found = opening.stat(fd, name)
        kind = _KINDS.get(modes.S_IFMT(found.mode))
        if kind is None or kind == "file":
            return None
        sha256 = hashlib.sha256(os.readlink(name, dir_fd=fd)).digest() if kind == "link" else None
    except OSError:
        return None
    mime = "inode/symlink" if kind == "link" else f"inode/{kind if kind in ('fifo', 'socket') else kind + 'device'}"
    return Seen(name, _observation(kind, found, sha256, mime), found.ctime_ns, None)


def _observation(kind: Kind, found: Stat, sha256: bytes | None, mime: str) -> Observation:
    return Observation(kind, found.size_bytes, found.mtime_ns, found.inode, found.birth_ns, sha256, mime)


def _regular(
    fd: int, name: bytes, before: Stat, rules: Rules, closed: bool, sample: tuple[int, int] | None
) -> Seen | Unsettled | Unreadable:
    now_ns = time.time_ns()
    wait_s = settle(before, now_ns, rules, closed, sample, fd)
    if wait_s > 0:
        return Unsettled(name, (before.size_bytes, before.mtime_ns), wait_s)
    try:
        sha256, head = read(fd, before.size_bytes)
        after = os.fstat(fd)
    except OSError as error:
        return Unreadable(
            name, _observation("file", before, None, "application/x-unreadable"), before.ctime_ns, str(error.strerror)
        )
    if (after.st_size, after.st_mtime_ns, after.st_ctime_ns) != (before.size_bytes, before.mtime_ns, before.ctime_ns):
        return Unsettled(name, (after.st_size, after.st_mtime_ns), max(rules.settle_s, 0.1))
    racy = abs(now_ns - before.ctime_ns) < RACY_NS
    ctime_ns = -before.ctime_ns if racy else before.ctime_ns  # equal to none: the next scan reads it again
    claimed = _claimed(fd, name, rules)
    return Seen(name, _observation("file", before, sha256, sniff(head, name)), ctime_ns, claimed)


def settle(found: Stat, now_ns: int, rules: Rules, closed: bool, sample: tuple[int, int] | None, fd: int) -> float:
    """Return how many seconds to wait before the file can be taken; 0: take it now.

    Settled is what nobody has open for writing; where the kernel does not say, what its writer closed; else what kept its size
    and mtime since the last sample. A file is young until `min_age_s` after its last change.
    """
    age_s = (now_ns - found.mtime_ns) / 1e9
    if 0 <= age_s < rules.min_age_s:
        return rules.min_age_s - age_s
    if rules.settle_s <= 0 or abs(age_s) > max(rules.settle_s, 1.0) * 2:
        return 0.0  # nobody has touched it for a while
    writer = has_writer(fd)
    if writer is False or (writer is None and closed):
        return 0.0
    return 0.0 if sample == (found.size_bytes, found.mtime_ns) else rules.settle_s


def has_writer(fd: int) -> bool | None:
    """Tell whether somebody has an open file open for writing; None when the kernel does not tell us.

    A read lease is refused with EAGAIN while there is a writer (fcntl(2), F_SETLEASE). Needs to own the file, or CAP_LEASE.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, _SIGURG)  # who opens it for writing just now breaks the lease: SIGIO would kill us
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def read(fd: int, size_bytes: int) -> tuple[bytes, bytes]:
    """Return (sha256, first bytes) of an open file of about this size, in constant memory."""
    start = os.read(fd, min(size_bytes, _CHUNK_BYTES) + 1)  # one more, to see the end without another call
    whole = hashlib.sha256(start)
    if len(start) != size_bytes:
        while count := os.readv(fd, [_BUFFER]):
            whole.update(_BUFFER[:count])
    return whole.digest(), start[:HEAD_BYTES]


def _claimed(fd: int, name: bytes, rules: Rules) -> str | None:
    prefix = _PREFIX.match(name)
    if prefix:
        return prefix[1].decode()
    if rules.with_xattr:
        try:
            value = os.getxattr(fd, ID_ATTRIBUTE)
        except OSError:
            return None  # no such attribute, or a file system without them
        return value.decode() if re.fullmatch(rb"\d{16}", value) else None
    return None
