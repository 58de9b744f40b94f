"""watchdog's emitter for file systems whose changes inotify does not see, network mounts and FUSE: it looks, and compares.

Guarantee: links are not followed; one turn's differences are handed over at once; a tree that vanished, or that cannot be read now,
reports no deletions and answers no cookie: it ends the thread with a `failure`. Reads the tree each interval, and the cookie
directory; writes nothing. Why not watchdog's own poller: which errors it passes over differs from release to release.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from watchdog.observers.api import EventEmitter
from watchdog.utils.dirsnapshot import DirectorySnapshot, DirectorySnapshotDiff

from autoops.core.hints import Former
from autoops.watch.changes import Change, Kind
from autoops.watch.coverage import Identity, Scope, identity
from autoops.watch.emitter import BatchReady
from autoops.watch.pending import Pending


class Snapshot(DirectorySnapshot):
    """What is in a tree. Raises OSError when that cannot be told, but for directories below that we may not read."""

    directories = 1  # the top

    def walk(self, root: str) -> Iterator[tuple[str, os.stat_result]]:
        """Yield everything below. By a loop, not as watchdog does: a tree may be deeper than Python's stack."""
        todo = [root]
        while todo:
            directory = todo.pop()
            for path in _paths_in(directory, is_top=directory == root):
                try:
                    found = self.stat(path)
                except OSError:
                    continue  # gone again; or a mount that is dead, in which the worker will not look either
                if stat.S_ISDIR(found.st_mode):
                    self.directories += 1
                    todo.append(path)
                yield path, found


class TreePoller(EventEmitter):
    """Polls one root, or one mount below it."""

    gaps = 0
    root_lost = False
    polled: frozenset[bytes] = frozenset()

    def __init__(
        self, event_queue: Any, watch: Any, *, scope: Scope, pending: Pending, notify: Callable[[], None], interval_s: float
    ) -> None:
        """Take what `InotifyEmitter` takes; the watch's path is the root, or the mount below it, to poll every `interval_s`."""
        super().__init__(event_queue, watch, timeout=interval_s)
        self.identity: Identity | None = None
        self.failure: BaseException | None = None
        self._scope, self._pending, self._notify = scope, pending, notify
        self._start = len(scope.path.rstrip(b"/")) + 1
        self._changes: list[Change] = []
        self._scans: set[bytes] = set()
        self._answered: set[bytes] = set()
        self.directories = 0  # that were there at the last look

    def on_thread_start(self) -> None:
        """Take the first snapshot. Raises OSError."""
        self.identity = identity(os.fsencode(self.watch.path))
        self._answered = self._cookies()
        self._snapshot = self._look()

    def run(self) -> None:
        """Poll until stopped, or until the tree is gone."""
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - a thread has no caller; the service looks at it
            self.failure = error
        finally:
            self._notify()

    def queue_events(self, timeout: float) -> None:
        """Wait one interval, look, and report; cookies that were there before the look are answered after it. Raises OSError."""
        if self.stopped_event.wait(timeout):
            return
        cookies = self._cookies()
        before, self._snapshot = self._snapshot, self._look()
        if self._snapshot.inode(self.watch.path) != before.inode(self.watch.path):
            raise FileNotFoundError(f"{self.watch.path!r} is another directory now")
        self._compare(DirectorySnapshotDiff(before, self._snapshot))
        changes, self._changes = self._changes, []
        scans, self._scans = self._scans, set()
        if self._pending.add(changes, scans, cookies=sorted(cookies - self._answered)):
            self.queue_event(BatchReady(os.fsdecode(self._scope.path), self._pending))
        self._answered = cookies

    def _look(self) -> Snapshot:
        found = Snapshot(self.watch.path, stat=os.lstat)
        self.directories = found.directories
        return found

    def _compare(self, found: DirectorySnapshotDiff) -> None:
        for path in found.files_deleted:
            self._keep(os.fsencode(path), "gone")
        for path in (*found.files_modified, *found.files_created):
            self._keep(os.fsencode(path), "found")
        for before, after in found.files_moved:
            self._keep(os.fsencode(before), "gone")
            self._keep(os.fsencode(after), "moved", ((os.fsencode(before)[self._start :],),))

    def _keep(self, path: bytes, kind: Kind, moved_from: tuple[Former, ...] = ()) -> None:
        if any(path.startswith(directory + b"/") for directory in self._scope.excluded):
            return
        below, ignore = path[self._start :], self._scope.ignore
        directory, _, name = below.rpartition(b"/")
        if name in self._scope.ignore_files:
            ignore.forget(directory)
            if not directory or not ignore.is_ignored(directory, True):
                self._scans.add(directory)
        if not ignore.is_ignored(below, False):
            self._changes.append(Change(below, kind, moved_from))

    def _cookies(self) -> set[bytes]:
        return set(os.listdir(self._scope.cookies)) if self._scope.cookies is not None else set()


def _paths_in(directory: str, *, is_top: bool) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.path for entry in entries]
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR) or (error.errno == errno.EACCES and not is_top):
            return []  # gone again, or not for us
        raise
