"""Commands around an edit by hand: pause, resume, maintenance status|snapshot|run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from autoops import names
from autoops.acting import as_owner_of
from autoops.cli.caller import caller
from autoops.cli.context import Context, require_state
from autoops.cli.edits import SHOWN, changes_of, inspected, say_edits
from autoops.cli.lookup import find_declared
from autoops.cli.options import DryRunOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say, warn
from autoops.cli.spans import span_s
from autoops.core.canonical import changed_fields
from autoops.core.ledger import stamp, utc
from autoops.core.signing import Verifier
from autoops.errors import CannotTell, CheckFailed, Refused, UsageError, unwritten
from autoops.log import emit
from autoops.runtime import maintenance
from autoops.runtime.maintenance import Maintenance
from autoops.runtime.signals import die_with_parent
from autoops.store.operations import Heartbeat
from autoops.window import seal, snapshot
from autoops.window.admit import way_back
from autoops.window.flag import change_flag, open_already, remove_flag, set_flag
from autoops.window.inspect import Inspection
from autoops.window.services import gone_on, living, still_working, worker

maintenance_app = typer.Typer(help="Maintenance windows: look, copy, hold one while a command runs.", no_args_is_help=True)

WhyOption = Annotated[str, typer.Option("--why", help="What for; goes into the ledger with what is edited.")]
UntilOption = Annotated[
    str,
    typer.Option("--until", metavar="TIME", help="When it is to end: 2h, 30m, 2026-01-31T18:00. Then: an alarm, no end."),
]
DeclareOption = Annotated[
    list[str] | None,
    typer.Option("--declare", metavar="WHAT", help="What is going to be edited: a path, an ID, class:NAME; repeatable."),
]
NoSnapshotOption = Annotated[bool, typer.Option("--no-snapshot", help="Take no copy of the registry.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", metavar="S", help="How long to wait for the services.")]


def pause(
    state: StateOption = None,
    why: WhyOption = "",
    until: UntilOption = "",
    declare: DeclareOption = None,
    no_snapshot: NoSnapshotOption = False,
    timeout: TimeoutOption = 30.0,
    dry_run: DryRunOption = False,
) -> None:
    """Open a maintenance window: wait until every service has let go of the registry, and take a copy of it."""
    ctx = context(state)
    window = _window(ctx, why, until, declare or ())
    if dry_run:
        if maintenance.is_set(ctx.state.flag):
            raise open_already(ctx.state.flag)
        say(f"would write {ctx.state.flag}:")
        say(maintenance.text(window).rstrip().replace("\n", "; "))
        return
    _open_window(ctx, window, timeout, with_snapshot=not no_snapshot)
    say(f"registry: {ctx.state.registry_db}; when you are done: autoops resume")


def resume(
    state: StateOption = None,
    restore_snapshot: Annotated[
        bool, typer.Option("--restore-snapshot", help="Drop what was edited: put the copy back that was taken before.")
    ] = False,
    snapshot_name: Annotated[str, typer.Option("--snapshot", metavar="NAME", help="Which one, with --restore-snapshot.")] = "",
    timeout: TimeoutOption = 60.0,
    dry_run: DryRunOption = False,
) -> None:
    """Close the maintenance window: check what was edited, take it over, go on. 4: the edit is broken, nothing is written."""
    ctx = context(state)
    require_state(ctx.state)
    window = maintenance.read(ctx.state.flag)
    if window is None and _held(ctx) is None:
        raise Refused(detail="no maintenance window is open")
    if window and window.is_held():
        raise Refused(detail=f"a command that runs now holds the window ({window}), and closes it when it ends")
    if restore_snapshot:
        _restore(ctx, snapshot_name or (window.snapshot if window else ""), dry_run=dry_run)
    if dry_run:
        inspection = inspected(ctx)
        say_edits(ctx, inspection, window or Maintenance())
        raise typer.Exit(4 if inspection.faults else 0)
    _close_window(ctx, timeout)


@maintenance_app.command("status")
def status(state: StateOption = None, json: JsonOption = False) -> None:
    """Show the window that is open, who has let go of the registry, and what has been edited so far. 1: something is wrong."""
    ctx = context(state)
    require_state(ctx.state)
    window = maintenance.read(ctx.state.flag)
    held = _held(ctx)
    inspection = inspected(ctx, is_held=held is not None) if window or held else Inspection([], [])
    alarm = window.alarm(time.time()) if window else held.status if held else ""
    if json:
        changes = changes_of(ctx, inspection, window or Maintenance())
        as_json(
            {
                "alarm": alarm,
                "edits": [{"id": one.after.id, "set": changed_fields(one), **one.evidence} for one in changes],
                "faults": inspection.faults,
                "open": window is not None,
                "services": {beat.process: beat.state for beat in living(ctx.state)},
                "snapshots": [path.name for path in snapshot.snapshots(ctx.state)],
                "window": window._asdict() if window else None,
            }
        )
    else:
        say(f"a window is open{f': {window}' if str(window) else ''}" if window else "no window is open")
        for beat in living(ctx.state):
            say(f"autoops-{beat.process}: {beat.state}")
        if window and window.snapshot:
            say(f"snapshot: {ctx.state.backups / window.snapshot}")
        if window or held:
            say_edits(ctx, inspection, window or Maintenance())
        if alarm:
            say(f"ALARM: {alarm}")
    raise typer.Exit(1 if alarm or inspection.faults else 0)


@maintenance_app.command("snapshot")
def take_snapshot(state: StateOption = None) -> None:
    """Take a copy of the registry, in a window or not."""
    ctx = context(state)
    require_state(ctx.state)
    _snapshot(ctx)


@maintenance_app.command("run", context_settings={"allow_interspersed_args": False})
def run(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="After --: the command, with its arguments.")],
    state: StateOption = None,
    why: WhyOption = "",
    until: UntilOption = "",
    declare: DeclareOption = None,
    no_snapshot: NoSnapshotOption = False,
    timeout: TimeoutOption = 60.0,
) -> None:
    """Hold a window open while a command runs. If it ends badly, or this program dies, the window stays, and alarms."""
    ctx = context(state)
    window = _window(ctx, why or " ".join(command), until, declare or ())._replace(holder=maintenance.this_process())
    window = _open_window(ctx, window, timeout, with_snapshot=not no_snapshot)
    try:
        environment = {**os.environ, "AUTOOPS_WINDOW": str(ctx.state.flag)}
        # dying with this program: nobody would tell any more how the command ended
        code = subprocess.run(command, env=environment, preexec_fn=die_with_parent, check=False).returncode
        ended = "" if code == 0 else f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
    except OSError as error:
        ended = f"could not be started: {error.strerror}"
    if maintenance.read(ctx.state.flag) != window:
        how = ended or "ended well"
        raise CheckFailed(detail=f"the window was closed, or opened anew, by another while the command ran, which {how}")
    if ended:
        change_flag(ctx.state.flag, window._replace(holder="", failed=ended))
        emit("window_alarm", flag=str(ctx.state.flag), reason=f"the command that held the window {ended}")
        raise CheckFailed(detail=f"the command {ended}; the window stays open until: autoops resume")
    change_flag(ctx.state.flag, window._replace(holder=""))
    _close_window(ctx, timeout)


# opening


def _window(ctx: Context, why: str, until: str, declare: Sequence[str]) -> Maintenance:
    require_state(ctx.state)
    what = tuple(find_declared(ctx, one) for one in declare)
    return Maintenance(caller(), utc(time.time()), names.show(why), _end_of(until), what)


def _end_of(until: str) -> str:
    """Return a time, or a span from now, as the flag has it. Raises UsageError."""
    ahead_s = span_s(until)
    if ahead_s is not None:
        try:
            return utc(time.time() + ahead_s)
        except (OverflowError, ValueError, OSError):
            raise UsageError(detail=f"--until {until} is too far away") from None
    end_s = maintenance.time_of(until)
    if until and end_s is None:
        raise UsageError(detail=f"--until {names.show(until)} is no time: write 2h, 30m, or 2026-01-31T18:00")
    if end_s is not None and end_s < time.time():
        raise UsageError(detail=f"--until {names.show(until)} is in the past")
    return utc(end_s) if end_s is not None else ""


def _open_window(ctx: Context, window: Maintenance, timeout_s: float, *, with_snapshot: bool) -> Maintenance:
    set_flag(ctx.state.flag, window)
    try:
        _wait_until_let_go(ctx, timeout_s)
        if worker(ctx.state) is None:  # then nothing but the seal tells the next one to look at what was edited
            with as_owner_of(ctx.state.seal.parent):
                seal.note_window(ctx.state, window)
        if with_snapshot:
            window = window._replace(snapshot=_snapshot(ctx).name)
            change_flag(ctx.state.flag, window)
    except BaseException:  # Ctrl+C too
        warn("autoops: the window is open, but do not edit yet; autoops resume closes it")
        raise
    return window


def _wait_until_let_go(ctx: Context, timeout_s: float) -> None:
    late = still_working(ctx.state, timeout_s)
    if late:
        who = " and ".join(f"autoops-{name}" for name in late)
        raise CheckFailed(detail=f"after {timeout_s:g} s {who} has not let go")
    let_go = [f"autoops-{beat.process}" for beat in living(ctx.state)]
    say(f"paused: {', '.join(let_go)}" if let_go else "paused: no service runs")


def _snapshot(ctx: Context) -> Path:
    try:
        path = snapshot.take(ctx.state, stamp(time.time()))
    except OSError as error:
        raise unwritten(ctx.state.backups, error) from error
    say(f"snapshot: {path}")
    return path


# closing


def _tidy(ctx: Context) -> None:
    try:
        snapshot.tidy(ctx.state)
    except OSError as error:
        raise unwritten(ctx.state.backups, error) from error


def _close_window(ctx: Context, timeout_s: float) -> None:
    inspection = inspected(ctx)
    if inspection.faults:
        for fault in inspection.faults[:SHOWN]:
            warn(f"  {fault}")
        raise Refused(detail=f"what was edited is broken, and all stays as it is; {way_back(ctx.state)}")
    with contextlib.closing(ctx.registry()) as registry:
        before = registry.head().sequence
    _tidy(ctx)
    remove_flag(ctx.state.flag)
    if worker(ctx.state) is None:
        say("resumed; no worker runs, what was edited is taken over when it starts")
        return
    beat = gone_on(ctx.state, timeout_s)
    if beat is None:
        raise CannotTell(detail="whether the worker went on: it has not said so", remedy="look at: autoops status")
    if beat.state == "held":
        raise Refused(detail=beat.status)
    say("resumed")
    _say_commit(ctx, before)


def _say_commit(ctx: Context, before: int) -> None:
    with contextlib.closing(ctx.registry()) as registry:
        for record in registry.records(before):
            if '"kind":"by-hand"' in record.text:
                declared = record.text.count('"declared":true')
                other = record.text.count('"declared":false')
                say(f"edited by hand: {declared} declared, {other} not declared; commit {record.sequence}")


def _restore(ctx: Context, name: str, *, dry_run: bool) -> None:
    beat = worker(ctx.state)
    if beat is not None and beat.state not in ("paused", "held"):
        raise Refused(detail="the worker has not let go of the registry yet")
    chosen = snapshot.find(ctx.state, name)
    if dry_run:
        say(f"would put {chosen} in the place of {ctx.state.registry_db}, and keep that beside it")
        raise typer.Exit
    aside = snapshot.restore(ctx.state, chosen, Verifier(ctx.public_key()), stamp(time.time()))
    say(f"restored {chosen.name}; what was edited is kept in {aside}")


def _held(ctx: Context) -> Heartbeat | None:
    beat = worker(ctx.state)
    return beat if beat is not None and beat.state == "held" else None


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(pause)
    app.command()(resume)
    app.add_typer(maintenance_app, name="maintenance")
