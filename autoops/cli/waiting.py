"""`autoops wait-idle`: everything seen so far has been committed.

First what happened has to be in the queue (walk/hearing.py). After that, the jobs up to the newest one there was have to end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from autoops import clock
from autoops.cli.context import Context, require_state
from autoops.core.drift import REGISTRY_EDITED
from autoops.errors import CannotGoOn, CannotTell
from autoops.store.backlog import Backlog
from autoops.store.findings import Findings
from autoops.store.operations import Heartbeats
from autoops.walk.hearing import Hearing

_LOOK_S = 0.02
_ROUNDS = 4


class Waiting:
    """One wait."""

    def __init__(self, context: Context) -> None:
        require_state(context.state)
        self._state = context.state
        context.refuse_window()
        self._database = context.queue_db(writable=False)
        self._registry = context.registry()
        self._describes = True

    def for_events(self, deadline_s: float) -> bool:
        """Wait until every root's events up to now are enqueued.

        Raises CannotTell when watcher or worker do not run, CannotGoOn when the worker is held.
        """
        beats = {beat.process: beat for beat in Heartbeats(self._database).list()}
        for name in ("watcher", "worker"):
            beat = beats.get(name)
            if beat is None or not clock.is_alive(beat.boot_id, beat.pid, beat.start):
                remedy = f"start it: autoops up, or systemctl start autoops-{name}"
                raise CannotTell(detail=f"whether everything is committed: autoops-{name} does not run", remedy=remedy)
            if beat.state == "held":
                raise CannotGoOn(status=beat.status)
        self._describes = bool(beats["worker"].facts.get("describes", True))
        return Hearing(self._database, self._state.cookies).up_to_now(beats["watcher"].facts.get("roots", ()), deadline_s)

    def for_jobs(self, deadline_s: float, kinds: Sequence[str]) -> int:
        """Wait until the jobs there are now have ended, and what they led to; return how many have not.

        A file that waits for a retry has not ended. A job may lead to another (a decision put off, the other half of a move), so
        there are a few rounds; under a constant load each of them ends all the same.
        """
        backlog = Backlog(self._database)
        for _ in range(_ROUNDS):
            newest = backlog.horizon()
            while left := backlog.unfinished(newest, kinds) + self._undescribed(kinds):
                if time.monotonic() > deadline_s:
                    return left
                time.sleep(_LOOK_S)
            if backlog.horizon() == newest:
                break
        return 0

    def _undescribed(self, kinds: Sequence[str]) -> int:
        if "describe" not in kinds or not self._describes:
            return 0
        return self._registry.pending_count()

    def refused(self) -> int:
        """Return over how many entries nothing is committed, because they were changed past the ledger: no waiting helps there."""
        return Findings(self._database).counts().get(REGISTRY_EDITED, 0)

    def close(self) -> None:
        """Close the databases."""
        self._registry.close()
        self._database.close()
