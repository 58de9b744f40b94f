"""What a run of the benchmarks stands on: where its files go, how long it may take, and who takes part."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import Lines
from bench.tree import empty

PROJECT = Path(__file__).resolve().parent.parent


@dataclass
class Setting:
    """Handed to every workload."""

    lines: Lines
    scratch: Path
    quick: bool = False
    files: int | None = None  # None: the workload's own size
    runs: int | None = None
    only: frozenset[str] | None = None  # names of peers; None: all
    peers_python: str = sys.executable  # the interpreter that has the peers from PyPI
    quiet_s: float = 10.0
    _modules: dict[tuple[str, str], bool] = field(default_factory=dict)

    def size(self, full: int, quick: int) -> int:
        """Return how many files (or the like) a workload takes."""
        return self.files or (quick if self.quick else full)

    def rounds(self, full: int) -> int:
        """Return how many rounds a workload takes."""
        return self.runs or (2 if self.quick else full)

    def folder(self, name: str) -> Path:
        """Return an empty directory of this name below the scratch directory."""
        return empty(self.scratch / name)

    def environment(self) -> dict[str, str]:
        """Return the environment of everything that is started."""
        return environment()

    def taking_part(self, workload: str, needs: dict[str, str]) -> list[str]:
        """Return those of `needs` (peer → what it needs) that were asked for and are there; name the absent ones in a line.

        A need is "", "program NAME", "module NAME" (in the peers' environment), "own MODULE" (in ours) or "autoops".
        """
        asked = [
            name for name in needs if self.only is None or name in self.only or needs[name].startswith(("autoops", "own autoops"))
        ]
        missing = [name for name in asked if not self._has(needs[name])]
        if missing:
            self.lines.write(workload, missing=missing)
        return [name for name in asked if name not in missing]

    def _has(self, need: str) -> bool:
        kind, _, what = need.partition(" ")
        if kind == "program":
            return shutil.which(what) is not None
        if kind in ("module", "own"):
            return self._imports(self.peers_python if kind == "module" else sys.executable, what)
        return not need or own_program("autoops") is not None

    def _imports(self, python: str, module: str) -> bool:
        key = (python, module)
        if key not in self._modules:
            tried = subprocess.run([python, "-c", f"import {module}"], env=self.environment(), capture_output=True, check=False)
            self._modules[key] = tried.returncode == 0
        return self._modules[key]


def environment() -> dict[str, str]:
    """Return our own environment, with the project importable and messages in English.

    Python may keep what it compiles: an installed package brings that along, and without it each start costs 70 ms more.
    """
    known = os.environ.get("PYTHONPATH")
    path = f"{PROJECT}{os.pathsep}{known}" if known else str(PROJECT)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": path, "LC_ALL": "C.UTF-8"}


def own_program(name: str) -> list[str] | None:
    """Return the command of one of our programs: the checkout's, else the one installed beside this Python; None: neither."""
    for place in (PROJECT / "bin" / name, Path(sys.executable).with_name(name)):
        if place.exists():
            return [sys.executable, str(place)]
    return None


def own_reconciler() -> list[str]:
    """Return the command line of the reconciler."""
    return own_program("autoops-reconciler") or ["autoops-reconciler"]


def autoops(*words: str | Path) -> list[str]:
    """Return a command line of the operator's program (which fails where there is none; `taking_part` asks first)."""
    return [*(own_program("autoops") or ["autoops"]), *map(str, words)]
