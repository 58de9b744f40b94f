"""Which paths were looked at on their own lately: what a scan found before that is stale, and must not undo it.

A scan lists a directory, and registers what it found a while later, with a batch. A file that was changed, looked at and registered
in between would fall back to what the scan saw. So the scan asks here first, and has such a file looked at again.
"""

from __future__ import annotations

import time

_KEPT = 100_000


class Fresh:
    """Times (monotonic, seconds) at which path jobs ended, by job key, as long as a scan is on its way."""

    def __init__(self) -> None:
        self._ended_s: dict[bytes, float] = {}
        self._newest_s = 0.0  # the last of them
        self._forgotten_s = 0.0  # what ended before is not kept any more
        self.wanted = False

    def note(self, key: bytes) -> None:
        """A path job ended now."""
        if not self.wanted:
            return
        self._ended_s.pop(key, None)  # so that the dict is in order of time
        self._ended_s[key] = self._newest_s = time.monotonic()
        if len(self._ended_s) > _KEPT:
            oldest = next(iter(self._ended_s))
            self._forgotten_s = self._ended_s.pop(oldest)

    def any_since(self, asked_s: float) -> bool:
        """Tell whether any path at all was looked at after a directory was asked for."""
        return self._newest_s >= asked_s

    def is_stale(self, key: bytes, asked_s: float) -> bool:
        """Tell whether a path was, or may have been, looked at after a directory was asked for."""
        return self._ended_s.get(key, 0.0) >= asked_s or self._forgotten_s >= asked_s

    def forget(self) -> None:
        """No scan is on its way any more."""
        self._ended_s.clear()
        self._newest_s, self._forgotten_s, self.wanted = 0.0, 0.0, False
