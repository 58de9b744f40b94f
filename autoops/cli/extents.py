"""Once a day somebody measures how large things are, for `autoops report capacity`: the reconciler, and each snapshot.

Reads registry.db, the sizes of files and of file systems; writes queue.db. What cannot be measured is told in the log and left out:
it is no reason for a reconciler or a snapshot to fail.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from autoops.cli.context import Context
from autoops.config import Config
from autoops.errors import StorageError
from autoops.files import sizes
from autoops.log import emit
from autoops.store.extents import BACKUP, BACKUPS, DATABASE, DISK, ROOT, STATE, Extent, Extents


def note_state(ctx: Context, settings: Config) -> None:
    """Keep how large roots and databases are, and how full their disks, unless that of today is known."""
    rooms: dict[int, sizes.Room] = {}  # one look for each disk, so that what lies on one can be told by its figures
    wanted = (ROOT, *(root.name for root in settings.roots))
    _note(ctx, wanted, lambda now_s: [*_roots(ctx, settings, rooms, now_s), *_state(ctx, rooms, now_s)])


def note_backups(ctx: Context, directory: Path) -> None:
    """Keep how large the backups are, and how full their disk, unless that of today is known."""
    _note(ctx, (BACKUP, "snapshots"), lambda now_s: _backups(directory, now_s))


def _note(ctx: Context, wanted: tuple[str, ...], measure: Callable[[int], list[Extent]]) -> None:
    now_s, (what, *subjects) = int(time.time()), wanted
    try:
        with ctx.queue_db() as database:
            extents = Extents(database)
            if not extents.known(what, now_s).issuperset(subjects) or not subjects:
                extents.record(measure(now_s))
    except (OSError, StorageError) as error:
        emit("look_put_off", service="capacity", reason=str(error))


def _roots(ctx: Context, settings: Config, rooms: dict[int, sizes.Room], now_s: int) -> Iterator[Extent]:
    with contextlib.closing(ctx.registry()) as registry:
        known = {root: (files, size_bytes) for root, files, size_bytes in registry.sizes()}
    for root in settings.roots:
        files, size_bytes = known.get(root.name, (0, 0))
        yield Extent(ROOT, root.name, now_s, size_bytes, files)
        try:
            yield _disk(root.name, _room(root.path, rooms), now_s)
        except OSError as error:  # it is not mounted, say: its size is the registry's, and its disk is not known today
            emit("look_put_off", service="capacity", reason=f"{error.strerror}: {root.name}")


def _room(path: bytes | Path, rooms: dict[int, sizes.Room]) -> sizes.Room:
    device = os.stat(path).st_dev
    rooms[device] = rooms.get(device) or sizes.room(path)
    return rooms[device]


def _state(ctx: Context, rooms: dict[int, sizes.Room], now_s: int) -> Iterator[Extent]:
    for subject, path in (("registry", ctx.state.registry_db), ("queue", ctx.state.queue_db)):
        yield Extent(DATABASE, subject, now_s, *sizes.database(path))
    yield Extent(DATABASE, "checkpoints", now_s, ctx.state.checkpoints.stat().st_size if ctx.state.checkpoints.exists() else 0, 1)
    yield _disk(STATE, _room(ctx.state.directory, rooms), now_s)


def _backups(directory: Path, now_s: int) -> list[Extent]:
    parts = [Extent(BACKUP, part, now_s, *sizes.directory(directory / part)) for part in ("snapshots", "ledger")]
    return [*parts, _disk(BACKUPS, sizes.room(directory), now_s)]


def _disk(subject: str, room: sizes.Room, now_s: int) -> Extent:
    return Extent(DISK, subject, now_s, room.used_bytes, None, room.limit_bytes)
