"""The queue: one table of work that is not done yet, and its verbs.

Guarantees: one job per (kind, key); a job is held by one claimer at a time, and a late one's result is dropped (complete, fail,
extend and release carry the attempt they belong to); what a dead process held comes back. Priority before due time before age.
A job enqueued while it runs, runs again. Reads and writes tables `job` and `failure` of queue.db (queue.sql says what a row means).

Each verb is one transaction; `enqueue_in` and `complete_in` join the caller's. Who claims, extends, completes or releases waits for
no disk: a power cut makes every lease void, and a job whose completion it takes back is done again, as after a death just before it.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from autoops import clock
from autoops.model import JSON, Job, JobState, Work
from autoops.store.backlog import NS, READY, Backlog, Group, find_offset, load
from autoops.store.database import Database, Row, Schema, Transaction
from autoops.store.lease import Holder, backoff_s, why_lost
from autoops.store.statements import Insert
from autoops.trace import trace

SCHEMA = Schema("queue", 0x616F7175, Path(__file__).with_name("queue.sql"))  # "aoqu"

_dump = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode  # made once: json.dumps makes one each time


def _merged(old: str, new: str) -> str:
    return f"CASE WHEN {new} IS NULL THEN {old} WHEN {old} IS NULL THEN {new} ELSE json_patch({old}, {new}) END"


_FREE = "again = 0, next_facts = NULL, owner_pid = NULL, owner_start = NULL, claimed_ns = NULL, lease_ns = NULL"

# {shared} is now. A job that is due keeps its turn. Of one that is not, the newest event tells the due time: a file still being
# written is put off by each write, a close calls it at once. A job of another urgency can only come earlier by this one.
_ENQUEUE = Insert(
    "INSERT INTO job (kind, key, priority, due_ns, facts, state)",
    "(?, ?, ?, ?, ?, 'queued')",
    f"""
ON CONFLICT (kind, key) DO UPDATE SET
    state = iif(state = 'running', 'running', 'queued'),
    priority = min(priority, excluded.priority),
    due_ns = CASE
        WHEN state = 'dead_letter' OR (state = 'running' AND NOT again) THEN excluded.due_ns
        WHEN due_ns <= {{shared}} THEN due_ns
        WHEN state = 'failed' OR priority = excluded.priority THEN excluded.due_ns
        ELSE min(due_ns, excluded.due_ns) END,
    attempts = iif(state = 'dead_letter', 0, attempts),
    deaths = iif(state = 'dead_letter', 0, deaths),
    again = (state = 'running'),
    facts = iif(state = 'running', facts, {_merged("facts", "excluded.facts")}),
    next_facts = iif(state = 'running', {_merged("next_facts", "excluded.facts")}, NULL)
""",
)

_FIRST = f"""SELECT * FROM (
    SELECT id, due_ns FROM job WHERE {READY} AND priority = ? AND kind = ? AND due_ns <= ? ORDER BY due_ns, id LIMIT ?)
"""
_CLAIM = f"""
UPDATE job SET state = 'running', attempt = attempt + 1, attempts = attempts + 1,
    owner_pid = ?, owner_start = ?, claimed_ns = ?, lease_ns = ?
WHERE id IN (SELECT id FROM ({{first}}) ORDER BY due_ns, id LIMIT ?) AND {READY}
RETURNING due_ns, id, attempt, kind, key, priority, facts, attempts, deaths
"""
_PUT_BACK = f"""
UPDATE job SET state = 'queued', attempts = attempts - 1, {_FREE} WHERE id = ? AND attempt = ? AND state = 'running'
"""
_EXTEND = f"""
UPDATE job SET lease_ns = ?1, facts = {_merged("facts", "?2")} WHERE id = ?3 AND attempt = ?4 AND state = 'running'
"""

_HELD = "SELECT id, attempt FROM job WHERE id IN (SELECT value FROM json_each(?)) AND state = 'running'"
_DELETE = "DELETE FROM job WHERE id IN (SELECT value FROM json_each(?)) AND state = 'running' AND NOT again"
_RUN_AGAIN = f"""
UPDATE job SET state = 'queued', attempts = 0, deaths = 0, reason = NULL, facts = next_facts, {_FREE}
WHERE id IN (SELECT value FROM json_each(?)) AND state = 'running' AND again
"""

# A job that was enqueued while it ran ends as if it were enqueued right after: due when that event said, and with a fresh start
# if it would have been given up.
_FAIL = f"""
UPDATE job SET
    state = iif(again, 'queued', ?1),
    due_ns = iif(again, due_ns, ?2),
    attempts = iif(again AND ?1 = 'dead_letter', 0, attempts),
    deaths = iif(again AND ?1 = 'dead_letter', 0, deaths + ?3),
    reason = ?4,
    facts = {_merged("facts", "next_facts")},
    {_FREE}
