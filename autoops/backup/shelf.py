"""The snapshots that there are. Reads manifests; of the files they speak of it asks only whether they are there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from autoops.backup import manifest
from autoops.backup.errors import BackupUnsound, NoBackup
from autoops.backup.manifest import Manifest
from autoops.backup.place import MANIFEST, Place
from autoops.core.signing import Verifier
from autoops.errors import AutoopsError
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.registry import SCHEMA as REGISTRY_SCHEMA

SCHEMAS: Mapping[str, int] = {"queue": QUEUE.version, "registry": REGISTRY_SCHEMA.version}
_MOST_BYTES = 1 << 20  # of a manifest


class Unreadable(NamedTuple):
    """A snapshot that cannot be used, and why."""

    name: str
    error: AutoopsError


class Shelf:
    """The snapshots of one backup directory, as far as the ledger key `verifier` signed them."""

    def __init__(self, place: Place, verifier: Verifier) -> None:
        self.place, self._verifier = place, verifier

    def names(self) -> list[str]:
        """Return the names of the snapshots, the oldest first. Raises NoBackup when the directory cannot be read."""
        try:
            return sorted(entry.name for entry in os.scandir(self.place.snapshots) if not entry.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise NoBackup(detail=f"{self.place.snapshots} cannot be read ({error.strerror})") from error

    def all(self) -> list[Manifest | Unreadable]:
        """Return every snapshot, the oldest first."""
        return [self._or_error(name) for name in self.names()]

    def good(self) -> list[Manifest]:
        """Return those that can be used, the oldest first: of an incremental one, the one that it is built on is there too."""
        there = {one.name: one for one in self.all() if isinstance(one, Manifest)}
        return [one for one in there.values() if one.base in there and there[one.base].kind == "full"]

    def get(self, name: str) -> Manifest:
        """Return one snapshot. Raises NoBackup, BackupUnsound, BackupForeign, BackupNewer."""
        if name not in self.names():
            newest = f"; the newest is {self.names()[-1]}" if self.names() else ""
            raise NoBackup(detail=f"there is no snapshot {name} in {self.place.directory}{newest}")
        return self._read(name)

    def newest(self) -> Manifest:
        """Return the newest one that can be used. Raises NoBackup."""
        good = self.good()
        if not good:
            faults = [str(one.error) for one in self.all() if isinstance(one, Unreadable)]
            why = f": {faults[-1]}" if faults else ""
            raise NoBackup(detail=f"there is no snapshot in {self.place.directory} that can be used{why}")
        return good[-1]

    def _or_error(self, name: str) -> Manifest | Unreadable:
        try:
            return self._read(name)
        except AutoopsError as error:
            return Unreadable(name, error)

    def _read(self, name: str) -> Manifest:
        directory = self.place.snapshot(name)
        raw = _bytes_of(directory / MANIFEST, name)
        found = manifest.read(raw, name, self._verifier, SCHEMAS)
        for file, packed in found.files.items():
            path = directory / file
            if path.parent != directory or not path.is_file() or path.stat().st_size != packed.size_bytes:
                raise BackupUnsound(name=name, detail=f"{file} is not there, or has another size")
        return found


def _bytes_of(path: Path, name: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as opened:
            return opened.read(_MOST_BYTES)
    except OSError as error:
        raise BackupUnsound(name=name, detail=f"its manifest cannot be read ({error.strerror})") from None
