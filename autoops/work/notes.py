"""The findings that the worker opens and closes, gathered and written in one go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable
from typing import Literal, get_args

from autoops.core.drift import SETTLED_BY_A_LOOK
from autoops.log import emit
from autoops.model import JSON, path_key, split_key
from autoops.store.findings import Findings

Kind = Literal[
    "unreadable", "duplicate_id", "not_renamed", "root_replaced", "not_described", "corrupt", "mass_missing", "mass_retired"
]
PLACE_KINDS: tuple[Kind, ...] = ("duplicate_id", "not_renamed", "not_described", "corrupt")  # about the document at a path
_KINDS: tuple[Kind, ...] = get_args(Kind)


class Notes:
    """What is wrong with which path, gathered until it is written. What stands is asked of queue.db: others write it too."""

    def __init__(self, findings: Findings, now_s: Callable[[], float]) -> None:
        self._findings, self._now_s = findings, now_s
        self._gathered: dict[tuple[str, bytes], JSON | None] = {}  # by (kind, key); None: it is wrong no more

    @property
    def any(self) -> bool:
        """Whether there is anything wrong at all, of what the worker finds. Raises StorageError."""
        return bool(self._gathered) or self._findings.any(_KINDS)

    def open(self, kind: Kind, root: str, path: bytes, detail: JSON) -> None:
        """Note that something is wrong with a path; what is noted last of it counts."""
        self._gathered[kind, path_key(root, path)] = detail

    def close(self, kind: Kind, root: str, path: bytes) -> None:
        """Note that it no longer is."""
        self._gathered[kind, path_key(root, path)] = None

    def settle(self, places: Iterable[tuple[str, bytes]]) -> None:
        """Close what the reconciler found about paths (root, path) on which registry and disk agree now. Raises StorageError."""
        self._close(self._findings.standing(SETTLED_BY_A_LOOK, (path_key(*place) for place in places)))

    def keep_roots(self, roots: Container[str]) -> None:
        """Close what is about other roots than these: nobody looks at those any more. Raises StorageError."""
        for finding in self._findings.each(_KINDS):
            if split_key(finding.subject)[0] not in roots:
                self._gathered[finding.kind, finding.subject] = None
        self.flush()

    def flush(self) -> None:
        """Write what was gathered, and tell of what is new. Raises StorageError; then it is kept for the next time."""
        if not self._gathered:
            return
        standing = self._findings.standing_of(self._gathered)
        self._close([key for key, detail in self._gathered.items() if detail is None and key in standing])
        opened = [(kind, key, detail) for (kind, key), detail in self._gathered.items() if detail is not None]
        self._findings.open(opened, int(self._now_s()))
        self._gathered = {}
        for kind, key, detail in opened:
            if (kind, key) not in standing:
                emit("finding_opened", kind=kind, path=split_key(key)[1], detail=detail)

    def _close(self, standing: Collection[tuple[str, bytes]]) -> None:
        self._findings.close(standing, int(self._now_s()))
        for kind, key in standing:
            emit("finding_closed", kind=kind, path=split_key(key)[1])
