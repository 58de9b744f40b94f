"""The queue as a reader sees it: how much is left, since when, and what is wrong with it. Reads queue.db, writes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Literal, NamedTuple, cast

from autoops import clock
from autoops.core.hints import renames_of
from autoops.model import JSON, JobKind, JobState, split_key
from autoops.store.database import Reader

NS = 1_000_000_000
READY = "state IN ('queued', 'failed')"  # word for word as in the index, or SQLite does not use it

# Given up, a job says nothing any more. The condition is the index's, word for word, too.
_RENAMED = """
SELECT key, facts, next_facts FROM job
WHERE (instr(facts, '"moved_from":[') OR instr(next_facts, '"moved_from":[')) AND state <> 'dead_letter'
"""

# Step from one (priority, kind) to the next; each answers with its first due time. Two statements, for SQLite seeks the one row
# value `(priority, kind) > (?, ?)` by its first column and walks through the rest of the group.
_NEXT_KIND = f"""
SELECT priority, kind, due_ns FROM job WHERE {READY} AND priority = ? AND kind > ? ORDER BY kind, due_ns LIMIT 1
"""
_NEXT_PRIORITY = f"""
SELECT priority, kind, due_ns FROM job WHERE {READY} AND priority > ? ORDER BY priority, kind, due_ns LIMIT 1
"""
_LIST = """
SELECT id, kind, key, priority, state, attempts, due_ns, facts, reason, again, owner_pid, lease_ns FROM job
"""


class Group(NamedTuple):
    """The jobs of one kind and priority that wait to be claimed."""

    priority: int
    kind: JobKind
    due_ns: int  # of the first of them


class Listed(NamedTuple):
    """One job as it is shown."""

    id: int
    kind: JobKind
    key: bytes
    priority: int
    state: JobState
    attempts: int
    due_in_s: float  # negative: it has been due for so long; of a dead letter, since when it is one
    facts: JSON
    reason: str  # of its last failure, "" when there was none
    again: bool
    owner_pid: int | None
    lease_in_s: float | None


def load(facts: str | None) -> JSON:
    """Return stored facts; a null, which deletes a fact when merged, is no fact."""
    return {name: value for name, value in json.loads(facts).items() if value is not None} if facts else {}


def find_offset(reader: Reader, boot: str) -> tuple[int, bool]:
    """Return the offset of the queue's clock in this boot, and whether the database says so itself.

    In a new boot the clock goes on from the latest due time: all that waited is due, in its old order.
    """
    row = reader.one("SELECT boot_id, offset_ns FROM clock")
    if row and row[0] == boot:
        return int(row[1]), True
    latest = reader.one(f"SELECT max(due_ns) FROM job WHERE {READY}")
    running = reader.one("SELECT max(due_ns) FROM job WHERE state <> 'queued' AND state = 'running'")
    return max((found[0] for found in (latest, running) if found and found[0] is not None), default=0), False


class Backlog:
    """A reader of the queue."""

    def __init__(self, reader: Reader, *, boot: str | None = None, boottime_ns: Callable[[], int] = clock.boottime_ns) -> None:
        """Read with `reader`, a Database or a snapshot of one; boot and clock are arguments for tests."""
        self._reader = reader
        self._boot = boot or clock.boot_id()
        self._boottime_ns = boottime_ns
        self._offset_ns = find_offset(reader, self._boot)[0]

    def _now_ns(self) -> int:
        return self._boottime_ns() + self._offset_ns

    def _groups(self, kinds: Sequence[str] | None) -> Iterator[Group]:
        """Yield the groups that have a waiting job, the most urgent first; a few index look-ups, however long the backlog."""
        group: Group | None = None
        while row := (group and self._reader.one(_NEXT_KIND, group[:2])) or self._reader.one(
            _NEXT_PRIORITY, (group.priority if group else -1,)
        ):
            group = Group(*row)
            if kinds is None or group.kind in kinds:
                yield group

    def next_due_s(self, kinds: Sequence[str] | None = None) -> float | None:
        """Return in how many seconds the next job is due (0: now), None when none waits."""
        due = min((group.due_ns for group in self._groups(kinds)), default=None)
        return None if due is None else max(0.0, (due - self._now_ns()) / NS)

    def oldest_s(self, kinds: Sequence[str] | None = None) -> float:
        """Return for how many seconds the oldest due job has waited, 0 when none is due."""
        now_ns = self._now_ns()
        return max((now_ns - group.due_ns for group in self._groups(kinds) if group.due_ns <= now_ns), default=0) / NS

    def counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state; completed counts all that ever were, for they have no rows."""
        rows = self._reader.query("SELECT state, count(*) FROM job WHERE state <> 'queued' GROUP BY state")
        found = cast("dict[JobState, int]", dict(rows))
        ready = self.waiting()
        (completed,) = self._reader.one("SELECT value FROM counter WHERE name = 'completed'") or (0,)
        failed = found.get("failed", 0)
        return {
            "queued": ready - failed,
            "running": found.get("running", 0),
            "completed": completed,
            "failed": failed,
            "dead_letter": found.get("dead_letter", 0),
        }

    def waiting(self) -> int:
        """Return how many jobs wait to be claimed."""
        return int((self._reader.one(f"SELECT count(*) FROM job WHERE {READY}") or (0,))[0])

    def counter(self, name: str) -> int:
        """Return a sum of what has no rows any more; 0 when nothing was ever counted."""
        row = self._reader.one("SELECT value FROM counter WHERE name = ?", (name,))
        return int(row[0]) if row else 0

    def horizon(self) -> int:
        """Return the highest job id so far: whatever is enqueued later as a new job has a higher one."""
        row = self._reader.one("SELECT seq FROM sqlite_sequence WHERE name = 'job'")
        return int(row[0]) if row else 0

    def to_be_claimed(self, kind: JobKind) -> set[bytes]:
        """Return the keys of the jobs of a kind that will be claimed from now on: they wait, or run and will run again."""
        sql = f"SELECT key FROM job WHERE kind = ? AND ({READY} OR (state = 'running' AND again))"
        return {key for (key,) in self._reader.query(sql, (kind,))}

    def unfinished(self, up_to_id: int, kinds: Sequence[str] | None = None) -> int:
        """Return how many jobs with an id up to this one still wait or run; given up counts as finished."""
        running = self._reader.query("SELECT kind FROM job WHERE state <> 'queued' AND state = 'running' AND id <= ?", (up_to_id,))
        total = sum(1 for (kind,) in running if kinds is None or kind in kinds)
        for group in self._groups(kinds):
            sql = f"SELECT count(*) FROM job WHERE {READY} AND priority = ? AND kind = ? AND id <= ?"
            (waiting,) = self._reader.one(sql, (group.priority, group.kind, up_to_id)) or (0,)
            total += waiting
        return total

    def untried(self, kind: JobKind, priority: int) -> int:
        """Return how many jobs of one kind and priority wait for their first try, or are at it.

        One that was tried and put off (its file does not hold still) is no longer among them, however long it goes on.
        """
        waiting = f"SELECT count(*) FROM job WHERE {READY} AND priority = ? AND kind = ? AND attempt = 0"
        running = (
            "SELECT count(*) FROM job WHERE state <> 'queued' AND state = 'running' AND priority = ? AND kind = ? AND attempt = 1"
        )
        return sum(self._reader.query(sql, (priority, kind))[0][0] for sql in (waiting, running))

    def runs(self, kinds: Sequence[str]) -> bool:
        """Tell whether a job of these kinds runs."""
        running = self._reader.query("SELECT DISTINCT kind FROM job WHERE state <> 'queued' AND state = 'running'")
        return any(kind in kinds for (kind,) in running)

    def on_their_way(self, besides: Collection[bytes] = ()) -> set[tuple[str, bytes]]:
        """Return the former places (root, path) of files that were renamed, and whose new names nobody has looked at yet.

        besides: the keys of jobs that are being decided about, which do not count.
        """
        rows = self._reader.query(_RENAMED)
        waiting = [(split_key(key)[0], load(said)) for key, *both in rows if key not in besides for said in both]
        return {(root, name) for root, facts in waiting for former in renames_of(facts)[0] for name in former}

    def job_at(self, kind: JobKind, key: bytes) -> tuple[JobState, str] | None:
        """Return (state, reason of its last failure) of the job about something, None when there is none."""
        row = self._reader.one("SELECT state, coalesce(reason, '') FROM job WHERE kind = ? AND key = ?", (kind, key))
        return (row[0], row[1]) if row else None

    def list(self, state: Literal[JobState] | None = None, kind: str | None = None, limit: int = 100) -> list[Listed]:
        """Return jobs, the newest first. Of completed ones nothing is left to list."""
        wanted: list[tuple[str, Any]] = [("state = ?", state)] if state else []
        wanted += [("state <> 'queued' AND ?", 1)] if state and state != "queued" else []  # lets SQLite use the small index
        wanted += [("kind = ?", kind)] if kind else []
        where = " AND ".join(condition for condition, _ in wanted) or "1"
        sql = f"{_LIST} WHERE {where} ORDER BY id DESC LIMIT ?"
        now_ns = self._now_ns()
        rows = self._reader.query(sql, (*(value for _, value in wanted), limit))
        return [_listed(now_ns, *row) for row in rows]


def _listed(now_ns: int, id_: int, *row: Any) -> Listed:
    kind, key, priority, state, attempts, due_ns, facts, reason, again, owner_pid, lease_ns = row
    lease_in_s = None if lease_ns is None else (lease_ns - now_ns) / NS
    due_in_s = (due_ns - now_ns) / NS
    shown = (load(facts), reason or "", bool(again), owner_pid, lease_in_s)
    return Listed(id_, kind, key, priority, state, attempts, due_in_s, *shown)
