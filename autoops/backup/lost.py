"""Which commits were made and cannot be made again, and of which entries: whatever tells of them is asked.

Reads checkpoints.jsonl, the shipped ledger, and what can be read of a damaged registry.db.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from autoops.backup.errors import NoBackup
from autoops.backup.place import Place
from autoops.backup.segments import Segments
from autoops.backup.shelf import Shelf
from autoops.core.ledger import signed_bytes
from autoops.core.signing import Verifier
from autoops.files.following import batches
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


def traces(checkpoints: Path, place: Place, verifier: Verifier) -> Iterator[str]:
    """Yield what tells of commits that our key signed: that there was a registry."""
    if last := _checkpointed(checkpoints, verifier):
        yield f"{checkpoints} (commit {last})"
    with contextlib.suppress(NoBackup):
        for one in Shelf(place, verifier).good():
            if one.head.sequence:
                yield f"snapshot {one.name} in {place.directory} (commit {one.head.sequence})"
    for record in Segments(place.ledger).readable(0):
        if verifier.verify(record.signature, signed_bytes(record.sequence, record.hash)):
            yield f"the shipped ledger in {place.ledger}"
            return


def lost_after(head: int, checkpoints: Path | None, place: Place | None, salvage: Salvage | None, verifier: Verifier) -> list[Lost]:
    """Return every commit after one: up to the last that is certain, each; and what rows of a damaged file name beyond that.

    checkpoints, place: None for those that tell of another history.

    Certain is what our key signed, or has its checksum. A number in a damaged row may be any number.
    """
    entries: dict[int, set[str]] = {number: set(ids) for number, ids in (salvage.touched_after(head) if salvage else {}).items()}
    at: dict[int, str] = {}
    last = max(head, _checkpointed(checkpoints, verifier) if checkpoints else 0, _kept_until(place, verifier) if place else 0)
    for record in _certain(head, Segments(place.ledger) if place else None, salvage, list(entries), verifier):
        last = max(last, record.sequence)
        ids = entries.setdefault(record.sequence, set())
        with contextlib.suppress(*UNFIT):
            at[record.sequence] = said_by(record).at
            ids.update(map(id_of, patches_of(record)))
    numbers = sorted({*range(head + 1, last + 1), *(number for number in entries if number > head)})
    return [Lost(number, at.get(number, ""), sorted(entries.get(number, ()))) for number in numbers]


def _kept_until(place: Place, verifier: Verifier) -> int:
    """Return the last commit that snapshots are of, or a line of the shipped ledger, be it damaged, stands for."""
    with contextlib.suppress(NoBackup):
        return max([Segments(place.ledger).claimed(), *(one.head.sequence for one in Shelf(place, verifier).good())])
    return 0


def _certain(
    head: int, segments: Segments | None, salvage: Salvage | None, numbers: list[int], verifier: Verifier
) -> Iterator[Record]:
    if segments:
        yield from segments.readable(head)
    for number in numbers if salvage else ():
        assert salvage
        record = salvage.record(number)
        if record and verifier.verify(record.signature, signed_bytes(number, record.hash)):
            yield record


def _checkpointed(path: Path, verifier: Verifier) -> int:
    """Return the last commit of which a line of checkpoints.jsonl tells that our key signed."""
    last = 0
    for batch in batches(path):
        for _, line in batch.lines:
            value, fault = signed_checkpoint(line, verifier)
            if not fault and isinstance(value["sequence"], int):
                last = max(last, value["sequence"])
    return last
