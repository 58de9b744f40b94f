"""The registry digest: a Merkle root over all entries, whose cost for a change does not grow with the registry.

leaf   = SHA-256(0x00 | canonical(entry))          bucket number = first two bytes of SHA-256(ID without its last digit)
bucket = SHA-256(0x01 | (ID | leaf) of its entries, by ID)          an empty bucket is 32 zero bytes
mid    = SHA-256(0x02 | its 256 buckets)           root = SHA-256(0x03 | the 256 mids)

Ten IDs that follow each other share a bucket: what was registered together is nearly always changed together, and so touches a
tenth of the buckets.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Protocol

BUCKETS = 65536
HASH_BYTES = 32
MEMBER_BYTES = 16 + HASH_BYTES
FAN = 256  # mids below the root, and buckets below each mid
_EMPTY = bytes(HASH_BYTES)
EMPTY_MID = sha256(b"\2" + _EMPTY * FAN).digest()


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


def leaf_of(text: str) -> bytes:
    """Return the leaf of an entry's canonical text."""
    return sha256(b"\0" + text.encode()).digest()


def bucket_of(entry_id: str) -> int:
    """Return the number, 0 to 65,535, of the bucket that holds an ID."""
    return int.from_bytes(sha256(entry_id[:-1].encode()).digest()[:2])


def leaves_by_bucket(entries: Iterable[tuple[str, str]]) -> dict[int, bytes]:
    """Return the concatenated (ID | leaf) pairs of entries given as (ID, canonical text), in their order, by bucket."""
    found: dict[int, bytes] = {}
    ten, number = "", 0
    for entry_id, text in entries:
        if entry_id[:-1] != ten:
            ten, number = entry_id[:-1], bucket_of(entry_id)
        found[number] = found.get(number, b"") + entry_id.encode() + sha256(b"\0" + text.encode()).digest()
    return found


def bucket_hash(members: bytes) -> bytes:
    """Return the hash of a bucket whose (ID, leaf) pairs are concatenated in order of ID."""
    return sha256(b"\1" + members).digest() if members else _EMPTY


def mid_hash(buckets: bytes) -> bytes:
    """Return the hash of a mid from the hashes of its 256 buckets, one after the other."""
    return sha256(b"\2" + buckets).digest()


def root_of(mids: bytes) -> bytes:
    """Return the registry digest from the 256 mids, one after the other."""
    return sha256(b"\3" + mids).digest()


def with_member(members: bytes, entry_id: str, leaf: bytes) -> bytes:
    """Return a bucket's members with one of them set, in order of ID."""
    return with_members(members, entry_id.encode() + leaf)


def with_members(members: bytes, pairs: bytes) -> bytes:
    """Return a bucket's members with several of them set, given as (ID | leaf) pairs in the order of their setting."""
    if not members and len(pairs) == MEMBER_BYTES:
        return pairs
    for at in range(0, len(pairs), MEMBER_BYTES):
        pair = pairs[at : at + MEMBER_BYTES]
        if not members or members[-MEMBER_BYTES:-HASH_BYTES] < pair[:-HASH_BYTES]:
            members += pair  # a new ID is nearly always the greatest
        else:
            members = _placed(members, pair)
    return members


def _placed(members: bytes, pair: bytes) -> bytes:
    key = pair[:-HASH_BYTES]
    low, high = 0, len(members) // MEMBER_BYTES
    while low < high:
        middle = (low + high) // 2
        at = middle * MEMBER_BYTES
        if members[at : at + len(key)] < key:
            low = middle + 1
        else:
            high = middle
    at = low * MEMBER_BYTES
    end = at + MEMBER_BYTES if members[at : at + len(key)] == key else at
    return members[:at] + pair + members[end:]


def has_member(members: bytes, entry_id: str, leaf: bytes) -> bool:
    """Tell whether a bucket holds this leaf for this ID."""
    pair = entry_id.encode() + leaf
    at = members.find(pair)
    while at >= 0 and at % MEMBER_BYTES:
        at = members.find(pair, at + 1)
    return at >= 0


def members_of(members: bytes) -> list[tuple[str, bytes]]:
    """Return a bucket's members as (ID, leaf)."""
    return [(members[at : at + 16].decode(), members[at + 16 : at + MEMBER_BYTES]) for at in range(0, len(members), MEMBER_BYTES)]


def differing(ours: bytes, theirs: bytes) -> list[int]:
    """Return the numbers, from 0, of the hashes in which two nodes (256 hashes, one after the other) differ."""
    ats = range(0, FAN * HASH_BYTES, HASH_BYTES)
    return [at // HASH_BYTES for at in ats if ours[at : at + HASH_BYTES] != theirs[at : at + HASH_BYTES]]


class Buckets:
    """The tree of entries that come in order of their IDs, without their leaves being kept: one running hash for each bucket."""

    def __init__(self) -> None:
        self._running: dict[int, _Hash] = {}
        self._ten = ""  # the last ID without its last digit, and the hash of its bucket
        self._last: _Hash = sha256()

    def add(self, entry_id: str, text: str) -> None:
        """Take the next entry, given as its canonical text."""
        if entry_id[:-1] != self._ten:
            self._ten, number = entry_id[:-1], bucket_of(entry_id)
            self._last = self._running.setdefault(number, sha256(b"\1"))
        self._last.update(entry_id.encode() + sha256(b"\0" + text.encode()).digest())

    def tree(self) -> Tree:
        """Return the tree of all that was taken."""
        tree = Tree()
        for number, running in self._running.items():
            tree.set_hash(number, running.digest())
        return tree


class Tree:
    """The upper part of the Merkle tree, in 2 MiB of memory. Holds bucket hashes; the members stay in the registry."""

    def __init__(self) -> None:
        self._buckets = bytearray(BUCKETS * HASH_BYTES)
        self._mids = bytearray(EMPTY_MID * FAN)
        self._dirty: set[int] = set()

    def occupied(self, buckets: Iterable[int]) -> list[int]:
        """Return those of some buckets that have members, so that nobody has to look at the others."""
        return [number for number in buckets if self._buckets[number * HASH_BYTES : (number + 1) * HASH_BYTES] != _EMPTY]

    def set(self, bucket: int, members: bytes) -> None:
        """Replace the members of one bucket, given as their concatenated (ID, leaf) pairs in order of ID."""
        self.set_hash(bucket, bucket_hash(members))

    def set_hash(self, bucket: int, hashed: bytes) -> None:
        """Replace the hash of one bucket."""
        self._buckets[bucket * HASH_BYTES : (bucket + 1) * HASH_BYTES] = hashed
        self._dirty.add(bucket // FAN)

    def differing(self, other: Tree) -> frozenset[int]:
        """Return the buckets in which another tree differs."""
        return frozenset(
            mid * FAN + at
            for mid in differing(self.mids(), other.mids())
            for at in differing(self.buckets(mid), other.buckets(mid))
        )

    def root(self) -> bytes:
        """Return the registry digest, hashing again only what was touched."""
        return root_of(self.mids())

    def mids(self) -> bytes:
        """Return the 256 mids, one after the other, hashing again only what was touched."""
        for mid in self._dirty:
            self._mids[mid * HASH_BYTES : (mid + 1) * HASH_BYTES] = mid_hash(self.buckets(mid))
        self._dirty.clear()
        return bytes(self._mids)

    def buckets(self, mid: int) -> bytes:
        """Return the hashes of the 256 buckets of a mid, one after the other."""
        at = mid * FAN * HASH_BYTES
        return bytes(self._buckets[at : at + FAN * HASH_BYTES])
