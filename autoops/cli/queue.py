"""`autoops queue ...`: the jobs, and what can be done about them."""

from __future__ import annotations

import re
import time
from typing import Annotated, Literal

import typer

from autoops import names
from autoops.cli.options import DryRunOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say, table
from autoops.core.spoken import age, counted
from autoops.errors import CheckFailed, UsageError
from autoops.model import CHECKPOINT, split_key
from autoops.store.backlog import Backlog, Listed
from autoops.store.queue import Queue

queue_app = typer.Typer(help="The jobs: list, retry, rescue, purge, checkpoint.", no_args_is_help=True)

_LOOK_S = 0.05
_STATES = ("queued", "running", "failed", "dead_letter")
_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
JobState = Literal["queued", "running", "failed", "dead_letter"]
StateFilter = Annotated[str | None, typer.Option("--in-state", help="queued, running, failed or dead_letter.")]
IdsArgument = Annotated[list[int] | None, typer.Argument(help="Numbers of jobs, as queue list shows them.")]


def _checked(state: str | None) -> JobState | None:
    if state is not None and state not in _STATES:
        counted = ": completed jobs have no rows any more, autoops queue-status counts them" if state == "completed" else ""
        raise UsageError(detail=f"there is no state {state!r}{counted}; there are {', '.join(_STATES)}")
    return state  # type: ignore[return-value]


def _about(job: Listed) -> str:
    if job.kind in ("path", "scan"):
        root, path = split_key(job.key)
        return f"{root}/{names.text(path)}"
    return names.text(job.key) or "everything pending"


@queue_app.command("list")
def list_jobs(
    state: StateOption = None,
    in_state: StateFilter = None,
    kind: Annotated[str | None, typer.Option(help="path, scan, describe or patch.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 100,
    json: JsonOption = False,
) -> None:
    """List jobs, the newest first."""
    with context(state).queue_db(writable=False) as database:
        jobs = Backlog(database).list(_checked(in_state), kind, limit)
    if json:
        as_json([{**job._asdict(), "key": _about(job)} for job in jobs])
        return
    rows = [(job.id, job.kind, job.state, job.attempts, _due(job), _about(job), job.reason) for job in jobs]
    table([("job", "kind", "state", "tries", "due", "about", "reason"), *rows])


def _due(job: Listed) -> str:
    """Return when a job is due; of one that is not waiting, what it does instead."""
    if job.state == "running":
        return "runs"
    if job.state == "dead_letter":
        return f"given up {age(-job.due_in_s)} ago"
    return f"in {age(job.due_in_s)}" if job.due_in_s > 0 else f"since {age(-job.due_in_s)}"


@queue_app.command()
def retry(ids: IdsArgument = None, state: StateOption = None, in_state: StateFilter = None, dry_run: DryRunOption = False) -> None:
    """Queue failed jobs and dead letters again, from the start: those named, or all in one state."""
    _change("retry", ids, state, _checked(in_state), dry_run)


@queue_app.command()
def purge(ids: IdsArgument = None, state: StateOption = None, in_state: StateFilter = None, dry_run: DryRunOption = False) -> None:
    """Delete jobs, never running ones: those named, or all in one state. A scan finds again what was not really done."""
    _change("purge", ids, state, _checked(in_state), dry_run)


def _change(verb: str, ids: list[int] | None, state: object, in_state: JobState | None, dry_run: bool) -> None:
    if not ids and not in_state:
        raise UsageError(detail=f"which jobs? queue {verb} takes their numbers, or --in-state failed|dead_letter")
    ctx = context(state)  # type: ignore[arg-type]
    if dry_run:
        with ctx.queue_db(writable=False) as database:
            jobs = [job for job in Backlog(database).list(in_state, limit=1_000_000) if not ids or job.id in ids]
        say(f"would {verb} {counted(sum(job.state != 'running' for job in jobs), 'job')}")
        return
    queue = ctx.queue()
    count = queue.retry(ids or (), in_state) if verb == "retry" else queue.purge(ids or (), in_state)
    ctx.wake_worker()
    say(f"{verb}: {counted(count, 'job')}")


@queue_app.command()
def checkpoint(
    state: StateOption = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="S", help="How long to wait for the worker.")] = 60.0,
    dry_run: DryRunOption = False,
) -> None:
    """Carry the WALs of queue and registry over into their databases, and cut them. 1: somebody reads there, or time is over."""
    ctx = context(state)
    with ctx.queue_db(writable=not dry_run) as database:
        if dry_run:
            say(f"would carry over {database.wal_bytes:,} bytes of queue.db, and have the worker do so with registry.db")
            return
        done = database.checkpoint(truncate=True)
        Queue(database).enqueue([CHECKPOINT])
        ctx.wake_worker()
        ended = _await(Backlog(database), time.monotonic() + timeout)
    say(f"queue.db: {done.reason or 'carried over'}")
    say(f"registry.db: {ended or 'carried over'}")
    if done.reason or ended:
        raise CheckFailed(detail="not all of it could be carried over")


def _await(backlog: Backlog, until_s: float) -> str:
    """Wait for the worker; return why the registry is not carried over, "" when it is."""
    while found := backlog.job_at(CHECKPOINT.kind, CHECKPOINT.key):
        if time.monotonic() > until_s or found[0] == "dead_letter":
            return found[1] or "the worker has not come to it"
        time.sleep(_LOOK_S)
    return ""


@queue_app.command()
def rescue(
    state: StateOption = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="TIME", help="Also take back what has run so long: 90s, 5m, 2h.")
    ] = None,
) -> None:
    """Take back the jobs of dead processes, those whose lease ran out, and, with --older-than, those that run too long."""
    ctx = context(state)
    count = ctx.queue().rescue(seconds(older_than) if older_than else None)
    ctx.wake_worker()
    say(f"rescue: {counted(count, 'job')}")


def seconds(text: str) -> float:
    """Return the seconds in a time such as 90s, 5m, 2h or 30d. Raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if not match:
        raise UsageError(detail=f"{text!r} is not a time such as 90s, 5m or 2h")
    return float(match[1]) * _UNITS_S[match[2]]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(queue_app, name="queue")
