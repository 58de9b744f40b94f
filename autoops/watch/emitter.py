"""watchdog's emitter for Linux, on inotify: one thread per root that reads events and keeps every directory watched.

Guarantee: a directory is watched before it is listed, so nothing falls between; what cannot be watched is a gap with a reason,
and a scan stands for what was missed there. Idle, the thread sleeps without a timeout. Why not watchdog's own: it overflows in
a `git checkout` of 20,000 changes and is blind afterwards (watchdog issues 654, 673, 846).

Reads directories and ignore files below the root, /proc/self/mountinfo; writes nothing: all it learns goes into `pending`, and
one `BatchReady` through watchdog's queue says so.
"""

from __future__ import annotations

import contextlib
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
from autoops.watch.changes import UNSETTLED, Change, merged
from autoops.watch.coverage import Coverage, Identity, Legacy, Scope, identity
from autoops.watch.pending import Pending
from autoops.watch.reading import Reader

APPEARED = inotify.CREATE | inotify.MOVED_TO
HOLD_S = 0.1  # how long a file may be created before it is closed, and a directory on its way before it counts as gone
PAIR_S = 0.001  # within which the second half of a rename follows the first
PAIR_READS = 4  # for it; a tree that is emptied by renames is told of in first halves only, for as long as that lasts
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
    ) -> None:
        """Take what to watch, what the emitter before knew of it, where to put what is seen, and whom to call when `failure`,
        `root_lost` or `polled` has changed."""
        super().__init__(event_queue, watch)
        self.identity: Identity | None = None
        self.failure: BaseException | None = None
        self.root_lost = False
        self.polled: frozenset[bytes] = frozenset()  # mounts below the root that inotify does not see into
        self._scope, self._legacy, self._pending, self._notify = scope, legacy, pending, notify
        self._asked: deque[str] = deque()
        self._bell_lock = threading.Lock()  # nobody rings a descriptor that is closed
        self._opened = contextlib.ExitStack()
        self._bell = -1
        self._fresh: dict[bytes, tuple[Change, float]] = {}  # created, found or touched, not yet closed
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
        try:
            self._open()
            self._coverage.begin(self._legacy)
            if b"" not in self._coverage.directories.wd_of:
                raise OSError(errno.EACCES, self._coverage.gaps.get(b"", "gone"), self._scope.path)
        except OSError:
            self._close()
            raise
        self._flush(time.monotonic())

    def _open(self) -> None:
        self._inotify = Inotify()
        self._opened.callback(self._inotify.close)
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._opened.callback(os.close, self._bell)
        self._mount_table = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._opened.callback(os.close, self._mount_table)
        self._poll = select.poll()
        self._poll.register(self._inotify.fileno(), select.POLLIN)
        self._poll.register(self._bell, select.POLLIN)
        self._poll.register(self._mount_table, select.POLLPRI)  # proc_pid_mounts(5): POLLPRI when something was (un)mounted
        self._coverage = Coverage(self._scope, self._inotify)
        cookies = self._scope.cookies
        cookie_wd = -1 if cookies is None else self._inotify.add(cookies, APPEARED | inotify.ONLYDIR)
        self._reader = Reader(self._scope, self._coverage, cookie_wd)
        self._is_begun = True

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
            self._bell = -1
            self._opened.close()

    # --- one turn ---------------------------------------------------------------------------------------------------------

    def queue_events(self, timeout: float) -> None:
        """Wait for events, or for somebody who rings; report what they were."""
        waiting = self._fresh or self._reader.any_on_their_way
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
            changes, cookies = self._reader.read(self._events())
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
        self._reader.give_up(now_s if cookies else now_s - HOLD_S)
        scans, self._coverage.scans = self._coverage.scans, set()
        gaps, self._coverage.gap_changes = self._coverage.gap_changes, []
        if (self.polled, self.root_lost) != (self._coverage.polled, self._reader.root_lost):
            self.polled, self.root_lost = self._coverage.polled, self._reader.root_lost
            self._notify()
        if self._pending.add(ready, scans, gaps, cookies or ()):
            self.queue_event(BatchReady(os.fsdecode(self._scope.path), self._pending))

    def _events(self) -> list[RawEvent]:
        """Return the events that wait. The kernel tells of a rename in two; a read may fall between them."""
        events = list(inotify.parse(self._inotify.read()))
        for _ in range(PAIR_READS):
            if not events or not events[-1][1] & inotify.MOVED_FROM:
                break
            time.sleep(PAIR_S)
            more = list(inotify.parse(self._inotify.read()))
            if not more:
                break  # it left the tree
            events += more
        self._seen += len(events)
        return events
