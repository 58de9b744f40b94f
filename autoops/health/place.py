"""Is the state directory a good place: room, permissions, suspect flags, and is a maintenance window as it should be?

The functions that judge are pure; `seen` and `room` look at the disk. Writes nothing.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from autoops.config import HealthConfig
from autoops.health.result import Figure, Level, Result, judge, worst
from autoops.runtime.maintenance import Maintenance
from autoops.state import SYSTEM_KEY, State


class Seen(NamedTuple):
    """Who owns a file and who may do what with it."""

    path: str
    mode: int  # permission bits
    uid: int
    directory_uid: int  # of the directory it is in


class Room(NamedTuple):
    """How full a file system is."""

    used: float  # percent of what users may use, as df counts
    free_bytes: int
    inodes_used: float | None  # percent; None: this file system does not count them


def room(directory: Path) -> Room:
    """Return how full the file system of a directory is. Raises OSError."""
    found = os.statvfs(directory)
    taken = found.f_blocks - found.f_bfree
    usable = taken + found.f_bavail
    inodes = 100 * (found.f_files - found.f_ffree) / found.f_files if found.f_files else None
    return Room(100 * taken / usable if usable else 100.0, found.f_bavail * found.f_frsize, inodes)


def disk(found: Room, limits: HealthConfig, backups: Room | None = None) -> Result:
    """Judge how full the state directory's file system is, and that of the backups, where that is another one."""
    pair = limits.disk_warning, limits.disk_critical
    rooms = {"": found, **({"backup_": backups} if backups else {})}
    figures = tuple(
        figure
        for name, one in rooms.items()
        for figure in (Figure(f"{name}disk_used", one.used, "%", *pair), Figure(f"{name}disk_free", one.free_bytes, "B"))
    )
    level = worst(judge(one.used, *pair) for one in rooms.values())
    said = "; backups: ".join(f"{one.used:.0f} % used, {one.free_bytes / 1e9:.1f} GB free" for one in rooms.values())
    return Result("disk", level, said, figures, _DISK if level else "")


def inodes(found: Room, limits: HealthConfig, backups: Room | None = None) -> Result:
    """Judge how many of their inodes are used."""
    some = {"": found.inodes_used, "backup_": backups.inodes_used if backups else None}
    used = {name: percent for name, percent in some.items() if percent is not None}
    if not used:
        return Result("inodes", Level.OK, "this file system does not count them")
    pair = limits.inodes_warning, limits.inodes_critical
    level = worst(judge(percent, *pair) for percent in used.values())
    figures = tuple(Figure(f"{name}inodes_used", percent, "%", *pair) for name, percent in used.items())
    said = "; ".join(f"{'backups: ' if name else ''}{percent:.0f} % used" for name, percent in used.items())
    return Result("inodes", level, said, figures, _DISK if level else "")


_DISK = "RUNBOOK, 'Disk full'"


def seen(state: State) -> tuple[list[Seen], list[Seen]]:
    """Return the private keys there are, and the databases with what SQLite and we keep beside them. Raises OSError."""
    keys = [state.private_key, SYSTEM_KEY]
    databases = [
        path
        for base in (state.queue_db, state.registry_db)
        if base.parent.is_dir()
        for path in sorted(base.parent.glob(f"{base.name}*"))
    ]
    return _looked_at(keys), _looked_at(databases)


def _looked_at(paths: Iterable[Path]) -> list[Seen]:
    found = []
    for path in paths:
        try:
            there = path.lstat()
        except (FileNotFoundError, PermissionError):  # not there, or kept from us: then from others too
            continue
        found.append(Seen(str(path), stat.S_IMODE(there.st_mode), there.st_uid, path.parent.stat().st_uid))
    return found


def permissions(keys: Sequence[Seen], databases: Sequence[Seen]) -> Result:
    """Judge who may read the private key, and who may write the databases."""
    read = [one.path for one in keys if one.mode & 0o077]
    written = [one.path for one in databases if one.mode & 0o022]
    strange = [one.path for one in databases if one.uid != one.directory_uid]
    if read:
        return Result("permissions", Level.CRITICAL, f"others may read the key {read[0]}", remedy=f"chmod 600 {read[0]}; RUNBOOK")
    if written:
        said = f"others than its owner may write {written[0]}"
        return Result("permissions", Level.CRITICAL, said, remedy=f"chmod go-w {written[0]}")
    if strange:
        said = f"{strange[0]} belongs to another user than its directory: the services may not write it"
        return Result("permissions", Level.CRITICAL, said, remedy=f"chown --reference={Path(strange[0]).parent} {strange[0]}")
    return Result("permissions", Level.OK, f"key and databases ({len(keys)} and {len(databases)} files) are their owner's alone")


def suspects(directory: Path) -> list[tuple[str, str]]:
    """Return (flag, what it says) of every database that must not be written any more. Raises OSError."""
    return [(str(flag), _said(flag)) for part in ("queue", "registry") for flag in sorted((directory / part).glob("*.suspect"))]


def _said(flag: Path) -> str:
    try:
        return str(json.loads(flag.read_text().splitlines()[0])["what"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        return f"it cannot be read: {error}"


def suspect(flags: Sequence[tuple[str, str]]) -> Result:
    """Judge the flags that a failed read or write left."""
    if not flags:
        return Result("suspect", Level.OK, "no database is suspect")
    flag, said = flags[0]
    return Result("suspect", Level.CRITICAL, f"{flag}: {said}", remedy="RUNBOOK, 'The database is suspect'")


def maintenance(found: Maintenance | None, now_s: float, held: tuple[str, str] | None = None) -> Result:
    """Judge a maintenance window: one that is open is as it should be, one past its `until` or left by its holder is not.

    held: state and status of a daemon that does not work although there is no flag, None when there is none such.
    """
    if found is None:
        return _closed(held)
    alarm = found.alarm(now_s)
    level = Level.CRITICAL if alarm else Level.WARNING if found.fault else Level.OK
    said = f"a window is open{f': {found}' if str(found) else ''}{f'; {alarm}' if alarm else ''}"
    return Result("maintenance", level, said, remedy="when it is over: autoops resume" if level else "")


def _closed(held: tuple[str, str] | None) -> Result:
    if held is None:
        return Result("maintenance", Level.OK, "no window is open")
    state, status = held
    level = Level.WARNING if state == "paused" else Level.CRITICAL  # paused: it may be about to go on
    return Result("maintenance", level, f"the flag is gone, but: {status}", remedy="autoops maintenance status")
