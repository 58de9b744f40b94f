"""Which commits were made and cannot be made again, and of which entries: whatever tells of them is asked.

Reads checkpoints.jsonl, the shipped ledger, and what can be read of a damaged registry.db.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from autoops.backup.segments import Segments
from autoops.core.signing import Verifier
from autoops.files.following import Follower, Position
from autoops.prove.verify import signed_checkpoint
from autoops.store.records import UNFIT, Record, id_of, patches_of, said_by
from autoops.store.salvage import Salvage


class Lost(NamedTuple):
    """One commit. `at`: "" when nothing says it; `entries`: the IDs that something names."""

    sequence: int
    at: str
    entries: list[str]

    def __str__(self) -> str:
        when = f", {self.at}" if self.at else ""
        return f"commit {self.sequence}{when}: {', '.join(self.entries) or 'nothing says of which entries'}"


def lost_after(head: int, checkpoints: Path, segments: Segments | None, salvage: Salvage | None, verifier: Verifier) -> list[Lost]:
    """Return every commit after one, up to the last of which anything tells."""
    traces = salvage.touched_after(head) if salvage else {}
    entries = {number: set(ids) for number, ids in traces.items()}
    at: dict[int, str] = {}
    for record in _readable(head, segments, salvage, list(traces)):
        ids = entries.setdefault(record.sequence, set())
        with contextlib.suppress(*UNFIT):
            at[record.sequence] = said_by(record).at
            ids.update(map(id_of, patches_of(record)))
    last = max([head, *entries, _checkpointed(checkpoints, verifier)])
    return [Lost(number, at.get(number, ""), sorted(entries.get(number, ()))) for number in range(head + 1, last + 1)]


def _readable(head: int, segments: Segments | None, salvage: Salvage | None, traces: list[int]) -> Iterator[Record]:
    if segments:
        yield from segments.readable(head)
    for number in traces if salvage else ():
        assert salvage
        record = salvage.record(number)
        if record:
            yield record


def _checkpointed(path: Path, verifier: Verifier) -> int:
    """Return the last commit of which a line of checkpoints.jsonl tells that our key signed."""
    last, more = 0, True
    with contextlib.closing(Follower(path, Position())) as follower:
        while more:
            batch = follower.read()
            more = batch.more
            for _, line in batch.lines:
                value, fault = signed_checkpoint(line, verifier)
                if not fault and isinstance(value["sequence"], int):
                    last = max(last, value["sequence"])
    return last
