"""One line on a terminal that is written over while something long goes on."""

from __future__ import annotations

import sys
import time

_EVERY_S = 0.2


class Progress:
    """The line; nothing is written where nobody looks. As a context manager it takes the line away at the end, a bad one too."""

    def __init__(self) -> None:
        self._is_shown, self._next_s = sys.stdout.isatty() and sys.stderr.isatty(), 0.0
        self._what, self._done_bytes = "", 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def show(self, line: str) -> None:
        """Say how far it is."""
        if self._is_shown and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _EVERY_S
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    def bytes(self, what: str, done_bytes: int) -> None:
        """Say what is being done, and how many bytes of it were done since this was called last."""
        self._done_bytes = done_bytes + (self._done_bytes if what == self._what else 0)
        self._what = what
        self.show(f"{what}: {self._done_bytes / 1e6:,.0f} MB" if self._done_bytes else f"{what} ...")

    def end(self) -> None:
        """Take the line away."""
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
