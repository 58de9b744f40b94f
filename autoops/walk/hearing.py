"""Has the watcher heard everything that happened up to now, so that it is in the queue?

A cookie, a file made in `queue/cookies`, comes back through the event stream of each root: then all that happened before it has
been enqueued. Reads queue.db; makes and removes cookies.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from autoops import clock
from autoops.store.database import Database
from autoops.store.operations import Cookies, Heartbeats

_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.0005, 0.02


class Listener(NamedTuple):
    """A watcher that runs: the roots it listens to, and those that it polls and that answer with the next look only."""

    heard: frozenset[str]
    polled: frozenset[str]


class Hearing:
    """One asker."""

    def __init__(self, database: Database, cookies: Path) -> None:
        self._beats, self._seen, self._directory = Heartbeats(database), Cookies(database), cookies

    def tidy(self) -> None:
        """Remove what killed askers left behind."""
        for cookie in self._directory.iterdir():
            asker = cookie.name.partition("-")[0]
            if not clock.is_process(asker):
                cookie.unlink(missing_ok=True)

    def listener(self) -> Listener | None:
        """Return the watcher, None when none runs."""
        beat = self._beats.of("watcher")
        if beat is None or not clock.is_alive(beat.boot_id, beat.pid, beat.start):
            return None
        polled = frozenset(beat.facts.get("polled", ()))
        return Listener(frozenset(beat.facts.get("roots", ())) - polled, polled)

    def up_to_now(self, roots: Collection[str], deadline_s: float) -> bool:
        """Wait until what happened in these roots up to now is in the queue; False when the deadline (monotonic) comes first."""
        cookie = self._directory / f"{os.getpid()}-{time.monotonic_ns()}"
        cookie.touch(mode=0o600)
        try:
            return self._answered(cookie.name, list(roots), deadline_s)
        finally:
            cookie.unlink(missing_ok=True)

    def _answered(self, name: str, waiting: list[str], deadline_s: float) -> bool:
        pause_s = _FIRST_LOOK_S
        while waiting := [root for root in waiting if not self._seen.seen(root, name)]:
            if time.monotonic() > deadline_s:
                return False
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_LOOK_S)
        return True
