"""A second look at what disagreed, when the suite runs: what was only on its way is no finding.

The walk takes time, and the worker works meanwhile. So we wait until the watcher has enqueued what it heard and the worker has done
what is due, for so long, and look at each path again. Reads queue.db, the registry and the trees; makes cookies.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence

from autoops.core.drift import Difference
from autoops.core.view import Sighting
from autoops.files import opening
from autoops.model import path_key
from autoops.pool import asking, tasks
from autoops.pool.pool import Answer, Done, Failed, Pool
from autoops.reconcile.compare import Eyes
from autoops.store.backlog import Backlog
from autoops.walk.hearing import Hearing

_LOOK_S = 0.05
_NAMES = 256  # in one task
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
    sightings = _looked_at(pool, {place for place in again if backlog.job_at("path", path_key(*place)) is None})
    kept = [one for one in differences if one.kind in _OF_DIRECTORIES]
    return kept + (eyes.judge(sightings) if sightings else [])


def _looked_at(pool: Pool, places: set[tuple[str, bytes]]) -> list[Sighting]:
    by_directory: dict[tuple[str, bytes], list[bytes]] = {}
    for root, path in sorted(places):
        parent, name = opening.parts(path)
        by_directory.setdefault((root, parent), []).append(name)
    found: list[Sighting] = []
    answers: list[Answer] = []
    asked = 0
    epoch = time.monotonic_ns()
    for (root, directory), names in by_directory.items():
        for at in range(0, len(names), _NAMES):
            wanted: list[tuple[bytes, bool, tuple[int, int] | None]] = [(name, False, None) for name in names[at : at + _NAMES]]
            pool.submit(tasks.Look(root, directory, wanted, epoch), answers.append)
            asked += 1
    while len(answers) < asked:
        pool.pump(_LOOK_S)
    for answer in answers:
        found += _sightings(answer)
    return found


def _sightings(answer: Answer) -> list[Sighting]:
    """Return what an answer says; a directory that is gone says that its files are. What cannot be told now is left out."""
    task = answer.task
    assert isinstance(task, tasks.Look)
    prefix = task.path + b"/" if task.path else b""
    if isinstance(answer, Failed) and answer.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return [Sighting(task.root, prefix + name, None) for name, _, _ in task.names]
    if not isinstance(answer, Done):
        return []
    looked = tasks.Looked(*answer.result)
    found = asking.sightings(task.root, prefix, looked.seen) + asking.troubles(task.root, prefix, looked.unreadable)
    return found + [Sighting(task.root, prefix + name, None) for name in looked.gone]
