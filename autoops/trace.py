"""Named points at which a test can kill or freeze the process.

A point is a no-op unless AUTOOPS_TRACE names it: `AUTOOPS_TRACE=commit:before` or `commit:before:3` (the third time it is
reached) sends SIGKILL to this very process there, as a power cut would. `freeze:commit:before:3` sends SIGSTOP instead, as a host
that is out of memory, or a suspended one, does. Crash tests walk over `POINTS`.
"""

from __future__ import annotations

import os
import signal

POINTS: tuple[str, ...] = (
    "enqueue:before",
    "enqueue:after",
    "claim:after",
    "observe:after",
    "commit:before",
    "commit:inside",
    "commit:after",
    "checkpoint:before",
    "checkpoint:after",
    "complete:before",
    "complete:after",
    "rename:intent",
    "rename:done",
    "describe:after",
    "catalog:made",
    "catalog:exchanged",
    "snapshot:copied",
    "snapshot:shipped",
    "snapshot:packed",
    "snapshot:published",
    "prune:renamed",
    "restore:made",
    "restore:kept",
    "restore:queue",
    "restore:checkpoints",
    "restore:noted",
    "abandon:snapshot",
    "abandon:left",
    "swap:kept",
    "swap:bare",
    "swap:done",
    "segment:written",
    "segment:synced",
    "segment:packed",
    "segment:dropped",
    "segment:unpacked",
    "alert:enqueued",
    "outbox:claimed",
    "outbox:delivered",
    "outbox:settled",
    "playbook:begun",
    "playbook:carried-out",
    "playbook:settled",
    "playbook:held",
)

_armed = os.environ.get("AUTOOPS_TRACE", "").removeprefix("freeze:")
_SIGNAL = signal.SIGSTOP if os.environ.get("AUTOOPS_TRACE", "").startswith("freeze:") else signal.SIGKILL


def trace(point: str) -> None:
    """Die or freeze here if a test asked for it."""
    if _armed:
        _hit(point)


_hits: dict[str, int] = {}


def _hit(point: str) -> None:
    assert point in POINTS, point
    name, _, wanted = _armed.rpartition(":") if _armed.count(":") == 2 else (_armed, "", "1")
    if point == name:
        _hits[point] = _hits.get(point, 0) + 1
        if _hits[point] == int(wanted):
            os.kill(os.getpid(), _SIGNAL)
