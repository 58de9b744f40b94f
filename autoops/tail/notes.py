"""What the tailer finds, kept as findings: opened, and closed when a later look agrees. Reads and writes queue.db.

Guarantees: one finding for each file or configured checkpoint and kind, however many lines are wrong; what is said again is written
again, what is settled already costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from autoops.log import emit
from autoops.model import JSON
from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.samples import Samples

CHECKPOINT, MISMATCH, PROVIDER, STALE = "checkpoint_mismatch", "registry_mismatch", "registry_provider_error", "digest_stale"
FOREIGN = (MISMATCH, PROVIDER, STALE)
LATENCY, DETECTION = "checkpoint_latency_s", "drift_detection_s"


class Notes:
    """The tailer's findings and samples."""

    def __init__(self, database: Database) -> None:
        self._findings, self._samples = Findings(database), Samples(database)
        self._standing = {(one.kind, one.subject): one.detail for one in self._findings.each((CHECKPOINT, *FOREIGN))}

    def found(self, kind: str, subject: bytes, detail: JSON, now_s: float) -> bool:
        """Record what disagrees, and say whether that is new; what stands already with these words is left alone."""
        if self._standing.get((kind, subject)) == detail:
            return False
        is_new = (kind, subject) not in self._standing
        self._findings.open([(kind, subject, detail)], int(now_s))
        if is_new:
            emit("finding_opened", kind=kind, path=subject, detail=detail)
        self._standing[kind, subject] = detail
        return is_new

    def settled(self, kind: str, subject: bytes, now_s: float) -> None:
        """Record that something agrees."""
        if (kind, subject) in self._standing:
            self._findings.close([(kind, subject)], int(now_s))
            emit("finding_closed", kind=kind, path=subject)
            del self._standing[kind, subject]

    def forget_others(self, subjects: Collection[bytes], now_s: float) -> None:
        """Settle what was found about checkpoints that are no longer configured."""
        for kind, subject in list(self._standing):
            if kind in FOREIGN and subject not in subjects:
                self.settled(kind, subject, now_s)

    def took(self, name: str, values: Collection[float], now_s: float) -> None:
        """Record how long something took, in seconds."""
        self._samples.record(name, values, int(now_s))

    def stands(self, kind: str, subject: bytes) -> bool:
        """Tell whether a finding stands."""
        return (kind, subject) in self._standing

    def standing(self) -> int:
        """Return how many findings stand."""
        return len(self._standing)
