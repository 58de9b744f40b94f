"""Policy `observe`: what would be done about a root is reported, and nothing done. Writes the dry-run report (queue.db)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from autoops.config import RootConfig
from autoops.core.drift import action
from autoops.core.identity import Verdict
from autoops.store.operations import DryRun, WouldDo


class Rehearsal:
    """The report about the observed roots. Costs nothing without any."""

    def __init__(self, report: DryRun, configured: Mapping[str, RootConfig]) -> None:
        self._report = report
        self.roots = frozenset(name for name, root in configured.items() if root.policy == "observe")

    def record(self, verdicts: Sequence[Verdict]) -> int:
        """Report what would be done, and nothing any more about files that are gone again; return how much would be done."""
        observed = [one for one in verdicts if one.sighting.root in self.roots] if self.roots else []
        self._report.forget(one.sighting.place for one in observed if one.sighting.seen is None and not one.change)
        would = [WouldDo(*one.sighting.place, action(one.change), one.change.evidence, 0, 0, 0) for one in observed if one.change]
        self._report.record(would, int(time.time()))
        return len(would)

    def begin_anew(self, root: str) -> None:
        """Forget what was reported about a root: a scan of all of it is about to be made."""
        if root in self.roots:
            self._report.clear(root)
