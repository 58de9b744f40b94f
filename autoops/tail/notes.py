"""What the tailer finds, kept as findings, and how long it took. Reads and writes queue.db.

Guarantee: one finding for each file or configured checkpoint and kind, however many lines are wrong.
"""

from __future__ import annotations

from collections.abc import Collection

from autoops.store.database import Database
from autoops.store.samples import Samples
from autoops.store.standing import Standing

CHECKPOINT, MISMATCH, PROVIDER, STALE = "checkpoint_mismatch", "registry_mismatch", "registry_provider_error", "digest_stale"
FOREIGN = (MISMATCH, PROVIDER, STALE)
LATENCY, DETECTION = "checkpoint_latency_s", "drift_detection_s"


class Notes(Standing):
    """The tailer's findings and samples."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, (CHECKPOINT, *FOREIGN))
        self._samples = Samples(database)

    def forget_others(self, subjects: Collection[bytes], now_s: float) -> None:
        """Settle what was found about checkpoints that are no longer configured."""
        for kind in FOREIGN:
            for subject in self.subjects(kind):
                if subject not in subjects:
                    self.settled(kind, subject, now_s)

    def took(self, name: str, values: Collection[float], now_s: float) -> None:
        """Record how long something took, in seconds."""
        self._samples.record(name, values, int(now_s))
