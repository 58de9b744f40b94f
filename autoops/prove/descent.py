"""Two registries compared from the tops of their Merkle trees down: only what differs is looked at, and nothing is believed.

Guarantees: what is yielded is exactly how the two sides differ; what is asked for grows with the differences, not with the
registries; each answer must hash to what the answer above it promised, so a side that contradicts itself is found out. Pure: a
side is whatever answers the five questions. Constant memory. Reads and writes nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar

from autoops.core.canonical import canonical, parse
from autoops.core.digest import (
    FAN,
    HASH_BYTES,
    MEMBER_BYTES,
    bucket_hash,
    bucket_of,
    differing,
    leaf_of,
    members_of,
    mid_hash,
    root_of,
)
from autoops.core.ids import has_form
from autoops.errors import CannotTell
from autoops.model import JSON

# of one question: an answer stays below 8 MiB, whatever the entries are (64 KiB at most) and however full the buckets
MIDS_AT_ONCE = 16
BUCKETS_AT_ONCE = 64
ENTRIES_AT_ONCE = 64

Kind = Literal["missing", "unexpected", "different"]
T = TypeVar("T")


class Side(Protocol):
    """One registry, as far as a comparison asks. Hashes of 32 bytes and members (ID | leaf) of 48 are concatenated."""

    def root(self) -> bytes:
        """Return the registry digest."""

    def mids(self) -> bytes:
        """Return the 256 mids."""

    def buckets(self, mids: Sequence[int]) -> list[bytes]:
        """Return for each of these mids its 256 bucket hashes."""

    def members(self, buckets: Sequence[int]) -> list[bytes]:
        """Return for each of these buckets its members by ID."""

    def entries(self, ids: Sequence[str]) -> list[str]:
        """Return the canonical texts of these entries, which are there."""


class Difference(NamedTuple):
    """One entry in which two registries differ. `root` and `path` are "" when nobody asked for them."""

    kind: Kind  # "missing": only there; "unexpected": only here; "different": in both
    id: str
    root: str = ""
    path: str = ""  # in its stored form
    fields: tuple[str, ...] = ()  # which differ, of a different one


def descend(here: Side, there: Side, named: int) -> Iterator[Difference]:
    """Yield how two registries differ, by bucket; the first `named` differences with path and fields, the rest with the ID only.

    Raises CannotTell when a side contradicts itself.
    """
    if here.root() == there.root():
        return
    found: list[_Pair] = []
    for number, ours, theirs in _differing_buckets(here, there):
        for one in _pairs(_checked(ours, number, "here"), _checked(theirs, number, "there")):
            if named <= 0:
                yield Difference(one.kind, one.id)
                continue
            found.append(one)
            named -= 1
            if len(found) == ENTRIES_AT_ONCE:
                yield from _named(here, there, found)
                found = []
    yield from _named(here, there, found)


class _Pair(NamedTuple):
    """The leaves of one ID, None where a side has none."""

    id: str
    ours: bytes | None
    theirs: bytes | None

    @property
    def kind(self) -> Kind:
        return "missing" if self.ours is None else "unexpected" if self.theirs is None else "different"


def _differing_buckets(here: Side, there: Side) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (number, members here, members there) of every bucket in which the sides differ."""
    tops = [_mids_of(side, name) for side, name in ((here, "here"), (there, "there"))]
    for mids in _parts(differing(*tops), MIDS_AT_ONCE):
        ours, theirs = (
            _buckets_of(side, mids, top, name) for side, top, name in ((here, tops[0], "here"), (there, tops[1], "there"))
        )
        found = [
            (mid * FAN + at, _hash(a, at), _hash(b, at))
            for mid, a, b in zip(mids, ours, theirs, strict=True)
            for at in differing(a, b)
        ]
        for part in _parts(found, BUCKETS_AT_ONCE):
            yield from _members_of(here, there, part)


