"""Where another registry is, and how it is opened: a file, a state directory, an export, standard input, another host.

A state directory is read as every command reads it, in use or not. A file is opened as what nobody writes, and nothing is made
beside it. Reads what it is given; writes nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from autoops import names
from autoops.errors import CannotTell, StorageError, UsageError
from autoops.replica.exported import of_export
from autoops.replica.peer import of_command
from autoops.replica.side import Whole, of_registry
from autoops.state import State
from autoops.store.registry import Registry

TIMEOUT_S = 300.0
_LOCAL_S = 86400.0  # nobody has to be waited for but this host's disk
STDIN = "-"
_SQLITE = b"SQLite format 3\0"
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:]+(%[A-Za-z0-9._-]+)?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]*")
_OPTIONS = ("-T", "-oBatchMode=yes", "-oConnectTimeout=10", "-oClearAllForwardings=yes", "-oPermitLocalCommand=no")


class How(NamedTuple):
    """How another registry is reached."""

    rows: bool = False  # by its entries, not by the hashes that commits stored
    ssh: str = "ssh"  # the program, called with ssh's arguments
    timeout_s: float = TIMEOUT_S  # for each answer of another host


def is_remote(where: str) -> bool:
    """Tell whether it is another host."""
    return where.startswith("ssh://")


def ssh_command(where: str, program: str = "ssh") -> list[str]:
    """Return the command for ssh://[user@]host[:port]/path/of/state. Raises UsageError: nothing in it may become an option."""
    try:
        url = urlsplit(where)
        host, port, user, path = url.hostname or "", url.port, unquote(url.username or ""), unquote(url.path)
    except ValueError as error:
        raise UsageError(detail=f"{names.show(where)} is no address: {error}") from None
    if url.password is not None or url.query or url.fragment:
        raise UsageError(detail=f"{names.show(where)} is no address: there is more in it than ssh://[user@]host[:port]/path")
    if not _HOST.fullmatch(host) or (user and not _USER.fullmatch(user)) or not path.startswith("/") or not path.isprintable():
        raise UsageError(detail=f"{names.show(where)} is no address; write it as ssh://[user@]host[:port]/path/of/state")
    options = [*_OPTIONS, *(["-p", str(port)] if port else []), *(["-l", user] if user else [])]
    return [program, *options, "--", host, shlex.join(["autoops", "replica", "serve", "--state", path])]


@contextlib.contextmanager
def opened(where: str, how: How) -> Iterator[Whole]:
    """Give the side of another registry. Raises UsageError, CannotTell: whatever is wrong there, nothing is known about it."""
    try:
        with contextlib.ExitStack() as stack:
            yield stack.enter_context(_opened(where, how, stack))
    except StorageError as error:
        raise CannotTell(detail=f"what {names.show(where)} holds: {error}", remedy=error.advice) from error


def _opened(where: str, how: How, stack: contextlib.ExitStack) -> contextlib.AbstractContextManager[Whole]:
    if is_remote(where):
        return of_command(ssh_command(where, how.ssh), names.show(where), how.timeout_s, rows=how.rows)
    if where == STDIN:
        return of_export(sys.stdin.buffer, "standard input")
    path = Path(where)
    if not path.is_dir() and _begins(path) != _SQLITE:
        return of_export(stack.enter_context(path.open("rb")), names.show(where))
    registry = stack.enter_context(contextlib.closing(open_registry(path)))
    if not how.rows:
        return of_registry(registry, rows=False)
    # every row is read, here and there: by two processes at the same time
    command = [sys.executable, "-m", "autoops", "replica", "serve", "--", os.fspath(path.absolute())]
    return of_command(command, names.show(where), _LOCAL_S, rows=True)


def open_registry(path: Path) -> Registry:
    """Open the registry of a state directory, or one in a file that nobody writes. Raises StorageError, CannotTell."""
    if path.is_dir():
        return Registry.open(State(path).registry_db)
    registry = Registry.open_still(path)
    if strange := registry.strange_schema():
        registry.close()
        raise CannotTell(detail=f"what {names.show(os.fsencode(path))} holds: {strange[0]}", remedy="it is not as autoops made it")
    return registry


def _begins(path: Path) -> bytes:
    """Return how a file begins. Raises CannotTell: it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return b""
            return os.pread(fd, len(_SQLITE), 0)
        finally:
            os.close(fd)
    except OSError as error:
        remedy = "give a registry.db, an export, a state directory, or ssh://host/path/of/state"
        raise CannotTell(detail=f"what {names.show(os.fsencode(path))} holds: {error.strerror}", remedy=remedy) from None
