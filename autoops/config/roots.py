"""What may be watched: the roots against the disk and against each other.

Reads the file system's metadata; writes nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from autoops import names
from autoops.config.schema import Config, RootConfig
from autoops.errors import RootAbsent, RootRefused


class _Place(NamedTuple):
    shown: str
    real: bytes
    identity: tuple[int, int] | None  # device, inode; None: there is nothing that could be watched


def check_roots(config: Config, state: Path) -> list[RootRefused]:
    """Return every reason why a root cannot be watched; empty when all is well. `state` need not exist yet.

    RootAbsent is a fault of the disk, which may pass; any other is one of the configuration.
    A root that contains the state directory is allowed: `state_below` says what must then be left out.
    """
    faults: list[RootRefused] = []
    places: list[_Place] = []
    for root in config.roots:
        absent = _absent(root)
        if absent:
            faults.append(absent)
        found = _place(root, is_there=absent is None)
        if _is_within(found.real, _real(state)):
            reason = f"it lies inside the state directory {names.show(os.fsencode(state))}"
            faults.append(_refused(found.shown, reason, "watch another directory, or put the state elsewhere with --state"))
        faults += _overlaps(found, places)
        places.append(found)
    around = root_around(config, state, Path(config.backup.directory)) if config.backup.directory else None
    if around:
        reason = f"the backup directory {names.show(config.backup.directory)} lies inside it, and each backup would be a change"
        faults.append(_refused(names.show(around.path), reason, "autoops-backup place DIR puts backups elsewhere"))
    return faults


def root_around(config: Config, state: Path, path: Path) -> RootConfig | None:
    """Return the root whose watcher would see what is made at a path; None also for what is in the state directory."""
    real = _real(path)
    if _is_within(real, _real(state)):
        return None
    return next((root for root in config.roots if _is_within(real, os.path.realpath(root.path))), None)


def state_below(root: RootConfig, state: Path) -> bytes | None:
    """Return the state directory's path below a root, None when it is not in there.

    Whoever walks or watches the root must leave it out, whatever ignore files say: each commit changes files in it, and
    registering those would be the next commit.
    """
    top, real = os.path.realpath(root.path), _real(state)
    return os.path.relpath(real, top) if real != top and _is_within(real, top) else None


def _absent(root: RootConfig) -> RootAbsent | None:
    shown = names.show(root.path)
    try:
        there = os.stat(root.path)
    except FileNotFoundError:
        return RootAbsent(path=shown, reason="it does not exist", remedy="create or mount it, or correct the path")
    except OSError as error:
        return RootAbsent(path=shown, reason=f"it cannot be looked at: {error.strerror}", remedy="look at it with: namei -l")
    if not stat.S_ISDIR(there.st_mode):
        return RootAbsent(path=shown, reason="it is not a directory", remedy="name the directory that the file is in")
    if not os.access(root.path, os.R_OK | os.X_OK, effective_ids=True):
        remedy = "give the user that autoops runs as r and x on it (setfacl -m u:USER:rx), or a group that has them"
        return RootAbsent(path=shown, reason=f"user {os.geteuid()} may not read it", remedy=remedy)
    return None


def _place(root: RootConfig, *, is_there: bool) -> _Place:
    found = os.stat(root.path) if is_there else None
    return _Place(names.show(root.path), os.path.realpath(root.path), (found.st_dev, found.st_ino) if found else None)


def _overlaps(found: _Place, others: Sequence[_Place]) -> list[RootRefused]:
    faults = []
    for other in others:
        if found.identity and found.identity == other.identity:
            faults.append(_refused(found.shown, f"it is the same directory as the root {other.shown}", "name it once"))
        elif _is_within(found.real, other.real) or _is_within(other.real, found.real):
            inner, outer = (found, other) if _is_within(found.real, other.real) else (other, found)
            remedy = f"leave out {inner.shown}: what is in it is watched as part of {outer.shown}"
            faults.append(_refused(inner.shown, f"it lies inside the root {outer.shown}", remedy))
    return faults


def _refused(path: str, reason: str, remedy: str) -> RootRefused:
    return RootRefused(path=path, reason=reason, remedy=remedy)


def _real(path: Path) -> bytes:
    return os.path.realpath(os.fsencode(path))


def _is_within(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")
