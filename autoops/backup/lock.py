"""One process at a time changes a backup directory."""

from __future__ import annotations

from contextlib import AbstractContextManager

from autoops.backup.errors import BackupBusy
from autoops.backup.place import Place
from autoops.files.lock import locked


def held(place: Place, wait_s: float = 10.0, name: str = "lock") -> AbstractContextManager[None]:
    """Hold a backup directory, or another lock in it. Raises BackupBusy when a process has it for longer than that, OSError."""
    return locked(place.directory / name, lambda pid: BackupBusy(directory=place.directory, pid=pid), wait_s)
