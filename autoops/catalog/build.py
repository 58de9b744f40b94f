"""Bringing one catalog up to date: look what the commits since then touched, make only that anew, and publish a whole generation.

Guarantees: all files of a generation, and its metadata.json, are of one commit, for they are made from one snapshot of the
registry; a build that fails or is killed leaves the generation before; what was not touched is not written again.
Reads the registry, its ledger, and catalogs/; writes catalogs/ (generation.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from autoops import names
from autoops.catalog import files
from autoops.catalog.crew import Crew, setup
from autoops.catalog.cut import cut_of
from autoops.catalog.generation import Generation, clear, locked
from autoops.catalog.parts import Written, write_file, write_range
from autoops.catalog.plan import Plan, look
from autoops.config import CatalogConfig
from autoops.core.catalog import METADATA, LeftOut, Metadata, Range, metadata_text, range_of, slice_digest
from autoops.core.ledger import utc
from autoops.errors import unwritten
from autoops.log import emit
from autoops.prove import catalogs as proofs
from autoops.state import State
from autoops.store.database import Database
from autoops.store.registry import SCHEMA, Registry
from autoops.store.slices import Slices

Progress = Callable[[int, int], None]  # parts done, of how many
_CREW_LEAST = 16  # parts: with fewer, starting processes costs more than they save


class Settings(NamedTuple):
    """How catalogs are built."""

    part_entries: int
    workers: int = 1
    verify: bool = False  # read every file of the present generation, and make anew what is not what it was
    dry_run: bool = False
    wait_s: float = 60.0  # for another builder
    anew: bool = False  # from nothing, whatever is there


class Outcome(NamedTuple):
    """What became of one catalog."""

    name: str
    done: str  # "fresh": nothing to do; "renewed": only its metadata; "updated": some parts; "built": all of it
    reason: str  # why it was built from nothing, "" else
    sequence: int
    entries: int
    parts: int
    parts_made: int
    left_out: LeftOut
    took_s: float = 0.0


def build(state: State, table: CatalogConfig, settings: Settings, progress: Progress, now_s: float) -> Outcome:
    """Bring one catalog up to date. Raises CatalogFailed, AnotherBuilder, StorageError; then the old generation stays."""
    started_s = time.monotonic()
    try:
        with locked(state.catalogs, settings.wait_s), Database.open(state.registry_db, SCHEMA, mode="ro") as database:
            if not settings.dry_run:
                clear(state.catalogs)
            outcome = _Build(state, table, settings, progress, database).run(utc(now_s))
    except OSError as error:
        raise unwritten(state.catalogs / table.name, error) from error
    outcome = outcome._replace(took_s=time.monotonic() - started_s)
    if outcome.done != "fresh" and not settings.dry_run:
        emit("catalog_built", **outcome._asdict())
    return outcome


class _Build:
    """One build of one catalog."""

    def __init__(self, state: State, table: CatalogConfig, settings: Settings, progress: Progress, database: Database) -> None:
        self._state, self._table, self._settings, self._progress, self._database = state, table, settings, progress, database
        self._slice = proofs.slice_of(table)
        self._held = contextlib.ExitStack()  # the snapshot

    def run(self, made_at: str) -> Outcome:
        """Look, and make what is to be made."""
        with self._held:
            self._take_snapshot()
            how: proofs.How = "hashes" if self._settings.verify else "sizes"
            with proofs.opened(self._state, self._table.name) as fd:
                plan = (
                    Plan(None, "that was asked for")
                    if self._settings.anew
                    else look(self._registry, self._table, fd, how, is_cut=self._cut is not None)
                )
            if plan.is_fresh or self._settings.dry_run:
                return self._intended(plan)
            with Generation(self._state.catalogs, self._table.name) as generation:
                written, parts_made = self._write(generation, plan)
                source = files.Source(self._table, self._slice, self._slices, self._settings.part_entries, made_at, self._cut)
                made = self._metadata(made_at, files.complete(generation, source, plan.old, written, self._alive))
                write_file(generation.directory / METADATA, [metadata_text(made)])
                generation.publish()
        done = "built" if plan.reason else "updated" if parts_made else "renewed"
        return Outcome(made.name, done, plan.reason, made.sequence, made.entries, len(made.parts), parts_made, made.left_out)

    def _take_snapshot(self) -> None:
        self._held.close()
        reader = self._held.enter_context(self._database.snapshot())
        self._registry, self._slices = Registry(reader), Slices(reader)
        self._head = self._registry.head()
        self._places = self._registry.root_paths()
        self._cut = cut_of(self._table, self._places)

    def _intended(self, plan: Plan) -> Outcome:
        """Return what would be done, or that there is nothing to do."""
        done = "fresh" if plan.is_fresh else "built" if plan.reason else "updated" if plan.parts else "renewed"
        total = len(plan.old.parts) if plan.old else 0
        entries = plan.old.entries if plan.old and plan.is_fresh else self._slices.count(self._slice)
        left_out = plan.old.left_out if plan.old and plan.is_fresh else {}
        return Outcome(self._table.name, done, plan.reason, self._head.sequence, entries, total, len(plan.parts), left_out)

    def _write(self, generation: Generation, plan: Plan) -> tuple[list[Written], int]:
        """Return all parts of the new generation in order, those made anew and the others, and how many were made."""
        old = plan.old
        if old is None:
            cuts = self._slices.cuts(self._slice, self._settings.part_entries)
            ranges = [Range(first, end) for first, end in zip(cuts, [*cuts[1:], ""], strict=True)]
            anew = dict(self._written(generation, ranges))
            written = [one for number in range(len(ranges)) for one in anew[number]]
            return _without_empty(written), len(written)
        ranges = [range_of(old.parts, number) for number in plan.parts]
        anew = {plan.parts[number]: parts for number, parts in self._one_by_one(generation, ranges)}
        kept = [[Written(part, old.files.get(part.file))] for part in old.parts]
        written = [one for number, parts in enumerate(kept) for one in anew.get(number, parts)]
        return _without_empty(written), sum(map(len, anew.values()))

    def _written(self, generation: Generation, ranges: Sequence[Range]) -> Iterator[tuple[int, list[Written]]]:
        """Yield (number of the range, its parts), made by several processes where that pays and they can agree on a commit."""
        if self._settings.workers < 2 or len(ranges) < _CREW_LEAST:
            yield from self._one_by_one(generation, ranges)
            return
        places = self._places
        facts = setup(
            self._state.registry_db,
            generation.directory,
            dataclasses.asdict(self._table),
            {root: names.text(path) for root, path in places.items()},
            self._settings.part_entries,
        )
        with Crew(self._settings.workers, self._table.name, facts) as crew:
            if crew.agree(self._at, self._take_snapshot) and self._places == places:
                yield from crew.write(ranges, lambda done: self._progress(done, len(ranges)))
                return
        yield from self._one_by_one(generation, ranges)

    def _at(self) -> dict[str, object]:
        return {"hash": self._head.hash.hex(), "sequence": self._head.sequence}

    def _one_by_one(self, generation: Generation, ranges: Sequence[Range]) -> Iterator[tuple[int, list[Written]]]:
        for number, where in enumerate(ranges):
            written = write_range(self._slices, self._slice, self._cut, generation.directory, where, self._settings.part_entries)
            yield number, written
            self._progress(number + 1, len(ranges))

    def _alive(self) -> None:
        self._progress(1, 1)

    def _metadata(self, made_at: str, complete: files.Complete) -> Metadata:
        return Metadata(
            name=self._table.name,
            generator=proofs.generator_of(self._table),
            declared=proofs.declared_of(self._table, self._places),
            made_at=made_at,
            sequence=self._head.sequence,
            registry_digest=self._head.digest.hex(),
            digest=slice_digest(complete.parts),
            entries=sum(part.entries for part in complete.parts),
            parts=complete.parts,
            files=complete.files,
            left_out=complete.left_out,
        )


def _without_empty(written: list[Written]) -> list[Written]:
    """Leave out parts that have no entries any more, but for one when there are no others."""
    return [one for one in written if one.part.entries] or written[:1]
