"""A second look at what disagreed, when the suite runs: what was only on its way is no finding.

The walk takes time, and the worker works meanwhile. So we wait until the watcher has enqueued what it heard and the worker has done
what is due, for so long, and look at each path again. Reads queue.db, the registry and the trees; makes cookies.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from autoops.core.drift import Difference
from autoops.model import path_key
from autoops.pool.pool import Pool
from autoops.reconcile.compare import Eyes
from autoops.store.backlog import Backlog
from autoops.walk.hearing import Hearing
from autoops.walk.looking import looked_at

_LOOK_S = 0.05
_OF_DIRECTORIES = ("unreadable",)  # said of what cannot be looked into


def settle(hearing: Hearing, backlog: Backlog, limit_s: float) -> None:
    """Wait until what happened is enqueued and done; at most for a time, for a file that is written all day never settles."""
    end_s = time.monotonic() + limit_s
    listener = hearing.listener()
    if listener:
        hearing.up_to_now(listener.heard, end_s)
    newest = backlog.horizon()
    while backlog.unfinished(newest, ("path", "scan", "patch")) and time.monotonic() < end_s:
        time.sleep(_LOOK_S)


def look_again(pool: Pool, eyes: Eyes, differences: Sequence[Difference], backlog: Backlog) -> list[Difference]:
    """Return what still disagrees, as it is now, without what a job that waits is about."""
    again = {(one.root, one.path) for one in differences if one.kind not in _OF_DIRECTORIES}
    sightings = looked_at(pool, {place for place in again if backlog.job_at("path", path_key(*place)) is None})
    kept = [one for one in differences if one.kind in _OF_DIRECTORIES]
    return kept + (eyes.judge(sightings) if sightings else [])
