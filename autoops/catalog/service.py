"""The builder as a service that goes on (`autoops-catalog --follow`, a part of `autoops up`). Reads and writes as jobs.py does."""

from __future__ import annotations

from collections.abc import Callable

from autoops.catalog.jobs import Jobs
from autoops.config import Config
from autoops.model import JSON
from autoops.runtime.maintenance import Maintenance
from autoops.runtime.service import Alive
from autoops.state import State
from autoops.store.queue import Queue

_LONGEST_S = 5.0  # between two looks at the queue: nobody rings
_SHORTEST_S = 0.5


class Builder:
    """The builder of catalogs (see runtime.service)."""

    name = "catalog"

    def __init__(self, load_config: Callable[[], Config], state: State, open_queue: Callable[[], Queue], workers: int) -> None:
        self._load_config, self._state, self._open_queue, self._workers = load_config, state, open_queue, workers
        self._config = load_config()
        self.facts: JSON = {}

    def open(self) -> None:
        """Open the queue. Raises StorageError."""
        self._queue = self._open_queue()
        self._jobs = Jobs(self._state, self._queue, self._config, self._workers)

    def resume(self, alive: Alive, was: Maintenance | None) -> None:
        """Take back what a builder that died had claimed. The registry is opened for each build."""
        self._queue.rescue()

    def step(self, now_s: float) -> float:
        """Build one catalog, if one is due."""
        if self._jobs.perform_one():
            return 0.0
        longest_s = min(max(self._config.catalogs.debounce_s, _SHORTEST_S), _LONGEST_S)
        due_s = self._jobs.rest_s()
        return longest_s if due_s is None else min(due_s, longest_s)

    def status(self) -> str:
        """Say what it built last."""
        return self._jobs.status

    def reload(self) -> None:
        """Take over the configuration as it is now. Raises ConfigError."""
        self._config = self._load_config()
        self._jobs = Jobs(self._state, self._queue, self._config, self._workers)

    def pause(self, window: Maintenance) -> None:
        """Do nothing: between two builds it holds nothing."""

    def entered(self, window: Maintenance) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: the queue is closed with the process."""

    def wake_fds(self) -> list[int]:
        """Return none."""
        return []
