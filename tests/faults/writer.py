"""A process that writes all that autoops acknowledges, as fast as it can, and says so where no fault reaches.

    writer.py STATE PROMISES [--synchronous FULL|NORMAL|OFF] [--jobs-only] [--until N]

In turn, as submitter and worker do: put note jobs into the queue, claim them, commit each as a patch of an entry, complete them,
append a line to checkpoints.jsonl, carry the WALs over. After each step has returned, how far it came is in the file PROMISES.
`--jobs-only`: enqueue, and leave the rest to the worker that runs. `--until`: end well after so many jobs. Other than FULL is what
the product never sets: the controls, which have to lose something.
"""

from __future__ import annotations

import argparse
import mmap
import struct
import sys
import time
from pathlib import Path
from typing import NamedTuple

from autoops.core.signing import Signer
from autoops.errors import AutoopsError
from autoops.model import Change, Job, note
from autoops.state import State
from autoops.store.commit import RegistryWriter, Why
from autoops.store.database import Database
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.queue import Queue
from autoops.store.registry import SCHEMA as REGISTRY
from autoops.work.checkpoints import Checkpoints

EACH = 8  # jobs in a turn
TURNS = 4  # from one checkpoint of the databases to the next


class Promised(NamedTuple):
    """How far it came: jobs taken, jobs committed, the sequence of the last line in checkpoints.jsonl."""

    jobs: int
    commits: int
    checkpoint: int


class Promises:
    """Numbers in a file that is mapped into memory: a write to it is there at once, for everybody."""

    _FORM = struct.Struct("<QQQ")

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(self._FORM.size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), self._FORM.size)

    def read(self) -> Promised:
        return Promised(*self._FORM.unpack(self._map[:]))

    def write(self, place: int, value: int) -> None:
        self._map[8 * place : 8 * place + 8] = struct.pack("<Q", value)


def source_of(number: int) -> str:
    """Return what the ledger calls the job of a number."""
    return f"fault-job-{number}"


class Writer:
    """Both ends of the work on one state directory."""

    def __init__(self, state: State, promises: Promises, synchronous: str) -> None:
        self._promises = promises
        self._queue_db = Database.open(state.queue_db, QUEUE, synchronous=synchronous, guard=True)  # type: ignore[arg-type]
        self._queue = Queue(self._queue_db)
        self._number, self._committed, _ = promises.read()
        self._state, self._synchronous = state, synchronous

    def open_registry(self) -> None:
        """Be the worker too."""
        signer = Signer(self._state.private_key.read_bytes())
        database = Database.open(self._state.registry_db, REGISTRY, synchronous=self._synchronous)  # type: ignore[arg-type]
        self._registry = RegistryWriter(database, signer)
        self._checkpoints = Checkpoints(self._state.checkpoints, self._registry, signer)
        self._entry = next(entry for entry in self._registry.entries() if entry.status == "active")

    def enqueue(self) -> None:
        """Take EACH more jobs, one by one."""
        for _ in range(EACH):
            source = source_of(self._number + 1)
            self._queue.enqueue([note(source, "fault", source, "to see that it stays")])
            self._number += 1
            self._promises.write(0, self._number)

    def work(self) -> None:
        """Do what is in the queue, and write a line about it."""
        for job in self._queue.claim(EACH, 60.0, ["note"]):
            self._commit(job)
            assert self._queue.complete([job]) == []
        self._checkpoints.due = True
        self._checkpoints.write(time.monotonic())
        if not self._checkpoints.due:
            self._promises.write(2, self._registry.ledger_head.sequence)

    def _commit(self, job: Job) -> None:
        source = job.key.decode()
        number = int(source.rpartition("-")[2])
        if self._registry.sequence_of(source) is None:
            described = self._entry.described._replace(tags=(source,))
            change = Change(
                self._entry, self._entry._replace(rev=self._entry.rev + 1, described=described), {"actor": "fault", "kind": "patch"}
            )
            why = Why("operator:fault", source, "to see that it stays", source)
            (self._entry,) = self._registry.commit([change], why, time.time()).entries
        self._promises.write(1, number)

    def checkpoint(self) -> None:
        """Carry both WALs over."""
        self._queue_db.checkpoint()
        self._registry.checkpoint(least_bytes=0)


def run(asked: argparse.Namespace) -> None:
    """Go on until the fault ends it."""
    promises = Promises(asked.promises)
    writer = Writer(State(asked.state), promises, asked.synchronous)
    if not asked.jobs_only:
        writer.open_registry()
    turn = 0
    while not asked.until or promises.read().jobs < asked.until:
        turn += 1
        writer.enqueue()
        if asked.jobs_only:
            time.sleep(0.02)  # the worker has to follow
            continue
        writer.work()
        if turn % TURNS == 0:
            writer.checkpoint()


def main() -> int:
    """Run; what the disk did to us is the last line of the standard error."""
    parser = argparse.ArgumentParser()
    parser.add_argument("state", type=Path)
    parser.add_argument("promises", type=Path)
    parser.add_argument("--synchronous", default="FULL")
    parser.add_argument("--jobs-only", action="store_true")
    parser.add_argument("--until", type=int, default=0)
    try:
        run(parser.parse_args())
    except AutoopsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
