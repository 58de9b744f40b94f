"""The services that a window concerns, by their signs of life: who lives, and who has let go. Reads queue.db and /proc."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from autoops import clock
from autoops.acting import as_owner_of
from autoops.core.spoken import listed
from autoops.errors import ServicesRun, StorageError
from autoops.files.lock import locked
from autoops.state import State
from autoops.store.database import Database
from autoops.store.operations import Heartbeat, Heartbeats
from autoops.store.queue import SCHEMA
from autoops.store.schema import OBJECTS, strange

_SERVICES = ("shipper", "tailer", "watcher", "worker")
_LOOK_S = 0.02


def living(state: State) -> list[Heartbeat]:
    """Return the signs of life of the services that live. Raises StorageError."""
    with contextlib.closing(Database.open(state.queue_db, SCHEMA, mode="ro")) as database:
        beats = Heartbeats(database).list()
    return [beat for beat in beats if beat.process in _SERVICES and clock.is_alive(beat.boot_id, beat.pid, beat.start)]


def worker(state: State) -> Heartbeat | None:
    """Return the worker that lives."""
    return next((beat for beat in living(state) if beat.process == "worker"), None)


def still_working(state: State, timeout_s: float) -> list[str]:
    """Wait until every service has let go; return the names of those that have not when the time is over."""
    end_s = time.monotonic() + timeout_s
    while late := [beat.process for beat in living(state) if beat.state != "paused"]:
        if time.monotonic() > end_s:
            return late
        time.sleep(_LOOK_S)
    return []


def gone_on(state: State, timeout_s: float) -> Heartbeat | None:
    """Wait until the worker runs, or is held although it has looked again; return what it says, None when it does not in time."""
    end_s, told_s = time.monotonic() + timeout_s, 0.0
    while time.monotonic() < end_s:
        beat = worker(state)
        if beat is None or beat.state == "running":
            return beat
        told_s = told_s or time.monotonic()
        if beat.state == "held" and time.monotonic() - told_s > _HELD_S:
            return beat
        time.sleep(_LOOK_S)
    return None


_HELD_S = 3.0  # a worker that was held before the edit was mended looks again within a second


def _can_be_asked(queue_db: Path) -> bool:
    try:
        with Database.open(queue_db, SCHEMA, mode="ro") as database:
            return not database.check() and not strange(database.query(OBJECTS), SCHEMA)
    except StorageError:
        return False


def refuse_at_work(state: State) -> None:
    """See that no service works with the databases now; nothing is made. Raises ServicesRun, OSError."""
    if state.worker_lock.exists():
        with as_owner_of(state.worker_lock.parent), standing_still(state):
            return
    _refuse(_beats(state))


def _beats(state: State) -> list[Heartbeat]:
    return living(state) if _can_be_asked(state.queue_db) else []


def _refuse(beats: list[Heartbeat]) -> None:
    who = [f"autoops-{beat.process} (process {beat.pid})" for beat in beats if beat.state not in ("paused", "held")]
    if who:
        raise ServicesRun(who=f"{listed(who)} {'is' if len(who) == 1 else 'are'}")


@contextlib.contextmanager
def standing_still(state: State) -> Iterator[None]:
    """See that no service works with the databases, and that no worker begins to.

    Where queue.db cannot say who lives, the worker's lock alone is asked. Raises ServicesRun, OSError.
    """
    beats = _beats(state)
    _refuse(beats)
    if any(beat.process == "worker" for beat in beats):
        yield  # it holds its lock itself
        return
    with locked(state.worker_lock, lambda pid: ServicesRun(who=f"a worker (process {pid}) is")):
        yield
