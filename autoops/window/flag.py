"""Setting and removing the flag: how a window is opened and closed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from autoops import clock
from autoops.errors import Refused, unwritten
from autoops.files import durable
from autoops.runtime import maintenance
from autoops.runtime.maintenance import Maintenance


class WindowOpen(Refused):
    """Refused: a maintenance window is open already{said}."""

    hint = "autoops maintenance status tells more; autoops resume ends it"


def open_already(flag: Path) -> WindowOpen:
    """Return the error for a second window."""
    other = maintenance.read(flag)
    return WindowOpen(said=f" ({other})" if other and str(other) else "")


def set_flag(flag: Path, said: Maintenance) -> None:
    """Open a window. Raises WindowOpen when there is one, whoever opened it; StorageFull, StorageReadOnly."""
    with _written(flag):
        temporary = flag.with_name(f"{flag.name}.{os.getpid()}")
        durable.write(temporary, maintenance.text(said).encode(), mode=0o644)
        try:
            os.link(temporary, flag)
        except FileExistsError:
            raise open_already(flag) from None
        finally:
            temporary.unlink()
        durable.sync_directory(flag.parent)


def change_flag(flag: Path, said: Maintenance) -> None:
    """Replace what an open window says. Raises StorageFull, StorageReadOnly."""
    with _written(flag):
        durable.write(flag, maintenance.text(said).encode(), mode=0o644)


def remove_flag(flag: Path) -> None:
    """Close a window, whatever its flag is; what a killed process left of it goes too. Raises StorageFull, StorageReadOnly."""
    with _written(flag):
        for left in _unfinished(flag):
            left.unlink(missing_ok=True)
        if flag.is_dir() and not flag.is_symlink():
            flag.rmdir()
        else:
            flag.unlink(missing_ok=True)
        durable.sync_directory(flag.parent)


def _unfinished(flag: Path) -> Iterator[Path]:
    """Yield what `set_flag` and `change_flag` write first, of processes that there are no more; nothing else of a like name."""
    yield flag.with_name(f".{flag.name}.tmp")
    for left in flag.parent.glob(f"*{flag.name}.*"):
        owner = left.name.removesuffix(".tmp").rpartition(".")[2]
        if owner.isdecimal() and not clock.is_process(owner):
            yield left


@contextlib.contextmanager
def _written(flag: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritten(flag, error) from error
