"""One process wakes another: a Unix datagram that says "look now" and nothing else.

Guarantees: waking never waits and never fails because nobody listens (the sleeper's timer is the net); any path works, also
one longer than the 107 bytes of sun_path (unix(7)). `Sleeper` writes the socket file, mode 0600, and replaces one that was
left over; whoever makes it must already know that it is the only one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

ADDRESS_LIMIT_BYTES = 107
DRAIN_LIMIT = 4096  # datagrams; a flood must not keep the sleeper reading for ever


class Waker:
    """Wakes who sleeps on a path."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = _datagram_socket()

    def wake(self) -> bool:
        """Send one datagram; False when nobody listens. A full queue is good: the sleeper will wake anyway."""
        try:
            with _address(self._path) as address:
                self._socket.sendto(b"1", address)
        except BlockingIOError:
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()


class Sleeper:
    """Listens on a path; its descriptor is readable when somebody woke it."""

    def __init__(self, path: Path) -> None:
        if path.exists() and stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()  # left by a process that died, its lock is ours now
        self._socket = _datagram_socket()
        try:
            with _address(path) as address:
                self._socket.bind(address)
            path.chmod(0o600)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._socket.fileno()

    def drain(self) -> int:
        """Take what has arrived, without waiting; return how many datagrams that were."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while count < DRAIN_LIMIT:
                self._socket.recv(16)
                count += 1
        return count

    def close(self) -> None:
        """Stop listening. The file stays: removing it could remove a successor's; a waker is refused and goes on."""
        self._socket.close()


def _datagram_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made


@contextlib.contextmanager
def _address(path: Path) -> Iterator[bytes]:
    """Give an address that fits: the path, or the same file by way of its directory's descriptor."""
    whole = os.fsencode(path)
    if len(whole) <= ADDRESS_LIMIT_BYTES:
        yield whole
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield b"/proc/self/fd/%d/%s" % (directory, os.fsencode(path.name))
    finally:
        os.close(directory)
