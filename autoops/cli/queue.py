"""`autoops queue ...`: the jobs, and what can be done about them."""

from __future__ import annotations

import time
from typing import Annotated, Literal, get_args

import typer

from autoops import names
from autoops.cli.options import DryRunOption, JsonOption, StateOption, context, one_of
from autoops.cli.output import as_json, say, table
from autoops.cli.spans import seconds
from autoops.core.spoken import age, counted
from autoops.errors import CheckFailed, UsageError
from autoops.model import CHECKPOINT, JobKind, split_key
from autoops.store.backlog import Backlog, Listed
from autoops.store.queue import Queue

queue_app = typer.Typer(help="The jobs: list, retry, rescue, purge, checkpoint.", no_args_is_help=True)

_LOOK_S = 0.05
_Left = Literal["queued", "running", "failed", "dead_letter"]  # of completed jobs nothing is left
_STATES: tuple[_Left, ...] = get_args(_Left)
_KINDS: tuple[JobKind, ...] = get_args(JobKind)
_TOUCHED = {"retry": ("failed", "dead_letter"), "purge": ("queued", "failed", "dead_letter")}
StateFilter = Annotated[str | None, typer.Option("--in-state", help="queued, running, failed or dead_letter.")]
IdsArgument = Annotated[list[int] | None, typer.Argument(help="Numbers of jobs, as queue list shows them.")]


def _about(job: Listed) -> str:
    if job.kind in ("path", "scan"):
        root, path = split_key(job.key)
        return f"{root}/{names.text(path)}"
    return names.text(job.key) or "everything pending"


@queue_app.command("list")
def list_jobs(
    state: StateOption = None,
    in_state: StateFilter = None,
    kind: Annotated[str | None, typer.Option(help=f"{', '.join(_KINDS[:-1])} or {_KINDS[-1]}.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 100,
    json: JsonOption = False,
) -> None:
    """List jobs, the newest first. Of completed ones nothing is left but a number: autoops queue-status."""
    wanted = one_of(in_state, _STATES, "--in-state") if in_state else None
    wanted_kind = one_of(kind, _KINDS, "--kind") if kind else None
    with context(state).queue_db(writable=False) as database:
        jobs = Backlog(database).list(wanted, wanted_kind, limit)
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
    _change("retry", ids, state, in_state, dry_run=dry_run)


@queue_app.command()
def purge(ids: IdsArgument = None, state: StateOption = None, in_state: StateFilter = None, dry_run: DryRunOption = False) -> None:
    """Delete jobs, never running ones: those named, or all in one state. A scan finds again what was not really done."""
    _change("purge", ids, state, in_state, dry_run=dry_run)


def _change(
    verb: Literal["retry", "purge"], ids: list[int] | None, state: StateOption, in_state: str | None, *, dry_run: bool
) -> None:
    if bool(ids) == bool(in_state):
        raise UsageError(detail=f"which jobs? queue {verb} takes their numbers, or --in-state failed|dead_letter; one of both")
    wanted = one_of(in_state, _STATES, "--in-state") if in_state else None
    ctx = context(state)
    if dry_run:
        with ctx.queue_db(writable=False) as database:
            jobs = [job for job in Backlog(database).list(wanted, limit=-1) if not ids or job.id in ids]
        say(f"would {verb} {counted(sum(job.state in _TOUCHED[verb] for job in jobs), 'job')}")
        return
    queue = ctx.queue()
    count = queue.retry(ids or (), wanted) if verb == "retry" else queue.purge(ids or (), wanted)
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
    count = ctx.queue().rescue(seconds(older_than, "--older-than") if older_than else None)
    ctx.wake_worker()
    say(f"rescue: {counted(count, 'job')}")


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(queue_app, name="queue")
