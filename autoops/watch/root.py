"""One root that is kept watched: its emitters, tried again when they end, and what is told of it while it has none.

Guarantee: a scan stands for all that happened while nobody watched; what is not watched is a gap with a reason. Reads the root and
/proc/self/mountinfo; what it finds goes to the observer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from autoops import log
from autoops.files import mounts
from autoops.files.ignore import Ignore
from autoops.watch.coverage import Identity, Legacy, Scope, identity
from autoops.watch.emitter import InotifyEmitter
from autoops.watch.observer import Observer, Source
from autoops.watch.pending import GapChange
from autoops.watch.polling import TreePoller


class WatchedRoot(NamedTuple):
    """One tree to watch."""

    name: str
    path: bytes  # absolute
    patterns: tuple[str, ...] = ()  # .gitignore patterns of the configuration
    ignore_files: tuple[bytes, ...] = (b".gitignore",)


class Settings(NamedTuple):
    """How all roots are watched."""

    settle_s: float = 2.0
    min_age_s: float = 0.0
    poll_interval_s: float = 60.0
    poll_kinds: frozenset[str] = frozenset()  # file-system types that are polled
    rescan_s: float = 86400.0
    retry_s: float = 30.0  # how often what is not watched is tried again, and the root looked at


class Place(NamedTuple):
    """Where the watcher itself is."""

    cookies: bytes | None  # the directory whose new files are answered
    excluded: frozenset[bytes]  # directories that are never watched, absolute and without links


class Root:
    """One root and its emitters: one for the tree, one for each mount below it that must be polled."""

    def __init__(
        self,
        root: WatchedRoot,
        settings: Settings,
        place: Place,
        observer: Observer,
        ring: Callable[[], None],
        legacy: Legacy,
    ) -> None:
        self.root, self.settings, self.legacy = root, settings, legacy
        self._place, self._observer, self._ring = place, observer, ring
        self._source = Source(root.name, settings.settle_s, settings.min_age_s)
        self._watch: Any = None
        self._polls: dict[bytes, Any] = {}  # mount below the root: its watch
        self._missing: dict[bytes, str] = {}  # what has no emitter: why
        self._was: Identity | None = None
        self._retry_s = self._rescan_s = 0.0  # when due
        self._begun_s = float("-inf")

    @property
    def is_watched(self) -> bool:
        """Whether its changes are found at all."""
        return self._watch is not None

    @property
    def is_polled(self) -> bool:
        """Whether its changes are found by looking, so that they are known late."""
        return self._watch is not None and not isinstance(self._observer.emitter_of(self._watch), InotifyEmitter)

    @property
    def directories(self) -> int:
        """How many directories are watched."""
        watches = [watch for watch in (self._watch, *self._polls.values()) if watch is not None]
        return sum(self._observer.emitter_of(watch).directories for watch in watches)

    @property
    def gaps(self) -> int:
        """How many directories are not."""
        return len(self._missing) + (self._observer.emitter_of(self._watch).gaps if self._watch is not None else 0)

    def tend(self, now_s: float) -> float:
        """Do what is due; return when something is due again, in seconds since boot."""
        if self._watch is not None and (reason := self._trouble()):
            log.emit("watch_restarted", root=self.root.name, reason=reason)
            self.stop()
            self._miss(b"", reason)
            self._retry_s = max(now_s, self._begun_s + self.settings.retry_s)  # at once, but not again and again
        due = now_s >= self._retry_s
        if due:
            self._retry_s = now_s + self.settings.retry_s
        if self._watch is None:
            if due:
                self._start(now_s)
        elif now_s >= self._rescan_s:
            self._rescan_s = self._next_rescan_s(now_s)
            self._ask("rescan")
            self._report(scans=[b""])
        elif due and self._observer.emitter_of(self._watch).gaps:
            self._ask("retry")
        if self._watch is not None:
            self._tend_polls(due)
        return min(self._retry_s, self._rescan_s) if self._watch is not None else self._retry_s

    def stop(self) -> None:
        """Stop all emitters of this root."""
        emitter = None if self._watch is None else self._observer.emitter_of(self._watch)
        for watch in (self._watch, *self._polls.values()):
            if watch is not None:
                self._observer.unwatch(watch)
        if isinstance(emitter, InotifyEmitter):
            self.legacy = emitter.legacy
        self._watch = None
        self._polls.clear()

    def give_up(self) -> None:
        """Stop, and miss nothing: the root is one no more, or is begun anew."""
        self.stop()
        self._report(gaps=[GapChange(False, None, "given up")])

    def _trouble(self) -> str:
        """Return why the root's emitter is of no use any more, "" when it is."""
        emitter = self._observer.emitter_of(self._watch)
        if died := _died(emitter):
            return died
        try:
            found = os.stat(self.root.path)
        except OSError as error:
            return f"root is gone: {error.strerror}"
        if (found.st_dev, found.st_ino) != emitter.identity[:2]:
            return "root is another directory now"
        return "root was moved, removed or unmounted" if emitter.root_lost else ""

    def _next_rescan_s(self, now_s: float) -> float:
        return now_s + self.settings.rescan_s if self.settings.rescan_s else float("inf")  # 0: never

    def _start(self, now_s: float) -> None:
        try:
            scope = self._scope()
            now = identity(scope.path)
            if self._was is not None and self._was.is_mount and not now.is_mount:
                self._miss(b"", "root is not mounted")
                return
            polled = mounts.kind_of(scope.path) in self.settings.poll_kinds
            self._watch = self._observer.watch(os.fsdecode(scope.path), self._poller(scope) if polled else self._listener(scope))
        except OSError as error:
            self._miss(b"", f"root cannot be watched: {error.strerror or error}")
            return
        self._was = self._observer.emitter_of(self._watch).identity
        self._begun_s = now_s
        self._rescan_s = self._next_rescan_s(now_s)
        self._found(b"")

    def _tend_polls(self, due: bool) -> None:
        wanted = self._observer.emitter_of(self._watch).polled
        for path, watch in list(self._polls.items()):
            died = _died(self._observer.emitter_of(watch))
            if path not in wanted or died:
                self._observer.unwatch(watch)
                del self._polls[path]
                if died and path in wanted:
                    self._miss(path, died)
        for path in wanted - self._polls.keys():
            if path not in self._missing or due:
                self._poll(path)

    def _poll(self, path: bytes) -> None:
        scope = self._scope()
        try:
            top = os.fsdecode(os.path.join(scope.path, path))
            self._polls[path] = self._observer.watch(top, self._poller(scope._replace(cookies=None)))
        except OSError as error:
            self._miss(path, f"cannot be polled: {error.strerror or error}")
        else:
            self._found(path)

    def _scope(self) -> Scope:
        root, place = self.root, self._place
        path = os.path.realpath(root.path)
        ignore = Ignore(path, root.patterns, root.ignore_files)
        return Scope(path, ignore, frozenset(root.ignore_files), place.excluded, self.settings.poll_kinds, place.cookies)

    def _listener(self, scope: Scope) -> Callable[[Any, Any], InotifyEmitter]:
        legacy = self.legacy
        return lambda queue, watch: InotifyEmitter(
            queue, watch, scope=scope, legacy=legacy, pending=self._source, notify=self._ring
        )

    def _poller(self, scope: Scope) -> Callable[[Any, Any], TreePoller]:
        interval_s = self.settings.poll_interval_s
        return lambda queue, watch: TreePoller(
            queue, watch, scope=scope, pending=self._source, notify=self._ring, interval_s=interval_s
        )

    def _ask(self, what: str) -> None:
        emitter = self._observer.emitter_of(self._watch)
        if isinstance(emitter, InotifyEmitter):
            emitter.ask(what)

    def _miss(self, path: bytes, reason: str) -> None:
        if self._missing.get(path) != reason:
            before = self._missing.pop(path, None)
            gaps = [] if before is None else [GapChange(False, path, before)]
            self._missing[path] = reason
            self._report(gaps=[*gaps, GapChange(True, path, reason)])

    def _found(self, path: bytes) -> None:
        """Close the gap of a tree that is watched now; a scan stands for what happened before."""
        before = self._missing.pop(path, None)
        self._report(scans=[path], gaps=[] if before is None else [GapChange(False, path, before)])

    def _report(self, scans: Sequence[bytes] = (), gaps: Sequence[GapChange] = ()) -> None:
        if self._source.add(scans=scans, gaps=gaps):
            self._observer.announce(self._source)


def _died(emitter: Any) -> str:
    """Return why an emitter ended that nobody stopped, "" while it lives. Raises what no file system raises: a bug, which a new
    emitter would meet again."""
    failure = emitter.failure
    if failure is not None and not isinstance(failure, OSError):
        raise failure
    return "" if failure is None and emitter.is_alive() else f"emitter died: {failure!r}"
