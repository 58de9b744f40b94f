"""The findings of one service that stand: opened and told once, closed when a later look finds nothing. Reads and writes queue.db.

Guarantees: what stands already with these words is not written again; what is settled already costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from autoops.log import emit
from autoops.model import JSON
from autoops.store.database import Database
from autoops.store.findings import Findings


class Standing:
    """The findings of these kinds; nobody else opens or closes them while this lives."""

    def __init__(self, database: Database, kinds: Collection[str]) -> None:
        self._findings = Findings(database)
        self._standing = {(one.kind, one.subject): one.detail for one in self._findings.each(kinds)}

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

    def subjects(self, kind: str) -> list[bytes]:
        """Return what findings of a kind stand about."""
        return [subject for known, subject in self._standing if known == kind]

    def stands(self, kind: str, subject: bytes) -> bool:
        """Tell whether a finding stands."""
        return (kind, subject) in self._standing

    def standing(self) -> int:
        """Return how many findings stand."""
        return len(self._standing)
