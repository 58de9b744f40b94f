"""A look at single paths, wherever they are: what is there now. Reads the trees, through a pool."""

from __future__ import annotations

import errno
import time
from collections.abc import Collection

from autoops.core.view import Place, Sighting
from autoops.files import opening
from autoops.pool import asking, tasks
from autoops.pool.pool import Answer, Done, Failed, Pool

_WAIT_S = 0.05
_NAMES = 256  # in one task


def looked_at(pool: Pool, places: Collection[Place]) -> list[Sighting]:
    """Return what is at these places (root, path) now; what cannot be told is left out."""
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
        pool.pump(_WAIT_S)
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
