"""Registries as sides of a comparison: by the hashes that their commits stored, or by what is in their rows.

`Stored` reads the upper hashes of the Merkle tree, and the leaves below those that differ: what the commits said, whoever wrote
into the rows since. `Rows` reads every entry, so that what was changed, added or taken away past the ledger is seen.
Reads registries, writes nothing.
Guarantee: each is one read snapshot, as long as its context lasts. Constant memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from autoops.core.canonical import entry_text
from autoops.core.digest import FAN, Buckets, Tree, bucket_hash, bucket_of, leaf_of, root_of
from autoops.core.ledger import Head
from autoops.errors import CannotTell
from autoops.prove.descent import Side
from autoops.store.members import Members
from autoops.store.records import UNFIT, digest_after, said_by, unreadable
from autoops.store.registry import Registry


class Mark(NamedTuple):
    """One commit of a ledger, as far as two ledgers are compared."""

    sequence: int
    hash: bytes
    digest: bytes  # of the registry after it
    at: str


class Ledger(Protocol):
    """The ledger of a side."""

    def head(self) -> Head:
        """Return where it stands."""

    def mark(self, sequence: int) -> Mark | None:
        """Return one commit, None when there is none."""


class Whole(Side, Protocol):
    """A side with what else is known of it."""

    @property
    def moved_bytes(self) -> tuple[int, int]:
        """Bytes sent and received so far; nothing is sent to what is on this host."""

    @property
    def ledger(self) -> Ledger | None:
        """Its ledger; None for an export of entries."""


class RegistryLedger:
    """The ledger of an open registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def head(self) -> Head:
        """Return where it stands."""
        return self._registry.head()

    def mark(self, sequence: int) -> Mark | None:
        """Return one commit. Raises StorageCorrupt."""
        record = self._registry.record(sequence)
        if record is None:
            return None
        try:
            return Mark(sequence, record.hash, digest_after(record.text), said_by(record).at)
        except UNFIT:
            raise unreadable(sequence) from None


class WithTree:
    """The upper part of a side: what its tree answers."""

    moved_bytes = (0, 0)

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def root(self) -> bytes:
        """Return the digest."""
        return self._tree.root()

    def mids(self) -> bytes:
        """Return the mids."""
        return self._tree.mids()

    def buckets(self, mids: Sequence[int]) -> list[bytes]:
        """Return bucket hashes."""
        return [self._tree.buckets(mid) for mid in mids]


class _OfRegistry:
    """What both kinds of sides have of a registry."""

    moved_bytes = (0, 0)

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.ledger: Ledger | None = RegistryLedger(registry)

    def members(self, buckets: Sequence[int]) -> list[bytes]:
        """Return members."""
        stored = self._registry.members(buckets)
        return [stored.get(number, b"") for number in buckets]

    def entries(self, ids: Sequence[str]) -> list[str]:
        """Return canonical texts; "" for an entry that is not there, though its leaf is."""
        found = self._registry.by_id(ids)
        return [entry_text(found[entry_id]) if entry_id in found else "" for entry_id in ids]


class Stored(_OfRegistry):
    """A registry by its stored hashes. They have to give the digest of its last commit."""

    def __init__(self, registry: Registry) -> None:
        """Read the mids. Raises CannotTell."""
        super().__init__(registry)
        self._mids = registry.mids()
        if self.root() != registry.head().digest:
            remedy = "autoops verify says what is wrong with a registry, replica verify --rows compares what is there"
            raise CannotTell(
                detail="what a registry holds: its stored hashes do not give the digest of its last commit", remedy=remedy
            )

    def root(self) -> bytes:
        """Return the digest."""
        return root_of(self._mids)

    def mids(self) -> bytes:
        """Return the mids."""
        return self._mids

    def buckets(self, mids: Sequence[int]) -> list[bytes]:
        """Return bucket hashes, made of the leaves."""
        return [b"".join(map(bucket_hash, self.members(range(mid * FAN, (mid + 1) * FAN)))) for mid in mids]


class Rows(WithTree, _OfRegistry):
    """A registry by its entries. Where they are what the stored leaves say, those say which they are."""

    def __init__(self, registry: Registry, members: Members) -> None:
        """Read every entry."""
        _OfRegistry.__init__(self, registry)
        read = Buckets()
        for entry in registry.entries():
            read.add(entry.id, entry_text(entry))
        WithTree.__init__(self, read.tree())
        self._members, self._strange = members, self._tree.differing(registry.tree())
        if self._strange:  # read once more: only now it is known of which entries the leaves are needed
            strange = (entry for entry in registry.entries() if bucket_of(entry.id) in self._strange)
            members.fill((entry.id, leaf_of(entry_text(entry)), 0) for entry in strange)

    def members(self, buckets: Sequence[int]) -> list[bytes]:
        """Return members."""
        stored = super().members(buckets)
        return [
            self._members.of(number) if number in self._strange else found for number, found in zip(buckets, stored, strict=True)
        ]


@contextlib.contextmanager
def of_registry(registry: Registry, *, rows: bool) -> Iterator[Whole]:
    """Give the side of an open registry, in one read snapshot. Raises StorageError, CannotTell."""
    with registry.snapshot(), contextlib.ExitStack() as opened:
        yield Rows(registry, opened.enter_context(Members())) if rows else Stored(registry)
