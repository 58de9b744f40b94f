"""Which directories of one root are watched, and which are not and why: watches, gaps and mounts.

Guarantee: a directory is watched before it is listed, so nothing falls between; what cannot be watched is a gap with a reason,
and whatever may have been missed there is in `scans`. Used by one thread at a time.

Reads directories and ignore files below the root, and /proc/self/mountinfo; writes nothing. Links are never followed. A path
is looked up from the root each time, so somebody who swaps a directory above others for a link can have us hear something else, and
list its names; never read it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import NamedTuple

from autoops.files import inotify, mounts
from autoops.files.ignore import Ignore
from autoops.files.inotify import Inotify
from autoops.files.opening import within
from autoops.watch.directories import Directories
from autoops.watch.pending import UNMOUNTED, GapChange

MASK = (
    inotify.ATTRIB
    | inotify.CLOSE_WRITE
    | inotify.MOVED_FROM
    | inotify.MOVED_TO
    | inotify.CREATE
    | inotify.DELETE
    | inotify.ONLYDIR
    | inotify.DONT_FOLLOW
)
ROOT_MASK = MASK | inotify.DELETE_SELF | inotify.MOVE_SELF
BURST_FILES = 2000  # found in a new directory: more are one scan instead
MAX_GAPS = 1000  # then the root itself is one
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
REASONS = {errno.ENOSPC: "watch-limit", errno.EACCES: "unreadable"}


class Identity(NamedTuple):
    """Which directory a root is, whatever it is called."""

    device: int
    inode: int
    is_mount: bool


class Legacy(NamedTuple):
    """What the emitter before knew of a root: what it has told, and what has to be missed."""

    gaps: Mapping[bytes, str] = {}  # path: reason
    mounts: frozenset[bytes] = frozenset()  # where something was mounted, whether it still is or not


class Scope(NamedTuple):
    """What one emitter is to watch. Absolute paths, without links."""

    path: bytes
    ignore: Ignore
    ignore_files: frozenset[bytes] = frozenset()
    excluded: frozenset[bytes] = frozenset()  # directories below the root that are our own
    poll_kinds: frozenset[str] = frozenset()  # file systems whose changes inotify does not see
    cookies: bytes | None = None  # a directory: what is created there is answered


def identity(root: bytes) -> Identity:
    """Return which directory a root is now. Raises OSError."""
    found = os.stat(root)
    upper = os.stat(os.path.join(root, b".."))
    is_mount = found.st_dev != upper.st_dev or any(mount.mount_point == root for mount in mounts.mounts())
    return Identity(found.st_dev, found.st_ino, is_mount)


class Coverage:
    """The watches of one root. All paths are below it."""

    def __init__(self, scope: Scope, door: Inotify) -> None:
        self.scope = scope
        self.directories = Directories()
        self.gaps: dict[bytes, str] = {}  # path: reason
        self.gap_changes: list[GapChange] = []
        self.scans: set[bytes] = set()
        self.polled: frozenset[bytes] = frozenset()  # mounts that need polling
        self._door = door
        self._mounts: dict[bytes, str] = {}
        self._read_mounts()

    def begin(self, legacy: Legacy) -> None:
        """Watch everything. What was mounted and is not is a gap; what the emitter before could not watch may be none any more."""
        for path in legacy.mounts - self._mounts.keys():
            if not self.is_ignored(path):
                self.open_gap(path, UNMOUNTED)
        self.cover(b"")
        over = legacy.gaps.items() - self.gaps.items()
        self.gap_changes += [GapChange(False, path, reason) for path, reason in over]

    @property
    def legacy(self) -> Legacy:
        """What the next emitter has to know."""
        away = {path for path, reason in self.gaps.items() if reason == UNMOUNTED}
        return Legacy(dict(self.gaps), frozenset(self._mounts) | away)

    def cover(self, path: bytes, found: list[bytes] | None = None) -> set[bytes]:
        """Watch a directory and all below it, links not followed; append the files there to `found`. Return what is watched."""
        covered: set[bytes] = set()
        todo = [path]
        while todo:
            directory = todo.pop()
            if not self._watch(directory):
                continue
            covered.add(directory)
            below = directory + b"/" if directory else b""
            entries = self._list(directory)
            ignored = self.scope.ignore.ignored(directory, dict(entries), {name for name, is_directory in entries if is_directory})
            for name, is_directory in entries:
                if name in ignored:
                    if is_directory and below + name in self.directories.wd_of:
                        self.unwatch(self.directories.drop(below + name))
                elif is_directory:
                    todo.append(below + name)
                elif found is not None and len(found) <= BURST_FILES:
                    found.append(below + name)
        return covered

    def _list(self, directory: bytes) -> list[tuple[bytes, bool]]:
        try:
            fd = os.open(self._absolute(directory), _DIRECTORY if directory else _DIRECTORY & ~os.O_NOFOLLOW)
            try:
                with os.scandir(fd) as entries:  # names of a directory that was opened by number come as text
                    return [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
            finally:
                os.close(fd)
        except (FileNotFoundError, NotADirectoryError):
            return []  # gone again, or a link has its place: that is on its way as an event
        except OSError as error:
            self.open_gap(directory, "unreadable", error.strerror or "")
            return []

    def _watch(self, directory: bytes) -> bool:
        """Watch one directory; return whether it is to be listed."""
        if self._absolute(directory) in self.scope.excluded or self._mounts.get(directory, "") in mounts.PSEUDO:
            return False
        if self._mounts.get(directory, "") in self.scope.poll_kinds:
            self.polled |= {directory}
            return False
        try:
            wd = self._door.add(self._absolute(directory), MASK if directory else ROOT_MASK)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            self.open_gap(directory, REASONS.get(error.errno or 0, "unwatchable"), error.strerror or "")
            return False
        known = self.directories.path_of.get(wd)
        if known is not None and known != directory:
            if self._is_same(known, directory):
                self.open_gap(directory, "alias", os.fsdecode(known))
                return False
            self.unwatch(self.directories.move(known, directory))  # moved, and the event is still to come
        elif known is None:
            stale = self.directories.add(wd, directory)
            self.unwatch([] if stale is None else [stale])
        if self.gaps.get(directory, UNMOUNTED) != UNMOUNTED:
            self.close_gaps(directory, below=False)
        return True

    def _is_same(self, one: bytes, other: bytes) -> bool:
        try:
            return os.path.samestat(os.lstat(self._absolute(one)), os.lstat(self._absolute(other)))
        except OSError:
            return False

    def is_ignored(self, path: bytes) -> bool:
        """Return whether a directory, in one that is not, is ignored."""
        directory, _, name = path.rpartition(b"/")
        return bool(self.scope.ignore.ignored(directory, (name,), (name,)))

    def unwatch(self, wds: list[int]) -> None:
        """Have the kernel forget watches; those it has forgotten already do no harm."""
        for wd in wds:
            self._door.remove(wd)

    def _absolute(self, path: bytes) -> bytes:
        return os.path.join(self.scope.path, path) if path else self.scope.path

    def left(self, path: bytes) -> None:
        """Give up a directory that is below the root no more: its files are somebody else's now."""
        self.unwatch(self.directories.drop(path))
        self.close_gaps(path)
        self.scans.add(path)

    def open_gap(self, path: bytes, reason: str, detail: str = "") -> None:
        """Say that a directory is not watched; a scan stands for what was missed until now."""
        if path not in self.gaps and self._is_crowded and reason != UNMOUNTED:  # those are few, and must keep their names
            self.scans.add(path)
            path, reason, detail = b"", self.gaps.get(b"", reason), f"{MAX_GAPS} directories and more"
        before = self.gaps.get(path)
        if before in (reason, UNMOUNTED):  # what lay on a disk that is away is not to be called missing, whatever is under it
            return
        if before is not None:
            self.gap_changes.append(GapChange(False, path, before))
        self.gaps[path] = reason
        self.gap_changes.append(GapChange(True, path, reason, detail))
        if reason != UNMOUNTED:  # an unmounted disk is not an emptied one
            self.scans.add(path)

    @property
    def _is_crowded(self) -> bool:
        """Whether there are so many gaps that the root stands for all others."""
        return len(self.gaps) - (b"" in self.gaps) >= MAX_GAPS

    def close_gaps(self, path: bytes, below: bool = True) -> None:
        """Say that a directory is watched again, or is no more; a scan stands for what was missed meanwhile."""
        if self.gaps:
            for gap in [gap for gap in self.gaps if gap == path or (below and within(gap, path))]:
                self.gap_changes.append(GapChange(False, gap, self.gaps.pop(gap)))
                self.scans.add(gap)

    def overflowed(self, on_their_way: list[bytes]) -> None:
        """Begin anew after lost events: nothing is sure any more but the disk. Directories on their way are left alone."""
        self.open_gap(b"", "overflow")
        covered = self.cover(b"")  # closes the gap
        self.scans.add(b"")
        for path, wd in list(self.directories.wd_of.items()):
            if path not in covered and not any(within(path, left) for left in on_their_way):
                self.unwatch([wd])
                self.directories.forget(wd)

    def retry(self, everything: bool) -> None:
        """Try again what could not be watched; with `everything` also what cannot be expected to have changed."""
        if everything:
            self.cover(b"")
        for path, reason in list(self.gaps.items()):
            if not path and self._is_crowded:
                continue  # it stands for others, which would open it again at once, and have the root scanned
            if reason in ("watch-limit", "unwatchable") or (everything and reason != UNMOUNTED):
                self.cover(path)

    def opened(self, path: bytes) -> None:
        """Try again a directory that could not be read, now that its permissions were set."""
        if self.gaps.get(path) == "unreadable":
            self.cover(path)

    def unmounted(self, directory: bytes) -> None:
        """Take note that the kernel unmounted what this directory lies in."""
        if directory in self._mounts:
            self.open_gap(directory, UNMOUNTED)

    def _read_mounts(self) -> dict[bytes, str]:
        start = len(self.scope.path.rstrip(b"/")) + 1
        before, self._mounts = self._mounts, {}
        for mount in mounts.below(self.scope.path):
            self._mounts[mount.mount_point[start:]] = mount.kind
        return before

    def mounts_changed(self) -> None:
        """Follow what was mounted or unmounted below the root: what lay under it is hidden, or back."""
        before = self._read_mounts()
        for path in [path for path, kind in self._mounts.items() if before.get(path) != kind]:
            self.unwatch(self.directories.drop(path))
            self.close_gaps(path)
            upper = path.rpartition(b"/")[0]
            if upper in self.directories.wd_of and not self.is_ignored(path):
                self.cover(path)
                self.scans.add(path)
        for path in [path for path in before if path not in self._mounts]:
            self.polled -= {path}
            if not self.is_ignored(path):
                self.open_gap(path, UNMOUNTED)
                self.cover(path)
