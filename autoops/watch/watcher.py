"""The watcher: keeps every root watched (`root.py`), and stores what was seen in one thread (`observer.py`).

Guarantee: each root gets one scan after its watches stand, and another whenever anything may have been missed, so that jobs
name every file there is; a root that vanished, or is another directory now, is a gap and never a heap of deletions.
Reads the roots; writes jobs, gaps and cookies through a `Sink` (queue.db), from one thread.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

from autoops import clock
from autoops.core.spoken import counted
from autoops.model import JSON
from autoops.runtime.maintenance import Maintenance
from autoops.watch.coverage import Legacy
from autoops.watch.observer import Observer, Sink
from autoops.watch.root import Place, Root, Settings, WatchedRoot

Plan = tuple[Sequence[WatchedRoot], Settings]


class Watcher:
    """The service (runtime.service.Service)."""

    name = "watcher"

    def __init__(
        self,
        load: Callable[[], Plan],
        open_sink: Callable[[], Sink],
        cookies: bytes | None = None,
        excluded: Sequence[bytes] = (),
    ) -> None:
        """Take where the plan comes from (asked again at reload), what opens the sink (called in the storing thread), the
        directory whose new files are answered by `Sink.cookie_seen`, and directories that are never watched (the state)."""
        self._load, self._open_sink, self._cookies = load, open_sink, cookies
        self._excluded = frozenset(os.path.realpath(path) for path in excluded)
        self._roots: list[Root] = []
        self._bell = -1
        self.facts: JSON = {}  # for those who wait for it: the roots that are watched, and those of them that are polled

    def open(self) -> None:
        """Watch every root; a root that cannot be watched is a gap."""
        plan = self._load()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._observer = Observer(self._open_sink, self._ring)
        self._observer.start()
        self._adopt(plan)

    def step(self, now_s: float) -> float:
        """Look after every root; return the seconds until something is due. Raises what a bug in one of the threads raised."""
        with contextlib.suppress(BlockingIOError):  # a timer woke us, nobody rang
            os.eventfd_read(self._bell)
        if self._observer.failure is not None:
            raise self._observer.failure
        due_s = min((root.tend(now_s) for root in self._roots), default=now_s + 3600)
        self._tell()
        return max(0.0, due_s - now_s)

    def status(self) -> str:
        """Return how much is watched."""
        if not self._roots:
            return "no root is configured: autoops root add DIR"
        directories = sum(root.directories for root in self._roots)
        gaps = sum(root.gaps for root in self._roots)
        return f"{counted(len(self._roots), 'root')}, {counted(directories, 'directory')} watched, {counted(gaps, 'gap')}"

    def reload(self) -> None:
        """Take over roots and settings; only what changed is watched anew."""
        self._adopt(self._load())

    def pause(self, window: Maintenance) -> None:
        """Go on: what happens during maintenance is enqueued, and waits for the worker."""

    def entered(self, window: Maintenance) -> None:
        """Go on all the same."""

    def resume(self, alive: Callable[[], None], was: Maintenance | None) -> None:
        """Nothing was stopped."""

    def close(self) -> None:
        """Stop watching; what was seen is stored."""
        for root in self._roots:
            root.stop()
        if self._bell >= 0:
            self._observer.stop()
            self._observer.join()
            os.close(self._bell)
            self._bell = -1

    def wake_fds(self) -> list[int]:
        """Return the bell that emitters ring."""
        return [self._bell]

    def _ring(self) -> None:
        os.eventfd_write(self._bell, 1)

    def _adopt(self, plan: Plan) -> None:
        wanted, settings = plan
        kept = [root for root in self._roots if root.root in wanted and root.settings == settings]
        for root in self._roots:
            if root not in kept:
                root.give_up()
        known = [root.root for root in kept]
        # a disk that is away is so under new settings too; all other gaps were given up
        legacies = {root.root.path: Legacy(mounts=root.legacy.mounts) for root in self._roots}
        now_s = clock.boottime_ns() / 1e9
        for new in wanted:
            if new not in known:
                place, legacy = Place(self._cookies, self._excluded), legacies.get(new.path, Legacy())
                kept.append(Root(new, settings, place, self._observer, self._ring, legacy))
                kept[-1].tend(now_s)
        self._roots = kept
        self._tell()

    def _tell(self) -> None:
        self.facts["roots"] = [root.root.name for root in self._roots if root.is_watched]
        self.facts["polled"] = [root.root.name for root in self._roots if root.is_polled]
