"""Whether the services' user may read a root, by the permission bits along its path. ACLs are not read: the kernel is the judge.

Reads metadata and the user database; writes nothing.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Collection, Sequence
from typing import NamedTuple

from autoops import names
from autoops.units.dropins import Opening, place_of

USER = "autoops"
NOT_WRITABLE = f"user {USER} may not write"


class Step(NamedTuple):
    """One directory on the way."""

    path: bytes
    mode: int
    uid: int
    gid: int


class Who(NamedTuple):
    """Somebody, as the kernel sees them."""

    uid: int
    gids: frozenset[int]


def service_user(groups: Collection[int] = ()) -> Who | None:
    """Return the user that the services run as, with its groups and these; None where there is none."""
    try:
        found = pwd.getpwnam(USER)
    except KeyError:
        return None
    return Who(found.pw_uid, frozenset((*os.getgrouplist(USER, found.pw_gid), *groups)))


def steps(path: bytes) -> list[Step]:
    """Return the directories from / to a path, which must be absolute and without links. Raises OSError."""
    parts = [part for part in path.split(b"/") if part]
    on_the_way = [b"/" + b"/".join(parts[:length]) for length in range(len(parts) + 1)]
    found = ((each, os.stat(each)) for each in on_the_way)
    return [Step(each, there.st_mode & 0o7777, there.st_uid, there.st_gid) for each, there in found]


def why_closed(opening: Opening, way: Sequence[Step], who: Who) -> str:
    """Return why the service cannot read (or, where it must, write) a root; "" when it can.

    What is bound into a hidden home has new directories above it, which let everybody pass, but for /root, which stays closed.
    """
    top = way[-1]
    if opening.writes and not _may(top, who, 0o3):
        return f"{NOT_WRITABLE} {names.show(top.path)}, and policy rename and xattr_id need that"
    if opening.read_all:
        return ""
    closed = why_no_way(way, who)
    if closed:
        return closed
    if not _may(top, who, 0o5):
        return f"user {USER} may not list {names.show(top.path)} (mode {top.mode:o})"
    return ""


def why_no_way(way: Sequence[Step], who: Who) -> str:
    """Return where the way to a directory, the last step, ends; "" when it does not."""
    passed = way[:-1] if not place_of(way[-1].path) else [step for step in way[:-1] if step.path == b"/root"]
    closed = next((step for step in passed if not _may(step, who, 0o1)), None)
    return f"user {USER} may not pass through {names.show(closed.path)} (mode {closed.mode:o})" if closed else ""


def ways_out(opening: Opening, trouble: str) -> str:
    """Return what can be done about why a root is closed."""
    if opening.writes and trouble.startswith(NOT_WRITABLE):
        return f"setfacl -m u:{USER}:rwx {names.show(opening.path)}, or --group G with a group that may write it"
    return "two ways: --group G, a group whose members may; or --read-all, which lets the services read every file"


def _may(step: Step, who: Who, wanted: int) -> bool:
    """Tell whether bits (4 read, 2 write, 1 pass) are given: the first of owner, group and others that fits decides."""
    shift = 6 if step.uid == who.uid else 3 if step.gid in who.gids else 0
    return (step.mode >> shift) & wanted == wanted
