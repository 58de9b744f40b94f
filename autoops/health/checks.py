"""The checks of what autoops does: daemons, queue, registry, digest, coverage.

Reads what Sources has; writes queue/health.json (registry.py), queue/verification.json (verification.py), canaries (canary.py).
"""

from __future__ import annotations

import time

from autoops.config import ScrubConfig
from autoops.errors import CannotTell, StorageError
from autoops.health import canary, digest, outcomes, registry, services, verification
from autoops.health.result import Level, Result
from autoops.health.sources import Sources, is_installed, silent_s
from autoops.store.backlog import Backlog
from autoops.store.operations import Gaps
from autoops.store.registry import Registry
from autoops.store.samples import SHIPPING_LATENCY, Samples

_DAEMONS = ("watcher", "worker")
_BY_DEFAULT_HEARTBEAT_S = 30.0
_DAY_S = 86400


def check_daemon(name: str, sources: Sources) -> Result:
    """Is this daemon alive?"""
    config = sources.config
    beat, alive = sources.beats.get(name, (None, None))
    silent = silent_s(beat) if beat else None
    heartbeat_s = config.service.heartbeat_s if config else _BY_DEFAULT_HEARTBEAT_S
    return services.daemon(name, beat, alive, silent, heartbeat_s, sources.limits, is_unit=sources.is_of_units)


def check_tailer(sources: Sources) -> Result:
    """Are the checkpoints followed?"""
    if "tailer" not in sources.beats:  # whoever runs the two daemons alone has chosen so
        return Result("tailer", Level.OK, "was never started: nobody follows the checkpoints")
    found = check_daemon("tailer", sources)
    return found._replace(level=min(found.level, Level.WARNING))  # without it nothing is lost, only told later


def check_shipping(sources: Sources) -> Result:
    """Is the ledger shipped as it grows?"""
    if sources.window is not None:
        return Result("shipping", Level.OK, "not looked at while a maintenance window is open")
    beat, alive = sources.beats.get("shipper", (None, None))
    if beat is None:
        is_meant = sources.is_of_units and is_installed(sources, "autoops-shipper.service")
        if not is_meant:  # whoever runs the two daemons alone has chosen so
            return Result("shipping", Level.OK, "was never started: the ledger is not shipped")
        return Result("shipping", Level.WARNING, "the shipper never ran", remedy="systemctl enable --now autoops-shipper")
    behind = readable_registry(sources).behind(int(beat.facts.get("shipped", 0)))
    took = Samples(sources.queue_db).percentiles(SHIPPING_LATENCY, int(time.time()) - 86400)
    return services.shipping(beat, alive, behind, took, time.time(), sources.limits, is_unit=sources.is_of_units)


def check_database(sources: Sources) -> Result:
    """Can queue.db be read?"""
    if isinstance(sources.opened_queue, StorageError):
        raise sources.opened_queue
    sources.opened_queue.query("SELECT count(*) FROM heartbeat")
    return Result("database", Level.OK, "queue.db answers")


def check_queue(sources: Sources) -> Result:
    """Does the queue move?"""
    backlog = Backlog(sources.queue_db)
    return services.queue(backlog.counts(), backlog.oldest_s(), sources.limits, paused=sources.window is not None)


def check_outcomes(sources: Sources) -> Result:
    """Do jobs end well, and do changes stay?"""
    return outcomes.judged(outcomes.of_the_last(sources.queue_db, int(time.time())), sources.limits)


def check_registry(sources: Sources) -> Result:
    """Is the registry what its ledger says?"""
    if sources.window is not None:
        return Result("registry", Level.OK, "not looked at while a maintenance window is open")
    memory, said = sources.state.verdict, _contradiction(sources)
    if said:
        remedy = "autoops verify; RUNBOOK, 'verify or validate-registry fails'"
        return Result("registry", Level.CRITICAL, said, remedy=remedy)
    if sources.may_write:
        validate, every_s = sources.settings.validate, sources.limits.validate_every_s
        return registry.check(sources.registry, sources.state.registry_db, memory, validate, time.time(), every_s)
    head, last = sources.registry.head(), registry.recall(memory)
    if last is None:
        return Result("registry", Level.OK, f"commit {head.sequence}; not validated yet")
    return registry.judged(last, head, time.time())


def _contradiction(sources: Sources) -> str:
    checkpoint = sources.checkpoint
    return digest.contradiction(checkpoint, sources.registry.hash_of(checkpoint.sequence) if checkpoint else None)


def check_digest(sources: Sources) -> Result:
    """Does the signed digest lack anything?"""
    if sources.window is not None:
        return Result("digest", Level.OK, "not looked at while a maintenance window is open")
    checkpoint, now_s = sources.checkpoint, time.time()
    behind = readable_registry(sources).behind(checkpoint.sequence if checkpoint else 0)
    uncovered_s = now_s - behind.since_s if behind.since_s is not None else 0.0
    silences = {name: _silence_s(sources, name, now_s) for name in _DAEMONS}
    return digest.judged(max(0.0, uncovered_s), Backlog(sources.queue_db).oldest_s(), silences, checkpoint, sources.limits)


def _silence_s(sources: Sources, name: str, now_s: float) -> float:
    """Return how long a daemon gave no sign of life; one that never did is missed by a check of its own."""
    beat, _ = sources.beats.get(name, (None, None))
    if beat is None:
        return 0.0
    silent = silent_s(beat)
    return silent if silent is not None else max(0.0, now_s - beat.at_s)


def check_canary(sources: Sources) -> Result:
    """Does a change get from a tree into the registry?"""
    trees = [root for root in sources.config.roots if root.canary] if sources.config else []
    if trees and sources.window is not None:
        return Result("canary", Level.OK, "not looked at while a maintenance window is open")
    now_s, limits = time.time(), sources.limits
    if not trees:
        return canary.judged({}, now_s, limits)
    registry_db, memory = readable_registry(sources), sources.state.canaries
    return canary.judged(canary.fly(trees, registry_db, memory, now_s, limits, may_write=sources.may_write), now_s, limits)


def readable_registry(sources: Sources) -> Registry:
    """Return the registry. Raises CannotTell: why it cannot be read, the check "registry" says; StorageError that may pass."""
    try:
        return sources.registry
    except StorageError as error:
        if error.transient:
            raise
        raise CannotTell(detail="registry.db cannot be read", remedy="see the check: registry") from None


def check_coverage(sources: Sources) -> Result:
    """Is everything watched?"""
    gaps = Gaps(sources.queue_db)
    overflows = sum(gap.reason == "overflow" for gap in gaps.since(int(time.time()) - _DAY_S))
    return services.coverage(gaps.open_gaps(), overflows)


def check_verification(sources: Sources) -> Result:
    """Was every file read again in its time?"""
    scrub = sources.config.scrub if sources.config else ScrubConfig()
    if not scrub.enabled or sources.window is not None:
        said = "not looked at while a maintenance window is open" if scrub.enabled else "the scrub is turned off ([scrub] enabled)"
        return Result("verification", Level.OK, said)
    registry_db, memory = readable_registry(sources), sources.state.verification
    return verification.check(registry_db, memory, scrub.days, time.time(), may_count=sources.may_write)
