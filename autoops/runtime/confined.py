"""An external program that is given lines and makes files: shut in as far as a process of no rights can shut in another.

It gets its own session and process group, an environment of PATH and LANG, limits of the kernel (size of a file, processor time,
open files, no core), no new privileges, a time limit by the clock, and a limit of what its directory may hold; it is killed with
its group when it breaks one, and whatever it left running is killed when it ends. Under systemd the unit's sandbox is around all of
it. Reads and writes nothing itself but the pipes.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from autoops.acting import give_up_the_way_back
from autoops.runtime.signals import die_with_parent, kill_group

SAID_BYTES = 4096  # of what it writes to standard error, the end is kept
MAX_FILES = 10_000
_ENVIRONMENT = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
_OPEN_FILES = 256
_LOOK_S = 0.2
_CHUNK_BYTES = 1 << 16
_READS = 16  # at a time, from one that says more than anybody reads
_PR_SET_NO_NEW_PRIVS = 38  # <linux/prctl.h>
_libc = ctypes.CDLL(None, use_errno=True)


class Limits(NamedTuple):
    """What a program may take."""

    seconds: float
    max_bytes: int


class Ended(NamedTuple):
    """How a program ended."""

    why: str  # "" when all was well
    said: bytes  # the end of its standard error


def run(command: Sequence[str], lines: Iterable[bytes], directory: Path, limits: Limits, alive: Callable[[], None]) -> Ended:
    """Run a program in a directory, give it lines on standard input, and wait for its end. Raises OSError: it cannot be started."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=directory,
        env=_ENVIRONMENT,
        start_new_session=True,
        preexec_fn=lambda: _confine(limits),  # noqa: PLW1509  # builders have one thread
    )
    try:
        return _Talk(process, lines, directory, limits, alive).until_the_end()
    finally:
        kill_group(process.pid)
        process.wait()
        for pipe in (process.stdin, process.stderr):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def _confine(limits: Limits) -> None:
    """Set the limits; runs in the child before its exec."""
    give_up_the_way_back()  # root acts as the owner of the catalogs
    cpu_s = math.ceil(limits.seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.max_bytes, limits.max_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    die_with_parent(signal.SIGKILL)


class _Talk:
    """Feeding a process, hearing what it says, and watching its limits, in one loop."""

    def __init__(
        self, process: subprocess.Popen[bytes], lines: Iterable[bytes], directory: Path, limits: Limits, alive: Callable[[], None]
    ) -> None:
        self._process, self._lines, self._directory, self._limits, self._alive = process, iter(lines), directory, limits, alive
        assert process.stdin and process.stderr
        self._into, self._errors = process.stdin, process.stderr
        self._to_send = bytearray()
        self._said = b""
        self._end_s = time.monotonic() + limits.seconds
        for pipe in (self._into, self._errors):
            os.set_blocking(pipe.fileno(), False)

    def until_the_end(self) -> Ended:
        looked_s = 0.0
        while self._process.poll() is None:
            now_s = time.monotonic()
            if now_s > self._end_s:
                return self._ended(f"it took longer than {self._limits.seconds:g} s")
            if now_s - looked_s >= _LOOK_S:
                looked_s = now_s
                self._alive()
                if wrong := too_much(self._directory, self._limits.max_bytes):
                    return self._ended(wrong)
            self._exchange()
        self._hear()
        return self._ended(_how(self._process.returncode) or too_much(self._directory, self._limits.max_bytes))

    def _exchange(self) -> None:
        sending = [] if self._into.closed else [self._into]
        hearing = [] if self._errors.closed else [self._errors]
        if not sending and not hearing:
            time.sleep(_LOOK_S / 4)  # it closed both, and works on
            return
        readable, writable, _ = select.select(hearing, sending, [], _LOOK_S)
        if readable:
            self._hear()
        if writable:
            self._send()

    def _send(self) -> None:
        while len(self._to_send) < _CHUNK_BYTES and (line := next(self._lines, b"")):
            self._to_send += line
        try:
            if self._to_send:
                del self._to_send[: os.write(self._into.fileno(), self._to_send[:_CHUNK_BYTES])]
            else:
                self._into.close()
        except BlockingIOError:
            return
        except BrokenPipeError:  # it does not want to know more; how it ends is what counts
            with contextlib.suppress(BrokenPipeError):
                self._into.close()

    def _hear(self) -> None:
        if self._errors.closed:
            return
        with contextlib.suppress(BlockingIOError):
            for _ in range(_READS):
                chunk = os.read(self._errors.fileno(), _CHUNK_BYTES)
                if not chunk:
                    self._errors.close()
                    return
                self._said = (self._said + chunk)[-SAID_BYTES:]

    def _ended(self, why: str) -> Ended:
        return Ended(why, self._said)


def _how(code: int) -> str:
    if code == -signal.SIGXFSZ:
        return "a file of it became too large"
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "it was killed: out of processor time, or of memory"
    if code < 0:
        return f"it was killed by signal {-code}"
    return f"it ended with status {code}" if code else ""


def too_much(directory: Path, max_bytes: int) -> str:
    """Return why what lies in a directory, and below it, is too much, "" when it is not. Links are not followed."""
    total, files = 0, 0
    todo = [os.fspath(directory)]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    files += 1
                    total += _size_bytes(entry)
                    if files > MAX_FILES:
                        return f"it made more than {MAX_FILES} files"
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
        except FileNotFoundError:
            continue  # what it writes comes and goes
        except OSError as error:
            return f"what it made cannot be looked at: {error.strerror}"
    return f"its files are larger than {max_bytes} bytes" if total > max_bytes else ""


def _size_bytes(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0
