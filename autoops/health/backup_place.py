"""Is the backup directory where it should be, its owner's alone, and within reach of the units that write it?

`judge` is pure, over what `look` found; nothing is written.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from autoops.files import mounts
from autoops.health.result import Level, Result
from autoops.health.sandbox import Process, may_write
from autoops.names import show
from autoops.units import backups
from autoops.units.systemd import Shown

_NAME = "backup directory"


class Found(NamedTuple):
    """One backup directory."""

    path: bytes  # without links
    is_own: bool  # the state directory's
    mode: int
    uid: int
    writer_uid: int  # of who writes there
    is_mount: bool
    is_beside: bool  # on the file system of the state directory


def look(directory: Path, state: Path, *, is_own: bool) -> Found:
    """Look at a backup directory. Raises OSError."""
    there, writer = directory.stat(), (state / "queue").stat()
    path = os.path.realpath(os.fsencode(directory))
    mode = stat.S_IMODE(there.st_mode)
    return Found(path, is_own, mode, there.st_uid, writer.st_uid, os.path.ismount(path), there.st_dev == writer.st_dev)


def absent(directory: Path, *, is_own: bool) -> Result:
    """Return what it means that there is none."""
    if is_own:
        return Result(_NAME, Level.OK, f"{directory} is made with the first backup")
    return Result(_NAME, Level.WARNING, f"{directory} is not there", remedy="is its disk mounted? else: autoops backup place DIR")


def judge(found: Found, services: Sequence[Shown], processes: Sequence[Process]) -> Result:
    """Judge a backup directory, and whether the units (as systemd was told, and as the kernel does) may write it."""
    shown = show(found.path)
    spare = 0o027 if found.is_own else 0o077  # the state directory's is made by the package, for its group to look into
    if found.mode & spare:
        said = f"others than its owner may look into {shown} (mode {found.mode:o})"
        return Result(_NAME, Level.CRITICAL, said, remedy=f"chmod 700 {shown}")
    if found.uid != found.writer_uid:
        said = f"{shown} belongs to user {found.uid}, what is written there is user {found.writer_uid}'s"
        return Result(_NAME, Level.WARNING, said, remedy=f"chown -R {found.writer_uid} {shown}")
    if found.is_mount and not found.is_own:
        said = f"{shown} is a mount point: while its disk is not mounted, backups go onto another one"
        return Result(_NAME, Level.WARNING, said, remedy=f"autoops backup place {shown}/DIRECTORY")
    closed = [one["Id"] for one in services if one["Id"] in backups.UNITS and not may_write(one, os.fsdecode(found.path))]
    closed += [one.unit for one in processes if one.unit in backups.UNITS and _is_closed(one, found.path)]
    if closed:
        remedy = f"autoops backup place {shown}; or systemctl cat {closed[0]}, and restart it"
        return Result(_NAME, Level.CRITICAL, f"{closed[0]} may not write {shown}", remedy=remedy)
    where = (
        "on the disk of the state directory: that protects from mistakes, not from its end"
        if found.is_beside
        else "on another disk"
    )
    return Result(_NAME, Level.OK, f"{shown}, {where}")


def _is_closed(process: Process, path: bytes) -> bool:
    mount = mounts.deepest(path, process.mounts)
    return mount is not None and mount.is_read_only
