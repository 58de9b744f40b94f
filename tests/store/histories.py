"""Registries with a past, for tests: commits of every kind, chosen by a seed, and what the tables held after each."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from registry_files import NOW_S, created, seen, updated

from autoops.core.patch import undo
from autoops.errors import PreconditionFailed
from autoops.model import Change, Described, Entry
from autoops.store.commit import RegistryWriter, Why
from autoops.store.past import past_of
from autoops.store.records import id_of, patches_of

NAMES = [b"a", b"b", b"c/a", b"c/\xff", b"c/d/e", "grün/ü".encode(), b"new\nline", b"c d/e f", b"x/y/z/w"]
ROOTS = ["docs", "code"]

# Of an entry all that its commits made; not when its content was read last, which no commit says.
_TABLES = {
    "entry": (
        "SELECT e.id, e.rev, e.sequence, r.name, d.key, e.name, e.status, e.since_s, e.kind, e.size_bytes, e.mtime_ns, e.inode,"
        " e.birth_ns, e.sha256, e.mime, e.described, e.pending FROM entry e JOIN directory d ON d.id = e.directory"
        " JOIN root r ON r.id = d.root ORDER BY e.id"
    ),
    "history": "SELECT * FROM history ORDER BY entry, rev",
    "ledger": "SELECT * FROM ledger ORDER BY sequence",
    "last_id": "SELECT value FROM meta WHERE key = 'last_id'",
}
Tables = dict[str, list[tuple[Any, ...]]]


def tables(path: Path) -> Tables:
    """Return what a registry.db holds."""
    with closing(sqlite3.connect(path)) as con:
        return {name: con.execute(sql).fetchall() for name, sql in _TABLES.items()}


class History:
    """A registry that lives on by random commits."""

    def __init__(self, writer: RegistryWriter, seed: object) -> None:
        self.writer, self.pick = writer, random.Random(str(seed))
        self.now_s = NOW_S
        self._entries = {entry.id: entry for entry in writer.entries()}  # to read them all at each step takes hours of a long one
        self._taken = {(entry.root, entry.path) for entry in self._entries.values() if entry.status != "retired"}
        self._kinds: list[tuple[Callable[[], list[Change]], int]] = [
            (self._create, 5), (self._edit, 5), (self._describe, 4), (self._move, 4), (self._swap, 3), (self._lose, 3),
            (self._retire, 1), (self._return, 3), (self._roll_back, 3), (self._burst, 1), (lambda: [], 1),
        ]  # fmt: skip

    def step(self) -> int:
        """Make one commit; return its sequence."""
        kinds, weights = zip(*self._kinds, strict=True)
        self.now_s += self.pick.choice([0.25, 1, 70])
        (kind,) = self.pick.choices(kinds, weights)
        changes = kind()
        submission = f"job-{self.writer.ledger_head.sequence}" if not changes or self.pick.random() < 0.2 else None
        why = Why(self.pick.choice(["worker", "operator:eva"]), "test", kind.__name__, submission)
        done = self.writer.commit(changes, why, self.now_s)
        self._taken -= {(one.before.root, one.before.path) for one in done.changes if one.before}
        self._taken |= {(one.root, one.path) for one in done.entries if one.status != "retired"}
        self._entries.update((one.id, one) for one in done.entries)
        return done.head.sequence

    def _few(self, count: int, *status: str) -> list[Entry]:
        found = [entry for entry in self._entries.values() if entry.status in (status or ("active", "missing"))]
        return self.pick.sample(found, min(count, len(found)))

    def _free(self) -> tuple[str, bytes]:
        while True:
            place = self.pick.choice(ROOTS), b"%b-%d" % (self.pick.choice(NAMES), self.pick.randrange(1_000_000))
            if place not in self._taken:
                return place

    def _observed(self) -> Any:
        kind = self.pick.choice(["file", "file", "file", "link", "fifo"])
        return seen(
            kind=kind, size_bytes=self.pick.choice([0, 5, 2**63 - 1]), inode=self.pick.choice([7, 2**64 - 1, 2**63]),
            sha256=None if kind == "fifo" else self.pick.randbytes(32),
        )  # fmt: skip

    def _create(self, count: int = 0) -> list[Change]:
        places = {self._free() for _ in range(count or self.pick.randint(1, 4))}
        return [created(path, root=root, observation=self._observed()) for root, path in places]

    def _burst(self) -> list[Change]:
        return self._create(self.pick.choice([80, 200]))  # too many for their leaves to be stored at once

    def _some(self, change: Callable[[Entry], Change], *status: str) -> list[Change]:
        found = self._few(self.pick.randint(1, 3), *status)
        return [change(entry) for entry in found] or self._create()

    def _edit(self) -> list[Change]:
        return self._some(lambda one: updated(one, observation=self._observed()))

    def _describe(self) -> list[Change]:
        value = self.pick.choice([1, True, 0, False, None, "ü\n", [1, {"x": []}]])

        def described(one: Entry) -> Change:
            content = self.pick.choice([one.observation.sha256, b"\x01" * 32])
            return updated(one, described=Described(content, {"x": value}, self.pick.choice(["c", None]), "r", 50, ("t",)))

        return self._some(described)

    def _move(self) -> list[Change]:
        def moved(one: Entry) -> Change:
            root, path = self._free()
            return updated(one, root=root, path=path)

        return self._some(moved)[:1]

    def _swap(self) -> list[Change]:
        ring = self._few(self.pick.randint(2, 4))
        if len(ring) < 2:
            return self._create()
        return [updated(one, root=two.root, path=two.path) for one, two in zip(ring, ring[1:] + ring[:1], strict=True)]

    def _lose(self) -> list[Change]:
        return self._some(lambda one: updated(one, status="missing", since_s=int(self.now_s)), "active")

    def _retire(self) -> list[Change]:
        return self._some(lambda one: updated(one, status="retired", since_s=int(self.now_s)), "missing")

    def _return(self) -> list[Change]:
        def back(one: Entry) -> Change:
            root, path = self._free()
            return updated(one, status="active", root=root, path=path, since_s=int(self.now_s))

        return self._some(back, "missing", "retired")[:1]

    def _roll_back(self) -> list[Change]:
        last = self.writer.ledger_head.sequence
        for sequence in self.pick.sample(range(max(1, last - 5), last + 1), min(5, last)):
            record = self.writer.record(sequence)
            assert record
            touched = {id_of(patch): patch for patch in patches_of(record)}
            past = past_of(self.writer, touched, sequence - 1)
            before = {entry_id: past[entry_id].value if entry_id in past else None for entry_id in touched}
            try:
                changes = undo(touched, self.writer.by_id(touched), before, "eva", sequence, int(self.now_s))
            except PreconditionFailed:
                continue
            mine = [one for one in map(self._entries.__getitem__, touched) if one.status != "retired"]
            taken = self._taken - {(one.root, one.path) for one in mine}
            if changes and not any((one.after.root, one.after.path) in taken and one.after.status != "retired" for one in changes):
                return changes
        return self._create()
