"""What the checks look at: databases, configuration, window, units, each opened once and only when it is asked for.

Reads the state directory, the configuration, /proc and systemd; writes nothing.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from autoops import clock
from autoops.config import Config, HealthConfig
from autoops.errors import CannotTell, ConfigError, StorageError
from autoops.health import digest
from autoops.health.digest import Checkpoint
from autoops.health.registry import Validate
from autoops.runtime import maintenance
from autoops.runtime.maintenance import Maintenance
from autoops.state import SYSTEM_STATE, State
from autoops.store.database import Database
from autoops.store.operations import Heartbeat, Heartbeats
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.records import committed_s
from autoops.store.registry import Registry
from autoops.units import systemd

BUSY_S = 2.0  # a check must answer, not wait
_PROPERTIES = (
    "ActiveState", "SubState", "Result", "ExecMainStartTimestampMonotonic", "NextElapseUSecRealtime", "LastTriggerUSec",
)  # fmt: skip


class Settings(NamedTuple):
    """What a run needs to be told."""

    state: State
    load_config: Callable[[], Config]
    validate: Validate
    may_write: bool = True  # False: look, validate nothing, close no finding


class Sources:
    """What the checks look at, each opened once and only when asked for; an error is met again by everyone who asks."""

    def __init__(self, settings: Settings, opened: contextlib.ExitStack) -> None:
        self.settings, self._opened = settings, opened
        self.state = settings.state

    @functools.cached_property
    def opened_queue(self) -> Database | StorageError:
        """queue.db for reading, or why it cannot be read."""
        try:
            return self._opened.enter_context(Database.open(self.state.queue_db, QUEUE, mode="ro", busy_s=BUSY_S))
        except StorageError as error:
            return error

    @property
    def queue_db(self) -> Database:
        """queue.db for reading. Raises CannotTell: why, the check "database" says, once for all."""
        if isinstance(self.opened_queue, StorageError):
            raise CannotTell(detail="queue.db cannot be read", remedy="see the check: database")
        return self.opened_queue

    @functools.cached_property
    def registry(self) -> Registry:
        """registry.db for reading. Raises StorageError."""
        return self._opened.enter_context(contextlib.closing(Registry.open(self.state.registry_db, busy_s=BUSY_S)))

    @functools.cached_property
    def beats(self) -> dict[str, tuple[Heartbeat, bool | None]]:
        """The last sign of life of each daemon, and whether it lives. Raises StorageError."""
        return {beat.process: (beat, lives(beat)) for beat in Heartbeats(self.queue_db).list()}

    @functools.cached_property
    def window(self) -> Maintenance | None:
        """The maintenance window."""
        return maintenance.read(self.state.flag)

    @functools.cached_property
    def loaded_config(self) -> Config | ConfigError:
        """The configuration, or what is wrong with it."""
        try:
            return self.settings.load_config()
        except ConfigError as error:
            return error

    @property
    def config(self) -> Config | None:
        """The configuration, None when it is faulty, which has a check of its own."""
        return None if isinstance(self.loaded_config, ConfigError) else self.loaded_config

    @property
    def is_of_units(self) -> bool:
        """Whether systemd runs the services of this state."""
        return self.state.directory == SYSTEM_STATE and systemd.is_booted()

    @property
    def limits(self) -> HealthConfig:
        """Where well ends."""
        return self.config.health if self.config else HealthConfig()

    @functools.cached_property
    def checkpoint(self) -> Checkpoint | None:
        """The newest signed digest, None when there is none. Raises OSError."""
        return digest.newest(self.state.checkpoints)

    @property
    def may_write(self) -> bool:
        """Whether something may be written at all: not in a window."""
        return self.settings.may_write and self.window is None

    def writable_queue(self) -> Database:
        """Open queue.db for writing; the caller closes it. Raises StorageError."""
        return Database.open(self.state.queue_db, QUEUE, synchronous="NORMAL", guard=True, busy_s=BUSY_S)

    @functools.cached_property
    def units(self) -> list[systemd.Shown]:
        """What systemd says about our services and timers. Raises CannotTell."""
        return systemd.show(systemd.installed(), _PROPERTIES)


def last_commit(sources: Sources) -> datetime.datetime | None:
    """Return when the last commit was made, None before the first, and of a registry that cannot be read, which has a check of its
    own."""
    with contextlib.suppress(StorageError):
        record = sources.registry.record(sources.registry.head().sequence)
        return datetime.datetime.fromtimestamp(committed_s(record), datetime.UTC) if record else None
    return None


def asked(sources: Sources) -> Sequence[systemd.Shown]:
    """Return what systemd says about our units, nothing where it cannot be asked."""
    try:
        return sources.units
    except CannotTell:
        return ()


def is_installed(sources: Sources, unit: str) -> bool:
    """Tell whether systemd knows a unit."""
    return any(one["Id"] == unit for one in asked(sources))


def lives(beat: Heartbeat) -> bool | None:
    """Return whether the process that gave a sign of life lives; None when it is hidden from us.

    A unit with ProtectProc=invisible and PrivateUsers=yes does not see the other daemons in /proc, though it may signal them.
    """
    try:
        if clock.is_alive(beat.boot_id, beat.pid, beat.start):
            return True
        return None if beat.boot_id == clock.boot_id() and _is_hidden(beat.pid) else False
    except CannotTell:
        return None


def _is_hidden(pid: int) -> bool:
    return clock.exists(pid) and not os.path.lexists(f"/proc/{pid}")  # a zombie has one


def silent_s(beat: Heartbeat) -> float | None:
    """Return how long ago a sign of life was given, None when that was before this boot."""
    return max(0.0, (clock.boottime_ns() - beat.boottime_ns) / 1e9) if beat.boot_id == clock.boot_id() else None
