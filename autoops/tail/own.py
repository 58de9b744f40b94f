"""Our own checkpoints.jsonl: each new line against key and ledger, as soon as it is written.

Guarantees: every complete line is checked once, of any file that stands at that name while this runs; the first fault stands in a
finding until a file without faults was read from its beginning. Reads checkpoints.jsonl, registry.db; writes queue/tail.json.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from pathlib import Path
from typing import NamedTuple

from autoops.core.signing import Verifier
from autoops.errors import StorageError
from autoops.files.following import ABSENT, Batch, Follower, Position
from autoops.model import JSON
from autoops.prove.verify import ledger_fault, signed_checkpoint
from autoops.store.registry import Registry
from autoops.tail import memory, notes
from autoops.tail.memory import Memory
from autoops.tail.notes import Notes

SUBJECT = b"checkpoints.jsonl"
_SKEW_S = 60.0
_ROUNDED_S = 0.001  # a line's time has milliseconds


class Checked(NamedTuple):
    """What came of checking some lines."""

    memory: Memory  # with them
    latencies_s: list[float]  # from the writing of each that agrees until now
    detections_s: list[float]  # of each that does not


class OwnFile:
    """The tailer of checkpoints.jsonl."""

    def __init__(self, path: Path, kept: Path, registry_db: Path, verifier: Verifier, found: Notes) -> None:
        self._path, self._kept, self._registry_db, self._verifier, self._notes = path, kept, registry_db, verifier, found
        self.memory = memory.load(kept)
        self._follower = Follower(path, self.memory.position)
        self._since_s = 0.0
        self.trouble = ""

    def begin(self, now_s: float, *, anew: bool) -> None:
        """Follow from now on; anew: from the first line again, because the registry may be another one now."""
        self._since_s = now_s
        if anew:
            self._follower.restart()
            self.memory = Memory()

    def follow(self, now_s: float) -> bool:
        """Check the lines that have come; say whether there are more. Raises StorageError of queue.db, OSError."""
        if self._follower.is_still():
            return False
        before, position = self.memory, self._follower.position
        try:
            registry = Registry.open(self._registry_db)  # first: what was read has to be checked
        except StorageError as error:  # its worker ended, say, and this sandbox cannot make what SQLite needs beside it
            self.trouble = str(error)
            return False
        try:
            with contextlib.closing(registry):
                batch = self._follower.read()
                checked = self._checked(batch, registry)
        except StorageError as error:
            self._read_again(position)
            self.trouble = str(error)
            return False
        self.trouble = batch.trouble
        try:
            self._note(checked, now_s)
        except StorageError:
            self._read_again(position)
            raise
        self.memory = checked.memory
        if self.memory != before:
            memory.store(self._kept, self.memory)
        return batch.more

    def _read_again(self, position: Position) -> None:
        self._follower.close()
        self._follower = Follower(self._path, position)

    def _checked(self, batch: Batch, registry: Registry) -> Checked:
        old = Memory() if batch.anew else self.memory
        faults, good, latencies, late = [], [], list[float](), list[float]()
        for number, line in batch.lines:
            if not line.strip():
                continue
            value, fault = signed_checkpoint(line, self._verifier)
            written_s = self._written_s({} if fault else value)
            fault = fault or ledger_fault(value, registry)
            if fault:
                faults.append(f"line {number}: {fault}")
                late += written_s
            else:
                good.append(value)
                latencies += written_s
        done_s = time.time()
        new = _grown(old, self._follower.position, faults, good)
        return Checked(new, self._lasted(latencies, done_s), self._lasted(late, done_s))

    def _note(self, checked: Checked, now_s: float) -> None:
        """Record how long it took, and bring the finding up to date."""
        self._notes.took(notes.LATENCY, checked.latencies_s, now_s)
        self._notes.took(notes.DETECTION, checked.detections_s, now_s)
        new = checked.memory
        if self.trouble and self.trouble != ABSENT:  # absent it is between a rotation and the next burst
            self._notes.found(notes.CHECKPOINT, SUBJECT, {"fault": self.trouble}, now_s)
        elif new.faults:
            self._notes.found(notes.CHECKPOINT, SUBJECT, {"fault": new.fault, "faults": new.faults}, now_s)
        elif new.position.lines:
            self._notes.settled(notes.CHECKPOINT, SUBJECT, now_s)

    def _written_s(self, value: JSON) -> list[float]:
        """Return when a line was written, as our key says it, or for a line that it did not sign the file; [] when nobody says."""
        said_s = written_at(value.get("at"))
        if said_s is not None:
            return [said_s]
        try:
            return [self._path.lstat().st_mtime]
        except OSError:
            return []

    def _lasted(self, written_s: list[float], done_s: float) -> list[float]:
        """Return how long it took to check lines; of those that were there before, or are from the future, nothing can be said."""
        return [max(0.0, done_s - at_s) for at_s in written_s if self._since_s - _ROUNDED_S <= at_s <= done_s + _SKEW_S]

    def close(self) -> None:
        """Give the descriptor back."""
        self._follower.close()


def _grown(old: Memory, position: Position, faults: list[str], good: list[JSON]) -> Memory:
    new = old._replace(position=position, faults=old.faults + len(faults), fault=old.fault or (faults[0] if faults else ""))
    if not good:
        return new
    return new._replace(sequence=good[-1]["sequence"], at=str(good[-1]["at"]), digest=str(good[-1]["digest"]))


def written_at(said: object) -> float | None:
    """Return the time in a line as seconds since 1970, None for what is none."""
    try:
        found = datetime.datetime.fromisoformat(said) if isinstance(said, str) else None
        return found.timestamp() if found and found.tzinfo else None
    except (ValueError, OverflowError):
        return None
