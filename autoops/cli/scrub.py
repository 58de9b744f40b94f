"""`autoops scrub`: one run of the scrub, as its timer starts it, or by hand."""

from __future__ import annotations

import contextlib
import select
import time
from typing import Annotated, NamedTuple

import typer

from autoops import clock, journal, log, names
from autoops.cli.context import Context, require_state
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say
from autoops.cli.progress import Progress
from autoops.config import ScrubConfig
from autoops.core.ledger import utc
from autoops.core.spoken import counted
from autoops.errors import CannotGoOn, CannotTell
from autoops.log import emit
from autoops.model import JSON
from autoops.reconcile import budget
from autoops.reconcile.budget import Goal
from autoops.reconcile.scrub import Progress as Done
from autoops.reconcile.scrub import Scrub, Surroundings, Why
from autoops.runtime.load import load_per_core
from autoops.runtime.signals import STOP, Signals
from autoops.runtime.wake import Waker
from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.operations import Gaps, Heartbeats
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.queue import Queue
from autoops.store.registry import Registry
from autoops.store.verified import Stock

_ASK_S = 1.0  # between two looks at whether the worker lives
_PATIENCE_S = 10.0  # with a worker that ran and does not any more: it may be started anew
_SHOWN = 20


class Run(NamedTuple):
    """What one run is about."""

    config: ScrubConfig
    goal: Goal
    stock: Stock  # before it


