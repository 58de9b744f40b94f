"""How busy this machine is. Asks the kernel (sysinfo(2)) and not /proc/loadavg, which a unit with ProcSubset=pid does not see."""

from __future__ import annotations

import ctypes
import os

_SCALE = 65536.0  # loads are fixed-point numbers with 16 bits behind the point
_ROOM_BYTES = 256  # struct sysinfo has 112 on 64-bit machines, 64 on others


def load_per_core() -> float | None:
    """Return the load average of the last minute divided by the number of cores; None when the kernel does not say."""
    room = (ctypes.c_ulong * (_ROOM_BYTES // ctypes.sizeof(ctypes.c_ulong)))()
    if ctypes.CDLL(None).sysinfo(room) != 0:
        return None
    return room[1] / _SCALE / (os.cpu_count() or 1)  # the second field is the first of the three averages
