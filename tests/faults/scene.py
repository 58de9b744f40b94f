"""A suite that is not running, for tests that try the same again and again."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from judge import Acknowledged
from running import Suite, program
from writer import Promised, Promises, source_of

from autoops.core.canonical import entry_text
from autoops.state import State
from autoops.store.registry import Registry

SEED = int(os.environ.get("AUTOOPS_SEED", "1"))
FEW = int(os.environ.get("AUTOOPS_TRIES", "1"))
UNTIL = 32  # jobs: as many as bring a writer to its checkpoints
WRITER = Path(__file__).with_name("writer.py")


def acknowledged(promised: Promised) -> Acknowledged:
    """Return what a writer that came so far was told is done."""
    return Acknowledged(frozenset(map(source_of, range(1, promised.jobs + 1))), promised.checkpoint)


class Now(NamedTuple):
    """What a registry is."""

    sequence: int
    export: str


def now(state: Path) -> Now:
    """Return what the registry of a state directory is."""
    return now_of(Registry.open(State(state).registry_db))


def now_of(registry: Registry) -> Now:
    """Return what a registry is, and close it."""
    with contextlib.closing(registry):
        return Now(registry.head().sequence, "".join(entry_text(entry) + "\n" for entry in registry.entries()))


class Scene:
    """A suite that is not running, and is as it was before each try."""

    def __init__(self, suite: Suite) -> None:
        self.suite, self.promises, self.log = suite, suite.base / "promises", suite.base / "strace"
        self.state, self._kept = State(suite.state), suite.base / "kept"

    def keep(self) -> None:
        """From now on it is to be as it is."""
        self._kept.mkdir()
        subprocess.run(["cp", "-a", self.suite.state, self._kept], check=True)

    def renew(self) -> None:
        """Have it as it was."""
        shutil.rmtree(self.suite.state, ignore_errors=True)
        subprocess.run(["cp", "-a", self._kept / "state", self.suite.state.parent], check=True)
        self.promises.unlink(missing_ok=True)

    def command(self, *arguments: object) -> list[object]:
        """Return the command line of a command."""
        with_config = ["--config", self.suite.config] if arguments[0] in ("backup", "up") else []
        return [*program(), *arguments, "--state", self.suite.state, *with_config]

    def write(self, until: int = UNTIL) -> list[object]:
        """Return the command of a writer that ends well after so many jobs."""
        return [sys.executable, WRITER, self.suite.state, self.promises, "--until", until]

    def promised(self) -> Acknowledged:
        """Return what a writer has promised."""
        return acknowledged(Promises(self.promises).read())
