"""W14: what grows faster than the registry does, from a million entries to ten million. Runs only when it is named.

A simulated registry (no files) of each size: single durable commits, and whole commands with their time and memory. What reads all
entries may take ten times as long and no more memory; a commit may not take longer. There is no peer.
"""

from __future__ import annotations

import random
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.measure import MIB, Case, Target, rounded, run_cases, summarize
from bench.setting import Setting, autoops
from bench.w5_backup import make_state, size_of
from bench.w7_registry import edited, entry

if TYPE_CHECKING:
    from autoops.state import State

NAME = "W14"
NEEDS = {"autoops-growth": "own autoops.store.commit"}
ALONE = True  # half an hour and 12 GB
TIMES = 10  # as many entries
_COMMITS = 200


class Cost(NamedTuple):
    """What one operation took."""

    wall_s: float
    peak_mib: float


def measure(setting: Setting) -> None:
    """Measure one size, then ten times as many."""
    if not setting.taking_part(NAME, NEEDS):
        return
    most = setting.size(10_000_000, 50_000)
    few, many = (costs(setting, entries) for entries in (most // TIMES, most))
    summarize(setting.lines, NAME, targets(few, many), entries=most)


def targets(few: dict[str, Cost], many: dict[str, Cost]) -> list[Target]:
    """Return what is promised: the time of all entries at most grows as they do, that of a commit does not, nor does memory."""
    judged = []
    for name in few.keys() & many.keys():
        allowed = 1.5 if name == "commit" else 1.2 * TIMES
        judged.append(Target(f"{name}: time of {TIMES} times as many entries", many[name].wall_s / few[name].wall_s, allowed))
        if few[name].peak_mib:
            judged.append(Target(f"{name}: memory of {TIMES} times as many", many[name].peak_mib / few[name].peak_mib, 1.5))
    return sorted(judged)


def costs(setting: Setting, entries: int) -> dict[str, Cost]:
    """Return what each operation costs in a registry of so many entries."""
    place = setting.folder("w14")
    began_s = time.monotonic()
    state, _ = make_state(place / "state", entries)
    found = {"first registration": Cost(time.monotonic() - began_s, 0), "commit": Cost(_commit_s(state, entries), 0)}
    cases = [Case(name, command, prepare) for name, command, prepare in _commands(state, place)]
    run_cases(cases, setting.rounds(1), setting.quiet_s, setting.environment())
    for case in cases:
        if case.fault:
            setting.lines.write(NAME, peer=case.name, entries=entries, fault=case.fault)
        else:
            found[case.name] = Cost(statistics.median(case.walls()), case.peak_mib)
    for name, cost in found.items():
        setting.lines.write(
            NAME,
            peer=name,
            entries=entries,
            wall_s=rounded(cost.wall_s),
            peak_mib=rounded(cost.peak_mib) if cost.peak_mib else None,
        )
    sizes = {"registry_mib": state.registry_db.stat().st_size / MIB, "backups_mib": size_of(state.backups) / MIB}
    setting.lines.write(NAME, peer="sizes", entries=entries, **{name: rounded(mib) for name, mib in sizes.items()})
    shutil.rmtree(place)
    return found


def _commands(state: State, place: Path) -> list[tuple[str, Sequence[str], Callable[[], object]]]:
    where, back = ("--state", state.directory), place / "back"

    def shell(*words: str | Path) -> list[str]:
        return ["sh", "-c", 'exec "$@" >/dev/null', "sh", *autoops(*words, *where)]

    def nothing() -> None:
        pass

    return [
        ("status", shell("status"), nothing),
        ("digest", shell("replica", "digest"), nothing),
        ("export", shell("export"), nothing),
        ("verify", shell("verify"), nothing),
        ("snapshot", shell("backup", "snapshot", "--full", "--no-prune"), lambda: shutil.rmtree(state.backups, ignore_errors=True)),
        ("restore", shell("backup", "restore", "--latest", "--to", back), lambda: shutil.rmtree(back, ignore_errors=True)),
    ]


def _commit_s(state: State, entries: int) -> float:
    """Return the median of single commits, each durable."""
    from autoops.core.signing import Signer
    from autoops.store.commit import RegistryWriter, Why

    writer = RegistryWriter.open_for_writing(state.registry_db, Signer(state.private_key.read_bytes()))
    chance, why, took_s = random.Random(entries), Why("bench", "path:bench", "measured"), list[float]()
    for _ in range(_COMMITS):
        (before,) = writer.at("bench", [entry(chance.randrange(entries))[0].encode()])
        change = edited(before)
        began_s = time.perf_counter()
        writer.commit([change], why, time.time())
        took_s.append(time.perf_counter() - began_s)
    writer.checkpoint(least_bytes=0, truncate=True)
    writer.close()
    return statistics.median(took_s)
