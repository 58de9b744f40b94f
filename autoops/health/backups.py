"""Are there backups, and were they tried out? Pure: what is remembered of the last ones in, results out."""

from __future__ import annotations

from collections.abc import Mapping

from autoops.config import HealthConfig
from autoops.core.spoken import age
from autoops.files.last import Last
from autoops.health.result import Figure, Level, Result, judge

DRILL, ARCHIVE_DRILL = "drill", "archive_drill"
_CHAPTER = "RUNBOOK, 'Backup'"


def snapshots(
    last: Last | None, since_s: float | None, now_s: float, limits: HealthConfig, unusable: Mapping[str, str] | None = None
) -> Result:
    """Judge when the last good snapshot was taken, and whether all there are can be used, as far as anybody looked.

    since_s: since when there is something to lose, None: nothing is there yet. unusable: what is wrong, by name.
    """
    aged = _aged(last, since_s, now_s, limits)
    if not unusable:
        return aged
    fault = next(iter(unusable.values()))
    said = f"{aged.text}; {len(unusable)} of the backups cannot be used: {fault}"
    remedy = aged.remedy or "autoops-backup verify --all --quick; RUNBOOK, 'the snapshot ... cannot be trusted'"
    return aged._replace(level=max(aged.level, Level.WARNING), text=said, remedy=remedy)


def _aged(last: Last | None, since_s: float | None, now_s: float, limits: HealthConfig) -> Result:
    warning_s, critical_s = limits.backup_age_warning_s, limits.backup_age_critical_s
    remedy = f"autoops-backup snapshot; autoops logs backup; {_CHAPTER}"
    if last is None or not last.good_s:
        if since_s is None:
            return Result("backup", Level.OK, "nothing to back up yet")
        waits_s = max(0.0, now_s - since_s)
        level = judge(waits_s, warning_s, critical_s)
        why = f" ({last.fault})" if last and last.fault else ""
        said = f"no snapshot was ever taken{why}; the first commit is {age(waits_s)} old"
        return Result("backup", level, said, remedy=remedy if level or last else "")
    old_s = max(0.0, now_s - last.good_s)
    figures = (Figure("snapshot_age", old_s, "s", warning_s, critical_s),)
    level, said = judge(old_s, warning_s, critical_s), f"the last good snapshot is {age(old_s)} old"
    if last.fault:
        return Result("backup", max(level, Level.WARNING), f"{said}; the last one failed: {last.fault}", figures, remedy)
    return Result("backup", level, said, figures, remedy if level else "")


def drills(name: str, last: Last | None, snapshot: Last | None, days: int, now_s: float) -> Result:
    """Judge when a restore was tried out: a backup that was never restored is a hope. `name`: of the check, and so of the kind."""
    limit_s, option = days * 86400.0, " --archive" if name == ARCHIVE_DRILL else ""
    remedy = f"autoops-backup drill{option}; RUNBOOK, 'Drills'"
    if last is not None and last.fault:
        return Result(name, Level.CRITICAL, f"the last one failed: {last.fault}", remedy=remedy)
    since_s = last.good_s if last else snapshot.first_s if snapshot else 0.0
    if not since_s:
        return Result(name, Level.OK, "nothing to restore yet")
    old_s = max(0.0, now_s - since_s)
    said = f"the last good one is {age(old_s)} old" if last else f"none yet; there are snapshots since {age(old_s)}"
    level = Level.CRITICAL if old_s >= limit_s else Level.OK
    return Result(name, level, said, (Figure(f"{name}_age", old_s, "s", None, limit_s),), remedy if level else "")


def archives(
    repository: str, last: Last | None, last_check: Last | None, now_s: float, limits: HealthConfig, *, is_unit: bool
) -> Result:
    """Judge when the backups were archived off this host.

    repository: where to, "" for nowhere; is_unit: whether systemd does it.
    """
    pair = limits.archive_age_warning_s, limits.archive_age_critical_s
    again = "systemctl start autoops-archive" if is_unit else "autoops-backup archive"
    remedy = f"autoops findings; {again}; RUNBOOK, 'Finding: archive_failed'"
    if not repository:
        return Result("archive", Level.OK, "none is configured ([archive] repository)")
    if last is None or not last.good_s:
        return Result("archive", Level.WARNING, "nothing was ever archived", remedy=remedy)
    old_s = max(0.0, now_s - last.good_s)
    level = max(judge(old_s, *pair), Level.WARNING if last.fault else Level.OK)
    checked = f"checked {age(max(0.0, now_s - last_check.good_s))} ago" if last_check and last_check.good_s else "never checked"
    said = f"the last good archive is {age(old_s)} old, of snapshot {last.name or 'none'}; {checked}"
    said += f"; the last run failed: {last.fault}" if last.fault else ""
    figures = (Figure("archive_age", old_s, "s", *pair),)
    return Result("archive", level, said, figures, remedy if level else "")
