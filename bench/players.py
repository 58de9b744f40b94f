"""The processes of W3: each plays one role (see queues.py) and answers in lines of JSON."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

START_S = 60.0
DRAIN_S = 600.0


class ChildFailed(Exception):
    """A contestant's process did not answer."""


class Child:
    """A process that plays one role and answers in lines of JSON."""

    def __init__(self, command: list[str], environment: dict[str, str], errors: Path) -> None:
        self._errors = errors
        with errors.open("ab") as said:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, bufsize=0
            )

    def answer(self, limit_s: float) -> Any:
        """Return its next line's value. Raises ChildFailed when it ended, or said nothing for `limit_s`."""
        assert self.process.stdout
        line = b""
        if select.select([self.process.stdout], [], [], limit_s)[0]:
            line = self.process.stdout.readline()
        if not line:
            raise ChildFailed(f"no answer within {limit_s:g} s: {self._errors.read_text(errors='replace')[-400:].strip()}")
        return json.loads(line)

    def start(self) -> None:
        """Give the start signal."""
        assert self.process.stdin
        self.process.stdin.write(b"go\n")

    def stop(self) -> None:
        """End it, however it is."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()


class Player(NamedTuple):
    """One queue in one round."""

    queue: str
    place: Path
    python: str
    environment: dict[str, str]

    def _child(self, role: str, *words: str) -> Child:
        command = [self.python, "-m", "bench.queues", role, self.queue, str(self.place), *words]
        return Child(command, self.environment, self.place / "errors")

    def ask(self, role: str, *words: str) -> Any:
        """Let a role be played to its end and return its answer."""
        child = self._child(role, *words)
        try:
            return child.answer(DRAIN_S)
        finally:
            child.stop()

    @contextlib.contextmanager
    def ready(self, role: str, count: int) -> Iterator[list[Child]]:
        """Give so many processes that have opened the queue and wait; their start-up is not measured."""
        children = [self._child(role) for _ in range(count)]
        try:
            for child in children:
                child.answer(START_S)
            yield children
        finally:
            for child in children:
                child.stop()
