"""watchdog's emitter for Linux, on inotify: one thread per root that reads events and keeps every directory watched.

Guarantee: a directory is watched before it is listed, so nothing falls between; what cannot be watched is a gap with a reason,
and a scan stands for what was missed there. Idle, the thread sleeps without a timeout. Why not watchdog's own: it overflows in
a `git checkout` of 20,000 changes and is blind afterwards (watchdog issues 654, 673, 846).

Reads directories and ignore files below the root, /proc/self/mountinfo; writes nothing: all it learns goes into `pending`, and
one `BatchReady` through watchdog's queue says so.
"""

from __future__ import annotations

import errno
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from watchdog.events import FileSystemEvent
from watchdog.observers.api import EventEmitter

from autoops.files import inotify
from autoops.files.inotify import Inotify, RawEvent
from autoops.watch.changes import UNSETTLED, Change, kind_of, merged, within
from autoops.watch.coverage import BURST_FILES, Coverage, Identity, Legacy, Scope, identity
from autoops.watch.lineage import Lineage
from autoops.watch.pending import Pending

APPEARED = inotify.CREATE | inotify.MOVED_TO
LOST = inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT | inotify.IGNORED
HOLD_S = 0.1  # how long a file may be created before it is closed, and a directory on its way before it counts as gone
ENDED_KEPT = 10_000  # beyond, a scan of the directory costs a little and is right as well
PAIR_S = 0.001  # within which the second half of a rename follows the first
BUSY_WINDOW_S = 0.05
BUSY_EVENTS = 100  # in one window; above, reading pauses a little, so that one read takes many events
BUSY_PAUSE_S = 0.03  # the kernel's queue holds 16,384 events: half a million a second
RUSH_EVENTS = 1000  # in one window; above, it pauses for less
RUSH_PAUSE_S = 0.01


class BatchReady(FileSystemEvent):
    """Says that `pending` holds something. Never equal to another one: watchdog's queue drops repeated events."""

    event_type = "batch"
    __hash__ = object.__hash__

    def __init__(self, root: str, pending: Pending) -> None:
        super().__init__(root)
        self.pending = pending

    def __eq__(self, other: object) -> bool:
        return self is other


