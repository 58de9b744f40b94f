"""watchdog's observer, with an emitter of the right kind for each tree, and one thread that stores what they report.

Guarantee: the sink is opened, used and closed by this thread alone (a database belongs to its thread); what is taken from one
root is stored in the order jobs, gaps, cookies, but before all which disks are away, for that says what a scan may call missing;
an error does not kill the thread unseen: it ends in `failure`, and `notify` is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from watchdog.events import FileSystemEventHandler
from watchdog.observers.api import BaseObserver, EventDispatcher, EventEmitter

from autoops import log
from autoops.model import Work
from autoops.watch.changes import scan, to_work
from autoops.watch.emitter import BatchReady
from autoops.watch.pending import UNMOUNTED, GapChange, Pending

CHUNK = 2000  # jobs in one transaction: short enough for others who write the queue


class Sink(Protocol):
    """Where the watcher's knowledge goes."""

    def enqueue(self, works: Sequence[Work]) -> object:
        """Store jobs, durably enough that a restart with its scan makes up for the rest."""

    def gap_opened(self, root: str, path: bytes, reason: str, detail: str) -> None:
        """Record that a directory of a root is not watched from now on."""

    def gap_closed(self, root: str, path: bytes | None, reason: str) -> None:
        """Record that it is watched again; path None: of this root nothing is missed any more."""

    def cookie_seen(self, name: bytes, source: str) -> None:
        """Record that everything the root named `source` saw before this cookie is enqueued."""

    def close(self) -> None:
        """Give everything back."""


class Source(Pending):
    """What one root has to report, and how long its jobs wait."""

    def __init__(self, root: str, settle_s: float, min_age_s: float) -> None:
        super().__init__()
        self.root, self.settle_s, self.min_age_s = root, settle_s, min_age_s


class Observer(BaseObserver):
    """All emitters of this process and the thread that empties their queue."""

    def __init__(self, open_sink: Callable[[], Sink], notify: Callable[[], None]) -> None:
        super().__init__(self._made)  # type: ignore[arg-type]  # watchdog only calls it
        self.failure: BaseException | None = None
        self._open_sink, self._notify = open_sink, notify
        self._recipes: dict[str, Callable[[Any, Any], EventEmitter]] = {}

    def watch(self, path: str, recipe: Callable[[Any, Any], EventEmitter]) -> Any:
        """Start the emitter that `recipe(queue, watch)` makes for a path; return the watch. Raises OSError."""
        self._recipes[path] = recipe
        return self.schedule(FileSystemEventHandler(), path, recursive=True)

    def emitter_of(self, watch: Any) -> Any:
        """Return the emitter of a watch."""
        return self._emitter_for_watch[watch]

    def unwatch(self, watch: Any) -> None:
        """Stop the emitter of a watch; what it reported is still stored."""
        self.unschedule(watch)

    def announce(self, source: Source) -> None:
        """Have the thread store what is pending of a source."""
        self.event_queue.put((BatchReady(source.root, source), None))

    def _made(self, event_queue: Any, watch: Any, **_: Any) -> EventEmitter:
        return self._recipes[watch.path](event_queue, watch)

    def run(self) -> None:
        """Store until stopped."""
        sink = None
        try:
            sink = self._open_sink()
            while self.should_keep_running():
                entry = self.event_queue.get()
                if entry is not EventDispatcher.stop_event:
                    store(entry[0].pending, sink)
            for _ in range(self.event_queue.qsize()):  # reported before the end
                entry = self.event_queue.get()
                if entry is not EventDispatcher.stop_event:
                    store(entry[0].pending, sink)
        except Exception as error:  # noqa: BLE001 - a thread has no caller; the service raises it
            self.failure = error
            self._notify()
        finally:
            if sink is not None:
                sink.close()


def store(source: Source, sink: Sink) -> None:
    """Take what is pending of a source and store it."""
    batch = source.take()
    _store_gaps([gap for gap in batch.gaps if gap.reason == UNMOUNTED], source.root, sink)
    works = [to_work(change, source.root, source.settle_s, source.min_age_s) for change in batch.changes]
    works += [scan(path, source.root) for path in batch.scans]
    for start in range(0, len(works), CHUNK):
        sink.enqueue(works[start : start + CHUNK])
    if works:
        log.emit("jobs_enqueued", count=len(works), root=source.root)
    _store_gaps([gap for gap in batch.gaps if gap.reason != UNMOUNTED], source.root, sink)
    for name in batch.cookies:
        sink.cookie_seen(name, source.root)


def _store_gaps(gaps: Sequence[GapChange], root: str, sink: Sink) -> None:
    for gap in gaps:
        if gap.opened and gap.path is not None:
            sink.gap_opened(root, gap.path, gap.reason, gap.detail)
            log.emit("watch_gap_opened", root=root, path=gap.path, reason=gap.reason, detail=gap.detail)
            if gap.reason == "overflow":
                log.emit("watch_overflowed", root=root)
        else:
            sink.gap_closed(root, gap.path, gap.reason)
            log.emit("watch_gap_closed", root=root, path=gap.path or b"", reason=gap.reason)
