"""The registry as the ledger alone gives it: entries and digest, rebuilt patch by patch, in constant memory."""

from __future__ import annotations

from types import TracebackType

from autoops.core.digest import Tree, bucket_of, leaf_of, with_member
from autoops.store.scratch import Scratch


class Replay:
    """The state of a replay. Use as a context manager."""

    def __init__(self) -> None:
        self._entries, self._buckets, self._tree = Scratch(), Scratch(), Tree()

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._entries.__exit__(kind, error, trace)
        self._buckets.__exit__(kind, error, trace)

    def get(self, entry_id: str) -> bytes | None:
        """Return an entry's canonical text."""
        return self._entries.get(entry_id)

    def put(self, entry_id: str, text: str) -> None:
        """Set an entry's canonical text."""
        self._entries.put(entry_id, text.encode())
        number = bucket_of(entry_id)
        members = with_member(self._buckets.get(str(number)) or b"", entry_id, leaf_of(text))
        self._buckets.put(str(number), members)
        self._tree.set(number, members)

    def digest(self) -> bytes:
        """Return the registry digest so far."""
        return self._tree.root()
