"""Alerts and silences: what somebody is to hear of, how that stands, and what nobody wants to hear.

`Alerts` takes an open queue.db. `evaluate` is one transaction: what is known goes to a pure function, and what that decided, with
the messages that follow from it, is written; so two processes never decide on the same. Times are seconds since 1970, given by the
caller. Reads and writes `alert`, `silence` and, through outbox.py, `outbox` of queue.db.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from typing import Literal, NamedTuple

from autoops.model import JSON
from autoops.store.database import Database, Reader, Row, Transaction
from autoops.store.outbox import Item, enqueue_in
from autoops.trace import trace

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")  # the gravest first
KEPT = 10_000  # resolved ones

_COLUMNS = (
    "fingerprint, source, name, subject, severity, summary, evidence, runbook, state, seen, since_s, fired_s, resolved_s, due_s,"
    " first_told_s, told, escalated_s, acked_s, acked_by, acked_severity, reason, decided_s"
)
_dump = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


class Alert(NamedTuple):
    """One trouble, as its row in queue.sql describes it."""

    fingerprint: str
    source: str
    name: str
    subject: str
    severity: Severity
    summary: str
    evidence: JSON
    runbook: str
    state: Literal["pending", "firing", "resolved"]
    seen: int
    since_s: int
    fired_s: int | None = None
    resolved_s: int | None = None
    due_s: int | None = None
    first_told_s: int | None = None
    told: tuple[str, ...] = ()
    escalated_s: int | None = None
    acked_s: int | None = None
    acked_by: str = ""
    acked_severity: str = ""
    reason: str = ""
    decided_s: int = 0

    @property
    def label(self) -> str:
        """What patterns are matched with."""
        return f"{self.source}:{self.name}:{self.subject}"


class Silence(NamedTuple):
    """What a person wants to hear nothing of."""

    id: int
    pattern: str
    since_s: int
    until_s: int
    who: str
    why: str


class Plan(NamedTuple):
    """What was decided: alerts that are others now, and what is to be told."""

    alerts: list[Alert]
    items: list[Item]


Decide = Callable[[list[Alert], list[Silence]], Plan]


class Alerts:
    """The alerts of one queue.db."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def evaluate(self, decide: Decide, now_s: int) -> Plan:
        """Have `decide` look at what is not over yet, and write what it decided; return that. Raises StorageError."""
        with self._db.transaction() as tx:
            known = [_alert(row) for row in tx.query(f"SELECT {_COLUMNS} FROM alert WHERE state <> 'resolved'")]
            known += [
                _alert(row) for row in tx.query(f"SELECT {_COLUMNS} FROM alert WHERE state = 'resolved' AND due_s IS NOT NULL")
            ]
            plan = decide(known, _silences(tx, now_s))
            _write(tx, plan.alerts)
            enqueue_in(tx, plan.items, now_s)
            if any(alert.state == "resolved" for alert in plan.alerts):
                _forget(tx)
        if plan.items:
            trace("alert:enqueued")
        return plan

    # what people do

    def acknowledge(self, fingerprints: Collection[str], who: str, now_s: int) -> int:
        """Record that a person knows of standing alerts; return how many stood."""
        with self._db.transaction() as tx:
            return tx.execute_many(
                "UPDATE alert SET acked_s = ?, acked_by = ?, acked_severity = severity, reason = 'acknowledged by ' || ?,"
                " decided_s = ?"
                " WHERE fingerprint = ? AND state <> 'resolved'",
                [(now_s, who, who, now_s, one) for one in fingerprints],
            )

    def silence(self, pattern: str, who: str, why: str, now_s: int, until_s: int) -> int:
        """Begin a silence; return its number. Those that ended a month ago are forgotten."""
        with self._db.transaction() as tx:
            tx.execute("DELETE FROM silence WHERE until_s < ?", (now_s - 31 * 86400,))
            sql = "INSERT INTO silence (pattern, since_s, until_s, who, why) VALUES (?, ?, ?, ?, ?) RETURNING id"
            return int(tx.query(sql, (pattern, now_s, until_s, who, why))[0][0])

    def unsilence(self, numbers: Collection[int], now_s: int) -> int:
        """End silences now; return how many there were."""
        with self._db.transaction() as tx:
            return tx.execute_many(
                "UPDATE silence SET until_s = ? WHERE id = ? AND until_s > ?", [(now_s, number, now_s) for number in numbers]
            )

    # reading

    def silences(self, now_s: int) -> list[Silence]:
        """Return the silences in force."""
        return _silences(self._db, now_s)

    def get(self, fingerprint: str) -> Alert | None:
        """Return one alert."""
        row = self._db.one(f"SELECT {_COLUMNS} FROM alert WHERE fingerprint = ?", (fingerprint,))
        return _alert(row) if row else None

    def find(self, beginning: str) -> list[Alert]:
        """Return the alerts whose fingerprint begins so."""
        sql = f"SELECT {_COLUMNS} FROM alert WHERE fingerprint >= ?1 AND fingerprint < ?1 || 'g' ORDER BY fingerprint"
        return [_alert(row) for row in self._db.query(sql, (beginning,))]

    def list(self, *, resolved: bool = False, limit: int = 1000) -> list[Alert]:
        """Return alerts that stand, the gravest first; with `resolved`, the others, the latest first."""
        which = "=" if resolved else "<>"
        order = "resolved_s DESC" if resolved else "CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, since_s"
        rows = self._db.query(
            f"SELECT {_COLUMNS} FROM alert WHERE state {which} 'resolved' ORDER BY {order}, fingerprint LIMIT ?",
            (limit,),
        )
        return [_alert(row) for row in rows]


def _silences(reader: Reader, now_s: int) -> list[Silence]:
    sql = "SELECT id, pattern, since_s, until_s, who, why FROM silence WHERE until_s > ? ORDER BY id"
    return [Silence(*row) for row in reader.query(sql, (now_s,))]


def _write(tx: Transaction, alerts: Iterable[Alert]) -> None:
    marks = ", ".join("?" * len(Alert._fields))
    rows = [one._replace(evidence=_dump(one.evidence), told=_dump(one.told)) for one in alerts]  # type: ignore[arg-type]
    if rows:
        tx.execute_many(f"INSERT OR REPLACE INTO alert ({_COLUMNS}) VALUES ({marks})", rows)


def _forget(tx: Transaction) -> None:
    """Remove old resolved alerts, but none that a message is still to tell of."""
    tx.execute(
        "DELETE FROM alert WHERE state = 'resolved' AND due_s IS NULL AND resolved_s <="
        " (SELECT resolved_s FROM alert WHERE state = 'resolved' ORDER BY resolved_s DESC LIMIT 1 OFFSET ?) AND NOT EXISTS"
        " (SELECT 1 FROM outbox_item JOIN outbox ON outbox.id = outbox WHERE outbox_item.fingerprint = alert.fingerprint"
        " AND outbox.state IN ('queued', 'sending'))",
        (KEPT,),
    )


def _alert(row: Row) -> Alert:
    made = Alert._make(row)
    return made._replace(evidence=json.loads(row[6]), told=tuple(json.loads(row[15])))
