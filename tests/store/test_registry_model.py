"""The registry against a model of it: any order of commits, refused ones too, and every proof holds after each."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from histories import tables
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from registry_files import NOW_S, WHY, created, digest_of, opened, seen, updated

from autoops.core import patch
from autoops.core.canonical import apply_patch, entry_text, parse
from autoops.core.digest import members_of
from autoops.core.signing import Signer, Verifier, new_key
from autoops.errors import PreconditionFailed
from autoops.model import JSON, Change, Described, Entry
from autoops.prove import verify
from autoops.store.commit import Why
from autoops.store.database import migrate
from autoops.store.playback import Playback
from autoops.store.records import patches_of, said_by
from autoops.store.registry import SCHEMA, Registry

SIGNER = Signer(new_key())
PATHS = st.sampled_from([b"a", b"b", b"c/a", b"c/\xff", b"c/d/e"])
ROOTS = st.sampled_from(["docs", "code"])
PICKS = st.integers(0, 1000)
DESCRIPTIONS = st.sampled_from(
    [Described(b"\x11" * 32, {"draft": draft}, name, "r", 50, ("t",)) for draft in (1, True, 0, False) for name in ("c", "d")]
)


class RegistryModel(RuleBasedStateMachine):
    """Entries by ID, as plain values."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.now_s = NOW_S
        self.entries: dict[str, Entry] = {}
        self.revisions: dict[str, list[tuple[int, int]]] = {}
        self.past: list[dict[str, JSON | None]] = []  # before each commit, what it touched
        self.writer = opened(self.directory / "registry.db", SIGNER)

    def teardown(self) -> None:
        self.the_ledger_played_gives_the_tables()
        self.writer.close()
        shutil.rmtree(self.directory)

    def the_ledger_played_gives_the_tables(self) -> None:
        path = self.directory / "played.db"
        migrate(path, SCHEMA)
        playback = Playback.open_alone(path)
        playback.play(self.writer.records())
        assert proofs(playback) == []
        playback.finish()
        assert tables(path) == tables(self.directory / "registry.db")

    def commit(self, *changes: Change) -> None:
        self.now_s += 1
        done = self.writer.commit(changes, WHY, self.now_s)
        touched: dict[str, JSON | None] = {}
        for entry in done.entries:
            old = self.entries.get(entry.id)
            touched[entry.id] = parse(entry_text(old)) if old else None
            self.entries[entry.id] = entry
            self.revisions.setdefault(entry.id, []).append((entry.rev, done.head.sequence))
        self.past.append(touched)
        assert done.head.sequence == len(self.past)

    def is_free(self, root: str, path: bytes, besides: str = "") -> bool:
        return all(
            one.status == "retired" or (one.root, one.path) != (root, path) for one in self.entries.values() if one.id != besides
        )

    def pick(self, number: int) -> Entry:
        return list(self.entries.values())[number % len(self.entries)]

    @rule(places=st.lists(st.tuples(ROOTS, PATHS), min_size=1, max_size=3, unique=True), inode=st.integers(0, 2**64 - 1))
    def create(self, places: list[tuple[str, bytes]], inode: int) -> None:
        free = [place for place in places if self.is_free(*place)]
        if free:
            self.commit(*[created(path, root=root, observation=seen(inode=inode)) for root, path in free])

    @precondition(lambda self: self.entries)
    @rule(number=PICKS, size_bytes=st.integers(0, 2**63 - 1), described=DESCRIPTIONS)
    def update(self, number: int, size_bytes: int, described: Described) -> None:
        self.commit(updated(self.pick(number), observation=seen(size_bytes=size_bytes), described=described))

    @precondition(lambda self: self.entries)
    @rule(number=PICKS, root=ROOTS, path=PATHS)
    def move(self, number: int, root: str, path: bytes) -> None:
        one = self.pick(number)
        if self.is_free(root, path, one.id):
            self.commit(updated(one, root=root, path=path))

    @precondition(lambda self: len(self.entries) > 1)
    @rule(number=PICKS, step=st.integers(1, 5))
    def swap(self, number: int, step: int) -> None:
        one, other = self.pick(number), self.pick(number + step)
        if one.id != other.id and "retired" not in (one.status, other.status):
            self.commit(updated(one, root=other.root, path=other.path), updated(other, root=one.root, path=one.path))

    @precondition(lambda self: self.entries)
    @rule(number=PICKS, status=st.sampled_from(["missing", "retired"]))
    def lose(self, number: int, status: Any) -> None:
        one = self.pick(number)
        if one.status == "active":
            self.commit(updated(one, status=status, since_s=int(self.now_s)))

    @precondition(lambda self: self.entries)
    @rule(number=PICKS, root=ROOTS, path=PATHS)
    def revive(self, number: int, root: str, path: bytes) -> None:
        one = self.pick(number)
        if one.status != "active" and self.is_free(root, path, one.id):
            self.commit(updated(one, status="active", root=root, path=path, since_s=int(self.now_s)))

    @precondition(lambda self: self.entries)
    @rule(number=PICKS, off=st.sampled_from([-1, 1, 7]), path=PATHS)
    def conflict(self, number: int, off: int, path: bytes) -> None:
        one = self.pick(number)
        stale = one._replace(rev=one.rev + off)
        fresh = [created(b"new/" + path)] if self.is_free("docs", b"new/" + path) else []
        with pytest.raises(PreconditionFailed):
            self.writer.commit([*fresh, updated(stale, status="missing")], WHY, self.now_s)

    @precondition(lambda self: self.past)
    @rule(number=PICKS)
    def roll_back(self, number: int) -> None:
        sequence = number % len(self.past) + 1
        record = self.writer.record(sequence)
        assert record
        past = self.past[sequence - 1]
        touched = {one["id"] if one["op"] == "update" else one["entry"]["id"]: one for one in patches_of(record)}
        assert touched.keys() == past.keys()
        try:
            changes = patch.undo(touched, self.entries, past, "eva", sequence, int(self.now_s))
        except PreconditionFailed:
            assert any(self.revisions[entry_id][-1][1] != sequence for entry_id in past)
            return
        own = set(past)
        if changes and all(
            one.after.status == "retired"
            or all(
                other.id in own or other.status == "retired" or (other.root, other.path) != (one.after.root, one.after.path)
                for other in self.entries.values()
            )
            for one in changes
        ):
            self.commit(*changes)
            for one in changes:
                old = past[one.after.id]
                if old:
                    assert parse(entry_text(self.entries[one.after.id])) == {**old, "rev": one.after.rev}

    @rule(reason=st.sampled_from(["restored", 'a "reason":"of patches":[ {}']))
    def note(self, reason: str) -> None:
        why = Why("operator:eva", "restore", reason, f"note-{len(self.past)}")
        head = self.writer.commit((), why, self.now_s).head
        self.past.append({})
        assert head.sequence == len(self.past) == self.writer.sequence_of(f"note-{len(self.past) - 1}")
        record = self.writer.record(head.sequence)
        assert record and said_by(record).reason == reason and patches_of(record) == []

    @precondition(lambda self: self.entries)
    @rule(number=PICKS, ctime_ns=st.integers(0, 2**62))
    def see_again(self, number: int, ctime_ns: int) -> None:
        self.writer.saw_again([(self.pick(number).id, ctime_ns)], self.now_s)

    @rule()
    def open_again(self) -> None:
        self.writer.close()
        self.writer = opened(self.directory / "registry.db", SIGNER)

    @invariant()
    def the_tables_are_the_model(self) -> None:
        wanted = [self.entries[entry_id] for entry_id in sorted(self.entries)]
        found = list(self.writer.entries())
        assert found == wanted
        assert [entry_text(one) for one in found] == [entry_text(one) for one in wanted]  # true is not 1
        assert self.writer.total == len(wanted)
        assert {entry_id: self.writer.history(entry_id) for entry_id in self.entries} == self.revisions

    @invariant()
    def the_leaves_are_the_entries_and_the_root_is_the_digest(self) -> None:
        head = self.writer.head()
        assert head == self.writer.ledger_head and head.sequence == len(self.past)
        assert sorted(entry_id for _, members in self.writer.leaves() for entry_id, _ in members_of(members)) == sorted(
            self.entries
        )
        assert self.writer.tree().root() == head.digest
        assert digest_of(entry_text(self.entries[entry_id]) for entry_id in sorted(self.entries)) == head.digest

    @invariant()
    def every_proof_holds(self) -> None:
        assert proofs(self.writer) == []

    @invariant()
    def replaying_the_ledger_gives_the_entries(self) -> None:
        replayed: dict[str, JSON] = {}
        for record in self.writer.records():
            for one in patches_of(record):
                entry_id = one["id"] if one["op"] == "update" else one["entry"]["id"]
                replayed[entry_id] = apply_patch(replayed.get(entry_id), one)
        assert replayed == {entry_id: parse(entry_text(one)) for entry_id, one in self.entries.items()}


def proofs(registry: Registry) -> list[verify.Fault]:
    head = registry.head()
    return [
        *verify.entries(registry, head),
        *verify.ledger(registry, Verifier(SIGNER.public)),
        *verify.replay(registry, head),
    ]


RegistryModel.TestCase.settings = settings(
    max_examples=50, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
test_the_registry_does_what_its_model_does = RegistryModel.TestCase
