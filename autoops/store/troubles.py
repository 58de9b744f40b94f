"""What went wrong in a time, counted: findings, jobs, deliveries, gaps, playbooks. Takes an open queue.db; writes nothing.

Every answer is an aggregate, so its size depends on how many kinds of trouble there are. Times are seconds since 1970; a time is
[since, until).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from autoops.model import JSON
from autoops.store.database import Database, Row
from autoops.store.findings import KEPT as FINDINGS_KEPT
from autoops.store.findings import STEPS_KEPT
from autoops.store.operations import GAPS_KEPT
from autoops.store.outbox import RECEIPTS_KEPT
from autoops.store.playbooks import KEPT as RUNS_KEPT
from autoops.store.queue import FAILURES_KEPT

_MOST_GROUPS = 100
FINDINGS, JOBS, DELIVERIES, COVERAGE, PLAYBOOKS = "finding", "job", "delivery", "coverage", "playbook"

# table, its column of time, what of it counts
_TABLES = {
    FINDINGS: ("finding_event", "at_s", "what = 'opened'"),
    JOBS: ("failure", "at_s", "1"),
    DELIVERIES: ("receipt", "at_s", "outcome <> 'sent'"),
    COVERAGE: ("gap", "since_s", "1"),
    PLAYBOOKS: ("playbook_run", "began_s", "outcome = 'failed'"),
}


class Group(NamedTuple):
    """One kind of trouble."""

    source: str  # one of the above
    kind: str  # of the finding or job, the channel, the reason of a gap, the playbook
    state: str  # "dead_letter", "failed", "lost" ...; "" where there is none
    reason: str
    times: int
    open: int  # how many of it stand now
    first_s: int
    last_s: int
    example: bytes  # the last of it: the subject, the key of a job, a path, what a playbook was for
    detail: JSON


class Span(NamedTuple):
    """How many findings were opened and closed in a time, and how many stand."""

    opened: int
    closed: int
    standing: int


class Troubles:
    """The troubles in one queue.db."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def groups(self, since_s: int, until_s: int) -> list[Group]:
        """Return everything that went wrong in a time, by source, the most frequent first."""
        time = (since_s, until_s)
        return [*self._findings(*time), *self._jobs(*time), *self._deliveries(*time), *self._gaps(*time), *self._playbooks(*time)]

    def failures(self, since_s: int, until_s: int) -> int:
        """Return how often a job failed in a time."""
        row = self._db.one("SELECT count(*) FROM failure WHERE at_s >= ? AND at_s < ?", (since_s, until_s))
        return int(row[0]) if row else 0

    def _findings(self, since_s: int, until_s: int) -> Iterator[Group]:
        rows = self._db.query(
            "SELECT f.kind, count(*), count(DISTINCT iif(f.closed_s IS NULL, f.id, NULL)), min(e.at_s), max(e.at_s), max(e.id)"
            " FROM finding_event e JOIN finding f ON f.id = e.finding WHERE e.what = 'opened' AND e.at_s >= ? AND e.at_s < ?"
            " GROUP BY f.kind ORDER BY 2 DESC, 1",
            (since_s, until_s),
        )
        sql = "SELECT subject, detail FROM finding WHERE id = (SELECT finding FROM finding_event WHERE id = ?)"
        for kind, count, standing, first_s, last_s, newest in rows:
            subject, detail = self._db.one(sql, (newest,)) or (b"", "{}")
            yield Group(FINDINGS, kind, "", "", count, standing, first_s, last_s, subject, json.loads(detail))

    def _jobs(self, since_s: int, until_s: int) -> Iterator[Group]:
        rows = self._db.query(
            "SELECT kind, state, reason, count(*), min(at_s), max(at_s), max(id) FROM failure WHERE at_s >= ? AND at_s < ?"
            " GROUP BY kind, state, reason ORDER BY 4 DESC, 1, 3 LIMIT ?",
            (since_s, until_s, _MOST_GROUPS),
        )
        stands = "SELECT count(*) FROM job WHERE state <> 'queued' AND state = ? AND kind = ? AND reason = ?"
        for kind, state, reason, count, first_s, last_s, newest in rows:
            standing = self._db.query(stands, (state, kind, reason))[0][0] if state == "dead_letter" else 0
            yield Group(JOBS, kind, state, reason, count, standing, first_s, last_s, self._key_of(newest), {})

    def _deliveries(self, since_s: int, until_s: int) -> Iterator[Group]:
        rows = self._db.query(
            "SELECT channel, outcome, count(*), min(at_s), max(at_s), max(id) FROM receipt"
            " WHERE outcome <> 'sent' AND at_s >= ? AND at_s < ? GROUP BY channel, outcome ORDER BY 3 DESC, 1",
            (since_s, until_s),
        )
        waits = "SELECT count(*) FROM outbox WHERE channel = ? AND state IN ('queued', 'sending') AND attempt > 0"
        for channel, outcome, count, first_s, last_s, newest in rows:
            waiting = self._db.query(waits, (channel,))[0][0]
            reason = str((self._db.one("SELECT detail FROM receipt WHERE id = ?", (newest,)) or ("",))[0])
            yield Group(DELIVERIES, channel, outcome, reason, count, waiting, first_s, last_s, b"", {})

    def _gaps(self, since_s: int, until_s: int) -> Iterator[Group]:
        rows = self._db.query(
            "SELECT reason, count(*), sum(until_s IS NULL), min(since_s), max(since_s), max(id) FROM gap"
            " WHERE since_s >= ? AND since_s < ? GROUP BY reason ORDER BY 2 DESC, 1",
            (since_s, until_s),
        )
        for reason, count, standing, first_s, last_s, newest in rows:
            root, path, said = self._db.one("SELECT root, path, detail FROM gap WHERE id = ?", (newest,)) or ("", b"", "")
            where = root.encode() + (b"/" + path if path else b"")
            yield Group(COVERAGE, reason, "", said, count, standing, first_s, last_s, where, {})

    def _playbooks(self, since_s: int, until_s: int) -> Iterator[Group]:
        rows = self._db.query(
            "SELECT playbook, count(*), min(began_s), max(began_s), max(id) FROM playbook_run"
            " WHERE outcome = 'failed' AND began_s >= ? AND began_s < ? GROUP BY playbook ORDER BY 2 DESC, 1",
            (since_s, until_s),
        )
        for name, count, first_s, last_s, newest in rows:
            held = self._db.query("SELECT count(*) FROM playbook WHERE name = ? AND held_s IS NOT NULL", (name,))[0][0]
            cause, said = self._db.query("SELECT cause, detail FROM playbook_run WHERE id = ?", (newest,))[0]
            yield Group(PLAYBOOKS, name, "", said, count, held, first_s, last_s, cause.encode(), {})

    def _key_of(self, failure: int) -> bytes:
        row = self._db.one("SELECT key FROM failure WHERE id = ?", (failure,))
        return bytes(row[0]) if row else b""

    def counts(self, since_s: int, until_s: int) -> dict[str, int]:
        """Return how often something went wrong, by source."""
        return {
            source: int(
                self._db.query(f"SELECT count(*) FROM {table} WHERE {which} AND {at} >= ? AND {at} < ?", (since_s, until_s))[0][0]
            )
            for source, (table, at, which) in _TABLES.items()
        }

    def buckets(self, since_s: int, until_s: int, bucket_s: int) -> dict[str, dict[int, int]]:
        """Return how often something went wrong, by source and number of the bucket since the beginning of a time."""
        return {source: dict(self._bucket_rows(*how, since_s, until_s, bucket_s)) for source, how in _TABLES.items()}

    def _bucket_rows(self, table: str, at: str, which: str, since_s: int, until_s: int, bucket_s: int) -> list[Row]:
        sql = f"SELECT ({at} - ?1) / ?3, count(*) FROM {table} WHERE {which} AND {at} >= ?1 AND {at} < ?2 GROUP BY 1"
        return self._db.query(sql, (since_s, until_s, bucket_s))

    def known_since(self) -> dict[str, int]:
        """Return the sources of which not everything is kept, and since when it is."""
        kept = {
            FINDINGS: ("SELECT count(*), min(closed_s) FROM finding WHERE closed_s IS NOT NULL", FINDINGS_KEPT),
            JOBS: ("SELECT count(*), min(at_s) FROM failure", FAILURES_KEPT),
            DELIVERIES: ("SELECT count(*), min(at_s) FROM receipt", RECEIPTS_KEPT),
            COVERAGE: ("SELECT count(*), min(until_s) FROM gap WHERE until_s IS NOT NULL", GAPS_KEPT),
            PLAYBOOKS: ("SELECT count(*), min(began_s) FROM playbook_run", RUNS_KEPT),
        }
        found = {source: (self._db.query(sql)[0], most) for source, (sql, most) in kept.items()}
        known = {source: int(oldest_s) for source, ((count, oldest_s), most) in found.items() if count >= most}
        cut = "SELECT min(at_s) AS oldest_s FROM finding_event GROUP BY finding HAVING count(*) >= ?"
        cut_s = self._db.query(f"SELECT max(oldest_s) FROM ({cut})", (STEPS_KEPT,))[0][0]
        return known if cut_s is None else known | {FINDINGS: max(cut_s, known.get(FINDINGS, cut_s))}

    def findings(self, since_s: int, until_s: int) -> Span:
        """Return how many findings were opened and closed in a time, and how many stand now."""
        sql = "SELECT coalesce(sum(what = 'opened'), 0), coalesce(sum(what = 'closed'), 0) FROM finding_event"
        opened, closed = self._db.query(f"{sql} WHERE at_s >= ? AND at_s < ?", (since_s, until_s))[0]
        return Span(opened, closed, self._db.query("SELECT count(*) FROM finding WHERE closed_s IS NULL")[0][0])

    def deliveries_s(self, since_s: int, until_s: int) -> list[int]:
        """Return how long each message of a time took from when its newest item was put into it until it was taken, in seconds."""
        rows = self._db.query(
            "SELECT max(0, receipt.at_s - outbox.made_s) FROM receipt JOIN outbox ON outbox.id = receipt.outbox"
            " WHERE outcome = 'sent' AND at_s >= ? AND at_s < ?",
            (since_s, until_s),
        )
        return [took_s for (took_s,) in rows]
