"""The directory of one catalog, and how a new generation of it takes the place of the old one in one step.

    catalogs/NAME             the generation that readers see, whole, with its metadata.json
    catalogs/.NAME.new        one that is being made, or what a killed builder left of it
    catalogs/.NAME.previous   the one before, until the next is made: whoever opened that directory still finds its files
    catalogs/.lock            held by the one builder

Guarantee: NAME is always a whole generation, whenever a builder is killed. Files of a generation are never written again: what
did not change is the same file (a hard link) in the next one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from autoops.errors import AnotherBuilder
from autoops.files import durable, rename
from autoops.files.lock import locked as locked_file
from autoops.trace import trace

MODE, DIRECTORY_MODE = 0o644, 0o755  # the state directory above lets nobody but its group pass
_SYNCS_AT_ONCE = 8


@contextlib.contextmanager
def locked(catalogs: Path, wait_s: float) -> Iterator[None]:
    """Be the one builder. Raises AnotherBuilder when another one is for longer than `wait_s`, OSError."""
    catalogs.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    with locked_file(catalogs / ".lock", lambda _pid: AnotherBuilder(directory=catalogs, seconds=wait_s), wait_s):
        yield


def clear(catalogs: Path) -> None:
    """Remove what killed builders left. For the one builder, before it makes anything. Raises OSError."""
    for left in catalogs.glob(".*.new"):
        shutil.rmtree(left)


class Generation:
    """A new generation of one catalog, made by the one builder. As a context manager it leaves nothing behind when it fails."""

    def __init__(self, catalogs: Path, name: str) -> None:
        self._catalogs = catalogs
        self.current = catalogs / name
        self.directory = catalogs / f".{name}.new"
        self._previous = catalogs / f".{name}.previous"
        self._taken_over: set[str] = set()

    def __enter__(self) -> Generation:
        self.directory.mkdir(mode=DIRECTORY_MODE)
        self.directory.chmod(DIRECTORY_MODE)  # whatever the umask is
        return self

    def __exit__(self, *_: object) -> None:
        if self.directory.is_dir():
            shutil.rmtree(self.directory)

    def take_over(self, old: str, new: str) -> None:
        """Put a file of the present generation into the new one, maybe under another name. Raises OSError."""
        os.link(f"{self.current}/{old}", f"{self.directory}/{new}", follow_symlinks=False)
        self._taken_over.add(new)

    def publish(self) -> None:
        """Sync the new generation, let it be the one that readers see, and remove the one before the last. Raises OSError."""
        new = [self.directory / name for name in os.listdir(self.directory) if name not in self._taken_over]  # the rest is durable
        with ThreadPoolExecutor(_SYNCS_AT_ONCE) as syncs:  # a file system has one commit for those that wait together
            for _ in syncs.map(_sync, new):
                pass
        durable.sync_directory(self.directory)
        trace("catalog:made")
        if self.current.is_dir():
            rename.exchange(self.directory, self.current)
        else:
            rename.rename_new(self.directory, self.current)
        durable.sync_directory(self._catalogs)
        trace("catalog:exchanged")
        if self._previous.is_dir():
            shutil.rmtree(self._previous)
        if self.directory.is_dir():
            rename.rename_new(self.directory, self._previous)


def _sync(path: Path) -> None:
    """Make a file durable and readable."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(fd, MODE)
        os.fsync(fd)
    finally:
        os.close(fd)
