"""One command carried out: in a process group of its own, within a time, told how it ended.

Guarantee: when `carry_out` returns, the command has ended, and so has all that it started; it dies with us. Of what it says the
last line is kept, without secrets. Reads and writes nothing itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from autoops import names
from autoops.core.redact import redact
from autoops.playbook.remedies import Command
from autoops.runtime import strays
from autoops.runtime.child import Child

_KEPT = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LANG", "TZ", "HOME", "AUTOOPS_BOOT_ID", "AUTOOPS_STRICT_EVENTS")
_BARE = {"LANG": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_COMMAND_CHARACTERS = 120  # of a fault: how it begins is enough to know it again
_WHY_CHARACTERS = 300


def carry_out(command: Command, timeout_s: float, told: Mapping[str, str]) -> str:
    """Run a command to its end; return what went wrong, "" when it ended with 0. `told` is in the environment of the operator's."""
    known = strays.adopt()
    ours = {key: os.environ[key] for key in _KEPT if key in os.environ}
    try:
        child = Child(command.words, environment={**_BARE, **told} if command.is_theirs else {**_BARE, **ours})
    except OSError as error:
        return _told(command, f"it cannot be started: {error.strerror}")
    try:
        child.close_input()
        for _ in child.output(time.monotonic() + timeout_s):
            pass  # nobody reads it, but it must not wait for a reader
        if child.ended() == 0:
            return ""
        return _told(command, child.last_words())
    except TimeoutError:
        return _told(command, f"killed, it took longer than {timeout_s:g} s")
    finally:
        child.close()
        strays.end(known)


def carry_out_all(commands: Sequence[Command], timeout_s: float, told: Mapping[str, str]) -> str:
    """Run commands in order, each with this time limit, up to the first that fails; return what went wrong, "" for nothing."""
    for command in commands:
        fault = carry_out(command, timeout_s, told)
        if fault and not command.may_fail:
            return fault
    return ""


def _told(command: Command, why: str) -> str:
    return f"{_cut(command.shown, _COMMAND_CHARACTERS)}: {_cut(why, _WHY_CHARACTERS)}"


def _cut(said: str, characters: int) -> str:
    return names.cut(names.show(redact(said)), characters)
