"""Can the declared catalogs be built where they are to be? `look` asks the disk, as the services' user; `judge` is pure.

Reads the state directory and where the roots are; writes nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from autoops import names
from autoops.acting import as_owner_of
from autoops.core.spoken import counted
from autoops.errors import CannotTell
from autoops.health.result import Level, Result
from autoops.state import State


class Seen(NamedTuple):
    """One catalog's directory, or where it is to be."""

    path: str
    fault: str = ""  # why it cannot be built there, "" when it can
    remedy: str = ""


def look(state: State, catalogs: Sequence[str], roots: Iterable[bytes]) -> list[Seen]:
    """Return what there is to say about each catalog. Raises CannotTell: we may not act for the services' user; OSError."""
    user = state.queue_db.parent.stat().st_uid
    if os.geteuid() not in (0, user):
        raise CannotTell(detail=f"whether user {user} may write catalogs", remedy="run it as root, or as that user")
    tops = [os.path.realpath(os.fsdecode(root)) for root in roots]
    with as_owner_of(state.queue_db.parent):
        return [_seen(state, state.catalogs / name, tops, user) for name in catalogs]


def _seen(state: State, directory: Path, tops: Sequence[str], user: int) -> Seen:
    path = names.show(os.fsencode(directory))
    if os.path.lexists(directory) and not stat.S_ISDIR(directory.lstat().st_mode):
        return Seen(path, "something that is no directory stands there", f"move it away: {path}")
    real = os.path.realpath(directory)
    top = next((top for top in tops if _is_within(real, top)), "")
    if top and not _is_within(real, os.path.realpath(state.directory)):  # which nobody watches, wherever it lies
        shown = names.show(os.fsencode(top))
        fault = f"it lies in the watched root {shown}: each build would be registered, and bring on the next one"
        return Seen(path, fault, f"make {names.show(os.fsencode(state.catalogs))} a directory of its own, not a link")
    there = [one for one in (state.catalogs, directory) if one.exists()] or [state.directory]
    for one in there:
        if not os.access(one, os.W_OK | os.X_OK, effective_ids=True):
            return Seen(path, f"user {user} may not write {names.show(os.fsencode(one))}", _remedy(state, one))
    return Seen(path)


def _remedy(state: State, directory: Path) -> str:
    wanted, queue = state.catalogs if directory == state.directory else directory, state.queue_db.parent
    make = f"mkdir -p {wanted}; " if wanted != directory else ""
    return names.show(f"{make}chown --reference={queue} {wanted}; chmod u+rwx {wanted}")


def _is_within(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def judge(found: Sequence[Seen]) -> Result:
    """Judge what was seen."""
    wrong = [one for one in found if one.fault]
    if wrong:
        more = f"; {counted(len(wrong) - 1, 'catalog')} more" if len(wrong) > 1 else ""
        return Result("catalogs", Level.CRITICAL, f"{wrong[0].path}: {wrong[0].fault}{more}", remedy=wrong[0].remedy)
    return Result("catalogs", Level.OK, f"{counted(len(found), 'catalog')} can be built" if found else "none is declared")
