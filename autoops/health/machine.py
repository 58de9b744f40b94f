"""Is this machine too busy for autoops: memory, load, and how fast queue.db answers?

The functions that judge are pure. `memory` reads /proc and /sys, `measure` reads queue.db and writes samples
of what that took.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from autoops.config import HealthConfig
from autoops.errors import CannotTell
from autoops.health.result import Figure, Level, Result, entry, judge, worst
from autoops.store.backlog import Backlog
from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.operations import Gaps, Heartbeats
from autoops.store.samples import Percentiles, Samples

READ, WRITE = "queue_read_s", "queue_write_s"  # names of samples
RECENT_S = 3600


class Memory(NamedTuple):
    """How much memory there is, in bytes, and how much of it a program could get."""

    total: int
    available: int


def memory(of_all: Path = Path("/proc/meminfo"), of_nodes: Path = Path("/sys/devices/system/node")) -> Memory:
    """Return what there is. A unit with ProcSubset=pid does not see /proc/meminfo, but what each node of it has in /sys.

    Raises CannotTell when neither says.
    """
    try:
        facts = _sums(of_all.read_text())
        return Memory(facts["MemTotal"], facts["MemAvailable"])
    except (OSError, KeyError):
        facts = _sums("".join(path.read_text() for path in of_nodes.glob("node[0-9]*/meminfo")))
    try:  # much the same as MemAvailable (proc_meminfo(5)): free, or a cache
        available = facts["MemFree"] + facts["FilePages"] - facts["Shmem"] + facts["SReclaimable"]
        return Memory(facts["MemTotal"], min(available, facts["MemTotal"]))
    except KeyError:
        raise CannotTell(detail=f"how much memory is used: neither {of_all} nor {of_nodes} says", remedy="free -m") from None


def _sums(text: str) -> dict[str, int]:
    """Return the fields in bytes, those of several nodes together."""
    sums: dict[str, int] = {}
    for name, kib in re.findall(r"(?m)^(?:Node \d+ )?(\w+): +(\d+) kB$", text):
        sums[name] = sums.get(name, 0) + int(kib) * 1024
    return sums


def judge_memory(found: Memory, limits: HealthConfig) -> Result:
    """Judge how much of the memory is used."""
    used = 100 * (1 - found.available / found.total) if found.total else 100.0
    pair = limits.memory_warning, limits.memory_critical
    figures = (Figure("memory_used", used, "%", *pair), Figure("memory_available", found.available, "B"))
    level = judge(used, *pair)
    said = f"{used:.0f} % used, {found.available / 1e9:.1f} GB available"
    return Result("memory", level, said, figures, entry("memory") if level else "")


def judge_load(per_core: float, limits: HealthConfig) -> Result:
    """Judge how many wait for a core or a disk."""
    pair = limits.load_warning, limits.load_critical
    level = judge(per_core, *pair)
    said = f"{per_core:.1f} for each core, over five minutes"
    return Result("load", level, said, (Figure("load", per_core, "", *pair),), entry("load") if level else "")


# how fast the queue's database answers


def measure(reader: Database, open_writer: Callable[[], Database], now_s: float) -> dict[str, Percentiles]:
    """Read and write a little, keep how long it took, and return what that took of late. Raises StorageError."""
    reads = list(_reads(reader))
    with open_writer() as writer:
        samples = Samples(writer)
        began_s = time.perf_counter()
        samples.record(READ, reads, int(now_s))
        samples.record(WRITE, [time.perf_counter() - began_s], int(now_s))
    return recent(reader, now_s)


def recent(reader: Database, now_s: float) -> dict[str, Percentiles]:
    """Return what reads and writes took in the last hour; nothing of what was not measured. Raises StorageError."""
    found = {name: Samples(reader).percentiles(name, int(now_s) - RECENT_S) for name in (READ, WRITE)}
    return {name: one for name, one in found.items() if one}


def _reads(reader: Database) -> Iterator[float]:
    for read in (Backlog(reader).oldest_s, Heartbeats(reader).list, Gaps(reader).open_gaps, Findings(reader).counts):
        began_s = time.perf_counter()
        read()
        yield time.perf_counter() - began_s


def judge_response(took: Mapping[str, Percentiles], limits: HealthConfig) -> Result:
    """Judge how fast queue.db answered of late, by what 95 of 100 took at most."""
    pair = limits.response_warning_s, limits.response_critical_s
    figures = tuple(Figure(f"{name.removesuffix('_s')}_p95", one.p95, "s", *pair) for name, one in took.items())
    level = worst(judge(one.p95, *pair) for one in took.values())
    said = ", ".join(f"{name.removesuffix('_s')} {one.p95 * 1000:.1f} ms" for name, one in took.items())
    if level == Level.OK:
        return Result("response", level, f"95 of 100: {said}" if said else "not measured yet", figures)
    return Result("response", level, f"queue.db is slow, 95 of 100: {said}", figures, entry("response"))
