"""The way of a scan: which directories are still to be walked, in order, and the pool kept busy with those that come next.

Nothing is remembered but the way back up and what is ahead. Reads nothing itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from autoops.pool import tasks
from autoops.pool.pool import Answer, Done, Failed, Lost, Pool

_WINDOW = 48  # directories that are with the pool or answered, but not yet walked


@dataclass
class Node:
    """A directory on the way."""

    path: bytes
    asked_s: float = 0.0  # when the pool was asked, 0.0: it was not
    answer: tasks.Listed | Failed | Lost | None = None
    below: list[Node] = field(default_factory=list)  # once it is answered: what is to be walked in it, the last first
    alone: bool = False  # not to be asked for with others
    skip: tuple[bytes, ...] = ()
    deaths: int = 0  # how often its child died before it touched a file


class Way:
    """The directories that are still to be walked."""

    def __init__(self, pool: Pool, task: tasks.List, passed: Callable[[bytes], bool]) -> None:
        """Begin with the paths of a task, which also says how to ask for all others; `passed`: those that need no walk."""
        self._pool, self._task, self._passed = pool, task, passed
        self._stack = [Node(path) for path in task.paths]  # the next one is the last
        self._asked = 0  # directories that are with the pool
        # what is to be read is spread evenly; what is only looked at goes in portions, of which each child has two
        self._portion = 1 if task.rehash or task.is_bare else max(1, _WINDOW // (4 * pool.size))
        self._alive = True
        pool.start()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to walk."""
        return not self._stack

    @property
    def is_answered(self) -> bool:
        """Whether the next directory can be walked."""
        return bool(self._stack) and self._stack[-1].answer is not None

    def next(self) -> Node:
        """Take the next directory off the way."""
        return self._stack.pop()

    def put(self, nodes: Iterable[Node]) -> None:
        """Walk these before all others, the last one first."""
        self._stack += nodes

    def leave(self) -> None:
        """Walk no further, and forget the answers that are still to come."""
        self._alive = False
        self._stack.clear()

    def look_ahead(self) -> None:
        """Keep the pool busy with the directories that come next, below those that are answered too."""
        if self._asked <= _WINDOW // 2:  # to look at each directory anew would cost more than to list it
            for portion in _portions(islice(self._ahead(), _WINDOW), self._portion):
                self._ask(portion)

    def _ahead(self) -> Iterator[Node]:
        ahead = self._stack[-_WINDOW:]
        while ahead:
            node = ahead.pop()
            ahead += node.below[-_WINDOW:]
            yield node

    def _ask(self, nodes: Sequence[Node]) -> None:
        def then(answer: Answer) -> None:
            self._asked -= len(nodes)
            if self._alive:
                self._answered(nodes, answer)

        for node in nodes:
            node.asked_s = time.monotonic()
        self._asked += len(nodes)
        self._pool.submit(self._task._replace(paths=tuple(node.path for node in nodes), skip=nodes[0].skip), then)

    def _answered(self, nodes: Sequence[Node], answer: Answer) -> None:
        """Give each directory its part of an answer; those that have none are asked for again."""
        match answer:
            case Done(task, results):
                for node, (verdict, result) in zip(nodes, results, strict=False):
                    if verdict == "done":
                        node.answer = tasks.Listed(*result)
                        node.below = self._below(node.path, node.answer.directories)
                    else:
                        node.answer = Failed(task, *result)
            case _ if len(nodes) == 1:
                nodes[0].answer = answer
            case _:
                for node in nodes:  # which of them it was shows when each is asked for alone
                    node.alone = True
        for node in nodes:
            if node.answer is None:
                node.asked_s = 0.0

    def _below(self, path: bytes, names: Sequence[bytes]) -> list[Node]:
        prefix = path + b"/" if path else b""
        below = [prefix + name for name in names]
        return [Node(directory) for directory in reversed(below) if not self._passed(directory)]


def _portions(nodes: Iterable[Node], size: int) -> Iterator[list[Node]]:
    """Yield those that nobody was asked for yet, so many together at most."""
    portion: list[Node] = []
    for node in nodes:
        if node.asked_s:
            continue
        if portion and (len(portion) == size or node.alone or portion[-1].alone):
            yield portion
            portion = []
        portion.append(node)
    if portion:
        yield portion
