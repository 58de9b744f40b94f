"""Playbooks: which remedy was tried when and how that ended, and which playbook is held until a person releases it.

`Playbooks` takes an open queue.db. Writing methods are one transaction each; `settle`, `hold` and `release` put what the ledger is
to say of it into the queue in the same one, so neither is ever there without the other. Times are seconds since 1970, given by the
caller. Reads and writes `playbook`, `playbook_run` and, through queue.py, `job` of queue.db.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from autoops.model import Work
from autoops.store.database import Database, Row
from autoops.store.queue import Queue

KEPT = 10_000  # runs
DAY_S = 86400

Outcome = Literal["running", "good", "failed"]
_RUN = "id, playbook, remedy, cause, began_s, ended_s, outcome, detail"


class Run(NamedTuple):
    """One run of a playbook, as its row in queue.sql describes it."""

    id: int
    playbook: str
    remedy: str
    cause: str
    began_s: int
    ended_s: int | None = None  # None: it runs, or whoever ran it has died
    outcome: Outcome = "running"
    detail: str = ""


class Known(NamedTuple):
    """What is known of one playbook."""

    recent: tuple[Run, ...] = ()  # since it was released last, of the last day or at least the last two; the oldest first
    held_s: int | None = None  # since when it is held; None: it is not
    why: str = ""
    released_s: int | None = None
    released_by: str = ""


class Account(NamedTuple):
    """What one playbook did in a time."""

    playbook: str
    runs: int
    good: int
    failed: int
    last_s: int | None  # when the last of these runs began; None: there was none
    cause: str  # of that run
    detail: str  # what went wrong in it
    held: str  # why it is held now, "" when it is not


class Playbooks:
    """The playbooks of one queue.db."""

    def __init__(self, db: Database) -> None:
        self._db = db

    # what the runner does

    def begin(self, playbook: str, remedy: str, cause: str, now_s: int) -> Run:
        """Record that a run begins. It counts from now on, whatever becomes of whoever runs it."""
        sql = (
            f"INSERT INTO playbook_run (playbook, remedy, cause, began_s, outcome) VALUES (?, ?, ?, ?, 'running') RETURNING {_RUN}"
        )
        with self._db.transaction() as tx:
            made = _run(tx.query(sql, (playbook, remedy, cause, now_s))[0])
            tx.execute(
                "DELETE FROM playbook_run WHERE outcome <> 'running'"
                " AND id <= (SELECT id FROM playbook_run ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (KEPT,),
            )
        return made

    def settle(self, run: Run, queue: Queue, said: Work, now_s: int, *, fault: str) -> Run | None:
        """Record how a run ended ("" for no fault), and have the ledger say it; return it, None when somebody else had."""
        sql = f"UPDATE playbook_run SET ended_s = ?, outcome = ?, detail = ? WHERE id = ? AND outcome = 'running' RETURNING {_RUN}"
        with self._db.transaction() as tx:
            rows = tx.query(sql, (now_s, "failed" if fault else "good", fault, run.id))
            if rows:
                queue.enqueue_in(tx, [said])
        return _run(rows[0]) if rows else None

    def hold(self, playbook: str, why: str, queue: Queue, said: Work, now_s: int) -> bool:
        """Hold a playbook until it is released, and have the ledger say it; say whether it was not held before."""
        with self._db.transaction() as tx:
            done = tx.execute(
                "INSERT INTO playbook (name, held_s, why) VALUES (?1, ?2, ?3)"
                " ON CONFLICT (name) DO UPDATE SET held_s = ?2, why = ?3 WHERE held_s IS NULL",
                (playbook, now_s, why),
            )
            if done:
                queue.enqueue_in(tx, [said])
        return bool(done)

    # what people do

    def release(self, playbook: str, who: str, queue: Queue, said: Work, now_s: int) -> bool:
        """Let a held playbook go on, as if it had never run, and have the ledger say it; say whether it was held."""
        with self._db.transaction() as tx:
            done = tx.execute(
                "UPDATE playbook SET held_s = NULL, why = '', released_s = ?, released_by = ?, released_run ="
                " (SELECT coalesce(max(id), 0) FROM playbook_run) WHERE name = ? AND held_s IS NOT NULL",
                (now_s, who, playbook),
            )
            if done:
                queue.enqueue_in(tx, [said])
        return bool(done)

    # reading

    def known(self, playbooks: Iterable[str], now_s: int) -> dict[str, Known]:
        """Return what counts of these playbooks."""
        return {name: self._known(name, now_s) for name in playbooks}

    def _known(self, name: str, now_s: int) -> Known:
        row = self._db.one("SELECT held_s, why, released_s, released_by, released_run FROM playbook WHERE name = ?", (name,))
        held_s, why, released_s, released_by, released_run = row or (None, "", None, "", 0)
        # a run of the future, of a clock that was put back, counts too
        sql = (
            f"SELECT {_RUN} FROM playbook_run WHERE playbook = ?1 AND id > ?2 AND (began_s > ?3 OR id IN"
            " (SELECT id FROM playbook_run WHERE playbook = ?1 AND id > ?2 ORDER BY id DESC LIMIT 2)) ORDER BY id"
        )
        runs = tuple(map(_run, self._db.query(sql, (name, released_run, now_s - DAY_S))))
        return Known(runs, held_s, why, released_s, released_by)

    def total(self, now_s: int) -> int:
        """Return how many runs of whatever playbook began within the last day."""
        row = self._db.one("SELECT count(*) FROM playbook_run WHERE began_s > ?", (now_s - DAY_S,))
        return int(row[0]) if row else 0

    def unfinished(self) -> list[Run]:
        """Return the runs of which nobody said how they ended."""
        return [_run(row) for row in self._db.query(f"SELECT {_RUN} FROM playbook_run WHERE outcome = 'running' ORDER BY id")]

    def runs(self, playbook: str, limit: int) -> list[Run]:
        """Return the runs of one playbook, the newest first."""
        sql = f"SELECT {_RUN} FROM playbook_run WHERE playbook = ? ORDER BY id DESC LIMIT ?"
        return [_run(row) for row in self._db.query(sql, (playbook, limit))]

    def held(self) -> list[tuple[str, str]]:
        """Return the playbooks that are held, configured or not, each with why."""
        rows = self._db.query("SELECT name, why FROM playbook WHERE held_s IS NOT NULL ORDER BY name")
        return [(name, why) for name, why in rows]

    def accounts(self, since_s: int, until_s: int) -> list[Account]:
        """Return what ran in a time, and what is held now, by name."""
        rows = self._db.query(
            "SELECT playbook, count(*), sum(outcome = 'good'), sum(outcome = 'failed'), max(began_s), max(id) FROM playbook_run"
            " WHERE began_s >= ? AND began_s < ? GROUP BY playbook",
            (since_s, until_s),
        )
        held = dict(self.held())
        found = {name: Account(name, 0, 0, 0, None, "", "", why) for name, why in held.items()}
        for name, runs, good, failed, last_s, newest in rows:
            cause, detail = self._db.query("SELECT cause, detail FROM playbook_run WHERE id = ?", (newest,))[0]
            found[name] = Account(name, runs, good, failed, last_s, cause, detail, held.get(name, ""))
        return [found[name] for name in sorted(found)]


def _run(row: Row) -> Run:
    return Run._make(row)