def scrub(
    state: StateOption = None,
    config: ConfigOption = None,
    until_done: Annotated[bool, typer.Option("--until-done", help="Verify every file, not only this night's share.")] = False,
    limit_files: Annotated[int | None, typer.Option("--limit-files", metavar="N", min=1, help="At most so many files.")] = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Have files read again, those verified longest ago first, within a budget; a share of all, as each night."""
    if journal.is_stderr():  # elsewhere what is printed says it all
        log.configure("info", "journal", "autoops-scrub")
    run_once(context(state, config), until_done=until_done, limit_files=limit_files, dry_run=dry_run, json=json)


def run_once(
    ctx: Context, *, until_done: bool = False, limit_files: int | None = None, dry_run: bool = False, json: bool = False
) -> None:
    """Do one run. Raises Paused, CannotTell, CannotGoOn, StorageError."""
    require_state(ctx.state)
    settings = ctx.running_config().scrub
    registry = ctx.registry()
    run = _planned(registry, settings, until_done=until_done)
    if dry_run:
        _rehearse(registry, run, json=json)
    elif not settings.enabled and not until_done:
        as_json({"enabled": False}) if json else say("the scrub is turned off ([scrub] enabled = false); --until-done runs it once")
    else:
        _perform(ctx, registry, run, limit_files, json=json)
    registry.close()


def _planned(registry: Registry, settings: ScrubConfig, *, until_done: bool) -> Run:
    now_s = int(time.time())
    if until_done:
        return Run(settings, budget.everything(now_s), registry.stock(now_s))
    stock = registry.stock(budget.due_before(now_s, settings.days))
    return Run(settings, budget.goal(stock.files, stock.size_bytes, now_s, settings.days), stock)


# looking ahead


def _rehearse(registry: Registry, run: Run, *, json: bool) -> None:
    needed = budget.rate_needed(run.stock.size_bytes, run.config.days, run.config.hours)
    oldest = registry.oldest_verified(run.goal.before_s, _SHOWN)
    if json:
        shown = [{**file._asdict(), "path": names.text(file.path)} for file in oldest]
        as_json({**run.stock._asdict(), "share": run.goal.share, "bytes_per_s_needed": int(needed), "oldest": shown})
        return
    stock = run.stock
    say(f"{counted(stock.files, 'file')}, {_size(stock.size_bytes)}; each is to be verified within {run.config.days} days")
    say(f"to be verified in any case: {counted(stock.due_files, 'file')}, {_size(stock.due_bytes)}")
    say(f"a night's share: {_size(run.goal.share)} (for each file {_size(budget.FILE_BYTES)} more than its size)")
    say(f"needed: {_size(needed)}/s; given: {_size(run.config.bytes_per_s)}/s {_when(run.config)}")
    for file in oldest:
        say(f"{utc(file.verified_s)}  {_size(file.size_bytes):>10}  {file.root}  {names.text(file.path)}")


# doing it


def _perform(ctx: Context, registry: Registry, run: Run, limit: int | None, *, json: bool) -> None:
    # synchronous=NORMAL: what a power cut takes is taken up again by the next run
    database = Database.open(ctx.state.queue_db, QUEUE, synchronous="NORMAL", guard=True)
    queue_settings = ctx.running_config().queue
    queue = Queue(database, max_attempts=queue_settings.max_attempts)
    waker = Waker(ctx.state.worker_socket)
    with Signals() as signals, contextlib.closing(database), contextlib.closing(waker), Progress() as progress:
        around = Surroundings(
            time.monotonic,
            lambda rest_s: _stopped(signals, rest_s),
            lambda: budget.is_open(run.config.hours, _minute()),
            lambda: _is_quiet(run.config.max_load),
            Checker(ctx, database),
            waker.wake,
            lambda done: progress.show(_how_far(done)),
        )
        scrub = Scrub(registry, queue, Findings(database), Gaps(database), run.config.bytes_per_s, around)
        around.check()
        stock = run.stock
        emit("scrub_started", files=stock.files, bytes=stock.size_bytes, due_files=stock.due_files, due_bytes=stock.due_bytes)
        if not around.is_open() and not json:
            say(f"waits: it works {_when(run.config)} ([scrub] window)")
        why = scrub.wait_for_hours() or scrub.run(run.goal, batch_files=run.config.batch_files, limit=limit)
    _report(run, why, scrub.done, registry.stock(run.goal.due_before_s), json=json)


def _stopped(signals: Signals, rest_s: float) -> bool:
    select.select([signals.fileno()], [], [], rest_s)
    return bool(signals.take() & STOP)


def _minute() -> int:
    now = time.localtime()
    return now.tm_hour * 60 + now.tm_min


def _is_quiet(max_load: float) -> bool:
    load = load_per_core() if max_load else None
    return load is None or load <= max_load


class Checker:
    """Raises what ends a run: Paused in a window, CannotTell without a worker, CannotGoOn when that is held."""

    def __init__(self, ctx: Context, database: Database) -> None:
        self._ctx, self._heartbeats = ctx, Heartbeats(database)
        self._asked_s = self._alive_s = float("-inf")

    def __call__(self) -> None:
        self._ctx.refuse_window()
        now_s = time.monotonic()
        if now_s - self._asked_s < _ASK_S:
            return
        self._asked_s = now_s
        if self._lives():
            self._alive_s = now_s
        elif now_s - self._alive_s > _PATIENCE_S:
            remedy = "start it: autoops up, or systemctl start autoops-worker"
            raise CannotTell(detail="what the files hold: autoops-worker, which reads them, does not run", remedy=remedy)

    def _lives(self) -> bool:
        beat = self._heartbeats.of("worker")
        if beat is None or not clock.is_alive(beat.boot_id, beat.pid, beat.start):
            return False
        if beat.state == "held":
            raise CannotGoOn(status=beat.status)
        return True


def _how_far(done: Done) -> str:
    return f"{counted(done.files, 'file')}, {_size(done.size_bytes)} given to the worker; {done.verified:,} verified"


def _report(run: Run, why: Why, done: Done, left: Stock, *, json: bool) -> None:
    facts = {
        "reason": why.reason,
        "files": done.files,
        "bytes": done.size_bytes,
        "verified": done.verified,
        "verified_bytes": done.verified_bytes,
        "skipped": done.skipped,
        "left": left.due_files,
        "left_bytes": left.due_bytes,
    }
    emit("scrub_finished", **facts)
    if json:
        as_json({**facts, "is_done": why.is_done})
        return
    for line in lines(run, why, facts):
        say(line)


def lines(run: Run, why: Why, facts: JSON) -> list[str]:
    """Return the report of a run, line by line."""
    told = [f"verified: {counted(facts['verified'], 'file')}, {_size(facts['verified_bytes'])}; {why.reason}"]
    unverified = facts["files"] - facts["verified"]
    if unverified or facts["skipped"]:
        skipped = f"{facts['skipped']:,} known to be unreadable, not mounted or given up"
        told.append(f"not verified: {unverified:,} that were tried, {skipped} (autoops findings, autoops coverage)")
    if facts["left"] and not why.is_done:
        told.append(
            f"the budget does not suffice: {counted(facts['left'], 'file')}, {_size(facts['left_bytes'])}, of what had to be"
            " verified are left;"
            f" all of it needs {_size(budget.rate_needed(run.stock.size_bytes, run.config.days, run.config.hours))}/s"
            f" {_when(run.config)}, and {_size(run.config.bytes_per_s)}/s are given ([scrub] bytes_per_s, window, days)"
        )
    return told


def _when(config: ScrubConfig) -> str:
    return f"from {config.window.replace('-', ' to ')}" if config.window else "all day long"


def _size(size_bytes: float) -> str:
    """Return a number of bytes as people read it."""
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(scrub)
