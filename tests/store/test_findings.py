"""Findings and samples: what stands, who knows of it, and what became of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoops import errors
from autoops.log import captured
from autoops.store import findings as store
from autoops.store import samples as sampling
from autoops.store import troubles
from autoops.store.database import Database
from autoops.store.findings import Finding, Findings
from autoops.store.queue import SCHEMA
from autoops.store.samples import Percentiles, Samples
from autoops.store.troubles import Troubles
from autoops.work.notes import Notes


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "queue.db", SCHEMA, mode="create", busy_s=0.05) as database:
        yield database


def only(findings: Findings, kind: str | None = None) -> Finding:
    (found,) = findings.list(kind)
    return found


def steps(findings: Findings, number: int) -> list[str]:
    return [f"{step.at_s} {step.what} {step.who}".strip() for step in findings.history(number)]


def test_a_finding_seen_again_is_counted_and_one_that_returns_begins_anew(db: Database) -> None:
    findings = Findings(db)
    assert findings.open([("unreadable", b"a\xff", {"errno": 13}), ("missing", b"b", {})], 100) == 2
    findings.open([("unreadable", b"a\xff", {"errno": 5})], 200)
    latest, _ = findings.list()
    assert latest[2:7] == (b"a\xff", {"errno": 5}, 100, 200, 2)
    assert findings.counts() == {"missing": 1, "unreadable": 1}
    assert findings.close([("unreadable", b"a\xff"), ("unreadable", b"unknown")], 300) == 1
    assert findings.close([("unreadable", b"a\xff")], 400) == 0
    assert findings.list("unreadable") == []
    assert [found.closed_s for found in findings.list(closed=True)] == [300]
    findings.open([("unreadable", b"a\xff", {})], 500)
    back = only(findings, "unreadable")
    assert (back.first_seen_s, back.times, back.closed_s) == (500, 3, None)
    assert steps(findings, back.id) == ["100 opened", "300 closed", "500 opened"]


def test_what_stands_of_some_kinds_about_some_subjects_is_told(db: Database) -> None:
    findings = Findings(db)
    subjects = [b"a\xff", b"b", b"c"]
    asked = iter(subjects)
    findings.open([("unreadable", b"b", {})], 100)
    assert findings.standing(("missing", "modified"), asked) == [] and next(asked) == subjects[0], "nobody was asked about"
    findings.open([("missing", b"a\xff", {}), ("modified", b"b", {}), ("missing", b"d", {}), ("modified", b"c", {})], 100)
    findings.close([("modified", b"c")], 200)
    assert findings.standing(("missing", "modified"), subjects) == [("missing", b"a\xff"), ("modified", b"b")]
    many = [b"%d" % number for number in range(1234)]
    assert findings.standing(("missing",), [*many, b"d", *many]) == [("missing", b"d")]
    assert findings.standing_of([("missing", b"d"), ("modified", b"d"), ("corrupt", b"d")]) == {("missing", b"d")}


def test_only_the_newest_closed_findings_stay_and_every_open_one(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KEPT", 3)
    findings = Findings(db)
    findings.open([("missing", b"%d" % number, {}) for number in range(10)], 100)
    assert findings.close([("missing", b"%d" % number) for number in range(8)], 200) == 8
    assert len(findings.list(closed=True)) == 3
    assert len(findings.list()) == 2
    assert db.one("SELECT count(DISTINCT finding) FROM finding_event") == (5,)  # the history of the others went with them


def test_of_one_that_comes_and_goes_the_newest_steps_stay_and_a_report_says_so(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "STEPS_KEPT", 4)
    monkeypatch.setattr(troubles, "STEPS_KEPT", 4)
    findings = Findings(db)
    findings.open([("unreadable", b"still", {})], 10)
    assert Troubles(db).known_since() == {}
    for number in range(20):
        findings.open([("unreadable", b"a", {})], 100 + number)
        findings.close([("unreadable", b"a")], 200 + number)
    flapping = only_closed(findings)
    assert steps(findings, flapping.id) == ["118 opened", "218 closed", "119 opened", "219 closed"]
    assert flapping.times == 20, "how often it was is still known"
    assert steps(findings, only(findings).id) == ["10 opened"], "the history of others stays"
    assert Troubles(db).known_since() == {troubles.FINDINGS: 118}


def only_closed(findings: Findings) -> Finding:
    (found,) = findings.list(closed=True)
    return found


def test_what_a_run_did_not_see_any_more_is_closed_below_its_root_alone(db: Database) -> None:
    findings = Findings(db)
    subjects = [b"docs\0a", b"docs\0b", b"docs2\0a"]
    findings.open([("missing", subject, {}) for subject in subjects], 100, run=1)
    findings.open([("unreadable", b"docs\0a", {})], 100)
    findings.open([("missing", b"docs\0b", {})], 100, run=2)
    assert findings.close_unseen({"missing"}, b"docs\0", 2, 101) == 1
    assert [(one.kind, one.subject) for one in findings.each()] == [
        ("missing", b"docs\0b"),
        ("missing", b"docs2\0a"),
        ("unreadable", b"docs\0a"),
    ]
    assert [one.kind for one in findings.each({"unreadable"})] == ["unreadable"]


def test_who_acknowledged_and_released_is_remembered_until_it_is_closed(db: Database) -> None:
    findings = Findings(db)
    findings.open([("quarantined", b"x", {})], 1)
    number = only(findings).id
    findings.note_repairs([("quarantined", b"x", "look again")] * 2)
    assert (only(findings).repair, only(findings).repairs) == ("look again", 2)
    findings.note_repairs([("quarantined", b"x", "another")])
    assert only(findings).repairs == 1
    assert findings.acknowledge([number, 99], "ops", 5) == 1
    assert findings.release([number], "ops", 6) == 1
    assert only(findings)[8:] == (5, "ops", 6, "ops", "another", 0)
    assert findings.about([("quarantined", b"x"), ("quarantined", b"y")]).keys() == {("quarantined", b"x")}
    findings.close([("quarantined", b"x")], 7)
    assert findings.acknowledge([number], "late", 8) == 0
    findings.open([("quarantined", b"x", {})], 9)
    assert only(findings)[8:12] == (None, None, None, None)
    told = [step.what for step in findings.history(number)]
    assert told == ["opened", *["repaired"] * 3, "acknowledged", "released", "closed", "opened"]
    assert findings.get(number) == only(findings)
    assert findings.get(99) is None


def test_percentiles_are_values_that_were_measured(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = Samples(db)
    assert samples.percentiles("latency_s") is None
    samples.record("latency_s", [float(value) for value in range(1, 201)], 10)
    samples.record("other", [7], 10)
    assert samples.percentiles("latency_s") == Percentiles(200, 100.0, 190.0, 198.0)
    assert samples.percentiles("other") == Percentiles(1, 7.0, 7.0, 7.0)
    assert samples.percentiles("latency_s", since_s=11) is None
    assert samples.names() == ["latency_s", "other"]
    monkeypatch.setattr(sampling, "KEPT", 3)
    samples.record("latency_s", [1.0], 20)
    assert samples.percentiles("latency_s") == Percentiles(3, 199.0, 200.0, 200.0)


def test_nothing_to_record_is_no_transaction(db: Database) -> None:
    assert Findings(db).open([], 1) == Findings(db).close([], 1) == 0
    Findings(db).note_repairs([])
    Samples(db).record("x", [], 1)


WRITES: dict[str, Callable[[Database], object]] = {
    "open": lambda db: Findings(db).open([("missing", b"", {})], 1),
    "close": lambda db: Findings(db).close([("missing", b"")], 1),
    "acknowledge": lambda db: Findings(db).acknowledge([1], "ops", 1),
    "release": lambda db: Findings(db).release([1], "ops", 1),
    "note repairs": lambda db: Findings(db).note_repairs([("missing", b"", "x")]),
    "sample": lambda db: Samples(db).record("x", [1.0], 1),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_locked_database_is_busy_and_nothing_is_half_done(write: str, db: Database) -> None:
    other = sqlite3.connect(db.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(errors.StorageBusy):
        WRITES[write](db)
    other.close()


# what the worker finds


Told = list[dict[str, object]]


@pytest.fixture
def told() -> Iterator[Told]:
    with captured() as events:
        yield events


def briefly(told: Told) -> list[tuple[object, ...]]:
    return [(one["event"], one["kind"], one["path"]) for one in told]


def test_what_others_opened_and_closed_is_known_to_the_worker_at_once(db: Database, told: Told) -> None:
    findings = Findings(db)
    worker = Notes(findings, lambda: 200.0)
    assert not worker.any
    findings.open([("missing", b"r\0a", {})], 100)
    assert not worker.any, "that is no finding of the worker's"
    findings.open([("unreadable", b"r\0a", {}), ("unreadable", b"r\0b", {})], 100)
    assert worker.any
    worker.close("unreadable", "r", b"a")
    worker.close("unreadable", "r", b"never found")
    worker.open("unreadable", "r", b"b", {"reason": "still"})
    worker.open("corrupt", "r", b"c", {})
    worker.flush()
    assert briefly(told) == [("finding_closed", "unreadable", b"a"), ("finding_opened", "corrupt", b"c")]
    assert {(one.kind, one.subject): one.times for one in findings.each()} == {
        ("corrupt", b"r\0c"): 1,
        ("missing", b"r\0a"): 1,
        ("unreadable", b"r\0b"): 2,
    }


def test_what_is_noted_last_of_a_path_is_what_stands(db: Database, told: Told) -> None:
    findings = Findings(db)
    worker = Notes(findings, lambda: 200.0)
    worker.open("duplicate_id", "r", b"a", {})
    worker.close("duplicate_id", "r", b"a")
    worker.flush()
    assert findings.list() == [] and told == []


def test_what_a_locked_queue_did_not_take_is_written_the_next_time(db: Database, told: Told) -> None:
    worker = Notes(Findings(db), lambda: 200.0)
    worker.open("unreadable", "r", b"a", {})
    with Database.open(db.path, SCHEMA) as other, other.transaction(), pytest.raises(errors.StorageBusy):
        worker.flush()
    assert told == []
    worker.flush()
    assert briefly(told) == [("finding_opened", "unreadable", b"a")] and only(Findings(db)).subject == b"r\0a"


def test_what_is_about_roots_that_are_configured_no_more_is_closed(db: Database, told: Told) -> None:
    findings = Findings(db)
    findings.open([("unreadable", b"r\0a", {}), ("unreadable", b"gone\0a", {}), ("unit_failed", b"x.service", {})], 100)
    Notes(findings, lambda: 200.0).keep_roots({"r"})
    assert briefly(told) == [("finding_closed", "unreadable", b"a")]
    assert [one.subject for one in findings.each()] == [b"x.service", b"r\0a"]
