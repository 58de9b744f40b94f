"""What was renamed to which name lately, and under which names it went before: the kernel's renames of the last seconds.

Guarantee: bounded in number and age. Names are used again, so what is old says nothing. Pure bookkeeping.
"""

from __future__ import annotations

from autoops.core.hints import Former

LIMIT = 10_000  # names, and files on their way
KEPT_S = 10.0  # by then the worker has seen to each rename by itself
LONGEST = 16  # names of one file, and renames to one name


class Lineage:
    """The renames to each present name."""

    def __init__(self) -> None:
        self._arrivals: dict[bytes, tuple[tuple[Former, ...], float]] = {}  # in order of time
        self._leaving: dict[int, Former] = {}  # cookie of a rename: the names that its file had until now

    def left(self, name: bytes, cookie: int, now_s: float) -> None:
        """Take note that a file was renamed away, to where its cookie will tell, or out of the tree.

        The first file that came to a name is the document there, later ones are new versions of it (editors save so); so that one
        goes on.
        """
        came = self._taken(name, now_s)
        self._leaving[cookie] = (*(came[0] if came else ()), name)[-LONGEST:]
        if len(self._leaving) > LIMIT:
            del self._leaving[next(iter(self._leaving))]

    def came(self, name: bytes, cookie: int, now_s: float) -> tuple[Former, ...]:
        """Return every rename to a name since what was there was renamed away, this one, if it began in the tree, the last.

        For each the names that its file had, the first one first.
        """
        former = self._leaving.pop(cookie, None)
        if former is None:
            return ()
        arrivals = tuple(dict.fromkeys((*self._taken(name, now_s), former)))
        if len(arrivals) > LONGEST:
            arrivals = (arrivals[0], *arrivals[1 - LONGEST :])
        self._arrivals[name] = (arrivals, now_s)
        if len(self._arrivals) > LIMIT:
            del self._arrivals[next(iter(self._arrivals))]
        return arrivals

    def moved(self, before: bytes, after: bytes, now_s: float) -> tuple[Former, ...]:
        """Take note of a rename both of whose halves are known, and return what `came` does."""
        self.left(before, -1, now_s)
        return self.came(after, -1, now_s)

    def _taken(self, name: bytes, now_s: float) -> tuple[Former, ...]:
        arrivals, at_s = self._arrivals.pop(name, ((), now_s))
        return arrivals if now_s - at_s < KEPT_S else ()
