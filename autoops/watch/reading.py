"""What inotify's events say: what happened to files, and which directories came, moved or went, which is followed at once.

Guarantee: what cannot be told of each file is told by a scan of its directory, so nothing falls between. No thread and no waiting:
those are the emitter's. Reads directories and ignore files below the root, through `Coverage`, and the cookie directory; writes
nothing.
"""

from __future__ import annotations

import os
import time

from autoops.files import inotify
from autoops.files.inotify import RawEvent
from autoops.files.opening import within
from autoops.watch.changes import Change, kind_of, merged
from autoops.watch.coverage import BURST_FILES, Coverage, Scope
from autoops.watch.lineage import Lineage

LOST = inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT | inotify.IGNORED
ENDED_KEPT = 10_000  # beyond, a scan of the directory costs a little and is right as well


class Reader:
    """Reads the events of one root, in order."""

    def __init__(self, scope: Scope, coverage: Coverage, cookie_wd: int) -> None:
        """Take the watches that are to follow the directories, and the watch of the cookie directory, -1 when there is none."""
        self._scope, self._coverage, self._cookie_wd = scope, coverage, cookie_wd
        self.root_lost = False  # it was moved, removed or unmounted
        self._lineage = Lineage()
        self._leaving: dict[int, tuple[bytes, float]] = {}  # cookie of a directory moved away: path, when
        self._ended: set[bytes] = set()  # directories that were watched to their end, their deletion still to be told by the parent

    @property
    def any_on_their_way(self) -> bool:
        """Whether a directory was moved away, and nobody knows yet where to."""
        return bool(self._leaving)

    def give_up(self, before_s: float) -> None:
        """Take directories that were moved away before a time (monotonic), and did not come back, for gone."""
        for cookie, (path, at_s) in list(self._leaving.items()):
            if at_s <= before_s:
                del self._leaving[cookie]
                self._coverage.left(path)

    def read(self, events: list[RawEvent]) -> tuple[list[Change], list[bytes]]:
        """Return what some events say about files, and the cookies in them. Directories are followed at once."""
        paths = self._coverage.directories.path_of
        by_directory: dict[bytes, dict[bytes, Change]] = {}
        cookies = []
        overflowed, now_s = False, time.monotonic()
        for wd, mask, cookie, name in events:
            directory = paths.get(wd)
            if directory is None:
                overflowed = overflowed or bool(mask & inotify.OVERFLOW)
                if wd == self._cookie_wd and name:
                    cookies.append(name)
            elif mask & LOST:
                self._lost(wd, directory, mask)
            elif mask & inotify.ISDIR:
                for change in self._directory(directory + b"/" + name if directory else name, mask, cookie):
                    upper, _, last = change.path.rpartition(b"/")
                    _note(by_directory.setdefault(upper, {}), last, change)
            else:
                path = directory + b"/" + name if directory else name
                moved_from = self._lineage.came(path, cookie, now_s) if mask & inotify.MOVED_TO else ()
                vacated = bool(mask & inotify.MOVED_FROM)
                if vacated:
                    self._lineage.left(path, cookie, now_s)
                change = Change(path, kind_of(mask), moved_from, vacated)
                _note(by_directory.setdefault(directory, {}), name, change)
        hidden: set[bytes] = set()
        kept = [change for directory, found in by_directory.items() for change in self._kept(directory, found, hidden)]
        # What was renamed to an ignored name (an editor's backup copy) has not moved on, as far as anybody will know.
        changes = [change._replace(vacated=False) if change.path in hidden else change for change in kept]
        if overflowed:
            self._coverage.overflowed([path for path, _ in self._leaving.values()])
            cookies = os.listdir(self._scope.cookies) if self._scope.cookies is not None else []  # some may be among the lost
        return changes, cookies

    def _kept(self, directory: bytes, found: dict[bytes, Change], hidden: set[bytes]) -> list[Change]:
        """Return the changes to names that are not ignored; add to `hidden` what was renamed to one that is."""
        if not self._scope.ignore_files.isdisjoint(found):
            self._scope.ignore.forget(directory)
            self._coverage.scans.add(directory)
            self._coverage.cover(directory)
        ignored = self._scope.ignore.ignored(directory, found, ())
        if not ignored:
            return list(found.values())
        hidden.update(former[-1] for name in ignored for former in found[name].moved_from)
        return [change for name, change in found.items() if name not in ignored]

    # directories

    def _directory(self, path: bytes, mask: int, cookie: int) -> list[Change]:
        """Follow one event about a directory; return what is found in it."""
        if mask & inotify.ATTRIB:
            self._coverage.opened(path)
            return []
        if mask & inotify.MOVED_FROM:
            self._leaving[cookie] = (path, time.monotonic())
            return []
        if mask & inotify.DELETE:
            wd = self._coverage.directories.wd_of.get(path)
            if wd is not None:
                self._coverage.directories.forget(wd)
            elif path in self._ended:
                self._ended.discard(path)
            elif not self._coverage.is_ignored(path):
                self._coverage.scans.add(path)  # nobody saw what was deleted in it
            self._coverage.close_gaps(path)
            return []
        self._scope.ignore.forget(path)
        self._ended.discard(path)
        before = self._leaving.pop(cookie, (None, 0.0))[0] if mask & inotify.MOVED_TO else None
        for key, (left, _) in list(self._leaving.items()):
            if within(left, path) or within(path, left):
                del self._leaving[key]
                self._coverage.left(left)
        if before is not None:
            self._coverage.close_gaps(before)
            self._coverage.unwatch(self._coverage.directories.move(before, path))
        if self._coverage.is_ignored(path):
            if before is not None:
                self._coverage.left(before)
            self._coverage.unwatch(self._coverage.directories.drop(path))
            return []
        return self._appeared(path, before)

    def _appeared(self, path: bytes, before: bytes | None) -> list[Change]:
        found: list[bytes] = []
        self._coverage.cover(path, found)
        if len(found) > BURST_FILES:
            self._coverage.scans.update((path,) if before is None else (path, before))
            return []
        if before is None:
            return [Change(name, "found") for name in found]
        self._coverage.cover(before)  # RENAME_EXCHANGE: what was here is there now
        self._coverage.scans.add(before)  # what went along unseen
        now_s = time.monotonic()
        return [Change(name, "moved", self._lineage.moved(before + name[len(path) :], name, now_s)) for name in found]

    def _lost(self, wd: int, directory: bytes, mask: int) -> None:
        """Take note that the kernel watches a directory no more, or that the root itself went away."""
        if not directory:
            self.root_lost = True
        elif mask & inotify.UNMOUNT:
            self._coverage.unmounted(directory)
        if mask & (inotify.IGNORED | inotify.UNMOUNT):
            self._coverage.directories.forget(wd)
            if len(self._ended) < ENDED_KEPT:
                self._ended.add(directory)


def _note(found: dict[bytes, Change], name: bytes, change: Change) -> None:
    before = found.get(name)
    found[name] = change if before is None else merged(before, change)