def _members_of(here: Side, there: Side, part: Sequence[tuple[int, bytes, bytes]]) -> Iterator[tuple[int, bytes, bytes]]:
    numbers = [number for number, _, _ in part]
    ours, theirs = _counted(here.members(numbers), part, "here"), _counted(there.members(numbers), part, "there")
    for (number, promised, promised_there), a, b in zip(part, ours, theirs, strict=True):
        _require(bucket_hash(a) == promised, "here", f"bucket {number}")
        _require(bucket_hash(b) == promised_there, "there", f"bucket {number}")
        yield number, a, b


def _mids_of(side: Side, name: str) -> bytes:
    mids = side.mids()
    _require(len(mids) == FAN * HASH_BYTES and root_of(mids) == side.root(), name, "its mids")
    return mids


def _buckets_of(side: Side, mids: Sequence[int], top: bytes, name: str) -> list[bytes]:
    found = _counted(side.buckets(mids), mids, name)
    for mid, buckets in zip(mids, found, strict=True):
        _require(len(buckets) == FAN * HASH_BYTES and mid_hash(buckets) == _hash(top, mid), name, f"mid {mid}")
    return found


def _checked(members: bytes, number: int, name: str) -> dict[str, bytes]:
    """Return members by ID. Raises CannotTell unless they are of this bucket, each once and in order."""
    _require(len(members) % MEMBER_BYTES == 0, name, f"bucket {number}")
    try:
        pairs = members_of(members)
    except UnicodeDecodeError:
        pairs = [("", b"")]
    ids = [entry_id for entry_id, _ in pairs]
    good = all(has_form(entry_id) and bucket_of(entry_id) == number for entry_id in ids) and ids == sorted(set(ids))
    _require(good, name, f"the IDs in bucket {number}")
    return dict(pairs)


def _pairs(ours: dict[str, bytes], theirs: dict[str, bytes]) -> list[_Pair]:
    pairs = (_Pair(entry_id, ours.get(entry_id), theirs.get(entry_id)) for entry_id in sorted(ours.keys() | theirs.keys()))
    return [pair for pair in pairs if pair.ours != pair.theirs]


def _named(here: Side, there: Side, found: Sequence[_Pair]) -> Iterator[Difference]:
    ours = _values(here, {one.id: one.ours for one in found if one.ours}, "here")
    theirs = _values(there, {one.id: one.theirs for one in found if one.theirs}, "there")
    for one in found:
        a, b = ours.get(one.id, {}), theirs.get(one.id, {})
        value = a or b
        fields = sorted(_plain(key) for key in a.keys() | b.keys() if _text(a, key) != _text(b, key)) if a and b else []
        yield Difference(one.kind, one.id, _plain(value.get("root", "")), _plain(value.get("path", "")), tuple(fields))


def _values(side: Side, leaves: dict[str, bytes], name: str) -> dict[str, JSON]:
    """Return the entries with these leaves, by ID."""
    if not leaves:
        return {}
    ids = list(leaves)
    texts = _counted(side.entries(ids), ids, name)
    for entry_id, text in zip(ids, texts, strict=True):
        _require(leaf_of(text) == leaves[entry_id], name, f"entry {entry_id}")
    try:
        values = [parse(text) for text in texts]
    except (ValueError, RecursionError):
        values = [None]
    _require(all(isinstance(value, dict) and value for value in values), name, "an entry")
    return dict(zip(ids, values, strict=True))


def _text(value: JSON, key: str) -> str:
    return canonical(value[key]) if key in value else ""


def _plain(value: object) -> str:
    return str(value).encode(errors="replace").decode()  # hostile JSON may hold half a surrogate pair, which nobody can print


def _hash(hashes: bytes, at: int) -> bytes:
    return hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES]


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[at : at + size] for at in range(0, len(items), size))


def _counted(answers: list[T], asked: Sequence[object], name: str) -> list[T]:
    _require(len(answers) == len(asked), name, "the number of its answers")
    return answers


def _require(good: bool, name: str, what: str) -> None:
    if not good:
        where = "this registry" if name == "here" else "the other registry"
        detail = f"{where} contradicts itself: {what} is not what it promised before"
        raise CannotTell(
            detail=detail, remedy="was it written meanwhile, or is it damaged? Compare again; autoops verify proves a registry"
        )