WHERE id = ?5 AND attempt = ?6 AND state = 'running' RETURNING state, kind, key
"""
FAILURES_KEPT = 10_000
_RELEASE = f"""
UPDATE job SET
    state = 'queued',
    due_ns = iif(again, due_ns, ?1),
    attempts = attempts - ?2,
    facts = {_merged("(" + _merged("facts", "?3") + ")", "next_facts")},
    {_FREE}
WHERE id = ?4 AND attempt = ?5 AND state = 'running'
"""
_RUNNING = """
SELECT id, attempt, attempts, deaths, owner_pid, owner_start, claimed_ns, lease_ns FROM job
WHERE state <> 'queued' AND state = 'running'
"""
_RETRY = "UPDATE job SET state = 'queued', due_ns = ?, attempts = 0, deaths = 0 WHERE state IN ('failed', 'dead_letter')"
_PURGE = "DELETE FROM job WHERE state <> 'running'"


def _uniform() -> float:
    return int.from_bytes(os.urandom(6), "big") / (1 << 48)  # `random` costs a start-up more than this does


class Queue(Backlog):
    """The queue of one database, for one process."""

    def __init__(
        self,
        db: Database,
        *,
        max_attempts: int = 5,
        backoff_first_s: float = 2.0,
        backoff_max_s: float = 3600.0,
        boot: str | None = None,
        boottime_ns: Callable[[], int] = clock.boottime_ns,
        uniform: Callable[[], float] = _uniform,
    ) -> None:
        """Work on an open queue.db; in a new boot every lease is void and every job due. The last three are for tests."""
        super().__init__(db, boot=boot, boottime_ns=boottime_ns)
        self._db = db
        self._max_attempts = max_attempts
        self._backoff_first_s, self._backoff_max_s = backoff_first_s, backoff_max_s
        self._uniform = uniform
        self._pid = os.getpid()
        self._start = clock.process_start(self._pid)
        if not find_offset(db, self._boot)[1]:
            with db.transaction() as tx:
                self._begin_boot(tx)

    def _begin_boot(self, tx: Transaction) -> None:
        self._offset_ns, known = find_offset(tx, self._boot)
        if known:  # another process was faster
            return
        tx.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?)", (self._boot, self._offset_ns))
        for id_, attempt, *_ in tx.query(_RUNNING):  # a boot is no fault of theirs: the attempt is given back
            tx.execute(_RELEASE, (self._now_ns(), 1, None, id_, attempt))

    @property
    def database(self) -> Database:
        """Return the database, for who writes other tables of it."""
        return self._db

    def enqueue(self, works: Iterable[Work]) -> int:
        """Put work into the queue, durably, and return how many pieces it was."""
        works = list(works)
        if not works:
            return 0
        trace("enqueue:before")
        with self._db.transaction() as tx:
            done = self.enqueue_in(tx, works)
        trace("enqueue:after")
        return done

    def enqueue_in(self, tx: Transaction, works: Iterable[Work]) -> int:
        """Enqueue in the caller's transaction.

        One that exists is changed, not doubled: the more urgent priority; facts merged, the newer wins, null deletes
        (RFC 7396); due now without a delay. With one, a job not yet due follows the newest event, a due one keeps its turn.
        Running: it runs again, with the new facts. Failed: queued, its attempts kept. Dead letter: queued, from the start.
        """
        now_ns = self._now_ns()
        rows = [
            (kind, key, priority, now_ns + int(delay_s * NS), _dump(facts) if facts else None)
            for kind, key, priority, facts, delay_s in works
        ]
        tx.insert(_ENQUEUE, rows, (now_ns,))
        return len(rows)

    def claim(self, limit: int, lease_s: float, kinds: Sequence[str] | None = None) -> list[Job]:
        """Take up to `limit` due jobs for `lease_s` seconds, in order of priority, due time and age.

        A job that was lost with its worker and has one attempt left comes alone: if it is poison, it takes no other with it.
        """
        now_ns = self._now_ns()
        due = [group for group in self._groups(kinds) if group.due_ns <= now_ns]
        if not due:
            return []  # an idle claimer takes no lock
        rows: list[Row] = []
        with self._db.transaction(durable=False) as tx:
            for _, groups in itertools.groupby(due, key=lambda group: group.priority):
                rows += self._take(tx, list(groups), limit - len(rows), now_ns, now_ns + int(lease_s * NS))
                if len(rows) >= limit:
                    break
            rows = self._set_apart(tx, rows)
        trace("claim:after")
        return [
            Job(id_, attempt, kind, key, priority, load(facts), attempts, max(0.0, (now_ns - due_ns) / NS))
            for due_ns, id_, attempt, kind, key, priority, facts, attempts, _ in rows
        ]

    def _take(self, tx: Transaction, groups: list[Group], limit: int, now_ns: int, lease_ns: int) -> list[Row]:
        """Claim from the groups of one priority."""
        sql = _CLAIM.format(first=" UNION ALL ".join([_FIRST] * len(groups)))
        first = [value for group in groups for value in (group.priority, group.kind, now_ns, limit)]
        return sorted(tx.query(sql, (self._pid, self._start, now_ns, lease_ns, *first, limit)))  # RETURNING has no order

    def _set_apart(self, tx: Transaction, rows: list[Row]) -> list[Row]:
        def is_suspect(row: Row) -> bool:
            attempts, deaths = row[-2:]
            return bool(deaths) and attempts >= self._max_attempts

        if len(rows) < 2 or not any(map(is_suspect, rows)):
            return rows
        kept = rows[:1] if is_suspect(rows[0]) else [row for row in rows if not is_suspect(row)]
        ids = {row[1] for row in kept}
        tx.execute_many(_PUT_BACK, [row[1:3] for row in rows if row[1] not in ids])
        return kept

    def extend(self, job: Job, lease_s: float, facts: JSON | None = None) -> bool:
        """Hold a job for `lease_s` seconds from now, and keep facts (how far it got) for whoever comes after; False: lost."""
        with self._db.transaction(durable=False) as tx:
            return tx.execute(_EXTEND, (self._lease_ns(lease_s), _dump(facts) if facts else None, job.id, job.attempt)) == 1

    def extend_many(self, jobs: Sequence[Job], lease_s: float) -> list[Job]:
        """Hold many jobs for `lease_s` seconds from now; return those whose lease was lost."""
        lease_ns = self._lease_ns(lease_s)
        with self._db.transaction(durable=False) as tx:
            return [job for job in jobs if not tx.execute(_EXTEND, (lease_ns, None, job.id, job.attempt))]

    def _lease_ns(self, lease_s: float) -> int:
        return self._now_ns() + int(lease_s * NS)

    def complete(self, jobs: Sequence[Job]) -> list[Job]:
        """Finish jobs; return those whose lease was lost, whose result counts for nothing."""
        if not jobs:
            return []
        trace("complete:before")
        with self._db.transaction(durable=False) as tx:
            lost = self.complete_in(tx, jobs)
        trace("complete:after")
        return lost

    def complete_in(self, tx: Transaction, jobs: Sequence[Job]) -> list[Job]:
        """Complete in the caller's transaction."""
        running = set(tx.query(_HELD, (_dump([job.id for job in jobs]),)))
        held = [job.id for job in jobs if job[:2] in running]
        done = tx.execute(_DELETE, (_dump(held),))
        if done < len(held):
            done += tx.execute(_RUN_AGAIN, (_dump(held),))
        tx.execute("UPDATE counter SET value = value + ? WHERE name = 'completed'", (done,))
        return [job for job in jobs if job[:2] not in running]

    def overtaken(self, jobs: Sequence[Job]) -> list[Job]:
        """Return those of the jobs held that were enqueued once more since they were claimed, and so will run again."""
        again = {id_ for id_, _ in self._reader.query(f"{_HELD} AND again", (_dump([job.id for job in jobs]),))}
        return [job for job in jobs if job.id in again]

    def fail(self, job: Job, reason: str, *, retry: bool = True) -> JobState | None:
        """Record a failed attempt and return the job's new state; None: the lease was lost.

        failed: it is tried again after a pause. dead_letter: its attempts are used up, or `retry` is False. queued: it was
        enqueued again meanwhile.
        """
        state: JobState = "failed" if retry and job.attempts < self._max_attempts else "dead_letter"
        pause_s = backoff_s(job.attempts, self._backoff_first_s, self._backoff_max_s, self._uniform)
        due_ns = self._now_ns() + (int(pause_s * NS) if state == "failed" else 0)
        with self._db.transaction() as tx:
            rows = tx.query(_FAIL, (state, due_ns, 0, reason, job.id, job.attempt))
            _keep_failures(tx, [(*row, reason) for row in rows])
        return rows[0][0] if rows else None

    def release(self, job: Job, delay_s: float = 0.0, facts: JSON | None = None, refund: bool = True) -> bool:
        """Give a job back to be claimed in `delay_s` seconds, with more facts; False: the lease was lost.

        With `refund` the attempt does not count: the file has not settled, or this process ends.
        """
        values = (self._lease_ns(delay_s), int(refund), _dump(facts) if facts else None, job.id, job.attempt)
        with self._db.transaction(durable=False) as tx:
            return tx.execute(_RELEASE, values) == 1

    def rescue(self, older_than_s: float | None = None) -> int:
        """Take back the jobs of dead processes and those whose lease ran out; return how many.

        older_than_s: also every job that has run for so long. What has no attempt left becomes a dead letter.
        """
        if not self._lost(older_than_s):
            return 0  # the usual case takes no lock
        with self._db.transaction() as tx:
            lost = self._lost(older_than_s)
            for why, (id_, attempt, attempts, deaths) in lost:
                state = "queued" if attempts < self._max_attempts else "dead_letter"
                reason = f"{why} {deaths + 1} times" if deaths else why
                rows = tx.query(_FAIL, (state, self._now_ns(), 1, reason, id_, attempt))
                _keep_failures(tx, [(*row, reason) for row in rows])
        return len(lost)

    def _lost(self, older_than_s: float | None) -> list[tuple[str, Row]]:
        longest_ns = None if older_than_s is None else int(older_than_s * NS)
        rows, now_ns = self._reader.query(_RUNNING), self._now_ns()
        alive = {owner: clock.is_alive(clock.boot_id(), *owner) for owner in {row[4:6] for row in rows}}
        found = [(why_lost(Holder(*row[4:]), now_ns, longest_ns, lambda *owner: alive[owner]), row[:4]) for row in rows]
        return [(why, row) for why, row in found if why]

    def count(self, name: str, more: int) -> None:
        """Add to a counter."""
        with self._db.transaction() as tx:
            sql = "INSERT INTO counter VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2"
            tx.execute(sql, (name, more))

    def retry(self, ids: Sequence[int] = (), state: JobState | None = None) -> int:
        """Queue failed jobs and dead letters again, from the start and at once: those named, or all in one state."""
        return self._on(_RETRY, (self._now_ns(),), ids, state)

    def purge(self, ids: Sequence[int] = (), state: JobState | None = None) -> int:
        """Delete jobs, never running ones: those named, or all in one state. Return how many."""
        return self._on(_PURGE, (), ids, state)

    def _on(self, sql: str, params: tuple[int, ...], ids: Sequence[int], state: JobState | None) -> int:
        assert ids or state, "which jobs?"
        with self._db.transaction() as tx:
            if state:
                return tx.execute(f"{sql} AND state = ?", (*params, state))
            return tx.execute(f"{sql} AND id IN (SELECT value FROM json_each(?))", (*params, _dump(list(ids))))


def _keep_failures(tx: Transaction, failed: Sequence[Row]) -> None:
    """Keep what failed, (state, kind, key, reason) each: of a job that is done later nothing else is left."""
    sql = "INSERT INTO failure (at_s, state, kind, key, reason) VALUES (?, ?, ?, ?, ?)"
    tx.execute_many(sql, [(int(time.time()), *row) for row in failed])
    tx.execute("DELETE FROM failure WHERE id <= (SELECT max(id) FROM failure) - ?", (FAILURES_KEPT,))
