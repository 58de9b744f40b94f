"""The report of coverage: what is and was not watched, what is left out, and what was not verified, and for how long.

What it cannot know it says: how many files the patterns leave out, and what was before the oldest gap that is kept. Reads queue.db
and the registry; writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autoops import clock, names
from autoops.config import Config
from autoops.core.coverage import AGES, Missed, Unwatched, length, overdue_before, times_of_ages, unwatched
from autoops.core.ledger import utc
from autoops.errors import CannotTell
from autoops.model import JSON
from autoops.reconcile import budget
from autoops.store.database import Database
from autoops.store.operations import GAPS_KEPT, Gap, Gaps, Heartbeat, Heartbeats
from autoops.store.registry import Registry
from autoops.store.verified import Age

LEFT_OUT = "how many files the patterns and ignore files leave out is not known: nobody looks at those"


def report(queue_db: Database, registry: Registry, config: Config, now_s: int, since_s: int) -> JSON:
    """Return the report about now and the time since then, as JSON. Raises StorageError."""
    gaps = Gaps(queue_db).since(since_s)
    down = _watcher_down([beat for beat in Heartbeats(queue_db).list() if beat.process == "watcher"], now_s)
    begun_s = registry.began_s()
    from_s = since_s if begun_s is None else max(since_s, begun_s)
    roots = [root.name for root in config.roots]
    missed = [Missed(gap.root, gap.reason, gap.since_s, gap.until_s) for gap in [*gaps, *down]]
    parts = unwatched(missed, roots, from_s, now_s)
    ages = registry.ages(times_of_ages(now_s), overdue_before(now_s, config.scrub.days))
    return {
        "at": utc(now_s),
        "at_s": now_s,
        "since": utc(since_s),
        "since_s": since_s,
        "begun_s": begun_s,  # before this nothing was registered
        "known_since_s": min((gap.since_s for gap in gaps), default=None) if len(gaps) >= GAPS_KEPT else None,
        "now": [_gap_facts(gap, now_s) for gap in [*gaps, *down] if gap.until_s is None],
        "unwatched": [_part_facts(part) for part in parts],
        "roots": [
            {
                "root": root.name,
                "path": names.text(root.path),
                "policy": root.policy,
                "unwatched_seconds": length(span for part in parts if part.root == root.name for span in part.spans),
                "patterns": [*config.watch.ignore, *root.ignore],
                "ignore_files": list(root.ignore_files),
                **_verified([age for age in ages if age.root == root.name], registry),
            }
            for root in config.roots
        ],
        "unconfigured": registry.unconfigured(),
        "left_out": LEFT_OUT,
        "verification": _verification(ages, config),
    }


def _watcher_down(beats: Sequence[Heartbeat], now_s: int) -> list[Gap]:
    """Return what a watcher that does not run leaves unwatched now: everything, since its last sign of life."""
    if not beats:
        return [Gap(0, "", b"", "downtime", "the watcher never ran", 0, None)]
    beat = beats[0]
    try:
        if clock.is_alive(beat.boot_id, beat.pid, beat.start):
            return []
    except CannotTell:  # /proc hides it: then it passes for alive
        return []
    return [Gap(0, "", b"", "downtime", "the watcher does not run", min(beat.at_s, now_s), None)]


def _gap_facts(gap: Gap, now_s: int) -> JSON:
    seconds = None if gap.since_s == 0 else max(0, now_s - gap.since_s)
    return {**gap._asdict(), "path": names.text(gap.path), "since": utc(gap.since_s), "seconds": seconds}


def _part_facts(part: Unwatched) -> JSON:
    told = {"seconds": part.seconds, "times": part.times, "still": part.is_open, "spans": [list(span) for span in part.spans]}
    return {"root": part.root, "reason": part.reason, **told}


def _verified(ages: Sequence[Age], registry: Registry) -> JSON:
    oldest = min(ages, key=lambda age: age.oldest_s, default=None)
    entry = registry.by_id([oldest.oldest_id]).get(oldest.oldest_id) if oldest else None
    return {
        **_sums(ages),
        "ages": [
            {
                "age": name,
                "files": sum(age.files for age in ages if age.step == step),
                "bytes": sum(age.size_bytes for age in ages if age.step == step),
            }
            for step, name in enumerate(AGES)
        ],
        "oldest_s": oldest.oldest_s if oldest else None,
        "oldest_path": names.text(entry.path) if entry else None,
    }


def _sums(ages: Iterable[Age]) -> JSON:
    ages = list(ages)
    return {
        "files": sum(age.files for age in ages),
        "bytes": sum(age.size_bytes for age in ages),
        "overdue_files": sum(age.overdue_files for age in ages),
        "overdue_bytes": sum(age.overdue_bytes for age in ages),
        "unread_files": sum(age.unread for age in ages),
    }


def _verification(ages: Sequence[Age], config: Config) -> JSON:
    scrub, sums = config.scrub, _sums(ages)
    return {
        "enabled": scrub.enabled,
        "days": scrub.days,
        "bytes_per_s": scrub.bytes_per_s,
        "bytes_per_s_needed": int(budget.rate_needed(sums["bytes"], scrub.days, scrub.hours)),
        "window": scrub.window,
        **sums,
    }
