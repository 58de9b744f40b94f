"""Commands that read: list, show, explain, export, queue-status."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from autoops import names
from autoops.cli import export as exporting
from autoops.cli.explaining import explain_entry
from autoops.cli.lookup import find_entry
from autoops.cli.options import ConfigOption, JsonOption, StateOption, context, one_of
from autoops.cli.output import as_json, say, stream
from autoops.core.canonical import canonical, entry_json
from autoops.model import Entry, JobState, Status
from autoops.store.backlog import Backlog

WhatArgument = Annotated[str, typer.Argument(metavar="ID|PATH", help="A document's ID, or its path.")]
_STATES: tuple[JobState, ...] = get_args(JobState)
_STATUSES: tuple[Status, ...] = get_args(Status)


def list_entries(
    state: StateOption = None,
    root: Annotated[str | None, typer.Option("--in", metavar="ROOT", help="Only this root (its name).")] = None,
    status: Annotated[str | None, typer.Option(help="Only active, missing or retired ones.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many; 0: all.")] = 0,
    json: JsonOption = False,
) -> None:
    """List the documents, by ID."""
    ctx = context(state)
    ctx.require_root(root)
    wanted = one_of(status, _STATUSES, "--status") if status else None
    found = ctx.registry().entries(root=root, status=wanted, limit=limit or -1)
    if json:
        stream(canonical(entry_json(entry)) for entry in found)
        return
    stream(_line(entry) for entry in found)


def _line(entry: Entry) -> str:
    kind = entry.described.class_name or entry.observation.kind
    return f"{entry.id}  {entry.status:8}{kind:12}{entry.observation.size_bytes:>12}  {names.show(entry.path)}"


def show(what: WhatArgument, state: StateOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show what the registry says about one document."""
    ctx = context(state, config)
    entry = find_entry(ctx, what)
    if json:
        as_json(entry_json(entry))
        return
    for key, value in entry_json(entry).items():
        if isinstance(value, dict):
            say(f"{key}:")
            for name, inner in value.items():
                say(f"  {name}: {_value(inner)}")
        else:
            say(f"{key}: {_value(value)}")


def _value(value: object) -> str:
    """Return a value as JSON has it, text without the quotes."""
    return value if isinstance(value, str) else canonical(value)


def explain(what: WhatArgument, state: StateOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show a document's whole story: each change, by whom, from which job, on what evidence, in which signed commit."""
    ctx = context(state, config)
    steps = explain_entry(ctx, find_entry(ctx, what))
    if json:
        as_json(steps)
        return
    for step in steps:
        say(f"commit {step['sequence']}  {step['at']}  rev {step['rev']}  {step['op']}  by {step['actor']} ({step['source']})")
        say(f"    because: {step['reason']}; evidence: {_value(step['evidence'])}")
        for field, value in step["set"].items():
            say(f"    {field}: {_value(value)}")
        say(f"    record hash {step['hash'][:16]}..., signature {'good' if step['signature_good'] else 'NOT GOOD'}")


def export(
    state: StateOption = None,
    output_format: Annotated[
        str,
        typer.Option("--format", help="jsonl: one canonical entry a line, by ID; ledger: one signed record a line; hashdeep."),
    ] = "jsonl",
    root: Annotated[str | None, typer.Option("--in", metavar="ROOT", help="Only this root (its name).")] = None,
    config: ConfigOption = None,
) -> None:
    """Stream the registry, or its ledger, in constant memory."""
    ctx = context(state, config)
    ctx.require_root(root)
    stream(exporting.lines(ctx, output_format, root))


def queue_status(state: StateOption = None, json: JsonOption = False) -> None:
    """Show how many jobs there are in each state."""
    with context(state).queue_db(writable=False) as database:
        counts = Backlog(database).counts()
    if json:
        as_json(counts)
        return
    say("Queue Status:")
    for name in _STATES:
        say(f"  {name}: {counts[name]}")


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("list")(list_entries)
    app.command()(show)
    app.command()(explain)
    app.command()(export)
    app.command("queue-status")(queue_status)
