"""The snapshots that there are. Reads manifests; of the files they speak of it asks only whether they are there.

What is in these files whoever reads them has to say: then what he finds unsound counts as such.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from autoops.backup import manifest
from autoops.backup.errors import BackupUnsound, FoundUnsound, NoBackup
from autoops.backup.manifest import Manifest
from autoops.backup.place import MANIFEST, Place
from autoops.core.signing import Verifier
from autoops.errors import AutoopsError
from autoops.files.unsound import LEDGER, Unsound
from autoops.log import emit
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.registry import SCHEMA as REGISTRY_SCHEMA

SCHEMAS: Mapping[str, int] = {"queue": QUEUE.version, "registry": REGISTRY_SCHEMA.version}
_MOST_BYTES = 1 << 20  # of a manifest


class Unreadable(NamedTuple):
    """A snapshot that cannot be used, and why."""

    name: str
    error: AutoopsError
    manifest: Manifest | None = None  # when there is nothing wrong with that


class Shelf:
    """The snapshots of one backup directory, as far as the ledger key `verifier` signed them."""

    def __init__(self, place: Place, verifier: Verifier, read: Mapping[str, str] | None = None) -> None:
        """`read`: what earlier readings found unsound, by name."""
        self.place, self._verifier = place, verifier
        self._read = dict(read or {})

    def found(self, name: str, fault: str) -> None:
        """Take note of what a reading found: what is wrong with a snapshot, "" for nothing."""
        self._read.pop(name, None)
        if fault:
            self._read[name] = fault
            emit("snapshot_found_unsound", name=name, fault=fault)

    def names(self) -> list[str]:
        """Return the names of the snapshots, the oldest first. Raises NoBackup when the directory cannot be read."""
        try:
            return sorted(entry.name for entry in os.scandir(self.place.snapshots) if not entry.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise NoBackup(detail=f"{self.place.snapshots} cannot be read ({error.strerror})") from error

    def all(self) -> list[Manifest | Unreadable]:
        """Return every snapshot, the oldest first; one that is built on what cannot be used cannot be used either.

        Who lists them holds no lock: what is pruned meanwhile is left out.
        """
        looked_at = {name: self._or_error(name) for name in self.names()}
        found = {name: one for name, one in looked_at.items() if isinstance(one, Manifest) or self.has(name)}
        return [_with_base(one, found.get(one.base)) if isinstance(one, Manifest) else one for one in found.values()]

    def has(self, name: str) -> bool:
        """Tell whether there is a snapshot of this name, be it one that cannot be read."""
        try:
            self.place.snapshot(name).lstat()
        except OSError as error:
            return not isinstance(error, FileNotFoundError)
        return True

    def good(self) -> list[Manifest]:
        """Return those that can be used, the oldest first."""
        return [one for one in self.all() if isinstance(one, Manifest)]

    def unusable(self) -> list[Unreadable]:
        """Return the others, the oldest first."""
        return [one for one in self.all() if isinstance(one, Unreadable)]

    def unsound(self) -> Unsound:
        """Return what is to be remembered of them, and of the ledger."""
        names = {*self.names(), LEDGER}
        read = {name: fault for name, fault in self._read.items() if name in names}
        return Unsound(read, read | {one.name: str(one.error) for one in self.unusable()})

    def get(self, name: str) -> Manifest:
        """Return one snapshot. Raises NoBackup, BackupUnsound, BackupForeign, BackupNewer."""
        if name not in self.names():
            newest = f"; the newest is {self.names()[-1]}" if self.names() else ""
            raise NoBackup(detail=f"there is no snapshot {name} in {self.place.directory}{newest}")
        return self._manifest(name)

    def newest(self) -> Manifest:
        """Return the newest one that can be used. Raises NoBackup."""
        good = self.good()
        if not good:
            faults = [str(one.error) for one in self.unusable()]
            why = f": {faults[-1]}" if faults else ""
            raise NoBackup(detail=f"there is no snapshot in {self.place.directory} that can be used{why}")
        return good[-1]

    def _or_error(self, name: str) -> Manifest | Unreadable:
        try:
            found = self._manifest(name)
        except AutoopsError as error:
            return Unreadable(name, error)
        fault = self._read.get(name)
        return Unreadable(name, FoundUnsound(name=name, fault=fault), found) if fault else found

    def _manifest(self, name: str) -> Manifest:
        directory = self.place.snapshot(name)
        raw = _bytes_of(directory / MANIFEST, name)
        found = manifest.read(raw, name, self._verifier, SCHEMAS)
        for file, packed in found.files.items():
            path = directory / file
            if path.parent != directory or _size_of(path) != packed.size_bytes:
                raise BackupUnsound(name=name, detail=f"{file} is not there, or has another size")
        return found


def _with_base(one: Manifest, base: Manifest | Unreadable | None) -> Manifest | Unreadable:
    if isinstance(base, Manifest) and base.kind == "full":
        return one
    lacks = "is not there" if base is None else "cannot be used"
    return Unreadable(one.name, BackupUnsound(name=one.name, detail=f"what it is built on, {one.base}, {lacks}"), one)


def _size_of(path: Path) -> int:
    """Return the size of a file, -1 when there is none that can be read."""
    try:
        found = path.lstat()
    except OSError:
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def _bytes_of(path: Path, name: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as opened:
            return opened.read(_MOST_BYTES)
    except OSError as error:
        raise BackupUnsound(name=name, detail=f"its manifest cannot be read ({error.strerror})") from None
