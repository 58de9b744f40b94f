"""`autoops playbooks`: what is done about which trouble by itself: list, show, run, release."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from autoops import names
from autoops.cli.caller import caller
from autoops.cli.context import Context, require_state
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say, table
from autoops.cli.playing import Ready, config_of, ready, settings_of
from autoops.config import Config
from autoops.core.ledger import utc
from autoops.errors import AutoopsError, CheckFailed
from autoops.model import JSON
from autoops.playbook import remedies, run
from autoops.playbook.decide import Verdict
from autoops.playbook.errors import NotCarriedOut, NotHeld, PlaybooksOff, PlaybookUnknown
from autoops.store.playbooks import Playbooks, Run
from autoops.store.queue import Queue

playbooks_app = typer.Typer(help="Remedies that are carried out by themselves.", invoke_without_command=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="As playbooks list names it.")]
_RUNS = 20


@playbooks_app.callback()
def default(called: typer.Context, state: StateOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Remedies that are carried out by themselves: list, show, run, release. Alone: list."""
    if called.invoked_subcommand is None:
        list_playbooks(state, config, json=json)


@playbooks_app.command("list")
def list_playbooks(state: StateOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the playbooks, and what becomes of each now."""
    ctx = context(state, config)
    settings = config_of(ctx)
    found = _verdicts(ctx, settings)
    with ctx.queue_db(writable=False) as database:
        held = dict(Playbooks(database).held())
    left = {name: why for name, why in held.items() if name not in {one.playbook.name for one in found}}
    if json:
        facts = [_facts(ctx, settings, one) for one in found]
        facts += [{"action": "held", "configured": False, "name": name, "reason": why} for name, why in left.items()]
        as_json({"enabled": settings.playbooks.enabled, "playbooks": facts})
        return
    say(f"playbooks are {'on' if settings.playbooks.enabled else 'off: nothing is carried out'}")
    rows = [(one.playbook.name, one.action, one.playbook.when, one.playbook.remedy, one.reason) for one in found]
    rows += [(name, "held", "", "configured no more", why) for name, why in left.items()]
    if rows:
        table([("name", "now", "for", "remedy", "why"), *rows])
    else:
        say("no playbook is configured: a [[playbook]] table of the configuration makes one")


@playbooks_app.command("show")
def show(name: NameArgument, state: StateOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show one playbook: what it does, how it stands, and its last runs."""
    ctx = context(state, config)
    settings = config_of(ctx)
    verdict = _verdict(_verdicts(ctx, settings), name)
    with ctx.queue_db(writable=False) as database:
        known = Playbooks(database).known([name], int(time.time()))[name]
        runs = Playbooks(database).runs(name, _RUNS)
    if json:
        released: JSON = {"released_by": known.released_by, "released_s": known.released_s}
        as_json(_facts(ctx, settings, verdict) | released | {"runs": [one._asdict() for one in runs]})
        return
    say(f"{name}: {verdict.action}: {verdict.reason}")
    for line in _plan(ctx, settings, verdict):
        say(line)
    if known.released_s is not None:
        say(f"released {utc(known.released_s)} by {known.released_by}")
    for one in runs:
        say(_told(one))
    if not runs:
        say("it never ran")


@playbooks_app.command("run")
def run_playbooks(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One playbook; nothing: all that are due.")] = None,
    force: Annotated[bool, typer.Option("--force", help="With NAME: do not wait for the cool-down.")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Carry out what is due, or one playbook, under the same conditions. 1: one failed; 4: it is not carried out now; 5: paused."""
    ctx = context(state, config)
    if dry_run:
        show_plan(ctx, name, force=force)
        return
    settings = config_of(ctx)
    if not settings.playbooks.enabled:
        raise PlaybooksOff
    if name is not None:
        _require(settings, name)
    failure: AutoopsError | None = None
    with ready(ctx, settings, say) as at:
        if name is None:
            failed = [one.playbook for one in run.carry_out_due(at.database, at.queue, at.settings) if one.outcome == "failed"]
            failure = CheckFailed(detail=f"failed: {', '.join(failed)}") if failed else None
        else:
            failure = _run_one(at, name, force=force)
    if failure:
        raise failure


def _run_one(at: Ready, name: str, *, force: bool) -> AutoopsError | None:
    run.tidy(at.database, at.queue)
    verdict = _verdict(run.verdicts(at.database, at.settings, force=force), name)
    if verdict.action == "idle":
        say(f"nothing to do: {verdict.reason}")
        return None
    if verdict.action == "escalate":
        run.hold(at.database, at.queue, verdict)
    if verdict.action != "run":
        return NotCarriedOut(name=name, reason=verdict.reason)
    done = run.carry_out_one(at.database, at.queue, at.settings, verdict)
    if done.outcome == "unmet":
        return NotCarriedOut(name=name, reason=f"its precondition does not hold: {done.said}")
    return CheckFailed(detail=f"failed: {name}") if done.outcome == "failed" else None


@playbooks_app.command("release")
def release(name: NameArgument, state: StateOption = None, dry_run: DryRunOption = False) -> None:
    """Let a playbook that is held go on, as if it had never run. Do it when you know why it did not help."""
    ctx = context(state)
    require_state(ctx.state)
    with ctx.queue_db(writable=not dry_run) as database:
        held = dict(Playbooks(database).held())
        if name not in held:
            raise NotHeld(name=name)
        if not dry_run:
            run.release(database, Queue(database), name, caller())
    if not dry_run:
        ctx.wake_worker()
    say(f"{'would be released' if dry_run else 'released'}: {name} ({held[name]})")


def show_plan(ctx: Context, name: str | None = None, *, force: bool = False) -> None:
    """Print what would be done now, command by command."""
    settings = config_of(ctx)
    found = _verdicts(ctx, settings, force=force)
    if not settings.playbooks.enabled:
        say("playbooks are off: nothing is carried out. If they were on:")
    for one in [_verdict(found, name)] if name is not None else found:
        say(f"{one.playbook.name}: {'would be carried out, for' if one.action == 'run' else one.action + ':'} {one.reason}")
        if one.action == "run":
            for line in _plan(ctx, settings, one):
                say(line)
    if not found:
        say("no playbook is configured")


def _plan(ctx: Context, settings: Config, verdict: Verdict) -> list[str]:
    """Return what a playbook does, in lines."""
    one = verdict.playbook
    lines = [f"  only if: {remedies.Command(one.only_if).shown}"] if one.only_if else []
    for command in remedies.commands_of(one, settings, ctx.state.directory, ctx.config_file):
        lines.append(f"  {'as root: ' if command.is_roots else ''}{command.shown}")
    helped = remedies.Command(one.verify).shown if one.verify else f"{one.when} is well"
    return [*lines, f"  it has helped when, within {one.within_s:g} s: {helped}"]


def _verdicts(ctx: Context, settings: Config, *, force: bool = False) -> list[Verdict]:
    with ctx.queue_db(writable=False) as database:
        return run.verdicts(database, settings_of(ctx, settings, say), force=force)


def _verdict(found: list[Verdict], name: str) -> Verdict:
    for one in found:
        if one.playbook.name == name:
            return one
    raise PlaybookUnknown(name=names.show(name), known=", ".join(one.playbook.name for one in found) or "none")


def _require(settings: Config, name: str) -> None:
    known = [one.name for one in settings.playbook_tables]
    if name not in known:
        raise PlaybookUnknown(name=names.show(name), known=", ".join(known) or "none")


def _facts(ctx: Context, settings: Config, one: Verdict) -> JSON:
    commands = remedies.commands_of(one.playbook, settings, ctx.state.directory, ctx.config_file)
    return {
        "action": one.action,
        "cause": one.trouble.label if one.trouble else None,
        "commands": [command.shown for command in commands],
        "configured": True,
        "name": one.playbook.name,
        "reason": one.reason,
        "remedy": one.playbook.remedy,
        "when": one.playbook.when,
    }


def _told(one: Run) -> str:
    took = f", {one.ended_s - one.began_s} s" if one.ended_s is not None else ""
    return f"{utc(one.began_s)} run {one.id} ({one.remedy}), for {one.cause}: {one.outcome}{took}" + (
        f": {one.detail}" if one.detail else ""
    )


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(playbooks_app, name="playbooks")
