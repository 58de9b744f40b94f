"""A child process with pipes, for programs that may hang, flood or answer nonsense.

Guarantees: no call blocks longer than it was told to; of standard error only the end is kept; after `close` the child and what it
started in its process group are gone, and the child goes when this process does. Where root acts as somebody else (acting.py) the
child is that one for good. No shell reads the command.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from autoops import names
from autoops.acting import give_up_the_way_back
from autoops.runtime.signals import die_with_parent, interrupt_group, kill_group

_KEPT_BYTES = 2000  # of standard error
_READ_BYTES = 1 << 16
_END_S = 1.0
_LOOK_S = 0.2
_PARTS = 64  # that are read at a time from one that writes more than anybody reads


class Child:
    """One running program."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        kept_bytes: int = _KEPT_BYTES,
    ) -> None:
        """Start it, in this process's environment and directory unless told others. `kept_bytes`: of its standard error.

        Raises OSError when there is no such program, or it may not be run.
        """
        self._kept_bytes = kept_bytes
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=directory,
            start_new_session=True,
            preexec_fn=_begin,  # noqa: PLW1509  # no threads here
            bufsize=0,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._in, self._out, self._err = (
            pipe.fileno() for pipe in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        for descriptor in (self._in, self._out, self._err):
            os.set_blocking(descriptor, False)
        self._open = {self._out, self._err}
        self._said = b""

    def fileno(self) -> int:
        """Return the descriptor that is readable when it has written something, or has closed its output."""
        return self._out

    def read(self, most_bytes: int) -> bytes | None:
        """Return what it has written, b"" when it has closed its output, None when there is nothing now."""
        self._listen()
        try:
            return os.read(self._out, min(most_bytes, _READ_BYTES))
        except BlockingIOError:
            return None

    def wait_for_output(self, until_s: float) -> bool:
        """Wait, until a time of time.monotonic, for something to read; say whether there is."""
        while True:
            left_s = until_s - time.monotonic()
            ready, _, _ = select.select(list(self._open | {self._out}), [], [], max(0.0, left_s))
            self._listen()
            if self._out in ready:
                return True
            if left_s <= 0:
                return False

    def output(self, until_s: float) -> Iterator[bytes]:
        """Yield what it writes, and b"" now and then while that is nothing, until it has ended. Raises TimeoutError."""
        is_open = True
        while self.ended() is None:
            now_s = time.monotonic()
            if now_s >= until_s:
                raise TimeoutError("it has not ended")
            if not is_open:
                self.await_end(min(_LOOK_S, until_s - now_s))
                self._listen()
            part = self.read(_READ_BYTES) if is_open and self.wait_for_output(min(until_s, now_s + _LOOK_S)) else None
            is_open = is_open and part != b""
            yield part or b""
        for _ in range(_PARTS):
            part = self.read(_READ_BYTES)
            if not part:
                return
            yield part

    def write(self, data: bytes, until_s: float) -> None:
        """Send something. Raises BrokenPipeError when nobody reads any more, TimeoutError."""
        view = memoryview(data)
        while view:
            if not select.select([], [self._in], [], max(0.0, until_s - time.monotonic()))[1]:
                raise TimeoutError("it does not read what it is sent")
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(self._in, view) :]

    def close_input(self) -> None:
        """Tell it that nothing follows."""
        assert self._process.stdin
        self._process.stdin.close()

    def ended(self) -> int | None:
        """Return its exit status, None while it runs."""
        return self._process.poll()

    def said(self) -> bytes:
        """Return the end of what it wrote to standard error."""
        self._listen()
        return self._said

    def last_words(self) -> str:
        """Return the last line that it wrote to standard error, and how it ended: for an error message."""
        hint = b"  hint: "  # our own programs'
        lines = [line for line in self.said().splitlines() if line.strip() and not line.startswith(hint)]
        said = names.show(lines[-1][-300:]) if lines else ""
        status = self._process.poll()
        how = "" if status is None else f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        return ": ".join(part for part in (how, said) if part)

    def await_end(self, timeout_s: float = _END_S) -> int | None:
        """Wait a moment for its end; return its exit status, None when it goes on."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def interrupt(self, grace_s: float) -> None:
        """Ask it to end, as Ctrl+C does, and give it a moment to put away what it holds."""
        interrupt_group(self._process.pid)
        self.await_end(grace_s)

    def close(self) -> None:
        """End it and what it started, and give the pipes back."""
        kill_group(self._process.pid)  # also when it has ended: what it started may live on
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _listen(self) -> None:
        """Take what it writes to standard error, so that it is not held up by that."""
        for _ in range(_PARTS if self._err in self._open else 0):
            try:
                part = os.read(self._err, _READ_BYTES)
            except BlockingIOError:
                return
            if not part:
                self._open.discard(self._err)
                return
            self._said = (self._said + part)[-self._kept_bytes :]


def _begin() -> None:
    """Make ready what the child begins with; runs in it before its exec."""
    give_up_the_way_back()
    die_with_parent()  # the last: a change of user takes it away (prctl(2), PR_SET_PDEATHSIG)
