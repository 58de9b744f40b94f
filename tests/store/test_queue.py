"""The queue's verbs, one promise a test. Real database, a clock that the test turns."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoops import errors
from autoops.core.hints import rename_facts
from autoops.model import Job, Work, path_key
from autoops.store import backlog
from autoops.store.database import Database
from autoops.store.lease import Holder, backoff_s, why_lost
from autoops.store.queue import SCHEMA, Queue

S = 1_000_000_000


@dataclasses.dataclass
class Clock:
    now_ns: int = 1000 * S

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += int(seconds * S)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "queue" / "queue.db", SCHEMA, mode="create", guard=True, busy_s=0.05) as db:
        yield db


@pytest.fixture
def queue(db: Database, clock: Clock) -> Queue:
    return Queue(db, max_attempts=3, backoff_first_s=2.0, boottime_ns=clock, uniform=lambda: 0.5)


def path(key: bytes, **more: object) -> Work:
    return Work("path", key, **more)  # type: ignore[arg-type]


def keys(jobs: list[Job]) -> list[bytes]:
    return [job.key for job in jobs]


def only(queue: Queue) -> Job:
    (job,) = queue.claim(1, 60)
    return job


def test_a_job_enqueued_twice_is_one_job_with_merged_facts_and_the_more_urgent_priority(queue: Queue) -> None:
    queue.enqueue([path(b"a", priority=50, facts={"x": 1, "y": 1}), path(b"b", priority=20)])
    queue.enqueue([path(b"a", priority=10, facts={"y": 2, "x": None})])
    assert queue.counts()["queued"] == 2
    first, second = queue.claim(10, 60)
    assert (first.key, first.priority, first.facts, first.attempts) == (b"a", 10, {"y": 2}, 1)
    assert (second.key, second.facts) == (b"b", {})


def test_the_former_places_of_files_whose_new_names_wait_or_are_being_looked_at(queue: Queue) -> None:
    def renamed(name: bytes, *former: bytes, root: str = "docs") -> Work:
        return path(path_key(root, name), facts=rename_facts((former,), vacated=False))

    queue.enqueue([renamed(b"running", b"a", b"b\xff")])
    running = only(queue)
    queue.enqueue([renamed(b"running", b"again"), renamed(b"waiting", b"c", root="other"), path(path_key("docs", b"d"))])
    assert queue.on_their_way() == {("docs", b"a"), ("docs", b"b\xff"), ("docs", b"again"), ("other", b"c")}
    assert queue.on_their_way({running.key}) == {("other", b"c")}
    queue.complete([running])
    assert queue.on_their_way() == {("docs", b"again"), ("other", b"c")}
    for job in queue.claim(10, 60):
        queue.fail(job, "given up", retry=False)
    assert queue.on_their_way() == set()


def test_what_waits_is_not_searched_for_renames(db: Database, queue: Queue) -> None:
    (plan,) = {row[3] for row in db.query(f"EXPLAIN QUERY PLAN {backlog._RENAMED}")}
    assert "job_renamed" in plan


def test_a_null_fact_of_a_new_job_is_no_fact(queue: Queue) -> None:
    queue.enqueue([path(b"a", facts={"x": None, "y": 1})])
    assert only(queue).facts == {"y": 1}


def test_the_same_key_of_another_kind_is_another_job(queue: Queue) -> None:
    queue.enqueue([Work("path", b"a"), Work("describe", b"a")])
    assert queue.counts()["queued"] == 2


def test_claims_go_by_priority_then_due_time_then_age_whatever_the_kind(queue: Queue, clock: Clock) -> None:
    queue.enqueue([path(b"late", delay_s=5)])
    queue.enqueue([path(b"first"), Work("scan", b"second"), path(b"third"), path(b"low", priority=90)])
    clock.pass_s(1)
    queue.enqueue([Work("scan", b"fourth"), path(b"urgent", priority=0)])
    clock.pass_s(9)
    assert keys(queue.claim(3, 60)) == [b"urgent", b"first", b"second"]
    assert keys(queue.claim(10, 60)) == [b"third", b"fourth", b"late", b"low"]


def test_a_claim_takes_only_the_kinds_it_asks_for(queue: Queue) -> None:
    queue.enqueue([Work("describe", b"a", 0), Work("scan", b"b"), path(b"c"), Work("patch", b"d")])
    assert keys(queue.claim(10, 60, ["path", "scan"])) == [b"b", b"c"]
    assert queue.claim(10, 60, ["catalog"]) == []
    assert keys(queue.claim(10, 60)) == [b"a", b"d"]


def test_a_file_still_being_written_is_put_off_and_a_close_calls_it_at_once(queue: Queue, clock: Clock) -> None:
    queue.enqueue([path(b"a", delay_s=1)])
    clock.pass_s(0.9)
    queue.enqueue([path(b"a", delay_s=1)])
    clock.pass_s(0.9)
    assert queue.claim(1, 60) == []
    assert queue.next_due_s() == pytest.approx(0.1)
    queue.enqueue([path(b"a")])
    assert keys(queue.claim(1, 60)) == [b"a"]


def test_a_job_that_is_due_keeps_its_turn(queue: Queue, clock: Clock) -> None:
    queue.enqueue([path(b"a"), path(b"b")])
    clock.pass_s(1)
    queue.enqueue([path(b"a", delay_s=100)])
    assert queue.oldest_s() == 1
    assert keys(queue.claim(2, 60)) == [b"a", b"b"]


def test_work_of_another_urgency_only_makes_it_earlier(queue: Queue, clock: Clock) -> None:
    queue.enqueue([path(b"a", delay_s=5)])
    queue.enqueue([path(b"a", delay_s=50, priority=50)])
    clock.pass_s(5)
    assert keys(queue.claim(1, 60)) == [b"a"]


def test_a_job_enqueued_while_it_runs_runs_again_with_the_new_facts_alone(queue: Queue) -> None:
    queue.enqueue([path(b"a", facts={"old": 1})])
    job = only(queue)
    queue.enqueue([path(b"a", facts={"new": 1})])
    queue.enqueue([path(b"a", facts={"newer": 1})])
    assert queue.claim(1, 60) == []
    assert queue.complete([job]) == []
    again = only(queue)
    assert (again.id, again.facts, again.attempts) == (job.id, {"new": 1, "newer": 1}, 1)
    assert queue.complete([again]) == []
    assert queue.counts() == {"queued": 0, "running": 0, "completed": 2, "failed": 0, "dead_letter": 0}


def test_a_job_knows_that_it_was_overtaken_and_goes_back_with_all_it_knew(queue: Queue) -> None:
    queue.enqueue([path(b"a", facts={"one": 1}), path(b"b")])
    jobs = queue.claim(2, 60)
    queue.enqueue([path(b"a", facts={"two": 2})])
    (again,) = queue.overtaken(jobs)
    assert again.key == b"a" and queue.release(again)
    assert only(queue).facts == {"one": 1, "two": 2}


def test_a_completed_job_leaves_no_row_and_its_id_is_never_used_again(queue: Queue, db: Database) -> None:
    assert queue.horizon() == 0
    queue.enqueue([path(b"a")])
    job = only(queue)
    queue.complete([job])
    assert db.one("SELECT count(*) FROM job") == (0,)
    queue.enqueue([path(b"a")])
    assert only(queue).id > job.id == queue.horizon() - 1


def test_a_failed_job_waits_longer_each_time_and_ends_as_a_dead_letter(queue: Queue, clock: Clock) -> None:
    queue.enqueue([path(b"a")])
    for attempt, wait_s in ((1, 1.0), (2, 2.0)):
        job = only(queue)
        assert job.attempts == attempt
        assert queue.fail(job, "unreadable") == "failed"
        assert queue.next_due_s() == pytest.approx(wait_s)
        clock.pass_s(wait_s)
    assert queue.fail(only(queue), "unreadable") == "dead_letter"
    clock.pass_s(1e6)
    assert queue.claim(1, 60) == []
    (dead,) = queue.list("dead_letter")
    assert (dead.key, dead.reason, dead.attempts) == (b"a", "unreadable", 3)


def test_a_failure_without_hope_is_a_dead_letter_at_once(queue: Queue) -> None:
    queue.enqueue([path(b"a")])
    assert queue.fail(only(queue), "no such root", retry=False) == "dead_letter"


def test_enqueueing_revives_a_failed_job_at_once_and_a_dead_letter_from_the_start(queue: Queue) -> None:
    queue.enqueue([path(b"a")])
    for attempts in (1, 2, 3):
        job = only(queue)
        assert job.attempts == attempts
        queue.fail(job, "unreadable")
        queue.enqueue([path(b"a")])
    assert only(queue).attempts == 1


def test_a_job_enqueued_while_it_fails_for_the_last_time_starts_anew_with_all_facts(queue: Queue) -> None:
    queue.enqueue([path(b"a", facts={"old": 1})])
    job = only(queue)
    queue.enqueue([path(b"a", facts={"new": 1})])
    assert queue.fail(job, "unreadable", retry=False) == "queued"
    again = only(queue)
    assert (again.facts, again.attempts) == ({"old": 1, "new": 1}, 1)


def test_a_released_job_comes_back_when_said_and_without_counting(queue: Queue, clock: Clock) -> None:
    queue.enqueue([path(b"a")])
    assert queue.release(only(queue), 5, {"seen": 1})
    assert queue.claim(1, 60) == []
    clock.pass_s(5)
    job = only(queue)
    assert (job.attempts, job.attempt, job.facts) == (1, 2, {"seen": 1})
    queue.release(job, refund=False)
    assert only(queue).attempts == 2


def test_a_scan_goes_on_where_its_dead_worker_left_off(queue: Queue, clock: Clock) -> None:
    queue.enqueue([Work("scan", b"a", facts={"deep": True})])
    job = only(queue)
    assert queue.extend(job, 60, {"after": "dir7"})
    clock.pass_s(61)
    assert queue.rescue() == 1
    assert only(queue).facts == {"deep": True, "after": "dir7"}


def test_an_extended_lease_holds_and_one_that_ran_out_does_not(queue: Queue, clock: Clock) -> None:
    queue.enqueue([path(b"a"), path(b"b")])
    jobs = queue.claim(2, 60)
    clock.pass_s(59)
    assert queue.rescue() == 0
    assert queue.extend_many(jobs[:1], 60) == []
    clock.pass_s(1)
    assert queue.rescue() == 1
    assert queue.extend_many(jobs, 60) == jobs[1:]
    (late,) = queue.list("queued")
    assert (late.key, late.reason) == (b"b", "its lease ran out")


def test_a_late_worker_can_do_nothing_any_more(queue: Queue, clock: Clock) -> None:
    queue.enqueue([path(b"a"), path(b"b")])
    late, kept = queue.claim(2, 60)
    assert queue.extend(kept, 600)
    clock.pass_s(60)
    queue.rescue()
    current = only(queue)
    assert (current.id, current.attempt) == (late.id, 2)
    assert queue.complete([late, kept]) == [late]
    assert queue.fail(late, "too late") is None
    assert not queue.extend(late, 60)
    assert not queue.release(late)
    assert queue.complete([current]) == []
    assert queue.counts()["completed"] == 2


def test_rescue_by_age_takes_back_what_runs_too_long(queue: Queue, clock: Clock) -> None:
    queue.enqueue([path(b"a")])
    only(queue)
    clock.pass_s(10)
    assert queue.rescue() == queue.rescue(older_than_s=11) == 0
    assert queue.rescue(older_than_s=10) == 1


def test_poison_that_kills_its_worker_ends_as_a_dead_letter_and_takes_no_other_job_along(queue: Queue, clock: Clock) -> None:
    queue.enqueue([path(b"good"), path(b"poison"), path(b"fine")])
    claims = []
    while jobs := queue.claim(10, 60):
        claims.append(keys(jobs))
        if b"poison" in keys(jobs):
            clock.pass_s(60)
            queue.rescue()
        else:
            queue.complete(jobs)
    assert claims == [[b"good", b"poison", b"fine"]] * 2 + [[b"good"], [b"poison"], [b"fine"]]
    (dead,) = queue.list("dead_letter")
    assert (dead.key, dead.attempts, dead.reason) == (b"poison", 3, "its lease ran out 3 times")
    assert queue.counts()["completed"] == 2


def test_a_new_boot_voids_every_lease_and_makes_everything_due_in_its_old_order(db: Database, tmp_path: Path) -> None:
    before = Queue(db, boot="one", boottime_ns=lambda: 5000 * S)
    before.enqueue([path(b"running"), path(b"waiting", delay_s=900), path(b"soon", delay_s=5)])
    (held,) = before.claim(1, 60)
    after = Queue(db, boot="two", boottime_ns=lambda: 3 * S)
    assert after.counts()["running"] == 0
    jobs = after.claim(10, 60)
    assert sorted(keys(jobs)) == [b"running", b"soon", b"waiting"]
    assert keys(jobs).index(b"soon") < keys(jobs).index(b"waiting")
    assert {job.attempts for job in jobs} == {1}  # the boot was no fault of theirs
    assert before.complete([held]) == [held]
    again = Queue(db, boot="two", boottime_ns=lambda: 4 * S)
    assert again.counts()["running"] == 3  # the same boot voids nothing


def test_waiting_for_idle_counts_what_was_there_and_not_what_came_later(queue: Queue) -> None:
    queue.enqueue([path(b"a"), path(b"b"), Work("describe", b"c", 90), path(b"dead")])
    horizon = queue.horizon()
    queue.enqueue([path(b"later")])
    assert queue.unfinished(horizon) == 4
    assert queue.unfinished(horizon, ["path"]) == 3
    jobs = queue.claim(3, 60, ["path"])
    assert queue.unfinished(horizon, ["path"]) == 3
    queue.complete(jobs[:1])
    queue.fail(jobs[1], "for now")
    queue.fail(jobs[2], "for ever", retry=False)
    assert queue.unfinished(horizon, ["path"]) == 1


def test_an_operator_lists_retries_and_purges(queue: Queue) -> None:
    queue.enqueue([path(b"a"), path(b"b"), path(b"c"), path(b"d")])
    jobs = queue.claim(3, 60)
    for job in jobs[:2]:
        queue.fail(job, "bad", retry=False)
    (running,) = queue.list("running")
    assert (running.key, running.lease_in_s, running.again) == (b"c", 60, False)
    assert [row.key for row in queue.list()] == [b"d", b"c", b"b", b"a"]
    assert [row.key for row in queue.list(kind="scan")] == []
    assert queue.retry([jobs[0].id, jobs[2].id]) == 1
    assert keys(queue.claim(5, 60)) == [b"a", b"d"]
    assert queue.retry(state="dead_letter") == 1
    assert queue.purge([job.id for job in jobs]) == 1  # b is queued; a and c run
    assert queue.counts()["running"] == 3


def test_an_enqueue_in_the_callers_transaction_is_undone_with_it(queue: Queue, db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        queue.enqueue_in(tx, [path(b"a")])
        raise ZeroDivisionError
    assert queue.counts()["queued"] == 0


def test_any_bytes_are_a_key_and_any_text_is_a_fact(queue: Queue) -> None:
    queue.enqueue([path(b"\xff\x00\n'\"", facts={"name": "\udcff\x00\u2028'"})])
    job = only(queue)
    assert (job.key, job.facts) == (b"\xff\x00\n'\"", {"name": "\udcff\x00\u2028'"})


def test_a_row_that_contradicts_itself_is_refused_by_the_table(queue: Queue, db: Database) -> None:
    queue.enqueue([path(b"a")])
    for wrong in ("state = 'running'", "state = 'failed'", "state = 'gone'", "again = 1", "lease_ns = 1", "next_facts = '{}'"):
        with pytest.raises(sqlite3.IntegrityError), db.transaction() as tx:
            tx.execute(f"UPDATE job SET {wrong}")


VERBS: dict[str, Callable[[Queue, Job], object]] = {
    "enqueue": lambda queue, job: queue.enqueue([path(b"new"), path(b"held")]),
    "claim": lambda queue, job: queue.claim(10, 60),
    "extend": lambda queue, job: queue.extend(job, 1000, {"more": 1}),
    "extend_many": lambda queue, job: queue.extend_many([job], 1000),
    "complete": lambda queue, job: queue.complete([job]),
    "fail": lambda queue, job: queue.fail(job, "bad"),
    "release": lambda queue, job: queue.release(job),
    "rescue": lambda queue, job: queue.rescue(older_than_s=0),
    "retry": lambda queue, job: queue.retry(state="dead_letter"),
    "purge": lambda queue, job: queue.purge(state="dead_letter"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_locked_queue_is_busy_and_nothing_is_half_done(verb: str, queue: Queue, db: Database) -> None:
    queue.enqueue([path(b"dead"), path(b"held"), path(b"waiting")])
    dead, held = queue.claim(2, 60)
    queue.fail(dead, "bad", retry=False)
    before = db.query("SELECT * FROM job")
    other = sqlite3.connect(db.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(errors.StorageBusy) as caught:
        VERBS[verb](queue, held)
    assert caught.value.transient
    other.close()
    assert db.query("SELECT * FROM job") == before
    VERBS[verb](queue, held)
    assert db.query("SELECT * FROM job") != before


def test_a_new_queue_on_a_locked_database_is_busy(db: Database) -> None:
    other = sqlite3.connect(db.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(errors.StorageBusy):
        Queue(db)
    other.close()
    Queue(db)


def _steps(db: Database, act: Callable[[], object]) -> int:
    """Count how many hundred instructions of SQLite's machine an act takes: a time that no other process disturbs."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    db._con.set_progress_handler(tick, 100)
    act()
    db._con.set_progress_handler(None, 0)
    return count


