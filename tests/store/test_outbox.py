"""The outbox: claims are fenced, what a dead sender held comes back, what failed is told by one message later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autoops.store.alerts import Alert, Alerts, Plan
from autoops.store.database import Database, migrate
from autoops.store.outbox import Claim, Item, Outbox, Retry
from autoops.store.queue import SCHEMA

RETRY = Retry(0, 600, 3600)
NOW_S = 1_800_000_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    migrate(tmp_path / "queue.db", SCHEMA)
    with Database.open(tmp_path / "queue.db", SCHEMA, guard=True) as opened:
        yield opened


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database, uniform=lambda: 0.5)


def put(database: Database, *items: tuple[str, str], channel: str = "a", severity: str = "critical", now_s: int = NOW_S) -> None:
    """Have alerts (fingerprint, status) told to a channel."""
    alerts = [Alert(one, "finding", "x", one, "critical", "", {}, "", "firing", 1, now_s, now_s, due_s=now_s) for one, _ in items]
    plan = Plan(alerts, [Item(channel, severity, one, status) for one, status in items])
    Alerts(database).evaluate(lambda _known, _silences: plan, now_s)


def claim(outbox: Outbox, now_s: int = NOW_S, lease_s: float = 60, channel: str = "a") -> Claim:
    claimed = outbox.claim(channel, lease_s, now_s, RETRY.longest_s)
    assert claimed is not None
    return claimed


def content(outbox: Outbox, one: Claim) -> list[tuple[str, str]]:
    return sorted(outbox.items(one.id, 100)[0])


def test_a_late_sender_s_result_is_dropped(database: Database, outbox: Outbox) -> None:
    put(database, ("f1", "firing"))
    late = claim(outbox, lease_s=-1)
    assert outbox.rescue(NOW_S) == 1
    again = claim(outbox)
    assert (again.id, again.attempt) == (late.id, late.attempt + 1)
    assert not outbox.settle(late, sent=True, detail="", now_s=NOW_S, retry=RETRY)
    assert outbox.settle(again, sent=True, detail="taken", now_s=NOW_S, retry=RETRY)
    assert [(one.outcome, one.attempt) for one in outbox.attempts("f1")] == [("sent", 2), ("lost", 1)]
    assert not outbox.settle(again, sent=False, detail="", now_s=NOW_S, retry=RETRY)


def test_one_message_has_one_sender(database: Database, outbox: Outbox) -> None:
    put(database, ("f1", "firing"))
    claim(outbox)
    assert outbox.claim("a", 60, NOW_S, RETRY.longest_s) is None
    assert outbox.rescue(NOW_S) == 0  # this process lives


def test_what_comes_while_one_is_on_its_way_and_what_failed_is_one_message_and_the_newer_counts(
    database: Database, outbox: Outbox
) -> None:
    put(database, ("f1", "firing"), ("f2", "firing"))
    first = claim(outbox)
    put(database, ("f1", "resolved"), ("f3", "firing"))
    outbox.settle(first, sent=False, detail="it answered 500", now_s=NOW_S, retry=RETRY)
    second = claim(outbox)
    assert content(outbox, second) == [("f1", "resolved"), ("f2", "firing"), ("f3", "firing")]
    assert outbox.claim("a", 60, NOW_S, RETRY.longest_s) is None
    assert {one.detail for one in outbox.attempts("f2")} == {"it answered 500"}


def test_the_gravest_goes_first_and_each_channel_has_its_own(database: Database, outbox: Outbox) -> None:
    put(database, ("f1", "firing"), severity="info")
    put(database, ("f2", "firing"), severity="critical", now_s=NOW_S + 1)
    put(database, ("f3", "firing"), channel="b")
    assert [claim(outbox, NOW_S + 1).severity for _ in range(2)] == ["critical", "info"]
    assert content(outbox, claim(outbox, channel="b")) == [("f3", "firing")]


def test_a_failed_one_waits_and_a_clock_that_was_put_back_does_not_make_it_wait_longer(database: Database, outbox: Outbox) -> None:
    put(database, ("f1", "firing"))
    outbox.settle(claim(outbox), sent=False, detail="", now_s=NOW_S, retry=Retry(100, 600, 3600))
    assert outbox.claim("a", 60, NOW_S + 49, RETRY.longest_s) is None
    assert outbox.claim("a", 60, NOW_S - 10_000, RETRY.longest_s) is not None


def test_it_is_given_up_when_its_newest_part_is_old(database: Database, outbox: Outbox) -> None:
    put(database, ("f1", "firing"))
    outbox.settle(claim(outbox), sent=False, detail="no", now_s=NOW_S + 3599, retry=RETRY)
    put(database, ("f2", "firing"), now_s=NOW_S + 3599)
    outbox.settle(claim(outbox, NOW_S + 3600), sent=False, detail="no", now_s=NOW_S + 3600, retry=RETRY)
    assert [row[2] for row in outbox.waiting()] == ["queued"]
    outbox.settle(claim(outbox, NOW_S + 8000), sent=False, detail="no", now_s=NOW_S + 8000, retry=RETRY)
    assert [row[2] for row in outbox.waiting()] == ["dead"]


def test_a_channel_fails_since_the_first_attempt_after_the_last_good_one(database: Database, outbox: Outbox) -> None:
    outbox.note("a", sent=False, detail="old", now_s=NOW_S)
    outbox.note("a", sent=True, detail="", now_s=NOW_S + 1)
    assert outbox.failing() == []
    for second in (2, 3):
        outbox.note("a", sent=False, detail=f"no {second}", now_s=NOW_S + second)
    ((channel, since_s, attempts, detail),) = outbox.failing()
    assert (channel, since_s, attempts, detail) == ("a", NOW_S + 2, 2, "no 3")


def test_what_waits_for_a_channel_that_is_gone_is_given_up(database: Database, outbox: Outbox) -> None:
    put(database, ("f1", "firing"))
    put(database, ("f1", "firing"), channel="b")
    assert outbox.abandon(["b"]) == 1
    assert [(row[0], row[2]) for row in outbox.waiting()] == [("a", "dead"), ("b", "queued")]
