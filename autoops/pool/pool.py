"""The pool of child processes that touch the watched files: hashing and describing, which may be slow, hang or crash.

Guarantee: a child that dies, or touches one file for longer than the time limit, costs that file and nothing else: the task
comes back as `Lost`, with the file's name, and the other children never notice. Children are started when there is work and
stopped when there has been none for a while.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

from autoops.log import emit
from autoops.pool import tasks
from autoops.pool.child import LENGTH, Slot, packed, serve_forked

_PIPE_BYTES = 1 << 20  # the most an unprivileged process may ask for; room for what a child finds during one commit
_SENT_TASKS = 64
_READ_BYTES = 1 << 18
_END_S = 5.0


class Done(NamedTuple):
    """A task that was carried out."""

    task: tasks.Task
    result: Any


class Failed(NamedTuple):
    """A task whose directory could not be opened or listed."""

    task: tasks.Task
    kind: str  # name of the error's class
    errno: int
    reason: str


class Lost(NamedTuple):
    """A task whose child died or hung; `culprit` is the name it was touching, b"" when it had touched none."""

    task: tasks.Task
    culprit: bytes
    reason: str


Answer = Done | Failed | Lost
Then = Callable[[Answer], None]


class Asked(NamedTuple):
    """A task, whom to tell, and the task as it is sent."""

    task: tasks.Task
    then: Then
    data: bytes


class _Running:
    """One child and the tasks it was given, in order."""

    def __init__(self, setup: tuple[Any, ...], *, forked: bool) -> None:
        page = os.memfd_create("autoops-slot", os.MFD_CLOEXEC)
        os.ftruncate(page, Slot.SIZE)
        self.slot = Slot(page)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "autoops.pool.child", str(page)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(page,),
            bufsize=0,
            # what is to be called before the program is executed serves and never returns, so nothing is loaded a second time
            preexec_fn=(lambda: serve_forked(page)) if forked else None,  # noqa: PLW1509  # see Pool.start
        )
        os.close(page)
        assert self.process.stdin and self.process.stdout
        self.into, self.out = self.process.stdin, self.process.stdout
        self._room_bytes = min(_widened(self.into), _widened(self.out)) // 2  # what is sent stays below it, so that it never blocks
        os.set_blocking(self.out.fileno(), False)
        self._send(packed(setup))
        self.sent: deque[Asked] = deque()
        self.sent_bytes = 0
        self._buffer = bytearray()
        self._count = -1
        self._since_s = time.monotonic()

    def has_room(self, size_bytes: int) -> bool:
        """Whether sending so much cannot block: it fits into the pipe, or the child has nothing to do but to read it."""
        return not self.sent or (len(self.sent) < _SENT_TASKS and self.sent_bytes + size_bytes <= self._room_bytes)

    def give(self, asked: Asked) -> None:
        if not self.sent:
            self._since_s = time.monotonic()
        self.sent.append(asked)
        self.sent_bytes += len(asked.data)
        self._send(asked.data)

    def _send(self, data: bytes) -> None:
        left = memoryview(data)
        with contextlib.suppress(BrokenPipeError):  # it died; reading its end tells
            while left:
                left = left[self.into.write(left) :]  # a part only, when a signal comes or its end does

    def answers(self) -> Iterator[tuple[tasks.Task, Then, tuple[str, Any]]]:
        """Yield what it answered; raises EOFError, after all that it did answer, when it died."""
        chunk = None
        with contextlib.suppress(BlockingIOError):  # that was all
            while chunk := os.read(self.out.fileno(), _READ_BYTES):
                self._buffer += chunk
                if len(chunk) < _READ_BYTES:
                    break
        while len(self._buffer) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._buffer)
            end = LENGTH.size + length
            if len(self._buffer) < end:
                break
            with memoryview(self._buffer) as view:
                answer = marshal.loads(view[LENGTH.size : end])
            del self._buffer[:end]
            asked = self.sent.popleft()
            self.sent_bytes -= len(asked.data)
            self._since_s = time.monotonic()
            yield asked.task, asked.then, answer
        if chunk == b"":
            raise EOFError

    def stuck_s(self) -> float:
        """Return for how long it has been touching the same file."""
        count, _ = self.slot.current()
        now_s = time.monotonic()
        if count != self._count or not self.sent:
            self._count, self._since_s = count, now_s
        return now_s - self._since_s

    def end(self) -> None:
        """Let it go, by force if it does not by itself."""
        self.into.close()
        try:
            self.process.wait(0.2 if not self.sent else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # a dead NFS server keeps it; then it stays a zombie
                self.process.wait(_END_S)
        self.out.close()


class Pool:
    """Children for one worker. `submit` tasks, `pump` answers."""

    def __init__(self, setup: tasks.Setup, *, size: int, idle_s: float, limit_s: float) -> None:
        self._setup = tasks.setup_message(setup)
        self.size = size  # how many children there are at most
        self._idle_s = idle_s
        self._limit_s = limit_s
        self._children: list[_Running] = []
        self._waiting: deque[Asked] = deque()
        self._used_s = time.monotonic()

    def submit(self, task: tasks.Task, then: Then) -> None:
        """Give a task to the child with the least to do; `then` is called with its answer by a later `pump`."""
        self._waiting.append(Asked(task, then, packed(tasks.message(task))))
        self._feed()

    def _feed(self) -> None:
        if self._waiting:
            self._drop_dead()
        while self._waiting:
            child = min(self._children, key=lambda running: len(running.sent), default=None)
            if len(self._children) < self.size and (child is None or child.sent):
                child = self._start()
            if child is None or not child.has_room(len(self._waiting[0].data)):
                return
            child.give(self._waiting.popleft())

    def start(self, *, forked: bool = False) -> None:
        """Start every child now, for a scan that will have work for all; else they are started one by one, as tasks come.

        forked: as copies of this process, which takes 2 ms and not 60; only before it has a thread or opens a database, for
        SQLite's locks do not survive that (sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
        """
        self._used_s = time.monotonic()
        while len(self._children) < self.size:
            self._start(forked=forked)

    def _start(self, *, forked: bool = False) -> _Running:
        child = _Running(self._setup, forked=forked)
        self._children.append(child)
        if len(self._children) == 1:
            emit("pool_started", size=self.size)
        return child

    def _drop_dead(self) -> None:
        """Let go of children that died (out of memory, say) while they had nothing to do: no task and no file is to blame."""
        for child in [child for child in self._children if not child.sent and child.process.poll() is not None]:
            child.end()
            self._children.remove(child)

    def pump(self, wait_s: float) -> None:
        """Hand out the answers there are, waiting at most so long for the first one."""
        busy = [child for child in self._children if child.sent]
        if not busy:
            return
        self._used_s = time.monotonic()
        ready, _, _ = select.select([child.out for child in busy], [], [], wait_s)
        for child in busy:
            if child.out in ready:
                self._read(child)
            elif child.stuck_s() > self._limit_s:
                self._lose(child, f"took longer than {self._limit_s:g} s")
        self._feed()

    def _read(self, child: _Running) -> None:
        try:
            for task, then, (verdict, result) in child.answers():
                then(Done(task, result) if verdict == "done" else Failed(task, *result))
        except EOFError:
            if child.sent:  # else it died with nothing to do
                self._lose(child, f"its process died ({_status(child.process.wait())})")

    def _lose(self, child: _Running, reason: str) -> None:
        """Give up on a child: the task it was at is lost, those behind it are given to others."""
        _, culprit = child.slot.current()
        child.process.kill()
        emit("child_killed", reason=reason, path=culprit)
        lost, *behind = child.sent
        self._waiting.extendleft(reversed(behind))
        child.sent.clear()
        child.end()
        self._children.remove(child)
        lost.then(Lost(lost.task, culprit, reason))

    def filenos(self) -> list[int]:
        """Return the descriptors that become readable when there is an answer."""
        return [child.out.fileno() for child in self._children if child.sent]

    def rest(self) -> float:
        """Stop the children if there has been nothing to do for a while; return in how many seconds to ask again."""
        if not self._children:
            return float("inf")
        left_s = self._used_s + self._idle_s - time.monotonic()
        if left_s <= 0:
            self.close()
            return float("inf")
        return left_s

    def close(self) -> None:
        """Stop the children, whatever they are doing."""
        if self._children:
            for child in self._children:
                child.into.close()  # first of all, so that they end at the same time
            for child in self._children:
                child.end()
            self._children.clear()
            emit("pool_stopped")
        self._waiting.clear()


def _widened(pipe: IO[bytes]) -> int:
    """Give a pipe as much room as we may; return how much it has, in bytes."""
    with contextlib.suppress(PermissionError):  # this user's pipes have all that they may have together (pipe(7)): it stays small
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)


def _status(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
