"""Signs of life, gaps, findings, cookies, dry runs: what they keep, and that it stays bounded."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoops import clock, errors
from autoops.store import operations
from autoops.store.database import Database
from autoops.store.operations import Cookies, DryRun, Gaps, Heartbeats, WouldDo
from autoops.store.queue import SCHEMA


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "queue.db", SCHEMA, mode="create", synchronous="NORMAL", busy_s=0.05) as db:
        yield db


def test_a_process_has_one_heartbeat_and_it_names_the_very_process(db: Database) -> None:
    beats = Heartbeats(db)
    beats.beat("worker", "ready", "idle", 100, {"pool": 2})
    beats.beat("watcher", "ready", "watching", 101)
    beats.beat("worker", "paused", "maintenance", 102)
    watcher, worker = beats.list()
    assert (watcher.process, worker.process) == ("watcher", "worker")
    assert (worker.state, worker.status, worker.at_s, worker.facts) == ("paused", "maintenance", 102, {})
    assert worker.pid == os.getpid()
    assert clock.is_alive(worker.boot_id, worker.pid, worker.start)
    assert 0 < watcher.boottime_ns <= worker.boottime_ns


def test_a_gap_keeps_its_beginning_until_it_is_closed(db: Database) -> None:
    gaps = Gaps(db)
    gaps.open("docs", b"a\xff", "watch_limit", "8 of 21", 100)
    gaps.open("docs", b"a\xff", "watch_limit", "9 of 21", 200)
    gaps.open("docs", b"", "overflow", "", 200)
    gaps.open("music", b"", "overflow", "", 300)
    first, *_ = gaps.open_gaps("docs")
    assert (first.path, first.detail, first.since_s, first.until_s) == (b"a\xff", "9 of 21", 100, None)
    assert gaps.close("docs", b"a\xff", 400, reason="overflow") == 0
    assert gaps.close("docs", None, 400) == 2
    assert [gap.root for gap in gaps.open_gaps()] == ["music"]
    gaps.open("docs", b"", "overflow", "", 500)
    assert [(gap.root, gap.since_s, gap.until_s) for gap in gaps.history(2)] == [("docs", 500, None), ("music", 300, None)]


def test_a_gap_never_ends_before_it_began_though_the_clock_went_back(db: Database) -> None:
    gaps = Gaps(db)
    gaps.open("docs", b"", "overflow", "", 500)
    gaps.close("docs", None, 100)
    assert gaps.history()[0].until_s == 500


def test_only_the_newest_ended_gaps_stay_and_every_open_one(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "GAPS_KEPT", 3)
    gaps = Gaps(db)
    gaps.open("still", b"", "overflow", "", 0)
    for at_s in range(10):
        gaps.open("docs", b"", "overflow", "", at_s)
        gaps.close("docs", b"", at_s)
    assert [gap.since_s for gap in gaps.history() if gap.root == "docs"] == [9, 8, 7]
    assert [gap.root for gap in gaps.open_gaps()] == ["still"]


def test_a_cookie_is_seen_once_it_came_back_and_old_ones_are_forgotten(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "COOKIES_KEPT", 2)
    cookies = Cookies(db)
    assert not cookies.seen("docs", "c1")
    for at_s, name in enumerate(("c1", "c2", "c3")):
        cookies.record("docs", name, at_s)
    cookies.record("music", "m1", 0)
    assert [name for name in ("c1", "c2", "c3") if cookies.seen("docs", name)] == ["c2", "c3"]
    assert cookies.seen("music", "m1")
    assert not cookies.seen("docs", "m1")


def test_a_cookie_is_seen_though_the_clock_was_put_back_since_the_others(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "COOKIES_KEPT", 2)
    cookies = Cookies(db)
    for name in ("c1", "c2", "c3"):
        cookies.record("docs", name, 1000)
    cookies.record("docs", "c4", 10)
    assert cookies.seen("docs", "c4")
    cookies.record("docs", "c5", 11)
    assert cookies.seen("docs", "c4") and cookies.seen("docs", "c5") and not cookies.seen("docs", "c3")


def test_a_dry_run_says_what_would_be_done_and_how_often_it_was_found(db: Database) -> None:
    dry = DryRun(db)
    dry.record([WouldDo("docs", b"a\xff", "rename", {"to": "1_a"}), WouldDo("docs", b"b", "register", {})], 100)
    dry.record([WouldDo("docs", b"a\xff", "rename", {"to": "2_a"}), WouldDo("music", b"c", "rename", {})], 200)
    assert dry.summary() == {("docs", "register"): 1, ("docs", "rename"): 1, ("music", "rename"): 1}
    assert dry.list("docs") == [
        WouldDo("docs", b"a\xff", "rename", {"to": "2_a"}, 100, 200, 2),
        WouldDo("docs", b"b", "register", {}, 100, 100, 1),
    ]
    assert len(dry.list()) == 3
    assert dry.clear("docs") == 2
    assert [would.root for would in dry.list()] == ["music"]


def test_nothing_to_record_is_no_transaction(db: Database) -> None:
    assert DryRun(db).record([], 1) == 0


WRITES: dict[str, Callable[[Database], object]] = {
    "heartbeat": lambda db: Heartbeats(db).beat("worker", "ready", "", 1),
    "gap open": lambda db: Gaps(db).open("docs", b"", "overflow", "", 1),
    "gap close": lambda db: Gaps(db).close("docs", None, 1),
    "gap ended": lambda db: Gaps(db).add_ended("", "downtime", 1, 2),
    "cookie": lambda db: Cookies(db).record("docs", "c", 1),
    "dry run": lambda db: DryRun(db).record([WouldDo("docs", b"", "rename", {})], 1),
    "dry run clear": lambda db: DryRun(db).clear("docs"),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_locked_database_is_busy_and_nothing_is_half_done(write: str, db: Database) -> None:
    other = sqlite3.connect(db.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(errors.StorageBusy):
        WRITES[write](db)
    other.close()
    tables = ("heartbeat", "gap", "finding", "cookie", "dry_run")
    assert not any(db.query(f"SELECT 1 FROM {table}") for table in tables)
    WRITES[write](db)


def test_gaps_since_a_time_are_those_that_are_open_or_ended_in_it(db: Database) -> None:
    gaps = Gaps(db)
    gaps.open("open", b"", "unmounted", "", 1)
    gaps.add_ended("", "before", 10, 99)
    gaps.add_ended("docs", "reaches", 50, 100)
    gaps.add_ended("docs", "in it", 150, 160)
    assert [gap.reason for gap in gaps.since(100)] == ["unmounted", "reaches", "in it"]
