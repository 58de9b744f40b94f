"""Signals as bytes in a socket, so that a loop can wait for them and no step is torn (signal.set_wakeup_fd, after nobodd).

Guarantee: the handlers and the wake-up descriptor of before are put back. Main thread only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
from types import FrameType, TracebackType

STOP = frozenset((signal.SIGTERM, signal.SIGINT))
RELOAD = signal.SIGHUP
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class Signals:
    """While the context lasts, STOP and RELOAD do nothing but make `fileno()` readable."""

    def __enter__(self) -> Signals:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, _noted) for number in (*STOP, RELOAD)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._reader.fileno()

    def take(self) -> set[signal.Signals]:
        """Return the signals that came since the last call."""
        try:
            return {signal.Signals(number) for number in self._reader.recv(4096)}
        except BlockingIOError:
            return set()


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel end the calling process, a child before its exec, with this signal when its parent dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def kill_group(leader: int) -> None:
    """Kill a child that leads a process group, and whatever it started in it."""
    _signal_group(leader, signal.SIGKILL)


def interrupt_group(leader: int) -> None:
    """Tell a child that leads a process group, and whatever it started in it, to end, as a terminal does."""
    _signal_group(leader, signal.SIGINT)


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone; or one of it became somebody else's (sudo)
        os.killpg(leader, number)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the byte in the socket is the news, but without a handler the signal would kill."""