def test_a_backlog_that_is_not_due_or_not_urgent_or_of_other_kinds_does_not_slow_a_claim(queue: Queue, db: Database) -> None:
    def cycle() -> None:
        queue.enqueue([path(b"live")])
        assert keys(queue.claim(1, 60, ["path", "scan"])) == [b"live"]
        assert queue.claim(100, 60, ["path"]) == []
        assert queue.next_due_s(["patch"]) is None

    alone = _steps(db, cycle)
    queue.purge([queue.horizon()])
    queue.enqueue(path(b"unsettled%d" % number, delay_s=500) for number in range(5000))
    queue.enqueue(Work("describe", b"%d" % number, 90) for number in range(5000))
    queue.enqueue(Work("describe", b"live%d" % number) for number in range(5000))
    db.query("SELECT count(*) FROM job")
    crowded = _steps(db, lambda: (queue.enqueue([path(b"now")]), queue.claim(1, 60, ["path", "scan"])))
    assert crowded < alone + 50


def test_the_claim_looks_jobs_up_in_the_index_of_what_is_ready(db: Database) -> None:
    from autoops.store.queue import _CLAIM, _FIRST

    for groups in (1, 3):
        sql = _CLAIM.format(first=" UNION ALL ".join([_FIRST] * groups))
        plan = [row[3] for row in db.query(f"EXPLAIN QUERY PLAN {sql}", (1,) * (5 + 4 * groups))]
        assert plan.count("SEARCH job USING INDEX job_ready (priority=? AND kind=? AND due_ns<?)") == groups
        assert not [step for step in plan if step.startswith("SCAN job")]


