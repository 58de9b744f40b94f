"""W12: how soon an edit is in the registry while a tree is being registered for the first time.

Watcher and worker are started on a tree that nobody has seen, and files in one directory of it are written, one after the other,
until all of the tree is registered. The clock runs from the close of a file until the registry has an entry of its new size. There
is no peer: those that register a tree know nothing of it before they are done.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench import service
from bench.measure import Target, quantiles, rounded, summarize, wait_quiet
from bench.setting import Setting
from bench.tree import cached_tree

NAME = "W12"
NEEDS = {"autoops-live": "own autoops.store.registry"}
LIMIT_S = 1.0
_FILES = 20
_LOOK_S = 0.002
_PATIENCE_S = 120.0


def measure(setting: Setting) -> None:
    """Write until everything is registered, and say how long each edit was on its way."""
    if not setting.taking_part(NAME, NEEDS):
        return
    files = setting.size(1_000_000, 20_000)
    source, place = cached_tree(setting.scratch, files, "mixed"), setting.folder("w12")
    subprocess.run(["cp", "-al", source, place / "tree"], check=True)  # the same files, with a directory of its own to write in
    (place / "tree" / "live").mkdir()
    wait_quiet(setting.quiet_s)
    began_s = time.monotonic()
    with _suite(place):
        waited_s = edits(place, files)
        took_s = time.monotonic() - began_s
    setting.lines.write(NAME, peer="autoops-live", files=files, scan_s=rounded(took_s), edits_s=quantiles(waited_s))
    p99_s = quantiles(waited_s).get("p99")
    summarize(setting.lines, NAME, [Target("an edit is registered during a first scan, p99, seconds", p99_s, LIMIT_S)], files=files)
    shutil.rmtree(place)


@contextlib.contextmanager
def _suite(place: Path) -> Iterator[None]:
    config = service.write_config(place / "bench.toml", place / "tree")
    with contextlib.ExitStack() as stack:
        for program in ("autoops-worker", "autoops-watcher"):
            started = service.begin(program, place / "state", config, place)
            stack.callback(service.end, started)
            service.wait_ready(started, _PATIENCE_S)
        yield


def edits(place: Path, files: int) -> list[float]:
    """Write files until so many others are registered; return the seconds that each edit took."""
    from autoops.store.registry import Registry

    chance, waited_s = random.Random(files), list[float]()
    root, live = str(place / "tree"), place / "tree" / "live"
    with contextlib.closing(Registry.open(place / "state" / "registry" / "registry.db")) as registry:
        while registry.count() < files + min(_FILES, len(waited_s)) or not waited_s:
            name, size_bytes = f"f{len(waited_s) % _FILES}", len(waited_s) + 1
            (live / name).write_bytes(b"x" * size_bytes)
            closed_s = time.monotonic()
            while not any(entry.observation.size_bytes == size_bytes for entry in registry.at(root, [f"live/{name}".encode()])):
                assert time.monotonic() < closed_s + _PATIENCE_S, f"{name} of {size_bytes} bytes is not registered"
                time.sleep(_LOOK_S)
            waited_s.append(time.monotonic() - closed_s)
            time.sleep(chance.uniform(0.05, 0.5))
    return waited_s
