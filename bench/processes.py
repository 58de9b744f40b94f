"""What running processes cost: memory, processor time, wake-ups. Reads /proc; a process that has ended costs nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for parent in found:  # grows while we read it
        for thread in _list(f"/proc/{parent}/task"):
            found += [int(word) for word in _read(f"/proc/{parent}/task/{thread}/children").split()]
    return found


def proportional_mib(pids: Iterable[int]) -> float:
    """Return the proportional set size of processes together: each shared page divided by those who share it (proc(5))."""
    return sum(_field_kib(_read(f"/proc/{pid}/smaps_rollup"), "Pss:") for pid in pids) / 1024


def resident_mib(pids: Iterable[int]) -> float:
    """Return the resident set size of processes together, shared pages counted once for each."""
    return sum(_field_kib(_read(f"/proc/{pid}/status"), "VmRSS:") for pid in pids) / 1024


def processor_s(pids: Iterable[int]) -> float:
    """Return the processor time of processes, ended threads included, their children not.

    Read from each process's own clock, in nanoseconds (clock_getcpuclockid(3)): the ticks of /proc/PID/stat are 10 ms.
    """
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids) / 1e9


def wakeups(pids: Iterable[int]) -> int:
    """Return how often the threads of processes were switched in so far, of their own will or not."""
    total = 0
    for pid in pids:
        for thread in _list(f"/proc/{pid}/task"):
            for line in _read(f"/proc/{pid}/task/{thread}/status").splitlines():
                if "ctxt_switches" in line:
                    total += int(line.split()[1])
    return total


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return []


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return ""


def _field_kib(text: str, name: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(name)), 0)
