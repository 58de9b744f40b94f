"""`autoops doctor`: is everything as it has to be for autoops to be right? Each answer comes with its remedy.

Reads the state directory, /proc, systemd; writes nothing.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from autoops import __version__
from autoops.core.signing import Signer
from autoops.core.spoken import counted
from autoops.errors import CannotTell, StorageError
from autoops.health import backup_place, catalogs, host, place, sandbox
from autoops.health.result import Level, Result
from autoops.health.run import Check, guarded
from autoops.health.sources import Settings, Sources, last_commit
from autoops.state import SYSTEM_KEY, SYSTEM_STATE, State
from autoops.store.filesystem import mount_kind
from autoops.store.operations import Gaps
from autoops.store.version import sqlite_version
from autoops.units import systemd

_KEY_BYTES = 32


def run(settings: Settings) -> list[Result]:
    """Return what every check found."""
    with contextlib.ExitStack() as opened:
        sources = Sources(settings, opened)
        return [guarded(name, check, sources) for name, check in CHECKS]


def check_one(name: str, settings: Settings) -> Result:
    """Return what one check found."""
    with contextlib.ExitStack() as opened:
        return guarded(name, dict(CHECKS)[name], Sources(settings, opened))


def exit_code(results: Iterable[Result]) -> int:
    """Return 0 when all is good, 1 when something is wrong, 3 when something cannot be told."""
    levels = {result.level for result in results}
    return 1 if levels & {Level.WARNING, Level.CRITICAL} else 3 if Level.UNKNOWN in levels else 0


def state_directory(path: str, mode: int, uid: int, *, is_system: bool) -> Result:
    """Judge who may change what is in the state directory."""
    name = "state directory"
    if mode & 0o022:
        return Result(name, Level.CRITICAL, f"others than its owner may write {path} (mode {mode:o})", remedy=f"chmod go-w {path}")
    if is_system and uid != 0:
        said = f"{path} belongs to user {uid}: the services could set or remove the maintenance flag"
        return Result(name, Level.CRITICAL, said, remedy=f"chown root:autoops {path}; chmod 750 {path}")
    return Result(name, Level.OK, f"{path}, mode {mode:o}, owner {uid}")


def keys(public: str, known: str | None, private: bytes | None) -> Result:
    """Judge whether the public key, the one the registry knows (None: no commit yet), and the private one belong together.

    private: None when this user may not read it, as it should be for most.
    """
    if known is not None and known != public:
        return Result("key", Level.CRITICAL, f"the registry is signed by {known}, ledger.pub says {public}", remedy=_KEY_REMEDY)
    if private is None:
        return Result("key", Level.OK, f"{public[:16]}... is the registry's; the private one is not for this user to read")
    if len(private) != _KEY_BYTES or Signer(private).public.hex() != public:
        return Result("key", Level.CRITICAL, "the private key does not belong to ledger.pub", remedy=_KEY_REMEDY)
    return Result("key", Level.OK, f"{public[:16]}... is the registry's, and the private one belongs to it")


_KEY_REMEDY = "RUNBOOK, 'The ledger key is missing, or another one'"


# the checks


def check_state_directory(sources: Sources) -> Result:
    """Who may change what is in the state directory?"""
    directory = sources.state.directory
    there = directory.stat()
    return state_directory(str(directory), stat.S_IMODE(there.st_mode), there.st_uid, is_system=directory == SYSTEM_STATE)


def check_permissions(sources: Sources) -> Result:
    """Who may read the key and write the databases?"""
    return place.permissions(*place.seen(sources.state))


def check_lock(sources: Sources) -> Result:
    """Does the worker, and nobody else, hold the registry?"""
    state = sources.state
    holder = None
    if state.worker_lock.exists():
        holder = sandbox.lock_holder(Path("/proc/locks").read_text(), state.worker_lock.stat().st_ino)
    beat, alive = sources.beats.get("worker", (None, None))
    worker = beat.pid if beat and alive else None
    return sandbox.lock(holder, worker, sorted(sandbox.writers_of(state.registry_db)))


def check_units(sources: Sources) -> Result:
    """Was systemd told that only the worker may write the registry?"""
    return sandbox.told(_services(), str(sources.state.registry_db.parent), str(sources.state.directory / "backups"))


def check_sandbox(sources: Sources) -> Result:
    """Are the running services shut in?"""
    return sandbox.in_force(sandbox.processes(_services()))


def check_mounts(sources: Sources) -> Result:
    """Does the kernel let only the worker write the registry?"""
    return sandbox.registry_mounts(sandbox.processes(_services()), os.fsencode(sources.state.registry_db.parent))


def _services() -> list[systemd.Shown]:
    """Return our services as systemd knows them, [] where it does not run. Raises CannotTell."""
    if not systemd.is_booted():
        return []
    return systemd.show([unit for unit in systemd.installed() if unit.endswith(".service")], sandbox.PROPERTIES)


def check_database(sources: Sources) -> Result:
    """Is queue.db whole?"""
    if isinstance(sources.opened_queue, StorageError):
        raise sources.opened_queue
    return _integrity("queue database", sources.opened_queue.check(quick=True))


def check_registry(sources: Sources) -> Result:
    """Is registry.db whole?"""
    return _integrity("registry database", sources.registry.check(quick=True))


def _integrity(name: str, faults: list[str]) -> Result:
    if not faults:
        return Result(name, Level.OK, "SQLite's quick check finds nothing")
    return Result(
        name, Level.CRITICAL, f"{counted(len(faults), 'fault')}: {faults[0]}", remedy="RUNBOOK, 'The database is damaged'"
    )


def check_keys(sources: Sources) -> Result:
    """Do the keys belong together?"""
    public = sources.state.public_key.read_text().strip()
    return keys(public, sources.registry.meta("public_key"), _private_key(sources.state))


def _private_key(state: State) -> bytes | None:
    for path in (state.private_key, SYSTEM_KEY):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            return path.read_bytes()
    return None


def check_catalogs(sources: Sources) -> Result:
    """Can the declared catalogs be built where they are to be?"""
    config = sources.config
    if config is None:
        raise CannotTell(detail="which catalogs are declared: the configuration is faulty", remedy="autoops config check")
    declared = [table.name for table in config.catalog_tables]
    roots = [root.path for root in config.roots]
    return catalogs.judge(catalogs.look(sources.state, declared, roots) if declared else [])


def check_clock(sources: Sources) -> Result:
    """Is the clock right?"""
    last = last_commit(sources)  # before the clock is read: it goes on, and so may the worker
    return host.clock(datetime.datetime.now(datetime.UTC), last, host.is_synchronised(), host.is_container())


def check_inotify(sources: Sources) -> Result:
    """May the watcher watch as much as there is?"""
    watcher, unwatched = None, 0
    with contextlib.suppress(CannotTell, StorageError):  # which has a check of its own
        beat, alive = sources.beats.get("watcher", (None, None))
        watcher = beat.pid if beat and alive is not False else None
        unwatched = sum(gap.reason == "watch-limit" for gap in Gaps(sources.queue_db).open_gaps())
    return host.inotify(host.limits(watcher), unwatched)


def check_backup_directory(sources: Sources) -> Result:
    """Is the backup directory in reach of those who write it, and of nobody else?"""
    configured = sources.config.backup.directory if sources.config else ""
    directory = Path(configured) if configured else sources.state.backups
    try:
        found = backup_place.look(directory, sources.state.directory, is_own=not configured)
    except FileNotFoundError:
        return backup_place.absent(directory, is_own=not configured)
    services = _services() if sources.state.directory == SYSTEM_STATE else []
    return backup_place.judge(found, services, sandbox.processes(services))


def check_disk(sources: Sources) -> Result:
    """Is there room?"""
    return place.disk(place.room(sources.state.directory), sources.limits)


def check_suspect(sources: Sources) -> Result:
    """Has a read or write of a database failed?"""
    return place.suspect(place.suspects(sources.state.directory))


def check_file_system(sources: Sources) -> Result:
    """Is the state directory on a file system that keeps it?"""
    return host.file_system(mount_kind(sources.state.directory))


def check_versions(_sources: Sources) -> Result:
    """What is at work here?"""
    return host.versions(__version__, sqlite_version(), host.library_versions())


CHECKS: tuple[tuple[str, Check], ...] = (
    ("state directory", check_state_directory),
    ("permissions", check_permissions),
    ("single writer, by the lock", check_lock),
    ("single writer, by the units", check_units),
    ("single writer, by the kernel", check_mounts),
    ("sandbox in force", check_sandbox),
    ("queue database", check_database),
    ("registry database", check_registry),
    ("suspect", check_suspect),
    ("key", check_keys),
    ("clock", check_clock),
    ("inotify", check_inotify),
    ("backup directory", check_backup_directory),
    ("catalogs", check_catalogs),
    ("disk", check_disk),
    ("file system", check_file_system),
    ("versions", check_versions),
)
