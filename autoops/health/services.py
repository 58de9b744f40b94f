"""Are the daemons alive, are the units well, does the queue move? Pure: values in, results out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from autoops import names
from autoops.config import HealthConfig
from autoops.core.drift import GRAVE
from autoops.core.spoken import age, counted
from autoops.health.limits import SILENT_LEAST_S
from autoops.health.result import Figure, Level, Result, judge, worst
from autoops.model import JobState
from autoops.store.findings import Finding
from autoops.store.operations import Gap, Heartbeat
from autoops.store.records import Behind
from autoops.store.samples import Percentiles
from autoops.units.systemd import Shown

HEALTH_UNIT = "autoops-health.service"
_NAMED = 3  # so many are named in a sentence


def daemon(
    name: str,
    beat: Heartbeat | None,
    lives: bool | None,
    silent_s: float | None,
    heartbeat_s: float,
    limits: HealthConfig,
    *,
    is_unit: bool,
) -> Result:
    """Judge one daemon by its last sign of life.

    lives: whether the very process lives, None when it is hidden from us; silent_s: how long ago it gave the sign, None when that
    was before this boot; is_unit: whether systemd runs it.
    """
    remedy = _where_to_look(name, is_unit=is_unit)
    if beat is None or silent_s is None or lives is False:
        when = (
            f"its last sign of life was {age(silent_s)} ago" if silent_s is not None else "it gave no sign of life since the boot"
        )
        return Result(name, Level.CRITICAL, f"does not run; {when}", remedy=remedy)
    slow, dead = limits.silent_beats_warning, limits.silent_beats_critical
    slow_s, dead_s = max(SILENT_LEAST_S, slow * heartbeat_s), max(SILENT_LEAST_S * dead / slow, dead * heartbeat_s)
    level = judge(silent_s, slow_s, dead_s)
    figures = (Figure(f"{name}_silent", silent_s, "s", slow_s, dead_s),)
    if level == Level.OK:
        return Result(name, level, f"{beat.state}: {beat.status}", figures)
    said = f"process {beat.pid} gave no sign of life for {age(silent_s)}: it hangs or was stopped"
    return Result(name, level, said, figures, f"ps -o stat= -p {beat.pid}; {remedy}")


def _where_to_look(name: str, *, is_unit: bool) -> str:
    return f"systemctl status autoops-{name}, or autoops logs {name}" if is_unit else f"autoops logs {name}; autoops up starts it"


def queue(counts: Mapping[JobState, int], oldest_s: float, limits: HealthConfig, *, paused: bool) -> Result:
    """Judge how much waits, since when, and what was given up. While paused, waiting is as it should be."""
    depth, dead = counts["queued"] + counts["failed"] + counts["running"], counts["dead_letter"]
    depths = limits.queue_depth_warning, limits.queue_depth_critical
    ages = limits.queue_age_warning_s, limits.queue_age_critical_s
    deads = limits.dead_letters_warning, limits.dead_letters_critical
    figures = (
        Figure("queue_depth", depth, "", *depths),
        Figure("queue_oldest_due", oldest_s, "s", *ages),
        Figure("dead_letters", dead, "", *deads),
        Figure("jobs_completed", counts["completed"], "c"),
    )
    of_dead = judge(dead, *deads)
    of_age = Level.OK if paused else judge(oldest_s, *ages)
    of_depth = Level.OK if paused else judge(depth, *depths)
    said, remedies = [f"{depth} to do"], []
    if of_age or of_depth:
        said.append(f"the oldest has been due for {age(oldest_s)}")
        remedies.append("RUNBOOK, 'The queue grows'")
    if of_dead:
        said.append(f"{dead} given up")
        remedies.append("autoops queue list --in-state dead_letter")
    return Result("queue", worst((of_dead, of_age, of_depth)), ", ".join(said), figures, "; ".join(remedies))


def shipping(
    beat: Heartbeat,
    lives: bool | None,
    behind: Behind,
    took: Percentiles | None,
    now_s: float,
    limits: HealthConfig,
    *,
    is_unit: bool,
) -> Result:
    """Judge how far what was shipped, as the shipper said last, is behind the ledger.

    took: how long it took of late; is_unit: whether systemd runs the shipper.
    """
    behind_s = max(0.0, now_s - behind.since_s) if behind.since_s is not None else 0.0
    most = limits.shipping_behind_warning_s, limits.shipping_behind_critical_s
    figures = (
        Figure("shipping_behind", behind_s, "s", *most),
        Figure("shipping_behind_commits", max(0, behind.commits)),
        *((Figure("shipping_latency_p99", took.p99, "s"),) if took else ()),
    )
    level = judge(behind_s, *most)
    said = f"shipped up to commit {beat.facts.get('shipped', 0)}"
    if behind.commits > 0:
        said = f"{behind.commits} commit(s) are not shipped, the first of them {age(behind_s)} old"
    if lives is False:
        level = max(level, Level.WARNING)  # what is shipped is safe, and so far it is all
        said += "; the shipper does not run"
    if level == Level.OK:
        return Result("shipping", level, said, figures)
    remedy = f"{_where_to_look('shipper', is_unit=is_unit)}; RUNBOOK, 'Finding: ledger_unshipped'"
    return Result("shipping", level, said, figures, remedy)


def coverage(gaps: Sequence[Gap], overflows: int = 0) -> Result:
    """Judge what is not watched. A second name of a watched directory ("alias") is known, not a fault.

    overflows: how often of late events were lost; a scan has made up for each, so they are told and not judged.
    """
    missing = [gap for gap in gaps if gap.reason != "alias"]
    figures = Figure("gaps", len(missing), "", 1, None), Figure("overflows", overflows)
    lost = f"; events were lost within a day ({counted(overflows, 'overflow')}, and scans instead)" if overflows else ""
    if not missing:
        return Result("coverage", Level.OK, f"everything is watched{lost}", figures)
    whole = [gap.root for gap in missing if not gap.path]
    level = Level.CRITICAL if whole else Level.WARNING
    where = f", among them all of {_some(whole)}" if whole else ""
    parts = [names.show(os.path.join(os.fsencode(gap.root), gap.path)) for gap in missing if gap.path]
    named = f": {_some(parts)}" if parts else ""
    reasons = _some(sorted({gap.reason for gap in missing}))
    said = f"{counted(len(missing), 'place')} not watched ({reasons}){where}{named}{lost}"
    return Result("coverage", level, said, figures, "autoops coverage")


def findings(counts: Mapping[str, int]) -> Result:
    """Judge what needs a person."""
    total = sum(counts.values())
    figures = (Figure("findings", total, "", 1, None),)
    if not total:
        return Result("findings", Level.OK, "none", figures)
    level = Level.CRITICAL if any(counts.get(kind) for kind in GRAVE) else Level.WARNING
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return Result("findings", level, said, figures, "autoops findings; RUNBOOK has an entry for each")


def units(shown: Sequence[Shown]) -> Result:
    """Judge what systemd says about our units: ActiveState and Result of each.

    Not about the check's own: it fails by telling what is wrong, and would go on to do so for ever.
    """
    bad = [one for one in shown if one.get("ActiveState") == "failed" and one["Id"] != HEALTH_UNIT]
    failed = [f"{one['Id']} ({one.get('Result', '?')})" for one in bad]
    if not failed:
        return Result("units", Level.OK, f"{counted(len(shown), 'unit')}, none failed", (Figure("failed_units", 0, "", None, 1),))
    remedy = "systemctl status 'autoops-*'; autoops logs; then systemctl restart or reset-failed"
    return Result("units", Level.CRITICAL, f"failed: {_some(failed)}", (Figure("failed_units", len(failed), "", None, 1),), remedy)


def recovered(
    failures: Iterable[Finding], shown: Sequence[Shown], beats: Iterable[tuple[Heartbeat, bool | None]], own_unit: str
) -> list[bytes]:
    """Return the units (subjects of `unit_failed` findings) that are well again.

    A unit is, when systemd says that it is active or that its last run ended well; a daemon also, when it lives and gave a sign
    after it failed; and the check itself, for it came as far as this: it fails by telling what is wrong, which is no second fault.
    """
    well = {one["Id"] for one in shown if _is_well(one)} | {own_unit, HEALTH_UNIT}
    lives = {f"autoops-{beat.process}.service": beat.at_s for beat, alive in beats if alive is not False}
    return [
        one.subject
        for one in failures
        if (name := one.subject.decode(errors="replace")) in well or lives.get(name, 0) > one.last_seen_s
    ]


def _is_well(shown: Shown) -> bool:
    state, result = shown.get("ActiveState", ""), shown.get("Result", "")
    ran = shown.get("ExecMainStartTimestampMonotonic", "0") not in ("", "0")
    return state in ("active", "reloading") or (state == "inactive" and result == "success" and ran)


def _some(values: Sequence[str]) -> str:
    more = f" and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
    return ", ".join(values[:_NAMED]) + more
