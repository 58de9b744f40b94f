"""Stops what would declare much of a root gone at once: a disk half mounted, a tree emptied by mistake, a month nobody looked.

No scan calls anything of such a root missing, and nothing of it is retired, until the share is small again, or until a person has
released the finding. Reads the registry and the roots; writes findings.
"""

from __future__ import annotations

from typing import Literal

from autoops.model import path_key
from autoops.store.findings import Findings
from autoops.store.registry import Registry
from autoops.walk.absence import is_mass, sample
from autoops.work.notes import Notes

Kind = Literal["mass_missing", "mass_retired"]


class Masses:
    """The limits of one worker."""

    def __init__(self, registry: Registry, findings: Findings, notes: Notes, share: float, least: int) -> None:
        self._registry, self._findings, self._notes = registry, findings, notes
        self._share, self._least = share, least

    def believes_absence(self, root: str, top: bytes, *, look: bool) -> bool:
        """Tell whether a scan may call files of a root missing: whether not too many of them are gone.

        look: at the disk now; else what was found before counts.
        """
        if not look:
            known = self._findings.about([("mass_missing", path_key(root, b""))]).values()
            return not any(one.holds for one in known)
        looked, absent = sample(self._registry, root, top)
        return self._lets("mass_missing", root, absent, looked)

    def lets_retire(self, root: str, absent: int) -> bool:
        """Tell whether so much of a root may be retired at once."""
        return absent < self._least or self._lets("mass_retired", root, absent, self._registry.living_count(root))

    def _lets(self, kind: Kind, root: str, absent: int, total: int) -> bool:
        if not is_mass(absent, total, self._share, self._least):
            self._notes.close(kind, root, b"")
            self._notes.flush()
            return True
        (known,) = self._findings.about([(kind, path_key(root, b""))]).values() or (None,)
        if known and known.is_released:
            return True
        self._notes.open(kind, root, b"", {"absent": absent, "limit_percent": round(self._share * 100), "of": total})
        self._notes.flush()
        return False
