"""Root works in directories of others only as these others: what they put there, a link say, then leads no further than they go."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def as_owner_of(directory: Path) -> Iterator[None]:
    """Have the rights of a directory's owner (of the link's, if it is one), when that is not root and we are. Raises OSError."""
    owner = os.lstat(directory)
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    try:
        os.setgroups([owner.st_gid])
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)  # the last: after it we may change nothing of this, but for going back
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def give_up_the_way_back() -> None:
    """Be for good who one acts as: for a child before its exec, which is to have no more rights than that. Raises OSError."""
    if os.getuid() != os.geteuid():
        user, group = os.geteuid(), os.getegid()
        os.setregid(group, group)
        os.setreuid(user, user)


def become_owner_of(directory: Path) -> None:
    """Be a directory's owner for good, when that is not root and we are. Raises OSError."""
    owner = os.lstat(directory)
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    os.setgroups([owner.st_gid])
    os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
    os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
