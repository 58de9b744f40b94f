"""The findings that the worker opens and closes, gathered and written in one go."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Literal, get_args

from autoops.core.drift import SETTLED_BY_A_LOOK
from autoops.log import emit
from autoops.model import JSON, path_key, split_key
from autoops.store.findings import Findings

Kind = Literal[
    "unreadable", "duplicate_id", "not_renamed", "root_replaced", "not_described", "corrupt", "mass_missing", "mass_retired"
]
PLACE_KINDS: tuple[Kind, ...] = ("duplicate_id", "not_renamed", "not_described", "corrupt")  # about the document at a path
_REMEMBERED = 100_000


class Notes:
    """What is wrong with which path."""

    def __init__(self, findings: Findings, now_s: Callable[[], float]) -> None:
        self._findings, self._now_s = findings, now_s
        self._opened: list[tuple[str, bytes, JSON]] = []
        self._closed: list[tuple[str, bytes]] = []
        self.reload()

    def reload(self) -> None:
        """Take note of what others, the reconciler say, have opened or closed."""
        self.flush()
        self._standing = {(finding.kind, finding.subject) for finding in self._findings.list(limit=_REMEMBERED)}

    @property
    def any(self) -> bool:
        """Whether there is anything wrong at all."""
        return bool(self._standing)

    def open(self, kind: Kind, root: str, path: bytes, detail: JSON) -> None:
        """Note that something is wrong with a path."""
        key = path_key(root, path)
        self._opened.append((kind, key, detail))
        if (kind, key) not in self._standing:
            self._standing.add((kind, key))
            emit("finding_opened", kind=kind, path=path, detail=detail)

    def close(self, kind: Kind, root: str, path: bytes) -> None:
        """Note that it no longer is."""
        key = path_key(root, path)
        if (kind, key) in self._standing:
            self._standing.discard((kind, key))
            self._closed.append((kind, key))
            emit("finding_closed", kind=kind, path=path)

    def settle(self, places: Iterable[tuple[str, bytes]]) -> None:
        """Close what the reconciler found about paths (root, path) on which registry and disk agree now. Raises StorageError."""
        settled = self._findings.standing(SETTLED_BY_A_LOOK, (path_key(*place) for place in places))
        self._findings.close(settled, int(self._now_s()))
        self._standing -= set(settled)
        for kind, key in settled:
            emit("finding_closed", kind=kind, path=split_key(key)[1])

    def keep_roots(self, roots: Container[str]) -> None:
        """Close what is about other roots than these: nobody looks at those any more."""
        for kind, key in list(self._standing):
            if kind in get_args(Kind) and split_key(key)[0] not in roots:
                self._standing.discard((kind, key))
                self._closed.append((kind, key))
        self.flush()

    def flush(self) -> None:
        """Write what was gathered. Raises StorageError."""
        now_s = int(self._now_s())
        if self._closed:
            self._findings.close(self._closed, now_s)
            self._closed = []
        if self._opened:
            self._findings.open(self._opened, now_s)
            self._opened = []
