"""Several processes that write parts of one catalog, all from one state of the registry.

SQLite lets no two connections share a snapshot, so each takes its own and says which commit it is at; whoever is behind takes
another one, until all are at the same. That is proof enough: entries change by commits only. Where commits come faster than that,
nobody agrees, and one process writes all.

The children speak lines of JSON: who they are (`catalog.child`), then for each order one answer.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from autoops.catalog.parts import Written
from autoops.core.catalog import Made, Part, Range
from autoops.errors import CatalogFailed
from autoops.model import JSON

_TRIES = 50
_ALIVE_S = 1.0


class Crew:
    """Child processes for one catalog. Use as a context manager."""

    def __init__(self, size: int, name: str, setup: JSON) -> None:
        """Start them and tell them what to do. Raises CatalogFailed, OSError; then none is left."""
        self._name = name
        command = [sys.executable, "-m", "autoops.catalog.child"]
        self._children: list[subprocess.Popen[bytes]] = []
        try:
            for _ in range(size):
                self._children.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0))
            for child in self._children:
                self._tell(child, setup)
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        for child in self._children:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    pipe.close()

    def agree(self, wanted: Callable[[], JSON], again: Callable[[], None]) -> bool:
        """Let every child be at the commit that `wanted` says; `again` makes that one a newer one. False: they never were."""
        for _ in range(_TRIES):
            for child in self._children:
                self._tell(child, {"snapshot": True})
            at = [self._hear(child) for child in self._children]
            if all(one == wanted() for one in at):
                return True
            again()
        return False

    def write(self, ranges: Sequence[Range], alive: Callable[[int], None]) -> Iterator[tuple[int, list[Written]]]:
        """Yield (number of the range, its parts) as they are done, in no order."""
        todo = iter(enumerate(ranges))
        busy: dict[int, tuple[subprocess.Popen[bytes], int]] = {}  # by the descriptor of its answers

        def feed(child: subprocess.Popen[bytes]) -> None:
            number, where = next(todo, (-1, None))
            if where is not None and child.stdout:
                self._tell(child, {"first": where.first, "end": where.end})
                busy[child.stdout.fileno()] = (child, number)

        for child in self._children:
            feed(child)
        done = 0
        while busy:
            ready, _, _ = select.select(list(busy), [], [], _ALIVE_S)
            for descriptor in ready:
                child, number = busy.pop(descriptor)
                written = [_written(one) for one in self._hear(child)["written"]]
                done += 1
                yield number, written
                feed(child)
            alive(done)

    def _tell(self, child: subprocess.Popen[bytes], order: JSON) -> None:
        assert child.stdin
        left = memoryview(json.dumps(order).encode() + b"\n")
        try:
            while left:
                left = left[child.stdin.write(left) :]  # a part only, when a signal comes or its end does
        except BrokenPipeError:
            self._gone(child)

    def _hear(self, child: subprocess.Popen[bytes]) -> JSON:
        """Return a child's answer. Between them at most one is on its way, so nothing of the next is read with it."""
        assert child.stdout
        line = bytearray()
        while not line.endswith(b"\n"):
            chunk = os.read(child.stdout.fileno(), 1 << 16)
            if not chunk:
                self._gone(child)
            line += chunk
        answer: JSON = json.loads(line)
        if "fault" in answer:
            raise CatalogFailed(name=self._name, reason=answer["fault"], remedy="autoops verify, and room on the disk: df -h")
        return answer

    def _gone(self, child: subprocess.Popen[bytes]) -> None:
        reason = f"a process that builds it ended with status {child.wait()}"
        raise CatalogFailed(name=self._name, reason=reason, remedy="is there memory enough? try again with --workers 1")


def setup(database: Path, directory: Path, table: JSON, places: JSON, part_entries: int) -> JSON:
    """Return what a child has to know."""
    return {
        "database": os.fspath(database),
        "directory": os.fspath(directory),
        "part_entries": part_entries,
        "places": places,
        "table": table,
    }


def _written(value: JSON) -> Written:
    return Written(Part(**value["part"]), Made(**value["made"]) if value["made"] else None)
