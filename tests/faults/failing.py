"""Programs whose disk fails at one call, or from one call on (failing.c says how)."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from disks import need
from running import environment


class Call(NamedTuple):
    """One call that changes something, by its number in the program."""

    number: int
    name: str
    path: str

    @property
    def is_of_shared_memory(self) -> bool:
        """Of SQLite's index of the WAL, which holds no data."""
        return self.path.endswith("-shm")


class Ended(NamedTuple):
    """How a program ended whose disk failed."""

    code: int
    out: str
    err: str
    failed: list[Call]


class FailingDisk:
    """Everything below a directory, as programs see it."""

    def __init__(self, library: Path, below: Path, log: Path) -> None:
        self._library, self._below, self._log = library, below, log

    def calls(self, command: Sequence[object], *, reads: bool = False) -> list[Call]:
        """Run a program to its end; return its calls."""
        self.run(command, 0, "EIO", reads=reads)
        return self.noted()

    def fault(
        self, at: int, how: str, *, sticky: bool = False, only: str = "", file: Path | None = None, reads: bool = False
    ) -> dict[str, str]:
        """Return the environment in which call number `at` fails; sticky: all from there on; only: of a name, or on a file;
        reads: calls that read count too."""
        self._log.unlink(missing_ok=True)
        fault = {"LD_PRELOAD": str(self._library), "FAULT_BELOW": f"{file}$" if file else str(self._below)}
        fault |= {"FAULT_AT": str(at), "FAULT_HOW": how, "FAULT_LOG": str(self._log)} | ({"FAULT_READS": "1"} if reads else {})
        return fault | ({"FAULT_STICKY": "1"} if sticky else {}) | ({"FAULT_CALL": only} if only else {})

    def run(
        self,
        command: Sequence[object],
        at: int,
        how: str,
        *,
        sticky: bool = False,
        only: str = "",
        file: Path | None = None,
        reads: bool = False,
    ) -> Ended:
        """Run a program to its end in such an environment."""
        done = subprocess.run(
            [str(one) for one in command],
            env=environment(**self.fault(at, how, sticky=sticky, only=only, file=file, reads=reads)),
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Ended(done.returncode, done.stdout, done.stderr, self.noted("!"))

    def noted(self, mark: str = "") -> list[Call]:
        """Return the calls that were made so far; with the mark "!" those that failed."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        parts = [line.removeprefix("!").split(" ", 2) for line in lines if line.startswith(mark)]
        return [Call(int(number), name, path) for number, name, path in parts]


def build(directory: Path) -> Path:
    """Compile the library, skip where nothing can be."""
    need("cc")
    library = directory / "failing.so"
    source = Path(__file__).with_name("failing.c")
    done = subprocess.run(["cc", "-O2", "-Wall", "-shared", "-fPIC", "-o", library, source], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"nothing can be compiled here: {done.stderr}")
    return library
