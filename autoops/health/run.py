"""One run of every check. Each is on its own: what one of them meets never keeps another from its answer.

Reads the state directory, the configuration, /proc and systemd; writes queue/health.json (registry.py) and
queue/verification.json (verification.py), and closes `unit_failed` findings of units that are well again.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterable, Iterator

from autoops.config import DrillConfig, ScrubConfig
from autoops.core.drift import UNIT_FAILED
from autoops.core.spoken import counted
from autoops.errors import AutoopsError, CannotTell, ConfigError, StorageBusy, StorageError
from autoops.files.last import recall
from autoops.health import backups, place, registry, services, verification
from autoops.health.result import Level, Result
from autoops.health.sources import BUSY_S, Settings, Sources, silent_s
from autoops.log import emit
from autoops.store.backlog import Backlog
from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.operations import Gaps
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.samples import SHIPPING_LATENCY, Samples
from autoops.units import systemd

_DAEMONS = ("watcher", "worker")
_BY_DEFAULT_HEARTBEAT_S = 30.0
_WAITING = ("paused", "held")


# the checks


def check_daemon(name: str, sources: Sources) -> Result:
    """Is this daemon alive?"""
    config = sources.config
    beat, alive = sources.beats.get(name, (None, None))
    silent = silent_s(beat) if beat else None
    heartbeat_s = config.service.heartbeat_s if config else _BY_DEFAULT_HEARTBEAT_S
    return services.daemon(name, beat, alive, silent, heartbeat_s, is_unit=sources.is_of_units)


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
        if not _is_installed(sources, "autoops-shipper.service"):  # whoever runs the two daemons alone has chosen so
            return Result("shipping", Level.OK, "was never started: the ledger is not shipped")
        return Result("shipping", Level.WARNING, "the shipper never ran", remedy="systemctl enable --now autoops-shipper")
    try:
        behind = sources.registry.behind(int(beat.facts.get("shipped", 0)))
    except StorageError as error:
        if error.transient:
            raise
        raise CannotTell(detail="registry.db cannot be read", remedy="see the check: registry") from None
    took = Samples(sources.queue_db).percentiles(SHIPPING_LATENCY, int(time.time()) - 86400)
    return services.shipping(beat, alive, behind, took, time.time())


def _is_installed(sources: Sources, unit: str) -> bool:
    return any(one["Id"] == unit for one in _asked(sources))


def check_database(sources: Sources) -> Result:
    """Can queue.db be read?"""
    if isinstance(sources.opened_queue, StorageError):
        raise sources.opened_queue
    sources.opened_queue.query("SELECT count(*) FROM heartbeat")
    return Result("database", Level.OK, "queue.db answers")


def check_queue(sources: Sources) -> Result:
    """Does the queue move?"""
    backlog = Backlog(sources.queue_db)
    return services.queue(backlog.counts(), backlog.oldest_s(), paused=sources.window is not None)


def check_registry(sources: Sources) -> Result:
    """Is the registry what its ledger says?"""
    if sources.window is not None:
        return Result("registry", Level.OK, "not looked at while a maintenance window is open")
    memory = sources.state.verdict
    if sources.settings.may_write:
        return registry.check(sources.registry, sources.state.registry_db, memory, sources.settings.validate, time.time())
    head, last = sources.registry.head(), registry.recall(memory)
    if last is None:
        return Result("registry", Level.OK, f"commit {head.sequence}; not validated yet")
    return registry.judged(last, head, time.time())


def check_coverage(sources: Sources) -> Result:
    """Is everything watched?"""
    return services.coverage(Gaps(sources.queue_db).open_gaps())


def check_verification(sources: Sources) -> Result:
    """Was every file read again in its time?"""
    scrub = sources.config.scrub if sources.config else ScrubConfig()
    if not scrub.enabled or sources.window is not None:
        said = "not looked at while a maintenance window is open" if scrub.enabled else "the scrub is turned off ([scrub] enabled)"
        return Result("verification", Level.OK, said)
    try:
        registry_db = sources.registry
    except StorageError as error:
        if error.transient:
            raise
        raise CannotTell(detail="registry.db cannot be read", remedy="see the check: registry") from None
    memory = sources.state.verification
    return verification.check(registry_db, memory, scrub.days, time.time(), may_count=sources.settings.may_write)


def check_backup(sources: Sources) -> Result:
    """Was a snapshot taken lately?"""
    last, since_s = recall(sources.state.last_snapshot), None
    if last is None or not last.good_s:
        with contextlib.suppress(StorageError):  # a registry that cannot be read has a check of its own
            since_s = sources.registry.began_s()
    return backups.snapshots(last, since_s, time.time())


def check_drill(sources: Sources) -> Result:
    """Was a restore tried out lately?"""
    days = (sources.config.drill if sources.config else DrillConfig()).days
    last, snapshot = recall(sources.state.last_drill), recall(sources.state.last_snapshot)
    return backups.drills(backups.DRILL, last, snapshot, days, time.time())


def check_archive_drill(sources: Sources) -> Result:
    """And one from the archive alone?"""
    config = sources.config
    if config is None or not config.archive.repository:
        return Result(backups.ARCHIVE_DRILL, Level.OK, "no archive is configured")
    last, snapshot = recall(sources.state.last_archive_drill), recall(sources.state.last_snapshot)
    return backups.drills(backups.ARCHIVE_DRILL, last, snapshot, config.drill.archive_days, time.time())


def check_archive(sources: Sources) -> Result:
    """Is there a copy of the backups off this host?"""
    repository = sources.config.archive.repository if sources.config else ""
    last, last_check = recall(sources.state.last_archive), recall(sources.state.last_archive_check)
    return backups.archives(repository, last, last_check, time.time())


def check_findings(sources: Sources) -> Result:
    """Does anything need a person?"""
    if sources.settings.may_write:
        with contextlib.suppress(StorageError):  # the finding stays, and is told
            _close_recovered(sources)
    return services.findings(Findings(sources.queue_db).counts())


def check_units(sources: Sources) -> Result:
    """Has a unit failed?"""
    try:
        return services.units(sources.units)
    except CannotTell as error:  # in a sandbox without a bus the findings `unit_failed` tell
        return Result("units", Level.OK, f"not asked: {error.facts['detail']}")


def check_configuration(sources: Sources) -> Result:
    """Is the configuration good?"""
    config = sources.loaded_config
    if isinstance(config, ConfigError):
        faults = "; ".join(str(config).splitlines()[1:])
        return Result("configuration", Level.WARNING, f"faulty: {faults}", remedy="autoops config check")
    return Result("configuration", Level.OK, f"{counted(len(config.roots), 'root')}")


def check_maintenance(sources: Sources) -> Result:
    """Is a maintenance window as it should be?"""
    held = None
    if sources.window is None:
        with contextlib.suppress(AutoopsError):  # a database that cannot be read has a check of its own
            waiting = [beat for beat, alive in sources.beats.values() if alive is not False and beat.state in _WAITING]
            held = next(((beat.state, beat.status) for beat in waiting), None)
    return place.maintenance(sources.window, time.time(), held)


def check_disk(sources: Sources) -> Result:
    """Is there room?"""
    return place.disk(place.room(sources.state.directory))


def check_permissions(sources: Sources) -> Result:
    """Are key and databases their owner's alone?"""
    return place.permissions(*place.seen(sources.state))


