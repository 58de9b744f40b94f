"""What a comparison found in one root: all of it counted, the first of each kind kept. Values only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from autoops.core.drift import Difference

_IDS_KEPT = 100_000  # of documents that moved: 10 MiB


class Gathered:
    """Differences of one root."""

    def __init__(self, most: int) -> None:
        """Keep at most so many of each kind."""
        self._most = most
        self._kept: dict[str, list[Difference]] = {}
        self._moved: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.unsettled = 0

    def take(self, found: Sequence[Difference]) -> None:
        """Take some (compare.Taker)."""
        for one in found:
            self.counts[one.kind] += 1
            kept = self._kept.setdefault(one.kind, [])
            if len(kept) < self._most:
                kept.append(one)
            if one.kind == "moved" and len(self._moved) < _IDS_KEPT:
                self._moved.add(one.detail["id"])

    def note_unsettled(self, root: str, path: bytes) -> None:
        """Count a path where somebody is writing (compare.Taker)."""
        self.unsettled += 1

    def kept(self) -> list[Difference]:
        """Return what was kept. A document that was met at its new place, in another batch, is not missing at its old one."""
        missing = [one for one in self._kept.get("missing", ()) if one.detail["id"] not in self._moved]
        followed = len(self._kept.get("missing", ())) - len(missing)
        self.counts["missing"] -= followed
        if not self.counts["missing"]:
            del self.counts["missing"]
        self._kept["missing"] = missing
        return [one for kind in sorted(self._kept) for one in self._kept[kind]]
