"""The parts of a state directory that are made in scratch before they take their places: directories, checkpoints, configuration.

Reads backups and the state directory; writes scratch, and makes directories that are missing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from autoops.acting import as_owner_of
from autoops.backup.errors import BackupUnsound
from autoops.backup.packing import unpack
from autoops.backup.place import Place
from autoops.backup.rebuild import OnFault
from autoops.backup.shelf import Shelf
from autoops.core.signing import Verifier
from autoops.errors import unwritten
from autoops.files import durable, medium
from autoops.files.following import batches
from autoops.prove.verify import checkpoint_fault
from autoops.state import State
from autoops.store.registry import Registry
from autoops.window.swap import beside


@contextlib.contextmanager
def scratch_of(directory: Path) -> Iterator[State]:
    """Give an empty state directory at a path of its own; what a killed one left there goes, and so does this. Raises OSError."""
    _remove(directory)
    scratch = State(directory)
    try:
        for path in (directory, scratch.registry_db.parent, scratch.queue_db.parent):
            path.mkdir(mode=0o700)
        yield scratch
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)  # why it failed is told; what is left goes with the next one
        raise
    _remove(directory)


def _remove(directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)


@contextlib.contextmanager
def writing(state: Path) -> Iterator[None]:
    """Say of a state directory that cannot be written that it is that. Raises StorageFull, StorageReadOnly."""
    try:
        yield
    except OSError as error:
        raise unwritten(state, error) from error


def make_directories(state: State) -> None:
    """Make the directories of registry and queue where they are missing, with owner and mode of the other one. Raises OSError."""
    state.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    both = (state.registry_db.parent, state.queue_db.parent)
    like = next((path for path in both if path.is_dir()), state.directory).stat()
    for path in (*both, state.cookies):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.geteuid() == 0:
                    os.fchown(fd, like.st_uid, like.st_gid)
                os.fchmod(fd, like.st_mode & 0o777)
            finally:
                os.close(fd)


def hand_over(path: Path, target: Path) -> None:
    """Move a finished file into a directory that may be another user's, who owns it then; onto another disk too. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as source:
        durable.give_to_owner_of(target.parent, fd)
        try:
            os.rename(path, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with as_owner_of(target.parent):
                _copy(source, target)


def _copy(source: BinaryIO, target: Path) -> None:
    target.unlink(missing_ok=True)
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as writer:
        shutil.copyfileobj(source, writer, 1 << 20)
        writer.flush()
        os.fsync(fd)


def unpack_last(place: Place, file: str, until: int, verifier: Verifier, target: Path, on_fault: OnFault) -> str:
    """Unpack a file of the newest snapshot that is of no later commit; return the snapshot's name, "" when none has it.

    Raises OSError.
    """
    for one in reversed(Shelf(place, verifier).good()):
        if one.head.sequence <= until and file in one.files:
            try:
                unpack(place.snapshot(one.name) / file, target, one.files[file], one.name)
            except BackupUnsound as error:
                on_fault(error)
            else:
                return one.name
    return ""


def copy_damaged(database: Path, copied: Path) -> int:
    """Copy a damaged database and its WAL, where they are; return how many bytes their disk does not give. Raises OSError."""
    lost_bytes = 0
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            lost_bytes += medium.copy_readable(beside(database, suffix), beside(copied, suffix))
    return lost_bytes


def write_checkpoints(source: Path, registry: Registry, verifier: Verifier, target: Path) -> bool:
    """Write the lines of a checkpoints.jsonl that hold for a registry; tell whether all do. Raises OSError."""
    all_hold = True
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as out:
        for batch in batches(source):
            all_hold = all_hold and not batch.trouble
            for _, line in batch.lines:
                if line.strip() and checkpoint_fault(line, registry, verifier) is None:
                    out.write(line + b"\n")
                else:
                    all_hold = False
        out.flush()
        os.fsync(fd)
    return all_hold
