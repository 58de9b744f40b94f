"""The worker: the only writer of the registry. Its life; what it does while the registry is open is the crew's (`crew.py`).

Reads the configuration and the key; writes what the crew writes, the lock of the one worker, and heartbeats.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from autoops.config import Config
from autoops.core.histogram import Meter
from autoops.core.signing import Signer, Verifier
from autoops.model import JSON
from autoops.runtime.maintenance import Maintenance
from autoops.runtime.wake import Sleeper
from autoops.state import State
from autoops.store.database import Database
from autoops.store.operations import Heartbeats
from autoops.store.queue import SCHEMA as QUEUE
from autoops.window import seal
from autoops.window.admit import NOTHING, Admission, Gate
from autoops.window.inspect import Alive
from autoops.work.crew import Crew
from autoops.work.lock import WorkerLock
from autoops.work.timer import Timer

_PROGRESS_S = 1.0


class Worker:
    """The worker as a service (see runtime.service)."""

    name = "worker"

    def __init__(
        self, load_config: Callable[[], Config], state: State, load_key: Callable[[], bytes], *, with_stage_two: bool = True
    ) -> None:
        """Take where the configuration comes from (asked again at reload), the state directory, where the private key comes from,
        and whether files may be described at all."""
        self._load_config, self._state, self._load_key = load_config, state, load_key
        self._config = load_config()
        self._may_describe = with_stage_two
        self.facts: JSON = {"describes": self._describes}  # for those who wait for it
        self._lock: WorkerLock | None = None
        self._crew: Crew | None = None  # while the registry is open

    @property
    def _describes(self) -> bool:
        return self._may_describe and self._config.describe.enabled

    def open(self) -> None:
        """Take the lock and open the queue. Raises AnotherWorker, StorageError."""
        self._lock = WorkerLock(self._state.worker_lock)
        self._queue_db = Database.open(self._state.queue_db, QUEUE, synchronous="FULL", guard=True)
        self._sleeper = Sleeper(self._state.worker_socket)
        self._heartbeats = Heartbeats(self._queue_db)
        self._meter = Meter()
        self._said, self._progress = "", Timer(_PROGRESS_S)
        self._gate = Gate(self._state)

    def resume(self, alive: Alive, was: Maintenance | None) -> None:
        """Open the registry, take over what was edited in it by hand, and clear up after a worker that died.

        Raises Held, StorageError.
        """
        signer = Signer(self._load_key())
        self._begin(signer, self._gate.pass_through(Verifier(signer.public), alive, was))

    def _begin(self, signer: Signer, admission: Admission) -> None:
        self._crew = Crew(self._config, self._state, self._queue_db, self._meter, signer, admission, with_stage_two=self._describes)

    def _end(self, window: Maintenance | None) -> None:
        crew, self._crew = self._crew, None
        if crew:
            crew.close(window)

    def pause(self, window: Maintenance) -> None:
        """Let go of the registry, so that it can be edited."""
        self._end(window)

    def entered(self, window: Maintenance) -> None:
        """Remember for whom the registry lies open."""
        seal.note_window(self._state, window)

    def reload(self) -> None:
        """Take over the configuration as it is now. Raises ConfigError."""
        config = self._load_config()
        was_open = self._crew is not None  # else resume opens it
        self._end(None)
        self._config = config
        self.facts["describes"] = self._describes
        if was_open:
            self._begin(Signer(self._load_key()), NOTHING)

    def close(self) -> None:
        """Give back every job, write the last checkpoint, close the databases."""
        if self._lock is None:
            return
        self._end(None)
        self._sleeper.close()
        self._queue_db.close()
        self._lock.release()
        self._lock = None

    def wake_fds(self) -> list[int]:
        """Wake up for enqueued jobs and for answers of the pools."""
        return [self._sleeper.fileno(), *(self._crew.filenos() if self._crew else ())]

    def status(self) -> str:
        """Say what it is doing."""
        return self._crew.status() if self._crew else "the registry is closed"

    def is_done(self, within_s: float) -> bool:
        """Tell whether nothing is held, and nothing comes due within a time."""
        assert self._crew, "asked between resume and pause"
        return self._crew.is_done(within_s)

    def step(self, now_s: float) -> float:
        """Take what is most urgent a little further; return the seconds to sleep."""
        assert self._crew, "called between resume and pause"
        self._sleeper.drain()
        sleep_s = self._crew.step(now_s)
        if not self._crew.is_busy or self._progress.rings(now_s):
            self._tell()
        return sleep_s

    def _tell(self) -> None:
        """Let others see what it is doing, once a second at most, and at once when it has become idle."""
        if self._said != self.status():
            self._said = self.status()
            self._heartbeats.beat(self.name, "running", self._said, int(time.time()), self.facts)
