"""The outbox: messages that wait for their channels, and a receipt for each attempt.

Guarantees: a message is held by one sender at a time, and a late one's result is dropped (`settle` carries the attempt it belongs
to); what a dead sender held comes back; what joins a queued message, and what a failed one held, is told by one message later, so
that a channel that was away for a day is not flooded. `Outbox` takes an open queue.db; reads and writes `outbox`, `outbox_item`,
`receipt`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from autoops import clock
from autoops.store.database import Database, Transaction
from autoops.store.lease import Holder, backoff_s, why_lost
from autoops.trace import trace

KEPT = 200  # messages that are done with
RECEIPTS_KEPT = 10_000
_RANK = "CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END"
_FREE = "owner_boot = NULL, owner_pid = NULL, owner_start = NULL, claimed_ns = NULL, lease_ns = NULL"
_GRAVEST = "CASE alert.severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END"


class Item(NamedTuple):
    """One thing to be told to one channel."""

    channel: str
    severity: str  # of the message that it goes into
    fingerprint: str
    status: str  # "firing", "resolved"


class Claim(NamedTuple):
    """One message that this process may send, until its lease ends."""

    id: int
    attempt: int
    channel: str
    severity: str
    made_s: int


class Retry(NamedTuple):
    """How often it is tried."""

    first_s: float
    longest_s: float
    give_up_s: float


class Attempt(NamedTuple):
    """One attempt at a message that an alert was in."""

    outbox: int
    channel: str
    status: str
    state: str  # of the message
    attempt: int
    at_s: int | None  # None: not tried yet
    outcome: str
    detail: str


class Failing(NamedTuple):
    """A channel that takes nothing, and since when."""

    channel: str
    since_s: int
    attempts: int
    detail: str


def enqueue_in(tx: Transaction, items: Iterable[Item], now_s: int) -> None:
    """Put items into the queued message of their channel and severity, which is made when there is none, and is due at once."""
    ordered = sorted(items)
    for (channel, severity), group in itertools.groupby(ordered, key=lambda item: (item.channel, item.severity)):
        ((number,),) = tx.query(
            "INSERT INTO outbox (channel, severity, state, made_s, due_s) VALUES (?1, ?2, 'queued', ?3, ?3)"
            " ON CONFLICT (channel, severity) WHERE state = 'queued' DO UPDATE SET made_s = excluded.made_s, due_s = excluded.due_s"
            " RETURNING id",
            (channel, severity, now_s),
        )
        tx.execute_many(
            "INSERT OR REPLACE INTO outbox_item VALUES (?, ?, ?)", [(number, one.fingerprint, one.status) for one in group]
        )


class Outbox:
    """The outbox of one queue.db, for one process."""

    def __init__(self, db: Database, *, uniform: Callable[[], float]) -> None:
        """`uniform` gives a number in [0, 1), for the jitter of retries."""
        self._db, self._uniform = db, uniform
        self._boot, self._pid = clock.boot_id(), os.getpid()
        self._start = clock.process_start(self._pid)

    def claim(self, channel: str, lease_s: float, now_s: int, longest_s: float) -> Claim | None:
        """Take the gravest due message of a channel, None when there is none. Raises StorageError.

        What is due later than any retry (`longest_s`) could be, is due: then the clock was put back.
        """
        due = "channel = ? AND state = 'queued' AND (due_s <= ? OR due_s > ?)"
        params = (channel, now_s, now_s + int(longest_s) + 1)
        if self._db.one(f"SELECT 1 FROM outbox WHERE {due} LIMIT 1", params) is None:
            return None  # without the lock
        now_ns = clock.boottime_ns()
        with self._db.transaction() as tx:
            rows = tx.query(
                "UPDATE outbox SET state = 'sending', attempt = attempt + 1, owner_boot = ?, owner_pid = ?, owner_start = ?,"
                f" claimed_ns = ?, lease_ns = ? WHERE id = (SELECT id FROM outbox WHERE {due} ORDER BY {_RANK}, id LIMIT 1)"
                " RETURNING id, attempt, channel, severity, made_s",
                (self._boot, self._pid, self._start, now_ns, now_ns + int(lease_s * 1e9), *params),
            )
        if not rows:
            return None
        trace("outbox:claimed")
        return Claim(*rows[0])

    def settle(self, claim: Claim, *, sent: bool, detail: str, now_s: int, retry: Retry) -> bool:
        """Write the receipt of an attempt, and what becomes of the message. False: the lease was lost, and nothing was written."""
        with self._db.transaction() as tx:
            held = tx.query(
                "SELECT made_s FROM outbox WHERE id = ? AND attempt = ? AND state = 'sending'", (claim.id, claim.attempt)
            )
            if not held:
                return False
            _receive(tx, claim, now_s, "sent" if sent else "failed", detail)
            if sent:
                tx.execute(f"UPDATE outbox SET state = 'sent', error = '', {_FREE} WHERE id = ?", (claim.id,))
            elif now_s - held[0][0] >= retry.give_up_s:
                tx.execute(f"UPDATE outbox SET state = 'dead', error = ?, {_FREE} WHERE id = ?", (detail, claim.id))
            else:
                wait_s = backoff_s(claim.attempt, retry.first_s, retry.longest_s, self._uniform)
                _put_back(tx, claim, now_s + int(wait_s), detail)
            _forget(tx)
        trace("outbox:settled")
        return True

    def rescue(self, now_s: int) -> int:
        """Take back what dead senders held; return how many messages that were."""
        held = "SELECT id, attempt, channel, severity, made_s, owner_boot, owner_pid, owner_start, claimed_ns, lease_ns"
        held += " FROM outbox WHERE state = 'sending'"
        if not self._db.query(held):
            return 0
        with self._db.transaction() as tx:
            lost = [Claim(*row[:5]) for row in tx.query(held) if self._is_lost(str(row[5]), Holder(*row[6:]))]
            for claim in lost:
                _receive(tx, claim, now_s, "lost", "its sender died, or took too long; it may have been delivered")
                _put_back(tx, claim, now_s, "its sender died")
        return len(lost)

    def _is_lost(self, boot: str, holder: Holder) -> bool:
        return boot != self._boot or bool(
            why_lost(holder, clock.boottime_ns(), None, lambda pid, start: clock.is_alive(boot, pid, start))
        )

    def abandon(self, channels: Collection[str]) -> int:
        """Give up what waits for channels that are not among these; return how many messages that were."""
        strange = [
            one for (one,) in self._db.query("SELECT DISTINCT channel FROM outbox WHERE state = 'queued'") if one not in channels
        ]
        if not strange:
            return 0
        with self._db.transaction() as tx:
            sql = "UPDATE outbox SET state = 'dead', error = 'the channel is not configured any more' WHERE channel = ?"
            return tx.execute_many(f"{sql} AND state = 'queued'", [(one,) for one in strange])

    def enqueue(self, items: Iterable[Item], now_s: int) -> None:
        """Put items into the outbox, in a transaction of its own. Raises StorageError."""
        with self._db.transaction() as tx:
            enqueue_in(tx, items, now_s)
        trace("alert:enqueued")

    def note(self, channel: str, *, sent: bool, detail: str, now_s: int) -> None:
        """Write the receipt of a test message, which is in no outbox."""
        with self._db.transaction() as tx:
            _receive(tx, Claim(0, 0, channel, "", 0), now_s, "sent" if sent else "failed", detail)

    # reading

    def items(self, number: int, limit: int) -> tuple[list[tuple[str, str]], dict[tuple[str, str], int]]:
        """Return the first items (fingerprint, status) of a message, the gravest first, and how many of each (status, name)."""
        first = self._db.query(
            "SELECT outbox_item.fingerprint, status FROM outbox_item JOIN alert USING (fingerprint) WHERE outbox = ?"
            f" ORDER BY status, {_GRAVEST}, since_s, outbox_item.fingerprint LIMIT ?",
            (number, limit),
        )
        counts = self._db.query(
            "SELECT status, name, count(*) FROM outbox_item JOIN alert USING (fingerprint) WHERE outbox = ? GROUP BY status, name",
            (number,),
        )
        return [(one, status) for one, status in first], {(status, name): count for status, name, count in counts}

    def holds(self, number: int, fingerprint: str) -> bool:
        """Tell whether something is among the items of a message."""
        return self._db.one("SELECT 1 FROM outbox_item WHERE outbox = ? AND fingerprint = ?", (number, fingerprint)) is not None

    def failing(self) -> list[Failing]:
        """Return the channels whose attempts all failed since the last one that did not."""
        rows = self._db.query(
            "SELECT channel, min(at_s), count(*), max(id) FROM receipt WHERE outcome <> 'sent' AND id > coalesce((SELECT max(id)"
            " FROM receipt AS good WHERE good.channel = receipt.channel AND outcome = 'sent'), 0) GROUP BY channel ORDER BY channel"
        )
        return [
            Failing(channel, since_s, attempts, str((self._db.one("SELECT detail FROM receipt WHERE id = ?", (last,)) or ("",))[0]))
            for channel, since_s, attempts, last in rows
        ]

    def attempts(self, fingerprint: str, limit: int = 50) -> list[Attempt]:
        """Return what was tried to tell of an alert, the newest first."""
        rows = self._db.query(
            "SELECT outbox.id, outbox.channel, status, state, coalesce(receipt.attempt, 0), at_s, coalesce(outcome, ''),"
            " coalesce(detail, '') FROM outbox_item JOIN outbox ON outbox.id = outbox_item.outbox"
            " LEFT JOIN receipt ON receipt.outbox = outbox.id WHERE fingerprint = ?"
            " ORDER BY outbox.id DESC, receipt.id DESC LIMIT ?",
            (fingerprint, limit),
        )
        return [Attempt(*row) for row in rows]

    def waiting(self) -> list[tuple[str, str, str, int, int, str]]:
        """Return (channel, severity, state, due_s, attempts, error) of what is not sent."""
        sql = "SELECT channel, severity, state, due_s, attempt, error FROM outbox WHERE state <> 'sent' ORDER BY id"
        return [tuple(row) for row in self._db.query(sql)]


def _receive(tx: Transaction, claim: Claim, now_s: int, outcome: str, detail: str) -> None:
    tx.execute(
        "INSERT INTO receipt (outbox, channel, attempt, at_s, outcome, detail) VALUES (?, ?, ?, ?, ?, ?)",
        (claim.id, claim.channel, claim.attempt, now_s, outcome, detail),
    )


def _put_back(tx: Transaction, claim: Claim, due_s: int, error: str) -> None:
    """Queue a message again; when another one is queued for its channel, that one takes its items, and what is newer stays."""
    queued = tx.query(
        "SELECT id FROM outbox WHERE channel = ? AND severity = ? AND state = 'queued'", (claim.channel, claim.severity)
    )
    if not queued:
        sql = f"UPDATE outbox SET state = 'queued', due_s = ?, error = ?, {_FREE} WHERE id = ?"
        tx.execute(sql, (due_s, error, claim.id))
        return
    ((successor,),) = queued
    sql = "INSERT OR IGNORE INTO outbox_item SELECT ?, fingerprint, status FROM outbox_item WHERE outbox = ?"
    tx.execute(sql, (successor, claim.id))
    tx.execute("UPDATE outbox SET attempt = max(attempt, ?), error = ? WHERE id = ?", (claim.attempt, error, successor))
    tx.execute("UPDATE receipt SET outbox = ? WHERE outbox = ?", (successor, claim.id))
    tx.execute("DELETE FROM outbox WHERE id = ?", (claim.id,))


def _forget(tx: Transaction) -> None:
    """Remove old messages that are done with, and old receipts."""
    tx.execute(
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE state IN ('sent', 'dead') ORDER BY id DESC LIMIT -1 OFFSET ?)",
        (KEPT,),
    )
    tx.execute("DELETE FROM receipt WHERE id <= (SELECT max(id) FROM receipt) - ?", (RECEIPTS_KEPT,))
