"""Finding out: one root is compared, what disagrees is confirmed, explained, and decided about. Writes nothing.

Reads the registry and its ledger, queue.db, and the trees (through a pool).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from autoops import names
from autoops.core.drift import MASS_MISSING, QUARANTINED, REGISTRY_EDITED, ROLLED_BACK, ROOT_REPLACED, RULES, Difference
from autoops.model import JSON, path_key
from autoops.pool.pool import Pool
from autoops.reconcile import confirm
from autoops.reconcile.blame import Commit, blame, changed_s
from autoops.reconcile.compare import Eyes, compare
from autoops.reconcile.gathered import Gathered
from autoops.reconcile.plan import Memory, Plan, decide_repair, would_undo
from autoops.store.backlog import Backlog
from autoops.store.findings import Finding, Findings
from autoops.store.operations import Gaps
from autoops.store.records import said_by
from autoops.store.registry import Registry
from autoops.walk.absence import Absences, is_mass, sample, why_not_there
from autoops.walk.hearing import Hearing
from autoops.walk.scan import Totals

_SETTLE_S = 30.0


class Limits(NamedTuple):
    """What is too much at once (configuration, [reconcile])."""

    missing_share: float
    missing_least: int
    findings: int  # of one kind in one root


class Told(NamedTuple):
    """One finding of this run, with what explains it and what follows."""

    kind: str
    subject: bytes
    detail: JSON
    plan: Plan


class Area(NamedTuple):
    """What came of comparing one directory of a root."""

    root: str
    path: bytes
    told: list[Told]
    counts: Counter[str]  # of all, also of those that are too many to be told one by one
    totals: Totals
    unsettled: int
    is_compared: bool  # False: the root is not there, so nothing is known of its files


class Reconciler:
    """The parts of a run."""

    def __init__(
        self,
        registry: Registry,
        backlog: Backlog,
        findings: Findings,
        gaps: Gaps,
        pool: Pool,
        places: Mapping[str, bytes],
        limits: Limits,
        *,
        runs: bool,
        edited: Collection[str] | None = None,
    ) -> None:
        """`places`: where the roots are; `runs`: whether a worker does; `edited`: IDs of entries changed past the ledger, None when
        nobody has looked: then what was found before counts."""
        self._registry, self._backlog, self._findings, self._pool = registry, backlog, findings, pool
        self._places, self._limits, self._runs, self._edited = dict(places), limits, runs, edited
        self._eyes = Eyes(registry, self._places, Absences(registry, gaps, places), backlog)
        self._commits: dict[int, Commit | None] = {}
        self._gaps = [*gaps.open_gaps(), *gaps.history(1000)]

    # finding out

    def compare(
        self, root: str, path: bytes, hearing: Hearing | None, *, rehash: bool, alive: Callable[[Totals], None] = lambda _: None
    ) -> Area:
        """Compare one directory of a root. `hearing`: for the second look, when watcher and worker run."""
        reason = why_not_there(self._registry, root, self._places[root])
        if reason:
            detail: JSON = {"path": names.text(self._places[root]), "reason": reason}
            replaced = Told(ROOT_REPLACED, path_key(root, b""), detail, Plan("", "a person mounts it, or accepts it"))
            return Area(root, path, [replaced], Counter({ROOT_REPLACED: 1}), Totals(), 0, is_compared=False)
        gathered = Gathered(self._limits.findings)
        totals = compare(self._registry, self._pool, self._eyes, (root, path), gathered, rehash=rehash, alive=alive)
        differences = gathered.kept()
        if hearing and differences:
            confirm.settle(hearing, self._backlog, _SETTLE_S)
            differences = confirm.look_again(self._pool, self._eyes, differences, self._backlog)
        is_cut = any(count > self._limits.findings for count in gathered.counts.values())
        missing = gathered.counts["missing"] if is_cut else sum(one.kind == "missing" for one in differences)
        mass = self._mass(root, path, missing, totals)
        counts = Counter(one.kind for one in differences)
        if is_cut:
            counts |= gathered.counts
        if mass:
            counts[MASS_MISSING] = 1
            if not self._is_released(mass):
                differences = [one for one in differences if one.kind != "missing"]
        told = [self._told(one) for one in differences]
        return Area(root, path, [mass, *told] if mass else told, counts, totals, gathered.unsettled, is_compared=True)

    def _mass(self, root: str, path: bytes, missing: int, totals: Totals) -> Told | None:
        if path:
            looked, absent = sample(self._registry, root, self._places[root])
        else:
            looked, absent = totals.files + missing, missing
        if not is_mass(absent, looked, self._limits.missing_share, self._limits.missing_least):
            return None
        detail: JSON = {"absent": absent, "limit_percent": round(self._limits.missing_share * 100), "of": looked}
        return Told(
            MASS_MISSING, path_key(root, b""), detail, Plan("", "a person mounts what is missing, or releases this finding")
        )

    def _is_released(self, told: Told) -> bool:
        key = (told.kind, told.subject)
        known = self._findings.about([key]).get(key)
        return known is not None and known.is_released

    def _told(self, difference: Difference) -> Told:
        subject = path_key(difference.root, difference.path)
        entry_id = str(difference.detail.get("id", ""))
        why = blame(
            difference,
            changed_s(self._places, difference),
            self._gaps,
            self._last_commit(entry_id) if entry_id else None,
            self._backlog.job_at("path", subject),
            runs=self._runs,
        )
        rule = RULES[difference.kind]
        plan = decide_repair(difference, self._memory(difference, subject, entry_id))
        detail = difference.detail | {"blame": why, "winner": rule.winner, "then": rule.then}
        return Told(difference.kind, subject, detail, plan)

    def _last_commit(self, entry_id: str) -> Commit | None:
        history = self._registry.history(entry_id)
        return self._commit(history[-1][1]) if history else None

    def _commit(self, sequence: int) -> Commit | None:
        if sequence not in self._commits:  # that of a first scan made thousands of entries
            record = self._registry.record(sequence)
            self._commits[sequence] = Commit(sequence, *said_by(record)) if record else None
        return self._commits[sequence]

    def _is_edited(self, entry_id: str, noted: Finding | None) -> bool:
        if self._edited is not None:
            return entry_id in self._edited
        return noted is not None and noted.stands

    def _memory(self, difference: Difference, subject: bytes, entry_id: str) -> Memory:
        keys = [(difference.kind, subject), (QUARANTINED, subject)]
        keys += [(ROLLED_BACK, entry_id.encode()), (REGISTRY_EDITED, entry_id.encode())] if entry_id else []
        known = self._findings.about(keys)
        undone = known.get((ROLLED_BACK, entry_id.encode()))
        return Memory(
            known.get(keys[0]),
            known.get(keys[1]),
            undone if undone and would_undo(difference, undone) else None,
            self._is_edited(entry_id, known.get((REGISTRY_EDITED, entry_id.encode()))),
        )
