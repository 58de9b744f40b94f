"""What `autoops reconcile` and `autoops-reconciler` do: find out, tell, record, repair. (Without typer: that costs 0.1 s.)"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from autoops import clock, names
from autoops.cli.context import Context, require_state
from autoops.cli.extents import note_state
from autoops.cli.finding_text import in_a_line
from autoops.cli.output import as_json, say
from autoops.cli.progress import Progress
from autoops.config import Config
from autoops.core.drift import REGISTRY_EDITED
from autoops.core.spoken import counted
from autoops.errors import UsageError
from autoops.log import emit
from autoops.model import JSON, split_key
from autoops.pool import asking
from autoops.pool.pool import Pool
from autoops.reconcile.reconciler import Area, Limits, Reconciler, Told
from autoops.reconcile.record import rebuild, record, record_proofs, repair
from autoops.store.backlog import Backlog
from autoops.store.database import Database
from autoops.store.findings import Findings, Found
from autoops.store.operations import Gaps, Heartbeats
from autoops.store.registry import Registry
from autoops.walk.hearing import Hearing
from autoops.walk.scan import Totals

_SHOWN = 1000
PARTS = ("files", "proofs", "catalogs", "replicas")


class Outcome(NamedTuple):
    """What came of a run."""

    areas: list[Area]
    proved: dict[str, list[Found]]  # by part: what the registry, its catalogs and its replicas are not
    looked_at: dict[str, int]  # what was compared, and how much of it
    observed: list[str]  # roots that were not: nothing of them is registered

    @property
    def unsettled(self) -> int:
        """How many files could not be judged: somebody is writing them."""
        return sum(area.unsettled for area in self.areas)

    @property
    def counts(self) -> Counter[str]:
        """How much there is of each kind."""
        whole = Counter(kind for found in self.proved.values() for kind, _, _ in found)
        for area in self.areas:
            whole.update(area.counts)
        return whole


class Asked(NamedTuple):
    """What a run is asked to do."""

    path: Path | None = None
    report: bool = False  # tell only
    repair: bool = False  # whatever the configuration says
    hashes: bool = False
    only: tuple[str, ...] = ()
    json: bool = False


def run(ctx: Context, asked: Asked) -> int:
    """Do one run; return the exit code: 0, all agree; 1, something does not. Raises UsageError, Paused, StorageError."""
    parts = _parts(asked.only)
    settings = ctx.running_config()
    mend = asked.repair or settings.reconcile.repair
    outcome = find_out(ctx, settings, asked.path, hashes=asked.hashes, parts=parts, forks=True)
    repairs = 0 if asked.report else act(ctx, outcome, hashes=asked.hashes, mend=mend)
    if not asked.report:
        note_state(ctx, settings)
    if asked.json:
        as_json(_facts(outcome, repairs))
    else:
        _say(outcome, repairs, plans=mend)
        if asked.report and asked.repair:
            say(f"would be enqueued: {counted(sum(bool(one.plan.repair) for one in told(outcome)), 'repair')} of files")
    return 1 if outcome.counts else 0


def _parts(only: Sequence[str]) -> tuple[str, ...]:
    for part in only:
        if part not in PARTS:
            raise UsageError(detail=f"--only must be one of {', '.join(PARTS)}; got {names.show(part)}")
    return tuple(only or PARTS)


# finding out


def find_out(
    ctx: Context, settings: Config, path: Path | None, *, hashes: bool, parts: Sequence[str], forks: bool = False
) -> Outcome:
    """Compare and prove; write nothing. forks: this process has no thread and no database open. Raises Paused, StorageError."""
    require_state(ctx.state)
    ctx.refuse_window()
    wanted = ctx.places(settings, path) if "files" in parts else []
    observed = {root.name for root in settings.roots if root.policy == "observe"}  # of those nothing is registered
    places = [place for place in wanted if place[0] not in observed]
    with contextlib.ExitStack() as opened:
        made = asking.pool_of(settings, ctx.state.directory, idle_s=60, limit_s=settings.worker.task_timeout_s)
        pool = opened.enter_context(contextlib.closing(made))
        if places:
            pool.start(forked=forks)
        database = opened.enter_context(ctx.queue_db(writable=False))
        registry = opened.enter_context(contextlib.closing(ctx.registry()))
        proved = _proved(ctx, settings, database, registry, [part for part in PARTS if part in parts and part != "files"])
        edited = (
            {subject.decode() for kind, subject, _ in proved["proofs"] if kind == REGISTRY_EDITED} if "proofs" in proved else None
        )
        areas = list(_areas(ctx, settings, places, database, registry, pool, edited, hashes=hashes)) if places else []
        sizes = {
            "files": sum(area.totals.files for area in areas),
            "commits": registry.head().sequence,
            "catalogs": len(settings.catalog_tables),
            "replicas": len(settings.replicas),
        }
    looked_at = {what: size for part, (what, size) in zip(PARTS, sizes.items(), strict=True) if part in parts}
    return Outcome(areas, proved, looked_at, [root for root, _ in wanted if root in observed])


def _proved(ctx: Context, settings: Config, database: Database, registry: Registry, parts: Sequence[str]) -> dict[str, list[Found]]:
    if not parts:
        return {}
    from autoops.cli.proving import prove

    return {part: prove(ctx, settings, database, registry, part) for part in parts}


def _areas(
    ctx: Context,
    settings: Config,
    places: Sequence[tuple[str, bytes]],
    database: Database,
    registry: Registry,
    pool: Pool,
    edited: Collection[str] | None,
    *,
    hashes: bool,
) -> Iterator[Area]:
    limits = settings.reconcile
    runs = _runs(database)
    reconciler = Reconciler(
        registry,
        Backlog(database),
        Findings(database),
        Gaps(database),
        pool,
        {root.name: root.path for root in settings.roots},
        Limits(limits.missing_share, limits.missing_least, limits.findings),
        runs=runs,
        edited=edited,
    )
    hearing = Hearing(database, ctx.state.cookies) if runs else None
    with Progress() as progress:
        for root, below in places:
            yield reconciler.compare(root, below, hearing, rehash=hashes, alive=lambda totals: progress.show(_how_far(totals)))


def _runs(database: Database) -> bool:
    beat = Heartbeats(database).of("worker")
    return beat is not None and beat.state == "running" and clock.is_alive(beat.boot_id, beat.pid, beat.start)


def _how_far(totals: Totals) -> str:
    return f"{totals.files:,} files, {totals.directories:,} directories looked at"


# acting


def act(ctx: Context, outcome: Outcome, *, hashes: bool, mend: bool) -> int:
    """Record what was found and enqueue what mends it; return how many repairs that were."""
    now_s, run = int(time.time()), time.time_ns()
    with ctx.queue_db() as database:
        findings = Findings(database)
        record(findings, outcome.areas, rehash=hashes, now_s=now_s, run=run)
        for part, found in outcome.proved.items():
            from autoops.cli.proving import KINDS_OF

            record_proofs(findings, KINDS_OF[part], found, now_s=now_s, run=run)
        repairs = 0
        if mend:
            queue, backlog = ctx.queue(), Backlog(database)
            repairs = repair(queue.enqueue, findings, backlog, outcome.areas)
            repairs += rebuild(queue.enqueue, backlog, outcome.proved.get("catalogs", ()))
    if repairs:
        ctx.wake_worker()
    emit("reconciled", findings=sum(outcome.counts.values()), repairs=repairs, kinds=dict(outcome.counts))
    return repairs


# telling


def told(outcome: Outcome) -> Iterator[Told]:
    """Yield every finding of a run, root by root."""
    for area in outcome.areas:
        yield from area.told


def _not_proved(outcome: Outcome) -> Iterator[Found]:
    for found in outcome.proved.values():
        yield from found


def sentence(one: Told) -> str:
    """Return a finding for a person."""
    root, path = split_key(one.subject)
    where = f"{root}/{names.text(path)}" if path else root
    return f"{one.kind}: {where} ({in_a_line(one.kind, one.detail)})"


def _say(outcome: Outcome, repairs: int, *, plans: bool) -> None:
    shown = 0
    for one in told(outcome):
        if shown < _SHOWN:
            say(sentence(one))
            what = one.plan.held or (one.plan.then if plans or not one.plan.repair else f"with --repair {one.plan.then}")
            say(f"    -> {what}")
        shown += 1
    for kind, subject, detail in _not_proved(outcome):
        say(f"{kind}: {names.text(subject)} ({in_a_line(kind, detail)})")
    if shown > _SHOWN:
        say(f"... and {shown - _SHOWN} more (--json shows all)")
    say(summary(outcome, repairs))


def summary(outcome: Outcome, repairs: int) -> str:
    """Return what was looked at, and what came of it, in a line."""
    looked_at = ", ".join(counted(size, what.removesuffix("s")) for what, size in outcome.looked_at.items())
    told = ", ".join(f"{count:,} {kind}" for kind, count in sorted(outcome.counts.items()))
    more = [f"{outcome.unsettled:,} being written"] if outcome.unsettled else []
    more += [f"{counted(repairs, 'repair')} enqueued"] if repairs else []
    more += [f"not compared, only observed: {', '.join(map(names.show, outcome.observed))}"] if outcome.observed else []
    return "; ".join([f"{looked_at}: {told or 'all agree'}", *more])


def _facts(outcome: Outcome, repairs: int) -> JSON:
    return {
        "counts": dict(outcome.counts),
        "looked_at": outcome.looked_at,
        "findings": [_finding_facts(one) for one in told(outcome)]
        + [{"kind": kind, "subject": names.text(subject), "detail": detail} for kind, subject, detail in _not_proved(outcome)],
        "repairs": repairs,
        "observed": outcome.observed,
        "unsettled": outcome.unsettled,
    }


def _finding_facts(one: Told) -> JSON:
    root, path = split_key(one.subject)
    plan = {"held": one.plan.held, "repair": one.plan.repair, "then": one.plan.then}
    return {"detail": one.detail, "kind": one.kind, "path": names.text(path), "plan": plan, "root": root}
