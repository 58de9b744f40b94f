"""Which boot this is, how far into it we are, and whether a process that was seen once still lives.

Wall-clock time jumps and process numbers are reused; the boot, the time since it (suspend included) and a process's start time
do not lie. Reads /proc/PID/stat and the kernel's boot id, and sends signal 0; writes nothing.
"""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

from autoops.errors import CannotTell

BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id"
BOOT_ID_VARIABLE = "AUTOOPS_BOOT_ID"


def boottime_ns() -> int:
    """Return nanoseconds since this boot, time spent suspended included (CLOCK_BOOTTIME, clock_gettime(2))."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@functools.cache  # the boot cannot change while this process lives; an error is not kept
def boot_id(source: str = BOOT_ID_FILE) -> str:
    """Return this boot's id, 32 hex digits without dashes (random(4); systemd's %b has the same form).

    A unit with ProcSubset=pid does not see the kernel's file, so it passes AUTOOPS_BOOT_ID=%b instead.
    Raises CannotTell when neither says.
    """
    try:
        said = Path(source).read_text(encoding="ascii")
    except OSError as error:
        said = os.environ.get(BOOT_ID_VARIABLE, "")
        if not said.strip():
            raise CannotTell(
                detail=f"which boot this is: {source}: {error.strerror}, and {BOOT_ID_VARIABLE} is not set",
                remedy=f"give the unit Environment={BOOT_ID_VARIABLE}=%b, or ProcSubset=all",
            ) from error
    return said.strip().replace("-", "").lower()


def process_start(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot (field 22 of /proc/PID/stat, proc_pid_stat(5)).

    None when there is no such process; a zombie is none, it does no work any more. Raises PermissionError when /proc refuses
    to say (mounted with hidepid=1, and the process belongs to another user).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 1 :].split()  # the name before it may hold spaces and brackets; field 3 is the first here
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def is_alive(boot: str, pid: int, start: int) -> bool:
    """Say whether the very process lives that was seen in boot `boot` with number `pid` and start time `start`.

    Where /proc hides it (a unit with ProtectProc=invisible; mounted with hidepid=1), a process that took over the number passes
    for it. Raises CannotTell when nothing says which boot this is.
    """
    if boot != boot_id():
        return False
    try:
        found = process_start(pid)
    except PermissionError:
        return exists(pid)
    return found == start if found is not None else exists(pid) and not Path(f"/proc/{pid}").exists()


def exists(pid: int) -> bool:
    """Say whether there is a process of this number, a zombie included, also one that /proc hides (kill(2) with signal 0)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    return True


def is_process(number: str) -> bool:
    """Say whether a part of a file's name is the number of a process that there is."""
    return number.isdecimal() and len(number) < 10 and exists(int(number))
