"""A directory to try out a restore in, on the disk of the backups: there is room for what is unpacked, or for no restore either."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from autoops.backup.lock import held
from autoops.backup.place import Place
from autoops.backup.shipping import make_own, reaching
from autoops.state import State


@contextlib.contextmanager
def scratch(state: State, place: Place, name: str) -> Iterator[Path]:
    """Give the empty directory `.NAME` to one process at a time; what a killed one left there goes, and so does this.

    Raises BackupBusy, BackupUnwritable, also for an OSError within.
    """
    path = place.directory / f".{name}"
    with reaching(place):
        make_own(state, place)
        with held(place, name=f".{name}.lock"):
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(path)
            path.mkdir(mode=0o700)
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)
