"""What reports are made of, on real databases: aggregates, what is kept and for how long, and the ledger of a time."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from histories import History
from registry_files import NOW_S, created, opened

from autoops.core.canonical import apply_patch
from autoops.core.histogram import Meter
from autoops.core.signing import Signer
from autoops.files.last import Last
from autoops.model import Work, path_key
from autoops.report import capacity, changes, errors, performance
from autoops.report.errors import Asked
from autoops.store import extents, measured, queue
from autoops.store.commit import Why
from autoops.store.database import Database, migrate
from autoops.store.extents import Extent, Extents
from autoops.store.findings import Findings
from autoops.store.measured import Measured
from autoops.store.operations import Gaps
from autoops.store.outbox import Item, Outbox, Retry
from autoops.store.queue import SCHEMA, Queue
from autoops.store.records import patches_of
from autoops.store.samples import Samples
from autoops.store.troubles import Troubles

T = 1_800_000_000
DAY_S = 86400
HOSTILE = b"docs\0<b>\x1b[2J\xff"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    migrate(tmp_path / "queue.db", SCHEMA)
    with Database.open(tmp_path / "queue.db", SCHEMA, guard=True) as opened:
        yield opened


def told(db: Database, since_s: int, until_s: int, **more: Any) -> dict[str, Any]:
    lasts = {"snapshot": Last(T + 50, "no room", T - 500, T - 100, "s"), "drill": Last(T - 9999, "bad", 0, 0, ""), "archive": None}
    facts = errors.gathered(db, Asked(since_s, until_s), lasts, T - DAY_S, trend=False, **more)
    json.dumps(facts)
    return facts


# errors


def test_what_was_opened_in_a_time_is_counted_by_kind_with_its_last_example(db: Database) -> None:
    findings = Findings(db)
    findings.open([("corrupt", b"docs\0old", {})], T - 10)
    findings.open([("corrupt", b"docs\0a", {"reason": "x"}), ("missing", b"docs\0b", {})], T)
    findings.close([("corrupt", b"docs\0a")], T + 5)
    findings.open([("corrupt", HOSTILE, {"reason": "token=hunter2 \x1b[31m"})], T + 60)
    facts = told(db, T, T + 100)
    found = {one["kind"]: one for one in facts["troubles"] if one["source"] == "finding"}
    assert (found["corrupt"]["count"], found["corrupt"]["open"], found["corrupt"]["severity"]) == (2, 1, "critical")
    assert (found["corrupt"]["first_s"], found["corrupt"]["last_s"]) == (T, T + 60)
    assert found["corrupt"]["example"] == "docs/<b>\x1b[2J\\xff"
    assert "hunter2" not in found["corrupt"]["why"] and found["corrupt"]["why"].isprintable()
    assert found["missing"]["open"] == 1
    assert facts["troubles"][0]["kind"] == "corrupt", "the gravest first"
    assert "hunter2" not in json.dumps(facts)


def test_what_failed_and_was_done_later_is_still_told(db: Database) -> None:
    jobs = Queue(db, max_attempts=2, backoff_first_s=0, backoff_max_s=0)
    jobs.enqueue([Work("path", path_key("docs", b"a")), Work("describe", b"")])
    now_s = int(time.time())
    for _ in range(2):
        (one,) = jobs.claim(1, 60, ["path"])
        jobs.fail(one, "it crashed")
    (other,) = jobs.claim(1, 60, ["describe"])
    jobs.fail(other, "too slow")
    (other,) = jobs.claim(1, 60, ["describe"])
    jobs.complete([other])
    facts = told(db, now_s - 5, now_s + 60)
    found = {(one["kind"], one["state"]): one for one in facts["troubles"] if one["source"] == "job"}
    assert found["path", "dead_letter"]["open"] == 1 and found["path", "dead_letter"]["why"] == "it crashed"
    assert found["path", "failed"]["count"] == 1 and found["path", "failed"]["example"] == "docs/a"
    assert found["describe", "failed"]["count"] == 1, "though it was done then"
    assert facts["counts"]["job"] == 3


def test_a_job_lost_with_its_worker_is_a_failure_and_only_the_newest_are_kept(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "FAILURES_KEPT", 5)
    jobs = Queue(db, max_attempts=100)
    jobs.enqueue([Work("path", path_key("docs", b"a"))])
    for _ in range(8):
        jobs.claim(1, -1, ["path"])
        assert jobs.rescue() == 1
    assert db.query("SELECT count(*), count(DISTINCT reason) FROM failure")[0][0] == 5


def test_deliveries_gaps_and_backups_are_told(db: Database) -> None:
    outbox = Outbox(db, uniform=lambda: 0.0)
    outbox.enqueue([Item("admins", "info", "f", "firing")], T)
    claim = outbox.claim("admins", 60, T, 600)
    assert claim is not None
    outbox.settle(claim, sent=False, detail="it answered 500", now_s=T + 1, retry=Retry(0, 600, 3600))
    Gaps(db).open("docs", b"sub", "overflow", "", T + 2)
    facts = told(db, T, T + 100)
    by_source = {one["source"]: one for one in facts["troubles"]}
    assert (by_source["delivery"]["why"], by_source["delivery"]["open"]) == ("it answered 500", 1)
    assert (by_source["coverage"]["kind"], by_source["coverage"]["example"]) == ("overflow", "docs/sub")
    assert [one["kind"] for one in facts["troubles"] if one["source"] == "backup"] == ["snapshot"], "the drill failed before"
    assert facts["counts"] == {"finding": 0, "job": 0, "delivery": 1, "coverage": 1, "playbook": 0, "backup": 1}


def test_the_trend_has_a_part_for_each_hour_or_day_and_the_time_before(db: Database) -> None:
    findings = Findings(db)
    for at_s in (T - 3600 * 30, T - 3600 * 2, T - 3600 * 2 + 1, T - 1):
        findings.open([("missing", b"%d" % at_s, {})], at_s)
    day = errors.gathered(db, Asked(T - DAY_S, T), {}, T - 9 * DAY_S, trend=True)["trend"]
    assert (day["bucket_s"], len(day["starts_s"])) == (3600, 24)
    assert day["counts"]["finding"][22:] == [2, 1] and sum(day["counts"]["finding"]) == 3
    assert day["before"]["finding"] == 1 and day["is_before_known"]
    week = errors.gathered(db, Asked(T - 7 * DAY_S, T), {}, T - 9 * DAY_S, trend=True)["trend"]
    assert not week["is_before_known"], "it began in the middle of it"
    assert (week["bucket_s"], week["counts"]["finding"]) == (DAY_S, [0, 0, 0, 0, 0, 1, 3])


def test_the_report_says_when_the_record_does_not_reach_back(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert any("the first commit was at" in said for said in told(db, T - 2 * DAY_S, T)["record"])
    assert told(db, T - 100, T)["record"] == []
    monkeypatch.setattr("autoops.store.troubles.RECEIPTS_KEPT", 2)
    outbox = Outbox(db, uniform=lambda: 0.0)
    for at_s in (T - 50, T - 40):
        outbox.note("a", sent=True, detail="", now_s=at_s)
    (said,) = told(db, T - 100, T)["record"]
    assert said.startswith("of deliveries only what came after")
    assert told(db, T - 45, T)["record"] == []


def test_an_empty_database_is_a_report_of_nothing(db: Database) -> None:
    facts = errors.gathered(db, Asked(T - DAY_S, T), {}, None, trend=True)
    assert facts["troubles"] == [] and facts["record"] == ["nothing was committed yet"]
    assert capacity.gathered(db, ["docs"], T)["record"] == [capacity.NOTHING]
    empty = performance.gathered(db, Asked(T - DAY_S, T))
    assert empty["stages"] == [] and empty["deepest_queue"] is None and empty["throughput"]["jobs"] == 0
    for page in (errors.page(facts), capacity.page(capacity.gathered(db, ["docs"], T)), performance.page(empty)):
        assert page.sections


# measurements


def measure(db: Database, at_s: int, **values: float) -> None:
    meter = Meter()
    for name, value in values.items():
        meter.add(name, value)
    Measured(db).add(meter.take(), at_s)


def test_hours_add_up_and_only_those_of_the_time_count(db: Database) -> None:
    for hour in range(5):
        measure(db, T + hour * 3600, wait_s=float(hour))
    found = Measured(db).summaries(T + 3600, T + 4 * 3600)["wait_s"]
    assert (found.times, found.most) == (3, 3.0)
    assert [one.most for one in Measured(db).hours("wait_s", T, T + 5 * 3600)] == [0, 1, 2, 3, 4]
    assert Measured(db).begun_s() == T - T % 3600


def test_the_newest_hours_stay_and_a_clock_that_was_ahead_costs_no_history(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "KEPT_H", 10)
    for hour in range(30):
        measure(db, T + hour * 3600, wait_s=1.0)
    assert db.query("SELECT count(DISTINCT hour) FROM measured")[0][0] == 10
    measure(db, T + 70 * 366 * DAY_S, wait_s=1.0)
    assert db.query("SELECT count(DISTINCT hour) FROM measured")[0][0] == 10
    assert Measured(db).summaries(T + 25 * 3600, T + 30 * 3600)["wait_s"].times == 5


def test_performance_has_what_was_measured_sampled_and_delivered(db: Database) -> None:
    measure(db, T, **{"wait_s": 0.5, "hashed_bytes": 1000.0, "queue_jobs": 7.0, "extractor_s:pdf/1": 3.0, "commit_s": 0.01})
    measure(db, T + 3600, **{"wait_s": 0.7, "queue_jobs": 3.0, "extractor_s:text/1": 0.1})
    Samples(db).record("shipping_latency_s", [1.0, 2.0], T + 10)
    facts = performance.gathered(db, Asked(T - T % 3600, T - T % 3600 + 7200))
    stages = {one["stage"]: one for one in facts["stages"]}
    assert (stages["wait_s"]["times"], stages["wait_s"]["most"]) == (2, 0.7)
    assert (stages["shipping_latency_s"]["times"], stages["shipping_latency_s"]["most"]) == (2, None)
    assert [one["extractor"] for one in facts["extractors"]] == ["pdf/1", "text/1"]
    assert facts["deepest_queue"] == 7 and facts["hours"]["deepest_queue"] == [7, 3] and facts["hours"]["jobs"] == [1, 1]
    assert facts["throughput"]["bytes_hashed"] == 1000 and facts["throughput"]["jobs_an_hour"] == 1.0


# extents


def test_a_thing_has_one_extent_a_day_and_the_newest_stay(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extents, "KEPT_DAYS", 5)
    some = Extents(db)
    for day in range(9):
        some.record([Extent("root", "docs", T + day * DAY_S, 100 + day, day)])
    some.record([Extent("root", "docs", T + 8 * DAY_S + 60, 999, 1)])
    assert [one.size_bytes for one in some.since(0)] == [104, 105, 106, 107, 999]
    assert some.known("root", T + 8 * DAY_S) == {"docs"} and some.known("root", T + 9 * DAY_S) == set()
    some.record([Extent("root", "docs", T + 70 * 366 * DAY_S, 1, 1)])
    assert len(some.since(0)) == 5, "a clock that was ahead costs no history"


def test_capacity_tells_growth_and_when_the_disk_is_full(db: Database) -> None:
    days = 40
    for day in range(days + 1):
        at_s = T - (days - day) * DAY_S
        Extents(db).record(
            [
                Extent("root", "docs", at_s, 1000 * day, day),
                Extent("root", "gone", at_s, 5, 5),
                Extent("disk", "gone", at_s, 5, None, 6),
                Extent("disk", "docs", at_s, 400_000 + 1000 * day, None, 1_000_000),
                Extent("disk", "state", at_s, 400_000 + 1000 * day, None, 1_000_000),
            ]
        )
    Extents(db).record([Extent("disk", "state", T + 900 * DAY_S, 999_999, None, 1_000_000)])  # a clock was ahead
    facts = capacity.gathered(db, ["docs"], T)
    things = {(one["what"], one["subject"]): one for one in facts["things"]}
    assert things["root", "docs"]["growth"]["bytes_a_day"] == pytest.approx(1000)
    assert things["root", "docs"]["month_bytes"]["bytes"] == 30_000
    assert "gone" not in {subject for _, subject in things}, "it is configured no more"
    soon, late = things["disk", "state"]["forecast"]
    assert (soon["percent"], soon["likely"], soon["earliest"], soon["latest"]) == (80, *["2028-01-10"] * 3)  # 360 days on
    assert late["likely"] == "2028-06-08"  # 510 days on
    (section, *_) = capacity.sections(facts)
    (said,) = section.said
    assert said.startswith("disk of docs, state: 44 % of 1.0 MB used; 80 %: 2028-01-10")


# the ledger of a time


def judged(before: dict[str, Any] | None, after: dict[str, Any]) -> str:
    """Return what was done to an entry, by comparing what it was and is: worked out without looking at the patch."""
    if before is None:
        return "added"
    if before["status"] != after["status"]:
        return {"missing": "removed", "retired": "retired", "active": "returned"}[after["status"]]
    if (before["root"], before["path"]) != (after["root"], after["path"]):
        return "moved"
    if before["observation"] != after["observation"]:
        return "modified"
    return "described" if before["descriptor"] != after["descriptor"] or before["described"] != after["described"] else "other"


@pytest.mark.parametrize("seed", range(3))
def test_changes_by_root_are_those_of_a_replay(tmp_path: Path, seed: int) -> None:
    writer = opened(tmp_path / "registry.db", Signer(bytes(32)))
    history = History(writer, f"report {seed}")
    times = [history.now_s]
    for _ in range(60):
        history.step()
        times.append(history.now_s)
    since_s = times[20] + 0.1
    entries: dict[str, Any] = {}
    wanted: Counter[str] = Counter()
    commits = 0
    for record in writer.records():
        counts = datetime.fromisoformat(json.loads(record.text)["at"]).timestamp() >= since_s
        commits += counts
        for patch in patches_of(record):
            entry_id = str(patch.get("id") or patch["entry"]["id"])
            after = apply_patch(entries.get(entry_id), patch)
            wanted[judged(entries.get(entry_id), after)] += counts
            entries[entry_id] = after
    found = changes.told(writer, since_s, history.now_s + 1)
    assert found.commits == commits
    assert sum(found.roots.values(), Counter()) == +wanted
    writer.close()


def test_where_a_time_begins_in_the_ledger_is_found(tmp_path: Path) -> None:
    writer = opened(tmp_path / "registry.db", Signer(bytes(32)))
    assert changes.first_since(writer, NOW_S) == 1
    for number in range(9):
        writer.commit([created(b"f%d" % number)], Why("worker", "t", "t"), NOW_S + 10 * number)
    assert [changes.first_since(writer, NOW_S + at_s) for at_s in (-5, 0, 1, 75, 80, 81)] == [1, 1, 2, 9, 9, 10]
    writer.close()


def test_notes_people_and_edits_by_hand_are_told(tmp_path: Path) -> None:
    writer = opened(tmp_path / "registry.db", Signer(bytes(32)))
    writer.commit([created(b"a")], Why("operator:eva", "patch:1", "because"), NOW_S)
    by_hand = created(b"b")._replace(evidence={"kind": "by-hand", "declared": False, "confidence": 100})
    writer.commit([by_hand], Why("operator:bob", "window", "edited"), NOW_S + 1)
    writer.commit([], Why("drill", "backup:x", "drill of x good", "drill:1"), NOW_S + 2)
    found = changes.told(writer, NOW_S - 1, NOW_S + 100)
    assert found.people == {"eva": 1, "bob": 1} and (found.by_hand, found.undeclared) == (1, 1)
    assert [(note.actor, note.reason) for note in found.notes] == [("drill", "drill of x good")]
    writer.close()


def test_findings_opened_and_closed_are_counted(db: Database) -> None:
    findings = Findings(db)
    findings.open([("missing", b"a", {}), ("missing", b"b", {})], T)
    findings.close([("missing", b"a")], T + 10)
    assert Troubles(db).findings(T, T + 5) == (2, 0, 1)
    assert Troubles(db).findings(T, T + 50) == (2, 1, 1)
