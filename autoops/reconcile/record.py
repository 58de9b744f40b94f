"""Doing: findings are recorded, those that are no longer true are closed, and repairs are enqueued.

Guarantee: the registry is not written, nor any file; a repair is a job for the worker. Writes queue.db.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from autoops.core.drift import MASS_MISSING, OF_FILES, QUARANTINED, ROOT_REPLACED, SETTLED_BY_A_LOOK, fingerprint
from autoops.model import PRIORITY_CATALOG, PRIORITY_RETRY, PRIORITY_SCAN, Work, path_key
from autoops.reconcile.reconciler import Area
from autoops.store.backlog import Backlog
from autoops.store.findings import Findings, Found

Enqueue = Callable[[Sequence[Work]], object]


def record(findings: Findings, areas: Sequence[Area], *, rehash: bool, now_s: int, run: int) -> None:
    """Record what was found, and close what was looked for and is no more."""
    closed = (*SETTLED_BY_A_LOOK, "corrupt") if rehash else SETTLED_BY_A_LOOK
    for area in areas:
        found: list[Found] = [(one.kind, one.subject, one.detail) for one in area.told]
        found += [
            (QUARANTINED, one.subject, {"kind": one.kind, "said": one.plan.held}) for one in area.told if one.plan.quarantined
        ]
        findings.open(found, now_s, run)
        if area.is_compared:
            findings.close_unseen(closed, path_key(area.root, area.path), run, now_s)
            if not area.path:
                findings.close_unseen((MASS_MISSING, ROOT_REPLACED), path_key(area.root, b""), run, now_s)


def record_proofs(findings: Findings, kinds: Sequence[str], proved: Sequence[Found], *, now_s: int, run: int) -> None:
    """Record what the registry itself is not; what it is again, is closed."""
    findings.open(proved, now_s, run)
    findings.close_unseen(kinds, b"", run, now_s)


def repair(enqueue: Enqueue, findings: Findings, backlog: Backlog, areas: Sequence[Area]) -> int:
    """Enqueue the repairs that are planned; return how many. What a job waits for already is not asked for twice."""
    works, noted = [], []
    for area in areas:
        for one in area.told:
            if one.plan.repair == "look" and backlog.job_at("path", one.subject) is None:
                works.append(Work("path", one.subject, PRIORITY_RETRY))
                noted.append((one.kind, one.subject, fingerprint(one.kind, one.detail)))
        if _is_more_than_told(area):
            works.append(Work("scan", path_key(area.root, area.path), PRIORITY_SCAN))
    findings.note_repairs(noted)
    if works:
        enqueue(works)
    return len(works)


def rebuild(enqueue: Enqueue, backlog: Backlog, found: Sequence[Found]) -> int:
    """Have the catalogs built again that are not what they should be; return how many."""
    wrong = {name for kind, name, _ in found if kind == "catalog_checksum"}
    stale = {name for _, name, _ in found} - wrong
    waits = {name for name in stale if (job := backlog.job_at("catalog", name)) and job[0] != "dead_letter"}
    works = [Work("catalog", name, PRIORITY_CATALOG, {"verify": True}) for name in sorted(wrong)]
    works += [Work("catalog", name, PRIORITY_CATALOG) for name in sorted(stale - waits)]
    if works:
        enqueue(works)
    return len(works)


def _is_more_than_told(area: Area) -> bool:
    told = Counter(one.kind for one in area.told)
    return any(count > told[kind] for kind, count in area.counts.items() if kind in OF_FILES and not area.counts[MASS_MISSING])