class InotifyEmitter(EventEmitter):
    """Watches one root. `start` returns when every directory is watched, or is a gap."""

    def __init__(
        self,
        event_queue: Any,
        watch: Any,
        *,
        scope: Scope,
        legacy: Legacy,
        pending: Pending,
        notify: Callable[[], None],
        timeout: float = 1.0,
    ) -> None:
        """Take what to watch, what the emitter before knew of it, where to put what is seen, and whom to call when `failure`,
        `root_lost` or `polled` has changed."""
        super().__init__(event_queue, watch, timeout=timeout)
        self.identity: Identity | None = None
        self.failure: BaseException | None = None
        self.root_lost = False
        self.polled: frozenset[bytes] = frozenset()  # mounts below the root that inotify does not see into
        self._scope, self._legacy, self._pending, self._notify = scope, legacy, pending, notify
        self._asked: deque[str] = deque()
        self._bell_lock = threading.Lock()  # nobody rings a descriptor that is closed
        self._bell = self._mount_table = self._cookie_wd = -1
        self._fresh: dict[bytes, tuple[Change, float]] = {}  # created, found or touched, not yet closed
        self._leaving: dict[int, tuple[bytes, float]] = {}  # cookie of a directory moved away: path, when
        self._lineage = Lineage()
        self._ended: set[bytes] = set()  # directories that were watched to their end, their deletion still to be told by the parent
        self._is_begun = False  # not even that when the observer had failed before
        self._seen = 0  # events in this window
        self._window_s = 0.0

    @property
    def directories(self) -> int:
        """How many directories are watched."""
        return len(self._coverage.directories) if self._is_begun else 0

    @property
    def gaps(self) -> int:
        """How many directories are not, though they should be."""
        return len(self._coverage.gaps) if self._is_begun else 0

    @property
    def legacy(self) -> Legacy:
        """What the next emitter of this root has to know, once this one has stopped."""
        return self._coverage.legacy if self._is_begun else self._legacy

    # --- life -------------------------------------------------------------------------------------------------------------

    def on_thread_start(self) -> None:
        """Watch everything there is. Runs in the thread that starts this one. Raises OSError when the root is not watchable."""
        self.identity = identity(self._scope.path)
        self._inotify = Inotify()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._mount_table = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._inotify.fileno(), select.POLLIN)
        self._poll.register(self._bell, select.POLLIN)
        self._poll.register(self._mount_table, select.POLLPRI)  # proc_pid_mounts(5): POLLPRI when something was (un)mounted
        self._coverage = Coverage(self._scope, self._inotify)
        self._is_begun = True
        if self._scope.cookies is not None:
            self._cookie_wd = self._inotify.add(self._scope.cookies, APPEARED | inotify.ONLYDIR)
        self._coverage.begin(self._legacy)
        if b"" not in self._coverage.directories.wd_of:
            self._close()
            raise OSError(errno.EACCES, self._coverage.gaps.get(b"", "gone"), self._scope.path)
        self._flush(time.monotonic())

    def run(self) -> None:
        """Read until stopped; what goes wrong ends in `failure`, for the service to find."""
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - a thread has no caller; the service raises it
            self.failure = error
        finally:
            self._close()
            self._notify()

    def on_thread_stop(self) -> None:
        """Ring, so that the thread sees that it is to stop. A thread that never ran closes here."""
        self._ring()
        if not self.is_alive() and threading.current_thread() is not self:
            self._close()

    def ask(self, what: str) -> None:
        """Have the thread "retry" what found no watch, or look at every directory again ("rescan")."""
        self._asked.append(what)
        self._ring()

    def _ring(self) -> None:
        with self._bell_lock:
            if self._bell >= 0:
                os.eventfd_write(self._bell, 1)

    def _close(self) -> None:
        with self._bell_lock:
            if self._bell >= 0:
                self._inotify.close()
                os.close(self._bell)
                os.close(self._mount_table)
                self._bell = self._mount_table = -1

    # --- one turn ---------------------------------------------------------------------------------------------------------

    def queue_events(self, timeout: float) -> None:
        """Wait for events, or for somebody who rings; report what they were."""
        waiting = self._fresh or self._leaving
        ready = dict(self._poll.poll(HOLD_S * 1000 if waiting else None))
        if self._bell in ready:
            os.eventfd_read(self._bell)
            while self._asked:
                self._coverage.retry(everything=self._asked.popleft() == "rescan")
        if self._mount_table in ready:
            self._coverage.mounts_changed()
        cookies: list[bytes] = []
        changes: list[Change] = []
        if self._inotify.fileno() in ready:
            changes, cookies = self._read(self._events())
        self._flush(time.monotonic(), changes, cookies)
        self._pause()

    def _pause(self) -> None:
        now_s = time.monotonic()
        if now_s - self._window_s > BUSY_WINDOW_S:
            self._window_s, self._seen = now_s, 0
        elif self._seen > BUSY_EVENTS:
            time.sleep(BUSY_PAUSE_S if self._seen < RUSH_EVENTS else RUSH_PAUSE_S)

    def _flush(self, now_s: float, changes: list[Change] | None = None, cookies: list[bytes] | None = None) -> None:
        """Hand over what is known; files just created, and directories on their way, are held a moment unless a cookie asks."""
        ready = []
        for change in changes or ():
            held = self._fresh.pop(change.path, None)
            if change.kind in UNSETTLED:
                self._fresh[change.path] = (merged(held[0], change) if held else change, held[1] if held else now_s)
            else:
                ready.append(merged(held[0], change) if held else change)
        if self._fresh:
            due = [path for path, (_, at_s) in self._fresh.items() if cookies or now_s - at_s >= HOLD_S]
            ready += [self._fresh.pop(path)[0] for path in due]
        for cookie, (path, at_s) in list(self._leaving.items()):
            if cookies or now_s - at_s >= HOLD_S:
                del self._leaving[cookie]
                self._coverage.left(path)
        scans, self._coverage.scans = self._coverage.scans, set()
        gaps, self._coverage.gap_changes = self._coverage.gap_changes, []
        if self.polled != self._coverage.polled:
            self.polled = self._coverage.polled
            self._notify()
        if self._pending.add(ready, scans, gaps, cookies or ()):
            self.queue_event(BatchReady(os.fsdecode(self._scope.path), self._pending))

    def _events(self) -> list[RawEvent]:
        """Return the events that wait. The kernel tells of a rename in two; a read may fall between them."""
        events = list(inotify.parse(self._inotify.read()))
        while events and events[-1][1] & inotify.MOVED_FROM:
            time.sleep(PAIR_S)
            more = list(inotify.parse(self._inotify.read()))
            if not more:
                break  # it left the tree
            events += more
        return events

    def _read(self, events: list[RawEvent]) -> tuple[list[Change], list[bytes]]:
        """Return what some events say about files, and the cookies in them. Directories are followed at once."""
        paths = self._coverage.directories.path_of
        by_directory: dict[bytes, dict[bytes, Change]] = {}
        cookies = []
        overflowed, now_s = False, time.monotonic()
        for wd, mask, cookie, name in events:
            self._seen += 1
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

    # --- directories ------------------------------------------------------------------------------------------------------

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
            self._notify()
        elif mask & inotify.UNMOUNT:
            self._coverage.unmounted(directory)
        if mask & (inotify.IGNORED | inotify.UNMOUNT):
            self._coverage.directories.forget(wd)
            if len(self._ended) < ENDED_KEPT:
                self._ended.add(directory)


def _note(found: dict[bytes, Change], name: bytes, change: Change) -> None:
    before = found.get(name)
    found[name] = change if before is None else merged(before, change)