def check_suspect(sources: Sources) -> Result:
    """Has a read or write of a database failed?"""
    return place.suspect(place.suspects(sources.state.directory))


Check = Callable[[Sources], Result]
CHECKS: tuple[tuple[str, Check], ...] = (
    ("database", check_database),
    *((name, functools.partial(check_daemon, name)) for name in _DAEMONS),
    ("tailer", check_tailer),
    ("shipping", check_shipping),
    ("queue", check_queue),
    ("registry", check_registry),
    ("coverage", check_coverage),
    ("verification", check_verification),
    ("backup", check_backup),
    (backups.DRILL, check_drill),
    (backups.ARCHIVE_DRILL, check_archive_drill),
    ("archive", check_archive),
    ("findings", check_findings),
    ("units", check_units),
    ("configuration", check_configuration),
    ("maintenance", check_maintenance),
    ("disk", check_disk),
    ("permissions", check_permissions),
    ("suspect", check_suspect),
)


def run(settings: Settings, checks: Iterable[tuple[str, Check]] = CHECKS) -> list[Result]:
    """Return what every check found."""
    with contextlib.ExitStack() as opened:
        return examined(Sources(settings, opened), checks)


def examined(sources: Sources, checks: Iterable[tuple[str, Check]] = CHECKS) -> list[Result]:
    """Return what every check found, of sources that the caller opened and may ask more of."""
    return [guarded(name, check, sources) for name, check in checks]


def guarded(name: str, check: Check, sources: Sources) -> Result:
    """Return what a check found, or what kept it from finding anything."""
    try:
        return check(sources)
    except StorageBusy as error:
        return Result(name, Level.UNKNOWN, str(error), remedy=error.advice)
    except StorageError as error:
        return Result(name, Level.CRITICAL, str(error), remedy=error.advice)
    except AutoopsError as error:
        return Result(name, Level.UNKNOWN, str(error), remedy=error.advice)
    except OSError as error:
        return Result(name, Level.UNKNOWN, f"{error.strerror}: {error.filename}")
    except Exception as error:  # noqa: BLE001  # a bug in one check must not silence the others; it is told as what it is
        return Result(name, Level.UNKNOWN, f"the check itself failed: {type(error).__name__}: {error}")


def _close_recovered(sources: Sources) -> None:
    failures = Findings(sources.queue_db).list(UNIT_FAILED)
    if not failures:
        return
    well = services.recovered(failures, list(_asked(sources)), sources.beats.values(), systemd.own_unit())
    if well:
        with Database.open(sources.state.queue_db, QUEUE, guard=True, busy_s=BUSY_S) as database:
            Findings(database).close([(UNIT_FAILED, subject) for subject in well], int(time.time()))
        for subject in well:
            emit("finding_closed", kind=UNIT_FAILED, path=subject)


def _asked(sources: Sources) -> Iterator[systemd.Shown]:
    with contextlib.suppress(CannotTell):
        yield from sources.units
