"""The checks of what autoops stands on: backups, findings, units, configuration, window, and the machine.

Reads what Sources has; closes `unit_failed` findings of units that are well again, and keeps samples of how fast queue.db answers.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from pathlib import Path

from autoops.config import DrillConfig
from autoops.core.drift import UNIT_FAILED
from autoops.core.spoken import counted
from autoops.errors import AutoopsError, CannotTell, ConfigError, StorageError
from autoops.files import unsound
from autoops.files.last import recall
from autoops.health import backups, host, keys, machine, place, services
from autoops.health.result import Level, Result
from autoops.health.sources import Sources, asked, last_commit
from autoops.log import emit
from autoops.runtime.load import load_per_core
from autoops.store.findings import Findings
from autoops.units import systemd

_WAITING = ("paused", "held")
_SKEW_S = 2.0  # signs of life have whole seconds


def check_backup(sources: Sources) -> Result:
    """Was a snapshot taken lately?"""
    last, since_s = recall(sources.state.last_snapshot), None
    if last is None or not last.good_s:
        with contextlib.suppress(StorageError):  # a registry that cannot be read has a check of its own
            since_s = sources.registry.began_s()
    unusable = unsound.recall(sources.state.unsound_backups).unusable
    return backups.snapshots(last, since_s, time.time(), sources.limits, unusable)


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
    return backups.archives(repository, last, last_check, time.time(), sources.limits, is_unit=sources.is_of_units)


def check_findings(sources: Sources) -> Result:
    """Does anything need a person?"""
    if sources.may_write:
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
    return Result("configuration", Level.OK, counted(len(config.roots), "root"))


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
    return place.disk(place.room(sources.state.directory), sources.limits, _room_of_backups(sources))


def check_inodes(sources: Sources) -> Result:
    """May more files be made?"""
    return place.inodes(place.room(sources.state.directory), sources.limits, _room_of_backups(sources))


def _room_of_backups(sources: Sources) -> place.Room | None:
    """Return how full the disk of the backups is; None when it is that of the state."""
    directory = Path(sources.config.backup.directory) if sources.config and sources.config.backup.directory else None
    # one that is not there, or not to be seen from this sandbox, is told by the snapshot that fails, and by the doctor
    with contextlib.suppress(OSError):
        if directory and directory.stat().st_dev != sources.state.directory.stat().st_dev:
            return place.room(directory)
    return None


def check_memory(sources: Sources) -> Result:
    """Is there memory?"""
    return machine.judge_memory(machine.memory(), sources.limits)


def check_load(sources: Sources) -> Result:
    """Is this machine too busy?"""
    per_core = load_per_core(5)
    if per_core is None:
        raise CannotTell(detail="how busy this machine is", remedy="uptime")
    return machine.judge_load(per_core, sources.limits)


def check_response(sources: Sources) -> Result:
    """Does queue.db answer fast?"""
    room, now_s = place.room(sources.state.directory), time.time()
    if sources.may_write and room.used < sources.limits.disk_critical:  # on a full disk a write would be one trouble more
        took = machine.measure(sources.queue_db, sources.writable_queue, now_s)
    else:
        took = machine.recent(sources.queue_db, now_s)
    return machine.judge_response(took, sources.limits)


def check_clock(sources: Sources) -> Result:
    """Is the clock right?"""
    last, sign = last_commit(sources), None  # before the clock is read: it goes on, and so may the worker
    with contextlib.suppress(AutoopsError):  # what cannot be read has a check of its own
        newest_s = max((beat.at_s for beat, _ in sources.beats.values()), default=0) - _SKEW_S
        sign = datetime.datetime.fromtimestamp(max(0.0, newest_s), datetime.UTC)
    return host.clock(datetime.datetime.now(datetime.UTC), last, host.is_synchronised(), host.is_container(), sign, must_know=False)


def check_key(sources: Sources) -> Result:
    """Is the ledger's key too old?"""
    return keys.key_age(sources.state.public_key.stat().st_mtime, time.time(), sources.limits)


def check_certificates(sources: Sources) -> Result:
    """Are the certificates good for a while?"""
    return keys.certificates(keys.ends(sources.limits.certificates), time.time(), sources.limits)


def check_permissions(sources: Sources) -> Result:
    """Are key and databases their owner's alone?"""
    return place.permissions(*place.seen(sources.state))


def check_suspect(sources: Sources) -> Result:
    """Has a read or write of a database failed?"""
    return place.suspect(place.suspects(sources.state.directory))


def _close_recovered(sources: Sources) -> None:
    failures = Findings(sources.queue_db).list(UNIT_FAILED)
    if not failures:
        return
    well = services.recovered(failures, list(asked(sources)), sources.beats.values(), systemd.own_unit())
    if well:
        with sources.writable_queue() as database:
            Findings(database).close([(UNIT_FAILED, subject) for subject in well], int(time.time()))
        for subject in well:
            emit("finding_closed", kind=UNIT_FAILED, path=subject)
