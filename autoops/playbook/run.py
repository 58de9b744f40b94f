"""One run of the playbooks: look, decide, carry out, look again, and say in the ledger what became of it.

A run of a playbook is recorded before anything is done, so one that is killed half way counts as failed. Reads and writes queue.db;
what is carried out is in perform.py. For whoever holds the lock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from autoops import names
from autoops.config import PlaybookConfig
from autoops.core.drift import PLAYBOOK_FAILED, PLAYBOOK_SPENT, UNIT_FAILED
from autoops.log import emit
from autoops.model import Work, note
from autoops.playbook.decide import Limits, Verdict, decide, gives_up
from autoops.playbook.perform import Settings, objection, perform
from autoops.runtime import maintenance
from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.playbooks import Playbooks, Run
from autoops.store.queue import Queue
from autoops.trace import trace

_ACTOR = "playbook"
_DIED = "whoever carried it out has died in the middle of it"


class Done(NamedTuple):
    """What became of a playbook that was to be carried out."""

    playbook: str
    outcome: Literal["good", "failed", "unmet"]
    said: str = ""


def verdicts(database: Database, settings: Settings, only: Sequence[PlaybookConfig] = (), *, force: bool = False) -> list[Verdict]:
    """Return what becomes of each playbook now, or of some. Raises StorageError."""
    tables, now_s = only or settings.config.playbook_tables, int(time.time())
    books = Playbooks(database)
    limits = Limits(settings.config.playbooks.at_most, books.total(now_s))
    known = books.known([one.name for one in tables], now_s)
    return decide(tables, settings.look(tables), known, limits, now_s, force=force)


def carry_out_due(database: Database, queue: Queue, settings: Settings) -> list[Done]:
    """Carry out whatever is due, each playbook at most once; hold what does not help. Raises StorageError.

    One that would be carried out, but for the budget of all of them, is told: else it would wait for a day, and nobody would know.
    """
    done: list[Done] = []
    waiting: dict[bytes, str] = {}
    tidy(database, queue)
    for one in settings.config.playbook_tables:
        # decided anew for each: what came before may have helped, and a window may have been opened
        if maintenance.is_set(settings.state.flag):
            return done
        (verdict,) = verdicts(database, settings, [one])
        if verdict.action == "escalate":
            hold(database, queue, verdict)
        elif verdict.action == "run":
            done.append(carry_out_one(database, queue, settings, verdict))
        elif verdict.action == "spent":
            waiting[one.name.encode()] = verdict.reason
    _tell_who_waits(database, waiting)
    return done


def _tell_who_waits(database: Database, waiting: Mapping[bytes, str]) -> None:
    """Let the findings about the budget be about these playbooks, each with why, and no others."""
    findings, now_s = Findings(database), int(time.time())
    told = {one.subject for one in findings.list(PLAYBOOK_SPENT)}
    findings.open([(PLAYBOOK_SPENT, name, {"reason": why}) for name, why in waiting.items() if name not in told], now_s)
    findings.close([(PLAYBOOK_SPENT, name) for name in told - waiting.keys()], now_s)


def tidy(database: Database, queue: Queue) -> None:
    """Settle the runs whose runner died. What is held is told, and what is told is held. Raises StorageError.

    (The finding may have been closed by hand; and the hold may be gone with a damaged queue.db, of which findings were saved.)
    """
    for run in Playbooks(database).unfinished():
        _settle(database, queue, run, _DIED)
    held = {name.encode(): why for name, why in Playbooks(database).held()}
    told = {one.subject: str(one.detail.get("reason", "")) for one in Findings(database).list(PLAYBOOK_FAILED)}
    Findings(database).open([(PLAYBOOK_FAILED, name, {"reason": held[name]}) for name in held.keys() - told], int(time.time()))
    for name in told.keys() - held:
        _hold(database, queue, names.text(name), told[name])


def hold(database: Database, queue: Queue, verdict: Verdict) -> None:
    """Hold a playbook until a person releases it, and see to it that one is told. Raises StorageError."""
    _hold(database, queue, verdict.playbook.name, verdict.reason)


def release(database: Database, queue: Queue, playbook: str, who: str) -> bool:
    """Let a held playbook go on; say whether it was held. Raises StorageError."""
    now_s = int(time.time())
    key, source = f"playbook:release:{playbook}:{time.time_ns()}", f"playbook:{playbook}"
    said = note(key, f"operator:{who}", source, f"{playbook} is released")
    # first what is told: a hold without its finding is told again, a finding without its hold is a hold (tidy)
    Findings(database).close([(PLAYBOOK_FAILED, playbook.encode())], now_s, who)
    return Playbooks(database).release(playbook, who, queue, said, now_s)


def carry_out_one(database: Database, queue: Queue, settings: Settings, verdict: Verdict) -> Done:
    """Carry out one playbook that is to be run. Raises StorageError."""
    one, trouble = verdict.playbook, verdict.trouble
    assert trouble is not None
    if why := objection(settings, verdict):
        return Done(one.name, "unmet", why)
    run = Playbooks(database).begin(one.name, one.remedy, trouble.label, int(time.time()))
    trace("playbook:begun")
    fault = perform(settings, verdict, lambda: _close_what_was_restarted(database, one))
    _settle(database, queue, run, fault)
    return Done(one.name, "failed" if fault else "good", fault)


def take_over(database: Database, queue: Queue, runs: Sequence[Run]) -> None:
    """Record runs that were carried out while queue.db had no room, as they ended. Raises StorageError."""
    for run in runs:
        made = Playbooks(database).begin(run.playbook, run.remedy, run.cause, run.began_s)
        _settle(database, queue, made, run.detail if run.outcome != "running" else _DIED, run.ended_s)


def _close_what_was_restarted(database: Database, one: PlaybookConfig) -> None:
    """Close the finding that a unit failed, when it was started anew and runs: the health check would do so minutes later."""
    if one.remedy == "restart-unit" and one.trouble[:2] == ("finding", UNIT_FAILED):
        Findings(database).close([(UNIT_FAILED, one.unit.encode())], int(time.time()))


def _settle(database: Database, queue: Queue, run: Run, fault: str, ended_s: int | None = None) -> None:
    """Record how a run ended (now, unless it is said when), and hold the playbook if that was once too often."""
    now_s, books = ended_s or int(time.time()), Playbooks(database)
    settled = books.settle(run, queue, _said(run, fault, now_s), now_s, fault=fault)
    if settled is None:
        return
    trace("playbook:settled")
    facts = {"playbook": run.playbook, "cause": run.cause, "took_s": now_s - run.began_s}
    if fault:
        emit("playbook_failed", reason=fault, **facts)
    else:
        emit("playbook_ran", **facts)
    if why := gives_up(books.known([run.playbook], now_s)[run.playbook].recent):
        _hold(database, queue, run.playbook, why)


def _said(run: Run, fault: str, now_s: int) -> Work:
    how = f"failed: {fault}" if fault else "good"
    reason = f"run {run.id} of {run.playbook} ({run.remedy}), for {run.cause}: {how}; {max(0, now_s - run.began_s)} s"
    return note(f"playbook:run:{run.id}:{run.began_s}", _ACTOR, f"playbook:{run.playbook}", reason)


def _hold(database: Database, queue: Queue, playbook: str, why: str) -> None:
    now_s = int(time.time())
    said = note(f"playbook:hold:{playbook}:{time.time_ns()}", _ACTOR, f"playbook:{playbook}", f"{playbook} is held: {why}")
    if Playbooks(database).hold(playbook, why, queue, said, now_s):
        emit("playbook_held", playbook=playbook, reason=why)
    trace("playbook:held")
    Findings(database).open([(PLAYBOOK_FAILED, playbook.encode(), {"reason": why})], now_s)
