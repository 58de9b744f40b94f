"""What systemd is told, and when it wants a sign of life (sd_notify(3), sd_watchdog_enabled(3)).

Our own border around sdnotify, which swallows every error, sends Latin-1 and does not know WATCHDOG_PID. Reads and removes
NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, so that child processes do not speak for us. Writes to the notification socket.
"""

from __future__ import annotations

import os
import time

import sdnotify  # type: ignore[import-untyped]

from autoops import log


class Notifier:
    """The way to systemd; without NOTIFY_SOCKET it is silent."""

    def __init__(self) -> None:
        told = bool(os.environ.get("NOTIFY_SOCKET"))
        usec, pid = (os.environ.pop(name, "") for name in ("WATCHDOG_USEC", "WATCHDOG_PID"))
        ours = usec.isdecimal() and pid in ("", str(os.getpid()))
        self.watchdog_s: float = int(usec) / 2e6 if told and ours else 0.0  # half of the limit; 0: no watchdog
        self._client = self._connected() if told else None
        os.environ.pop("NOTIFY_SOCKET", None)

    def send(self, *assignments: str) -> None:
        """Send assignments such as "READY=1" in one message. A failure is logged and survived."""
        if self._client is None:
            return
        assert not any("\n" in assignment for assignment in assignments), assignments  # a second line would be an order
        try:
            self._client.notify("\n".join(assignments).encode().decode("latin-1"))  # so that it sends the UTF-8
        except OSError as error:
            log.emit("notification_failed", reason=str(error))

    def reloading(self) -> None:
        """Say that a reload begins; READY=1 ends it. systemd wants the time with it (Type=notify-reload)."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def close(self) -> None:
        """Give the socket back."""
        if self._client is not None:
            self._client.socket.close()

    def _connected(self) -> sdnotify.SystemdNotifier | None:
        try:
            return sdnotify.SystemdNotifier(debug=True)  # debug: errors are raised, for us to log
        except OSError as error:
            log.emit("notification_failed", reason=str(error))
            return None
