"""Where things are in a backup directory. Paths only; reads and writes nothing.

snapshots/NAME/         one snapshot: manifest.json, queue.db.zst, checkpoints.jsonl.zst, autoops.toml.zst, and in a full one
                        registry.db.zst
snapshots/.taking/      one that is being taken; snapshots/.NAME.gone/  one that is being removed
ledger/                 the ledger, shipped as it grows, in segments: see segments.py
abandoned/STAMP/        a whole backup directory, hard-linked: what was there before an older state was put back
.drill/, .drill.lock    where a drill restores to; held by it. `verify` has .verify/ and .verify.lock
lock, snapshots.lock    held (flock) by whoever writes ledger/; whoever takes or removes a snapshot
window-*.db             copies from before an edit by hand, see window/snapshot.py; nothing in here looks at them
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from autoops.state import State


class Place(NamedTuple):
    """One backup directory."""

    directory: Path

    @classmethod
    def of(cls, state: State, configured: str) -> Place:
        """Return the place that `[backup] directory` names; "": the state directory's own."""
        return cls(Path(configured) if configured else state.backups)

    @property
    def snapshots(self) -> Path:
        """The directory of snapshots."""
        return self.directory / "snapshots"

    @property
    def ledger(self) -> Path:
        """The directory of ledger segments."""
        return self.directory / "ledger"

    @property
    def abandoned(self) -> Path:
        """The directory of histories that were left."""
        return self.directory / "abandoned"

    def snapshot(self, name: str) -> Path:
        """One snapshot."""
        return self.snapshots / name


MANIFEST, REGISTRY, QUEUE = "manifest.json", "registry.db.zst", "queue.db.zst"
CHECKPOINTS, CONFIG = "checkpoints.jsonl.zst", "autoops.toml.zst"
SNAPSHOTS_LOCK = "snapshots.lock"
