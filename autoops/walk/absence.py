"""When nothing is where a file should be: was it deleted, or is its disk away?

Reads the registry, the gaps, and the roots' top directories.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from autoops.core.view import Sighting
from autoops.files import opening, roots
from autoops.store.operations import Gap, Gaps
from autoops.store.registry import Registry

_SAMPLED_DIRECTORIES = 250
_SAMPLED_NAMES = 4  # of each
_SAMPLED_FILES = 1000


class Absences:
    """What is known of the roots' disks."""

    def __init__(self, registry: Registry, gaps: Gaps, places: Mapping[str, bytes]) -> None:
        self._registry, self._gaps, self._places = registry, gaps, places

    def is_lost(self, root: str) -> bool:
        """Tell whether a root's top directory is gone or another one than when it was scanned, or nobody looks at it any more."""
        if root not in self._places:
            return True
        known = self._registry.roots().get(root)
        try:
            return known is not None and known != roots.identity(self._places[root])
        except OSError:
            return True

    def believable(self, found: Sequence[Sighting]) -> list[Sighting]:
        """Leave out what is "absent" because a disk is not mounted: the root's top directory is not the one it was, or the
        watcher saw a mount below it go."""
        doubtful = {one.root for one in found if one.seen is None}
        lost = {root for root in doubtful if self.is_lost(root)}
        away = [gap for gap in self._gaps.open_gaps() if gap.root in doubtful and gap.reason == "unmounted"] if doubtful else []
        if not lost and not away:
            return list(found)
        return [one for one in found if one.seen is not None or not (one.root in lost or _is_below(one, away))]


def why_not_there(registry: Registry, root: str, top: bytes) -> str:
    """Return why a root is not the one it was, "" when it is: gone, or another directory with nothing in it that is known."""
    try:
        found = roots.identity(top)
    except OSError as error:
        return str(error.strerror)
    known = registry.roots().get(root)
    if known is None or known == found:
        return ""
    some = [entry.path for entry in registry.entries(root=root, status="active", limit=_SAMPLED_FILES)]
    if some and not roots.holds_any(top, some):
        return "another directory stands in its place, with nothing in it that is known; is it mounted?"
    return ""


class Sample(NamedTuple):
    """How many of some registered files, taken from all over a root, are not there."""

    looked: int
    absent: int


def sample(registry: Registry, root: str, top: bytes) -> Sample:
    """Look whether registered files of a root are there: all of a small one, some of each of 250 directories of a large one."""
    directories = registry.directories_of(root)
    step = max(1, -(-len(directories) // _SAMPLED_DIRECTORIES))
    some = len(directories) > _SAMPLED_DIRECTORIES
    looked = absent = 0
    for path in directories[::step]:
        known = sorted(registry.stamps_in(root, path))
        if some or len(known) > _SAMPLED_DIRECTORIES * _SAMPLED_NAMES:
            known = known[:: max(1, len(known) // (_SAMPLED_NAMES if some else _SAMPLED_DIRECTORIES * _SAMPLED_NAMES))]
        looked += len(known)
        absent += sum(opening.file_at(top, os.path.join(path, name)) is None for name in known)  # not through a link, as a scan
    return Sample(looked, absent)


def is_mass(absent: int, total: int, share: float, least: int) -> bool:
    """Tell whether so much is gone at once that it has to be looked into first: a disk half mounted, a tree emptied by mistake."""
    return absent >= least and absent > share * total


def _is_below(sighting: Sighting, gaps: Sequence[Gap]) -> bool:
    return any(sighting.root == gap.root and sighting.path.startswith(gap.path + b"/") for gap in gaps)
