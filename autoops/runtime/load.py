"""How busy this machine is. Asks the kernel (sysinfo(2)) and not /proc/loadavg, which a unit with ProcSubset=pid does not see."""

from __future__ import annotations

import ctypes
import os

_SCALE = 65536.0  # loads are fixed-point numbers with 16 bits behind the point
_ROOM_BYTES = 256  # struct sysinfo has 112 on 64-bit machines, 64 on others


def load_per_core(minutes: int = 1) -> float | None:
    """Return the load average of 1, 5 or 15 minutes divided by the number of cores; None when the kernel does not say."""
    room = (ctypes.c_ulong * (_ROOM_BYTES // ctypes.sizeof(ctypes.c_ulong)))()
    if ctypes.CDLL(None).sysinfo(room) != 0:
        return None
    return room[1 + (1, 5, 15).index(minutes)] / _SCALE / (os.cpu_count() or 1)  # the averages come behind the uptime
