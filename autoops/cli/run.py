"""Commands that run things: up, the services, migrate, scan, wait-idle."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from autoops.cli import services
from autoops.cli.options import (
    ConfigOption,
    DryRunOption,
    JsonOption,
    NewStateOption,
    OwnConfigOption,
    RootOption,
    StateOption,
    context,
    one_of,
)
from autoops.cli.output import as_json, say, warn
from autoops.cli.ready import make_ready, pending_migrations
from autoops.core.spoken import counted
from autoops.model import JSON, PRIORITY_OPERATOR, Work, path_key
from autoops.work.lock import WorkerLock

PathsOption = Annotated[
    list[Path] | None,
    typer.Option("--paths", metavar="DIR", readable=False, help="Trees to watch, instead of the configured ones; repeatable."),
]


def up(
    root: RootOption = None,
    state: NewStateOption = None,
    config: OwnConfigOption = None,
    once: Annotated[bool, typer.Option("--once", help="Bring the registry up to the disk, then end; watch nothing.")] = False,
    register_only: Annotated[bool, typer.Option("--register-only", help="With --once: leave out descriptors and classes.")] = False,
) -> None:
    """Run the whole suite in the foreground, with a live view. Ctrl+C ends it."""
    ctx = context(state or Path(".autoops"), config, root)
    settings = ctx.checked_config()
    for done in make_ready(ctx.state, settings.backup.directory):
        say(done)
    ctx.load_key()  # here its absence is told better than by a program that ends
    WorkerLock(ctx.state.worker_lock).release()  # refused here, before a second watcher speaks for the first one
    if once:
        from autoops import log
        from autoops.cli.once import bring_up_to_date

        log.configure("warning", settings.log.format, "autoops")
        bring_up_to_date(ctx, stage_two=not register_only, tell=say)
        return
    from autoops.cli.live import run_suite

    raise typer.Exit(run_suite(ctx))


def start_watcher(
    more: Annotated[list[Path] | None, typer.Argument(metavar="[DIR]...", help="More trees, after --paths DIR.")] = None,
    paths: PathsOption = None,
    root: RootOption = None,
    state: StateOption = None,
    config: OwnConfigOption = None,
) -> None:
    """Watch for changes and enqueue them, until Ctrl+C or SIGTERM. The same as autoops-watcher."""
    say("Starting watcher...")
    say("Press Ctrl+C to stop")
    raise typer.Exit(services.run_watcher(context(state, config, [*(paths or ()), *(root or ()), *(more or ())])))


def start_worker(root: RootOption = None, state: StateOption = None, config: OwnConfigOption = None) -> None:
    """Carry out jobs and write the registry, until Ctrl+C or SIGTERM. The same as autoops-worker."""
    raise typer.Exit(services.run_worker(context(state, config, root)))


def start_tailer(root: RootOption = None, state: StateOption = None, config: OwnConfigOption = None) -> None:
    """Follow the checkpoints, until Ctrl+C or SIGTERM. The same as autoops-tailer."""
    raise typer.Exit(services.run_tailer(context(state, config, root)))


def start_shipper(root: RootOption = None, state: StateOption = None, config: ConfigOption = None) -> None:
    """Ship the ledger to the backup directory, until Ctrl+C or SIGTERM. The same as autoops-shipper."""
    raise typer.Exit(services.run_shipper(context(state, config, root)))


def migrate(state: StateOption = None, dry_run: DryRunOption = False) -> None:
    """Make the state directory (databases, ledger key), or bring its databases up to this version."""
    ctx = context(state)
    if dry_run:
        for line in pending_migrations(ctx.state, ctx.backup_directory()):
            say(line)
        return
    for line in make_ready(ctx.state, ctx.backup_directory()) or ["nothing to do"]:
        say(line)


def scan(
    path: Annotated[Path | None, typer.Argument(help="A directory below a root; nothing: every root.")] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    root: RootOption = None,
    dry_run: DryRunOption = False,
    hashes: Annotated[bool, typer.Option("--hash", help="Read every file, not only those that look changed.")] = False,
    accept_root: Annotated[bool, typer.Option("--accept-root", help="The root's top directory may be another one now.")] = False,
    json: JsonOption = False,
) -> None:
    """Compare disk and registry: enqueue a scan, or with --dry-run show now what differs (exit 1 when something does)."""
    ctx = context(state, config, root)
    settings = ctx.config_with_roots()
    places = ctx.places(settings, path)
    if dry_run:
        from autoops.cli.reconciling import Asked
        from autoops.cli.reconciling import run as compare

        raise typer.Exit(compare(ctx, Asked(path, report=True, repair=True, hashes=hashes, only=("files",), json=json)))
    facts: JSON = {key: True for key, wanted in (("rehash", hashes), ("accept", accept_root)) if wanted}
    facts |= {"cursor": None}  # from the beginning, whatever an interrupted one has behind it; null takes it away (RFC 7396)
    works = [Work("scan", path_key(name, below), PRIORITY_OPERATOR, facts) for name, below in places]
    ctx.queue().enqueue(works)
    ctx.wake_worker()
    say(f"enqueued {counted(len(works), 'scan')}; autoops wait-idle waits for the end")


def wait_idle(
    state: StateOption = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="S", help="Give up after so many seconds.")] = 60.0,
    stage: Annotated[str, typer.Option("--stage", help="register: do not wait for descriptors; all.")] = "all",
    json: JsonOption = False,
) -> None:
    """Wait until everything seen so far has been committed: 0; 1 when the time is over first, or something cannot be committed."""
    from autoops.cli.waiting import Waiting

    described = ("describe",) if one_of(stage, ("register", "all"), "--stage") == "all" else ()
    kinds = ("path", "scan", "patch", "note", *described)
    waiting = Waiting(context(state))
    deadline = time.monotonic() + timeout
    try:
        seen = waiting.for_events(deadline)
        left = waiting.for_jobs(deadline, kinds) if seen else -1
        refused = waiting.refused()
    finally:
        waiting.close()
    if json:
        as_json({"events_seen": seen, "idle": left == 0, "jobs_left": max(left, 0), "refused": refused})
    if left == 0 and not refused:
        return
    if left == 0:
        edited = counted(refused, "entry")
        warn(f"autoops: nothing is left to do, but nothing is committed over {edited} changed past the ledger (autoops findings)")
    elif not seen:
        warn(f"autoops: the watcher did not answer within {timeout:g} s")
    else:
        warn(f"autoops: after {timeout:g} s still to be done: {counted(left, 'job')} (autoops queue list)")
    raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(up)
    app.command("start-watcher")(start_watcher)
    app.command("start-worker")(start_worker)
    app.command("start-tailer")(start_tailer)
    app.command("start-shipper")(start_shipper)
    app.command()(migrate)
    app.command()(scan)
    app.command("wait-idle")(wait_idle)
