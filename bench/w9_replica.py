"""W9: two registries that differ in ten entries: what has to be read, and what has to be moved, to name them.

diff-exports   both exported by `autoops export`, and compared by diff: what one does without a descent
diff           the same exports, already made and in the cache: diff alone
autoops        `autoops replica verify`: by the hashes that commits stored
autoops-pipe   the same, but the other registry is served by another process: its bytes are counted on the pipe
autoops-rows   `autoops replica verify --rows`: every row of both read, so that a change past the ledger is seen too
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.measure import MIB, Target, quantile, rounded, spread, summarize, wait_quiet
from bench.setting import PROJECT, Setting
from bench.w7_registry import edited, entry, fill_registry

NAME = "W9"
NEEDS = {
    "diff-exports": "program diff",
    "diff": "program diff",
    "autoops": "own autoops.replica.compare",
    "autoops-pipe": "own autoops.replica.compare",
    "autoops-rows": "own autoops.replica.compare",
}
DIFFERING = 10
MOVED_MIB, SHARE = 1.0, 0.02


def measure(setting: Setting) -> None:
    """Measure one size, in rounds."""
    names = setting.taking_part(NAME, NEEDS)
    place, entries = setting.folder("w9"), setting.size(1_000_000, 2_000)
    here, there = make_pair(place, entries)
    commands = commands_of(place, here, there)
    taken: dict[str, list[float]] = {name: [] for name in names}
    moved: dict[str, int] = {}
    for _ in range(setting.rounds(3)):
        for name in names:
            wait_quiet(setting.quiet_s)
            took_s, bytes_moved = run(commands[name], setting.environment(), told=name.startswith("autoops"))
            taken[name].append(took_s)
            moved[name] = bytes_moved
    for name in names:
        mib = rounded(moved[name] / MIB) if moved[name] else None
        setting.lines.write(NAME, peer=name, entries=entries, differing=DIFFERING, wall_s=spread(taken[name]), moved_mib=mib)
    summarize(setting.lines, NAME, targets(taken, moved, entries), entries=entries)
    shutil.rmtree(place)


def targets(taken: dict[str, list[float]], moved: dict[str, int], entries: int) -> list[Target]:
    """Return what is promised."""

    def ratio(ours: str, theirs: str) -> float | None:
        a, b = taken.get(ours), taken.get(theirs)
        return quantile(a, 50) / quantile(b, 50) if a and b else None

    pipe = moved.get("autoops-pipe")
    return [
        Target(f"MiB moved between two registries of {entries} entries", pipe / MIB if pipe else None, MOVED_MIB),
        Target(f"comparing by stored hashes / comparing exports, {entries} entries", ratio("autoops", "diff-exports"), SHARE),
        Target(f"comparing by rows / comparing exports, {entries} entries", ratio("autoops-rows", "diff-exports"), 1.0),
    ]


def make_pair(place: Path, entries: int) -> tuple[Path, Path]:
    """Make two state directories whose registries differ in ten entries; return them."""
    from autoops.core.signing import Signer, new_key
    from autoops.state import State
    from autoops.store.commit import RegistryWriter, Why
    from autoops.store.database import migrate
    from autoops.store.registry import SCHEMA

    here, there = State(place / "here"), State(place / "there")
    signer, why = Signer(new_key()), Why("bench", "path:bench", "measured")
    migrate(here.registry_db, SCHEMA)
    there.registry_db.parent.mkdir(parents=True)
    first = RegistryWriter.open_for_writing(here.registry_db, signer)
    fill_registry(first, entries, why)
    first.checkpoint(least_bytes=0, truncate=True)
    first.copy_to(there.registry_db)
    second = RegistryWriter.open_for_writing(there.registry_db, signer)
    for number in range(DIFFERING):
        (before,) = second.at("bench", [entry(number * entries // DIFFERING)[0].encode()])
        second.commit([edited(before)], why, time.time())
    for registry in (first, second):
        registry.checkpoint(least_bytes=0, truncate=True)
        registry.close()
    return here.directory, there.directory


def commands_of(place: Path, here: Path, there: Path) -> dict[str, str]:
    """Return each contestant as a line for the shell."""
    autoops = f"{sys.executable} -m autoops"
    ssh = place / "ssh"
    ssh.write_text(f'#!/bin/sh\nfor last; do :; done\neval "set -- $last"\nshift\nexec {autoops} "$@"\n')
    ssh.chmod(0o755)
    exports = [f"{autoops} export --state {state} >{place}/{state.name}.jsonl" for state in (here, there)]
    diff = f"diff {place}/here.jsonl {place}/there.jsonl >{place}/differences; test $? = 1"
    verify = f"{autoops} replica verify --state {here} --json"
    return {
        "diff-exports": f"{exports[0]} && {exports[1]} && {diff}",
        "diff": diff,
        "autoops": f"{verify} {there}; test $? = 1",
        "autoops-pipe": f"{verify} --ssh {ssh} ssh://there{there}; test $? = 1",
        "autoops-rows": f"{verify} --rows {there}; test $? = 1",
    }


def run(command: str, environment: dict[str, str], *, told: bool) -> tuple[float, int]:
    """Run a contestant; return its seconds and, when it tells, how many bytes it moved. It has to find the ten."""
    began = time.perf_counter()
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, env=environment, cwd=PROJECT)
    took_s = time.perf_counter() - began
    if not told:
        return took_s, 0
    found: dict[str, Any] = json.loads(done.stdout)
    assert sum(found["counts"].values()) == DIFFERING, found["counts"]
    return took_s, int(found["sent_bytes"]) + int(found["received_bytes"])
