"""Starts our own services the way systemd does: a state directory that was migrated, a configuration, a notify socket."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

from bench.setting import autoops, environment, own_program


class Service(NamedTuple):
    """A service that was started."""

    process: subprocess.Popen[bytes]
    notices: socket.socket  # what it tells by sd_notify(3)
    errors: Path


class ServiceFailed(Exception):
    """A service did not become ready."""


def write_config(path: Path, root: Path, describe: bool = True) -> Path:
    """Write a configuration without settling; without descriptors if so wished. Everything else is the default."""
    lines = ["[[root]]", f'path = "{root}"', "", "[watch]", "settle_s = 0.0", "", "[describe]"]
    path.write_text("\n".join([*lines, f"enabled = {str(describe).lower()}", ""]))
    return path


def begin(program: str, state: Path, config: Path, place: Path) -> Service:
    """Start a service. Raises CalledProcessError when its state cannot be made."""
    command = own_program(program)
    if command is None:
        raise ServiceFailed(f"there is no {program}")
    subprocess.run(autoops("migrate", "--state", state), env=environment(), check=True, capture_output=True)
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind("")  # the kernel picks an abstract address: nothing to remove, and never too long (unix(7))
    address = "@" + notices.getsockname()[1:].decode()
    errors = place / f"{program}.errors"
    with errors.open("wb") as said:
        process = subprocess.Popen(
            [*command, "--state", str(state), "--config", str(config)],
            env={**environment(), "NOTIFY_SOCKET": address},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
    return Service(process, notices, errors)


def wait_ready(service: Service, limit_s: float) -> None:
    """Wait for READY=1. Raises ServiceFailed."""
    service.notices.settimeout(0.2)
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and service.process.poll() is None:
        with contextlib.suppress(TimeoutError):
            if b"READY=1" in service.notices.recv(4096).splitlines():
                threading.Thread(target=_listen, args=(service.notices,), daemon=True).start()
                return
    raise ServiceFailed(f"not ready: {service.errors.read_text(errors='replace')[-400:].strip()}")


def _listen(notices: socket.socket) -> None:
    """Take what it tells, as systemd does, until the socket is closed: nobody may wait for us to read."""
    notices.settimeout(None)
    with contextlib.suppress(OSError):
        while notices.recv(4096):
            pass


def end(service: Service) -> None:
    """Stop a service as systemd does: SIGTERM, and SIGKILL when that takes too long."""
    service.process.terminate()
    try:
        service.process.wait(20)
    except subprocess.TimeoutExpired:
        service.process.kill()
        service.process.wait()
    service.notices.shutdown(socket.SHUT_RDWR)
    service.notices.close()
