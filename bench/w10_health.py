"""W10: the processor time of one health check of a registry, when nothing is due: what the timer costs every five minutes.

autoops-health  the program as the unit runs it, its children included
python          the interpreter alone: what it costs to begin at all

Next to it the run that validates the whole registry, which comes once a day, is told.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.measure import Target, quantile, rounded, spread, summarize, wait_quiet
from bench.setting import Setting, own_program
from bench.w7_registry import fill_registry

NAME = "W10"
NEEDS = {"autoops-health": "autoops", "python": ""}
PROCESSOR_S = 0.15


def measure(setting: Setting) -> None:
    """Measure one size, in rounds."""
    names = setting.taking_part(NAME, NEEDS)
    entries = setting.size(100_000, 2_000)
    state = made_state(setting.folder("w10"), entries)
    program = own_program("autoops-health") or ["autoops-health"]
    commands = {"autoops-health": [*program, "--state", str(state)], "python": [sys.executable, "-c", ""]}
    whole_s = processor_s(commands["autoops-health"], setting.environment())  # the first one validates, and compiles
    taken: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(setting.rounds(7)):
        for name in names:
            wait_quiet(setting.quiet_s)
            taken[name].append(processor_s(commands[name], setting.environment()))
    for name in names:
        setting.lines.write(NAME, peer=name, entries=entries, processor_s=spread(taken[name]))
    setting.lines.write(NAME, peer="autoops-health", entries=entries, validating_processor_s=rounded(whole_s))
    found = quantile(taken["autoops-health"], 50) if taken.get("autoops-health") else None
    summarize(setting.lines, NAME, [Target(f"processor seconds of a run, {entries} entries", found, PROCESSOR_S)], entries=entries)
    shutil.rmtree(state.parent)


def made_state(place: Path, entries: int) -> Path:
    """Make a state directory whose registry has so many entries; return it."""
    from autoops.cli.ready import make_ready
    from autoops.core.signing import Signer
    from autoops.state import State
    from autoops.store.commit import RegistryWriter, Why

    state = State(place / "state")
    make_ready(state)
    registry = RegistryWriter.open_for_writing(state.registry_db, Signer(state.private_key.read_bytes()))
    fill_registry(registry, entries, Why("bench", "path:bench", "measured"))
    registry.checkpoint(least_bytes=0, truncate=True)
    registry.close()
    return state.directory


def processor_s(command: Sequence[str], environment: dict[str, str]) -> float:
    """Return the processor time of a command and its children, user and system (getrusage(2))."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, cwd=os.sep, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in (0, 1, 2), done  # nobody runs there: the check says so
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
