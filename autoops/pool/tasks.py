"""What the worker asks its pool processes and what they answer, as plain tuples that marshal can carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from autoops.files.listing import Listing
from autoops.files.observe import Seen, Unreadable
from autoops.model import ClassRule


class RootSpec(NamedTuple):
    """A root, as far as a pool process needs it."""

    path: bytes
    patterns: tuple[str, ...]
    ignore_files: tuple[bytes, ...]
    own: bytes | None  # path of the state directory below the root, never listed; None when it is elsewhere


class Setup(NamedTuple):
    """What a pool process is told once, when it starts."""

    roots: dict[str, RootSpec]
    settle_s: float
    min_age_s: float
    with_xattr: bool
    describe_bytes: int
    registry: str  # path of the database
    class_rules: tuple[ClassRule, ...]


class List(NamedTuple):
    """Compare directories with what the registry knows of them; `is_bare`: which is nothing, of any directory.

    The answer has ("done", Listed) or ("error", what Failed has) for each, and fewer when that took long enough.
    """

    root: str
    paths: tuple[bytes, ...]
    is_bare: bool
    epoch: int  # grows when an ignore file may have changed
    rehash: bool = False
    skip: tuple[bytes, ...] = ()


class Look(NamedTuple):
    """Observe some names of one directory: (name, closed, sample)."""

    root: str
    path: bytes
    names: list[tuple[bytes, bool, tuple[int, int] | None]]
    epoch: int


class File(NamedTuple):
    """A file to describe, as the registry knows it; `descriptor` (JSON) when its content was described before."""

    name: bytes
    size_bytes: int
    mtime_ns: int
    inode: int
    mime: str
    descriptor: str | None


class Describe(NamedTuple):
    """Describe some files of one directory."""

    root: str
    path: bytes
    files: list[tuple[Any, ...]]  # of File


Task = List | Look | Describe
_KINDS: dict[type, str] = {List: "list", Look: "look", Describe: "describe"}


class Listed(NamedTuple):
    """A `Listing` that marshal can carry."""

    directories: list[bytes]
    seen: list[tuple[Any, ...]]
    unsettled: list[tuple[Any, ...]]
    unreadable: list[tuple[Any, ...]]
    gone: list[bytes]
    same: int


class Looked(NamedTuple):
    """What was found at the names of a `Look`."""

    seen: list[tuple[Any, ...]]
    unsettled: list[tuple[Any, ...]]
    unreadable: list[tuple[Any, ...]]
    gone: list[bytes]


def flat(outcomes: Sequence[Seen] | Sequence[Unreadable]) -> list[tuple[Any, ...]]:
    """Return (name, observation, ctime_ns, claimed ID or reason) of each, as plain tuples."""
    return [(name, tuple(observation), ctime_ns, last) for name, observation, ctime_ns, last in outcomes]


def listed(listing: Listing) -> Listed:
    """Return a listing as plain tuples."""
    return Listed(
        listing.directories,
        flat(listing.seen),
        [tuple(unsettled) for unsettled in listing.unsettled],
        flat(listing.unreadable),
        listing.gone,
        listing.same,
    )


def message(task: Task) -> tuple[str, tuple[Any, ...]]:
    """Return a task as it is sent."""
    return _KINDS[type(task)], tuple(task)


def setup_message(setup: Setup) -> tuple[Any, ...]:
    """Return the setup as it is sent."""
    roots = {name: tuple(spec) for name, spec in setup.roots.items()}
    return (roots, *setup[1:-1], tuple(tuple(rule) for rule in setup.class_rules))


def setup_from(plain: tuple[Any, ...]) -> Setup:
    """Undo `setup_message`."""
    roots = {name: RootSpec(*spec) for name, spec in plain[0].items()}
    return Setup(*(roots, *plain[1:-1], tuple(ClassRule(*rule) for rule in plain[-1])))
