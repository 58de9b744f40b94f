"""What is kept of playbooks: runs, holds and releases, in a real queue.db, against a plain account of the same."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoops.model import note
from autoops.store import playbooks as module
from autoops.store.database import Database, migrate
from autoops.store.playbooks import DAY_S, Known, Playbooks, Run
from autoops.store.queue import SCHEMA, Queue

NOW_S = 1_800_000_000
SAID = note("k", "playbook", "playbook:a", "said")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    migrate(tmp_path / "queue.db", SCHEMA)
    with Database.open(tmp_path / "queue.db", SCHEMA, guard=True) as opened:
        yield opened


def test_a_run_is_settled_once_and_the_ledger_hears_of_it_once(database: Database) -> None:
    books, queue = Playbooks(database), Queue(database)
    run = books.begin("a", "command", "c", NOW_S)
    assert books.unfinished() == [run] and run.outcome == "running"
    settled = books.settle(run, queue, SAID, NOW_S + 5, fault="broken")
    assert settled == run._replace(ended_s=NOW_S + 5, outcome="failed", detail="broken")
    assert books.settle(run, queue, SAID._replace(key=b"other"), NOW_S + 9, fault="") is None
    assert books.unfinished() == [] and books.runs("a", 9) == [settled]
    assert [job.key for job in queue.claim(9, 60.0)] == [b"k"]


def test_held_once_and_released_once(database: Database) -> None:
    books, queue = Playbooks(database), Queue(database)
    assert not books.release("a", "me", queue, SAID, NOW_S)
    assert books.hold("a", "why", queue, SAID, NOW_S) and not books.hold("a", "again", queue, SAID, NOW_S + 1)
    assert books.held() == [("a", "why")] and books.known(["a"], NOW_S)["a"].held_s == NOW_S
    assert books.release("a", "me", queue, SAID, NOW_S + 9) and not books.release("a", "me", queue, SAID, NOW_S + 10)
    assert books.known(["a"], NOW_S)["a"] == Known((), None, "", NOW_S + 9, "me")


def test_what_is_kept_is_bounded_and_what_runs_is_never_dropped(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 5)
    books, queue = Playbooks(database), Queue(database)
    first = books.begin("a", "command", "c", NOW_S)
    for number in range(20):
        books.settle(books.begin("b", "command", "c", NOW_S + number), queue, SAID, NOW_S + number, fault="")
    assert books.unfinished() == [first] and len(books.runs("b", 100)) == 5


@dataclasses.dataclass
class Account:
    """The same, kept in a plain list."""

    runs: list[Run] = dataclasses.field(default_factory=list)
    since: int = 0
    held: bool = False

    def recent(self, now_s: int) -> tuple[Run, ...]:
        counted = self.runs[self.since :]
        return tuple(run for at, run in enumerate(counted) if run.began_s > now_s - DAY_S or at >= len(counted) - 2)


steps = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]), st.sampled_from(["good", "failed", "died", "hold", "release"]), st.integers(-DAY_S, DAY_S)
    ),
    max_size=30,
)


@settings(max_examples=40)
@given(steps)
def test_what_counts_of_each_is_what_a_plain_account_says(history: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "queue.db"
        migrate(path, SCHEMA)
        with Database.open(path, SCHEMA, guard=True, synchronous="NORMAL") as database:
            compare(Playbooks(database), Queue(database), history)


def compare(books: Playbooks, queue: Queue, history: list[tuple[str, str, int]]) -> None:
    accounts, now_s = {"a": Account(), "b": Account()}, NOW_S
    for name, step, on_s in history:
        now_s, account = now_s + on_s, accounts[name]
        if step == "hold":
            assert books.hold(name, "why", queue, SAID, now_s) is not account.held
            account.held = True
        elif step == "release":
            assert books.release(name, "me", queue, SAID, now_s) is account.held
            account.since, account.held = len(account.runs) if account.held else account.since, False
        else:
            run = books.begin(name, "command", "c", now_s)
            if step != "died":
                run = books.settle(run, queue, SAID, now_s, fault="x" if step == "failed" else "") or run
            account.runs.append(run)
        known = books.known(accounts, now_s)
        assert {each: known[each].recent for each in accounts} == {each: one.recent(now_s) for each, one in accounts.items()}
        assert {each: known[each].held_s is not None for each in accounts} == {each: one.held for each, one in accounts.items()}
        assert books.total(now_s) == sum(run.began_s > now_s - DAY_S for one in accounts.values() for run in one.runs)