def test_backoff_doubles_up_to_its_cap_and_spreads_over_all_of_it() -> None:
    assert [backoff_s(n, 2.0, 10.0, lambda: 1.0) for n in (1, 2, 3, 4, 1000)] == [2.0, 4.0, 8.0, 10.0, 10.0]
    assert backoff_s(3, 2.0, 10.0, lambda: 0.0) == 0.0
    assert backoff_s(3, 2.0, 10.0, lambda: 0.25) == 2.0


@pytest.mark.parametrize(
    ("now_ns", "longest_ns", "lives", "why"),
    [
        (5, None, True, ""),
        (10, None, True, "its lease ran out"),
        (5, None, False, "its worker died"),
        (5, 4, True, "it ran too long"),
        (5, 5, True, ""),
    ],
)
def test_a_running_job_is_lost_when(now_ns: int, longest_ns: int | None, lives: bool, why: str) -> None:
    assert why_lost(Holder(1, 2, claimed_ns=1, lease_ns=10), now_ns, longest_ns, lambda pid, start: lives) == why


def test_what_waits_for_its_first_try_is_told_from_what_was_put_off(queue: Queue, clock: Clock) -> None:
    queue.enqueue([path(b"a", priority=80), path(b"b", priority=80), path(b"live", priority=10), Work("scan", b"s", 80)])
    assert queue.untried("path", 80) == 2
    live, first, second = queue.claim(3, 60, ["path"])
    assert (live.key, queue.untried("path", 80)) == (b"live", 2), "they are at it"
    queue.release(first, 5)
    assert queue.untried("path", 80) == 1
    queue.complete([second])
    clock.pass_s(6)
    (again,) = queue.claim(5, 60, ["path"])
    assert (again.key, queue.untried("path", 80)) == (first.key, 0), "however often it is tried"


def test_what_runs_is_told_by_kind_and_what_only_waits_does_not_run(queue: Queue) -> None:
    queue.enqueue([path(b"a"), Work("scan", b"s", 50)])
    assert not queue.runs(["scan", "patch"])
    (job,) = queue.claim(1, 60, ["scan"])
    assert queue.runs(["scan", "patch"]) and not queue.runs(["patch"])
    queue.complete([job])
    assert not queue.runs(["scan", "patch"])
