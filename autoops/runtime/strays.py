"""Processes that left their parents behind: who starts a program can find and end them, whatever they did to get away.

A process that makes a session of its own is in no process group that its starter could kill; but as an orphan it gets a new parent,
and that can be us (prctl(2), PR_SET_CHILD_SUBREAPER). Reads /proc; ends processes. For a process of one thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Collection
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
_ROUNDS = 1000  # one that forks faster than it is killed is left to the limits of its unit


def adopt() -> set[int]:
    """Become the parent of orphans among one's descendants from now on; return the children there are. Some kernels do not tell."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return _children()


def end(known: Collection[int]) -> None:
    """End all one's children but those known, and theirs, which are one's own then."""
    for _ in range(_ROUNDS):
        strays = _children() - set(known)
        if not strays:
            return
        for stray in strays:
            with contextlib.suppress(PermissionError):  # it has become another user's
                os.kill(stray, signal.SIGKILL)
                os.waitpid(stray, 0)


def _children() -> set[int]:
    pid = os.getpid()
    with contextlib.suppress(FileNotFoundError):  # a kernel without CONFIG_PROC_CHILDREN
        return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return set()
