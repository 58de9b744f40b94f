"""A report as a letter: what the channels of infos are sent, and when it is written.

It lies in queue/: weekly.json has its title and text, weekly.html is what is put beside it. The outbox holds one item that stands
for it, so that it is retried, and joined with the digest of infos, as any message is. Whoever sends it reads it then.

Its rhythm is that of infos, from the time it was last written (queue/weekly-memory.json; losing that puts it off to the next time).
It is written by a child process, so that what is critical does not wait for it; one that fails is tried again in an hour. At least
once: a kill between the outbox and the memory has it sent twice.
Reads and writes those files; starts a process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from autoops.alert.rhythm import Rhythm, due_s
from autoops.files import durable
from autoops.log import emit
from autoops.runtime.child import Child

REPORT = "weekly-report"  # what stands for it in the outbox; no alert has such a fingerprint
_AGAIN_S = 3600
_LONGEST_S = 600.0
_MOST_BYTES = 4 << 20
_READ_BYTES = 65536
GOOD = (0, 3)  # also when a part of it cannot be told: which, it says


class Letter(NamedTuple):
    """A report that is sent."""

    title: str
    text: str
    page: str = ""  # the file that is put beside it, "" for none


class Memory(NamedTuple):
    """When it was written, and tried, last: seconds since 1970."""

    written_s: float
    tried_s: float


LOST = Letter("weekly report", "The report that was to be sent is not there any more. autoops report weekly --mail makes another.")


def put(where: Path, page: Path, title: str, text: str, html: str) -> None:
    """Lay a letter down to be sent. Raises OSError."""
    durable.write(page, html.encode("utf-8", "replace"), mode=0o640)
    durable.write(where, json.dumps({"title": title, "text": text}).encode(), mode=0o640)


def read(where: Path, page: Path) -> Letter:
    """Return the letter that is to be sent; LOST when it cannot be read."""
    try:
        with where.open("rb") as file:
            facts = json.loads(file.read(_MOST_BYTES))
        return Letter(str(facts["title"]), str(facts["text"]), str(page) if page.is_file() else "")
    except (OSError, ValueError, LookupError, TypeError):
        return LOST


def recall(where: Path) -> Memory | None:
    """Return when it was written last, None when nobody knows."""
    try:
        written_s, tried_s = json.loads(where.read_text())
        return Memory(float(written_s), float(tried_s))
    except (OSError, ValueError, TypeError):
        return None


def remember(where: Path, memory: Memory) -> None:
    """Keep it. Raises OSError."""
    durable.write(where, json.dumps(memory).encode(), mode=0o640)


def is_due(memory: Memory, now_s: float, rhythm: Rhythm) -> bool:
    """Tell whether to write one: the hour of infos has come since the last one, and no try failed just now."""
    return due_s("info", int(memory.written_s), rhythm) <= now_s and not 0 <= now_s - memory.tried_s < _AGAIN_S


class Writer:
    """Has a letter written when it is due, beside the run of the alerts."""

    def __init__(self, where: Path, rhythm: Rhythm, start: Callable[[], Child], told: Callable[[str], None]) -> None:
        """`start` starts who writes it and puts it into the outbox; `told` hears why that failed, "" when it did not."""
        self._where, self._rhythm, self._start, self._told = where, rhythm, start, told
        self._child: Child | None = None
        self._began_s, self._is_over = 0.0, False

    def goes_on(self) -> bool:
        """Do a little; say whether it is being written. Raises StorageError; else what goes wrong is told, and no alert waits."""
        try:
            return self._go_on()
        except OSError as error:
            self.close()
            emit("report_failed", reason=f"{error.strerror}: {error.filename}")
            return False

    def _go_on(self) -> bool:
        if self._child is None:
            return False if self._is_over else self._begin(time.time())
        while self._child.read(_READ_BYTES):
            continue
        if self._child.ended() is None and time.monotonic() - self._began_s < _LONGEST_S:
            return True
        self._end(self._child)
        return False

    def _begin(self, now_s: float) -> bool:
        self._is_over = True  # once in a run
        memory = recall(self._where)
        if memory is None or memory.written_s > now_s:  # the first one comes with the next digest; or the clock was put back
            remember(self._where, Memory(now_s, 0.0))
            return False
        if not is_due(memory, now_s, self._rhythm):
            return False
        remember(self._where, memory._replace(tried_s=now_s))
        self._child, self._began_s = self._start(), time.monotonic()
        self._child.close_input()
        return True

    def _end(self, child: Child) -> None:
        code, words = child.ended(), child.last_words()
        self.close()
        if code in GOOD:
            remember(self._where, Memory(time.time(), 0.0))
            self._told("")
            return
        reason = f"it took longer than {_LONGEST_S:g} s" if code is None else words
        emit("report_failed", reason=reason)
        self._told(reason)

    def close(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.close()
            self._child = None
