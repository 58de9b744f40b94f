"""watchdog's polling emitter for file systems whose changes inotify does not see: network mounts, FUSE.

Guarantee: links are not followed; one turn's differences are handed over at once; a tree that vanished reports no deletions, it
ends the thread with a `failure`. Reads the tree each interval, and the cookie directory; writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from watchdog.events import FileSystemEvent
from watchdog.observers.polling import PollingEmitter

from autoops.core.hints import Former
from autoops.watch.changes import Change, Kind
from autoops.watch.coverage import Identity, Scope, identity
from autoops.watch.emitter import BatchReady
from autoops.watch.pending import Pending

KINDS: dict[str, Kind] = {"created": "found", "modified": "found", "moved": "moved", "deleted": "gone"}


class TreePoller(PollingEmitter):
    """Polls one root, or one mount below it."""

    gaps = 0
    root_lost = False
    polled: frozenset[bytes] = frozenset()

    def __init__(
        self, event_queue: Any, watch: Any, *, scope: Scope, pending: Pending, notify: Callable[[], None], interval_s: float
    ) -> None:
        """Take what `InotifyEmitter` takes; the watch's path is the root, or the mount below it, to poll every `interval_s`."""
        super().__init__(event_queue, watch, timeout=interval_s, stat=os.lstat)
        self.identity: Identity | None = None
        self.failure: BaseException | None = None
        self._scope, self._pending, self._notify = scope, pending, notify
        self._top = os.fsencode(watch.path)
        self._start = len(scope.path.rstrip(b"/")) + 1
        self._changes: list[Change] = []
        self._answered: set[bytes] = set()

    @property
    def directories(self) -> int:
        """How many directories were there at the last look."""
        return sum(self._snapshot.isdir(path) for path in self._snapshot.paths)

    def on_thread_start(self) -> None:
        """Take the first snapshot. Raises OSError."""
        self.identity = identity(self._top)
        self._answered = self._cookies()
        super().on_thread_start()

    def run(self) -> None:
        """Poll until stopped, or until the tree is gone."""
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - a thread has no caller; the service looks at it
            self.failure = error
        finally:
            self._notify()

    def queue_event(self, event: FileSystemEvent) -> None:
        """Keep one difference until the turn is over."""
        path = os.fsencode(event.src_path)
        if path == self._top and event.event_type == "deleted":
            self.failure = FileNotFoundError(f"{event.src_path!r} is gone")
        if event.is_directory or event.event_type not in KINDS or self.failure:
            return
        if event.event_type == "moved":
            self._keep(path, "gone")
            self._keep(os.fsencode(event.dest_path), "moved", ((path[self._start :],),))
        else:
            self._keep(path, KINDS[event.event_type])

    def _keep(self, path: bytes, kind: Kind, moved_from: tuple[Former, ...] = ()) -> None:
        below = path[self._start :]
        if any(path.startswith(directory + b"/") for directory in self._scope.excluded):
            return
        upper, _, name = below.rpartition(b"/")
        if name in self._scope.ignore_files:
            self._scope.ignore.forget(upper)
        if not self._scope.ignore.is_ignored(below, False):
            self._changes.append(Change(below, kind, moved_from))

    def queue_events(self, timeout: float) -> None:
        """Wait one interval, look, and report; cookies that were there before the look are answered after it."""
        if self.stopped_event.wait(timeout):
            return
        cookies = self._cookies()
        super().queue_events(0)
        changes, self._changes = self._changes, []
        if self._pending.add(changes, cookies=sorted(cookies - self._answered)):
            super().queue_event(BatchReady(os.fsdecode(self._scope.path), self._pending))
        self._answered = cookies

    def _cookies(self) -> set[bytes]:
        return set(os.listdir(self._scope.cookies)) if self._scope.cookies is not None else set()
