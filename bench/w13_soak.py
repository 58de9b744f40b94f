"""W13: what grows under a load that goes on for hours: memory, WAL, queue. Runs only when it is named.

Watcher, worker, tailer and shipper on a tree in which fifty times a second a file is made, edited, moved or removed; a snapshot, a
catalog and a reconciliation are made one after the other all the while. Looked at is each minute; the last third of the time is
compared with the third before it, so that caches which fill once do not count. There is no peer.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from bench import service
from bench.measure import MIB, Target, rounded, summarize
from bench.processes import family, proportional_mib
from bench.setting import Setting, autoops, environment
from bench.tree import write_tree

NAME = "W13"
NEEDS = {"autoops-soak": "own autoops.store.backlog"}
ALONE = True  # two hours: nobody wants them by surprise
PROGRAMS = ("autoops-worker", "autoops-watcher", "autoops-tailer", "autoops-shipper")
MOST_GROWTH = 1.1
_EDITS_PER_S = 50
_FILES = 10_000
_PATIENCE_S = 120.0
_REST_S = 5.0  # between two commands: the edits are to keep their rate on two processors
_CATALOG = '\n[[catalog]]\nname = "all"\nformat = "jsonl"\n'


class Sample(NamedTuple):
    """What was there at one moment."""

    memory_mib: float
    wal_mib: float  # of both databases
    jobs: int  # that have not ended


def measure(setting: Setting) -> None:
    """Keep everybody busy, and say what grew."""
    if not setting.taking_part(NAME, NEEDS):
        return
    minutes, every_s = (1, 2.0) if setting.quick else (120, 60.0)
    place = setting.folder("w13")
    write_tree(place / "tree", setting.size(_FILES, 1_000), "small")
    config = service.write_config(place / "bench.toml", place / "tree")
    config.write_text(config.read_text() + _CATALOG)
    counts, over = {"edits": 0, "snapshots": 0, "catalogs": 0, "reconciliations": 0}, threading.Event()
    with _suite(place, config) as pids, _background(place, config, over, counts):
        taken = list(samples(place / "state", pids, minutes * 60, every_s, over))
    for name in Sample._fields:
        values = [float(getattr(sample, name)) for sample in taken]
        setting.lines.write(
            NAME, peer="autoops-soak", minutes=minutes, figure=name, thirds=[rounded(one) for one in thirds(values)]
        )
    setting.lines.write(NAME, peer="autoops-soak", minutes=minutes, **counts)
    summarize(setting.lines, NAME, targets(taken), minutes=minutes)
    shutil.rmtree(place)


def targets(taken: Sequence[Sample]) -> list[Target]:
    """Return what is promised: none of it grows."""
    judged = []
    for name in Sample._fields:
        _, middle, last = thirds([float(getattr(sample, name)) for sample in taken])
        judged.append(Target(f"{name}, last third / the one before", (last + 1) / (middle + 1), MOST_GROWTH))  # of 0 jobs too
    return judged


def thirds(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the medians of the three thirds of a series. Pure."""
    size = len(values) // 3
    return statistics.median(values[:size]), statistics.median(values[size : 2 * size]), statistics.median(values[2 * size :])


def samples(state: Path, pids: Sequence[int], seconds: float, every_s: float, over: threading.Event) -> Iterator[Sample]:
    """Yield what is there, at equal distances, for so long, or until it is over because something failed."""
    from autoops.store.backlog import Backlog
    from autoops.store.database import Database
    from autoops.store.queue import SCHEMA as QUEUE

    wals = [state / "queue" / "queue.db-wal", state / "registry" / "registry.db-wal"]
    end_s = time.monotonic() + seconds
    with contextlib.closing(Database.open(state / "queue" / "queue.db", QUEUE, mode="ro")) as queue:
        backlog = Backlog(queue)
        while time.monotonic() < end_s and not over.wait(every_s):
            memory_mib = proportional_mib([pid for parent in pids for pid in family(parent)])
            wal_mib = sum(wal.stat().st_size for wal in wals if wal.exists()) / MIB
            yield Sample(memory_mib, wal_mib, backlog.unfinished(backlog.horizon(), ("path", "scan", "patch")))


@contextlib.contextmanager
def _suite(place: Path, config: Path) -> Iterator[list[int]]:
    with contextlib.ExitStack() as stack:
        running = []
        for program in PROGRAMS:
            started = service.begin(program, place / "state", config, place)
            stack.callback(service.end, started)
            service.wait_ready(started, _PATIENCE_S)
            running.append(started.process.pid)
        subprocess.run(autoops("wait-idle", "--state", place / "state"), env=environment(), check=True, capture_output=True)
        yield running


@contextlib.contextmanager
def _background(place: Path, config: Path, over: threading.Event, counts: dict[str, int]) -> Iterator[None]:
    """Edit files and run commands until the block ends, or until it is over because one of them failed."""
    with ThreadPoolExecutor(2) as threads:
        at_work = [threads.submit(work, place, config, over, counts) for work in (_edit, _command)]
        for one in at_work:
            one.add_done_callback(lambda _: over.set())
        try:
            yield
        finally:
            over.set()
    for one in at_work:
        one.result()


def _edit(place: Path, config: Path, over: threading.Event, counts: dict[str, int]) -> None:
    chance, there = random.Random(1), [path for path in (place / "tree").rglob("*") if path.is_file()]
    began_s = time.monotonic()
    while not over.wait(max(0.0, began_s + counts["edits"] / _EDITS_PER_S - time.monotonic())):
        at = chance.randrange(len(there))
        what = chance.randrange(10)
        if what == 0:
            there[at] = there[at].rename(there[at].with_name(f"moved-{counts['edits']}"))
        elif what == 1:
            there[at].unlink()
            there[at] = there[at].with_name(f"made-{counts['edits']}.txt")
        if what:
            there[at].write_bytes(b"%d\n" % counts["edits"] * chance.randrange(1, 500))
        counts["edits"] += 1


def _command(place: Path, config: Path, over: threading.Event, counts: dict[str, int]) -> None:
    where = ("--state", place / "state", "--config", config)
    commands = {
        "snapshots": (autoops("backup", "snapshot", *where), (0,)),
        "catalogs": (autoops("catalog", "build", "--all", *where), (0,)),
        "reconciliations": (autoops("reconcile", *where), (0, 1)),  # 1: what is being edited differs
    }
    while not over.is_set():
        for name, (command, good) in commands.items():
            done = subprocess.run(command, env=environment(), check=False, capture_output=True, text=True)
            assert done.returncode in good, (command, done.returncode, done.stderr[-400:])
            counts[name] += 1
            if over.wait(_REST_S):
                return
