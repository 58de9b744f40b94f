"""The long-lived programs: how the services of the rooms are put together and kept alive."""

from __future__ import annotations

import contextlib
import os
import time
from typing import NamedTuple

from autoops.acting import as_owner_of
from autoops.cli.context import Context, configure_log, require_state
from autoops.files.inotify import NameWatch
from autoops.model import JSON
from autoops.runtime import maintenance
from autoops.runtime.service import Service, run
from autoops.runtime.wake import Waker
from autoops.store.database import Database
from autoops.store.operations import Heartbeats
from autoops.store.queue import SCHEMA as QUEUE

_NICE = 10  # as the units have it


class CatalogOptions(NamedTuple):
    """What `autoops-catalog` is asked for."""

    follow: bool = False
    all: bool = False  # whether there is a job or not
    verify: bool = False  # read every file too
    workers: int = 1


def _live(context: Context, service: Service, heartbeat_s: float) -> int:
    heartbeats = Heartbeats(context.queue_db())

    def beat(state: str, status: str, facts: JSON) -> None:
        heartbeats.beat(service.name, state, status, int(time.time()), facts)

    with contextlib.ExitStack() as opened:
        try:
            bell = opened.enter_context(contextlib.closing(NameWatch(os.fsencode(context.state.directory))))
        except OSError:  # no inotify instance is left for this user: the flag is looked for every few seconds instead
            bell = None
        return run(service, flag=context.state.flag, heartbeat_s=heartbeat_s, beat=beat, bell=bell)


def run_watcher(context: Context) -> int:
    """Watch until a signal ends it. Raises ConfigError, RootRefused, StorageError."""
    from autoops.watch.root import Settings, WatchedRoot
    from autoops.watch.sink import QueueSink
    from autoops.watch.watcher import Plan, Watcher

    config = context.config()
    configure_log(config, "autoops-watcher")

    def load() -> Plan:
        config = context.service_config()
        watch = config.watch
        roots = [
            WatchedRoot(
                root.name,
                root.path,
                (*watch.ignore, *root.ignore),
                tuple(os.fsencode(name) for name in root.ignore_files),
            )
            for root in config.roots
        ]
        polled = frozenset(watch.poll_types)
        return roots, Settings(watch.settle_s, watch.min_age_s, watch.poll_interval_s, polled, watch.rescan_s)

    state = context.state
    with context.queue_db(writable=False) as database:
        last = Heartbeats(database).of("watcher")

    def sink() -> QueueSink:
        # synchronous=NORMAL: what it stores are hints; after a power cut the watcher begins with a scan that finds all of it again
        database = Database.open(state.queue_db, QUEUE, synchronous="NORMAL", guard=True)
        waker = Waker(state.worker_socket)
        return QueueSink(database, waker.wake, last.at_s if last else None)

    watcher = Watcher(load, sink, os.fsencode(state.cookies), excluded=(os.fsencode(state.directory),))
    return _live(context, watcher, config.service.heartbeat_s)


def run_tailer(context: Context) -> int:
    """Follow the checkpoints until a signal ends it. Raises ConfigError, StorageError, CannotTell."""
    from autoops.tail.tailer import Plan, Tailer

    config = context.config()
    configure_log(config, "autoops-tailer")

    def load() -> Plan:
        config = context.config()
        catalogs = tuple(table.name for table in config.catalog_tables)
        return Plan(tuple(root.name for root in config.roots), catalogs, config.checkpoints, config.refresh)

    return _live(context, Tailer(load, context.state, context.public_key), config.service.heartbeat_s)


def run_shipper(context: Context) -> int:
    """Ship the ledger until a signal ends it. Raises ConfigError, StorageError."""
    from autoops.backup.place import Place
    from autoops.backup.shipper import Shipper

    config = context.config()
    configure_log(config, "autoops-shipper")

    def load() -> Place:
        return Place.of(context.state, context.config().backup.directory)

    return _live(context, Shipper(load, context.state), config.service.heartbeat_s)


def run_worker(context: Context) -> int:
    """Work until a signal ends it. Raises ConfigError, RootRefused, StorageError, AnotherWorker."""
    from autoops.work.worker import Worker

    config = context.config()
    configure_log(config, "autoops-worker")
    worker = Worker(context.service_config, context.state, context.load_key)
    return _live(context, worker, config.service.heartbeat_s)


def run_reconciler(context: Context) -> int:
    """Do one run of the reconciler, told by its log. Returns 1 when something disagrees. Raises Paused, StorageError."""
    from autoops.cli.reconciling import Asked, run

    _be_modest(context, "autoops-reconciler")
    return run(context, Asked())


def run_scrub(context: Context) -> int:
    """Do one run of the scrub, told by its log. Raises Paused, CannotTell, StorageError."""
    from autoops.cli.scrub import run_once

    _be_modest(context, "autoops-scrub")
    run_once(context)
    return 0


def run_snapshot(context: Context) -> int:
    """Take one snapshot, told by its log; returns 1 when a hook after it failed. Raises what keeps it from being taken."""
    from autoops.cli.backup_snapshots import take

    _be_modest(context, "autoops-backup")
    return 1 if take(context).failed else 0


def run_drill(context: Context) -> int:
    """Hold one drill, told by its log; returns 1 when it failed. Raises NoBackup, StorageError."""
    from autoops.cli.backup_drill import hold

    _be_modest(context, "autoops-backup")
    return 1 if hold(context).fault else 0


def run_alerts(context: Context) -> int:
    """Tell the configured channels of what is wrong, once. Raises ConfigError, StorageError."""
    from autoops.cli.alerting import run_once

    configure_log(context.running_config(), "autoops-alerts")
    return run_once(context)


def run_playbooks(context: Context) -> int:
    """Carry out the playbooks that are due, once. Raises ConfigError, Paused, StorageError."""
    from autoops.cli.playing import config_of, run_once

    configure_log(config_of(context), "autoops-playbooks")
    return run_once(context)


def _be_modest(context: Context, program: str) -> None:
    configure_log(context.running_config(), program)
    os.nice(_NICE)


def run_catalog(context: Context, options: CatalogOptions) -> int:
    """Build catalogs: what jobs ask for, then end; `follow`: until a signal ends it. Raises what the last failed build did."""
    config = context.config() if context.config_file else context.running_config()
    configure_log(config, "autoops-catalog")
    if not config.catalog_tables:
        return 0
    require_state(context.state)
    from autoops.catalog.jobs import Jobs
    from autoops.catalog.service import Builder

    if options.follow:
        load = context.config if context.config_file else context.running_config
        builder = Builder(load, context.state, context.queue, options.workers)
        return _live(context, builder, config.service.heartbeat_s)
    with as_owner_of(context.state.queue_db.parent):
        queue = context.queue()
        queue.rescue()
        jobs = Jobs(context.state, queue, config, options.workers)
        if options.all and not maintenance.is_set(context.state.flag):
            jobs.build_all(verify=options.verify)
        jobs.work_off(lambda: maintenance.is_set(context.state.flag))
    if jobs.failure is not None:
        raise jobs.failure
    return 0
