"""What came of the archive's runs and checks: remembered for the health check, and told as findings that the next good one closes.

Reads and writes queue/archive.json, queue/archive-check.json and, in queue.db, the findings of kind `archive_failed`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from autoops.backup.archive import CHECK_PARTS
from autoops.errors import AutoopsError, unwritten
from autoops.files.last import recall, remember_fault, remember_good
from autoops.state import State
from autoops.store.database import Database
from autoops.store.findings import Findings

KIND = "archive_failed"
Subject = Literal["archive", "archive check"]


class ArchiveLog:
    """What is remembered in one state directory of one of the two."""

    def __init__(self, state: State, subject: Subject, open_queue: Callable[[], Database]) -> None:
        self._subject, self._open_queue = subject.encode(), open_queue
        self._memory: Path = state.last_archive if subject == "archive" else state.last_archive_check

    def good(self, name: str) -> None:
        """Note that it went well, with a snapshot, or with a part of the data. Raises StorageReadOnly."""
        with self._writing():
            remember_good(self._memory, name, time.time())

    def next_part(self) -> int:
        """Return which part of the data is to be read next: one that was found damaged comes again until it is good."""
        last = recall(self._memory)
        part = int(last.name) if last and last.name.isdecimal() else 0
        return part % CHECK_PARTS + 1

    def failed(self, error: AutoopsError) -> None:
        """Note that it did not, and open the finding. Raises StorageError."""
        with self._writing():
            remember_fault(self._memory, str(error), time.time())
        detail = {"reason": str(error), "hint": error.advice}
        with self._open_queue() as database:
            Findings(database).open([(KIND, self._subject, detail)], int(time.time()))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritten(self._memory, error) from error

    def settled(self) -> None:
        """Close the finding, if there is one. Raises StorageError."""
        with self._open_queue() as database:
            Findings(database).close([(KIND, self._subject)], int(time.time()))
