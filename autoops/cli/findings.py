"""`autoops findings`: what disagrees, or needs a person: list, show, acknowledge, release, close, export."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Annotated

import typer

from autoops import names
from autoops.cli.caller import caller
from autoops.cli.finding_text import in_a_line, in_lines
from autoops.cli.options import DryRunOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say, stream, table
from autoops.core.canonical import canonical
from autoops.core.drift import HOLDING
from autoops.core.ledger import utc
from autoops.core.spoken import counted
from autoops.errors import FindingUnknown, HoldsNothing
from autoops.model import JSON
from autoops.store.database import Database
from autoops.store.findings import Finding, Findings

findings_app = typer.Typer(help="What disagrees, or needs a person.", invoke_without_command=True)

NumbersArgument = Annotated[list[int], typer.Argument(metavar="NUMBER...", help="As findings list numbers them.")]


def finding_facts(found: Iterable[Finding]) -> list[JSON]:
    """Return findings as JSON."""
    return [_facts(one) for one in found]


def _facts(one: Finding) -> JSON:
    return {**one._asdict(), "subject": subject_text(one)}


def subject_text(finding: Finding) -> str:
    """Return what a finding is about, as people write it."""
    return names.text(finding.subject.replace(b"\0", b"/"))


@findings_app.callback()
def default(called: typer.Context, state: StateOption = None, json: JsonOption = False) -> None:
    """What disagrees, or needs a person: list, show, acknowledge, release, close, export. Alone: list."""
    if called.invoked_subcommand is None:
        list_findings(state, json=json)


@findings_app.command("list")
def list_findings(
    state: StateOption = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only of this kind.")] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Those that stand no more.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many; 0: all.")] = 1000,
    json: JsonOption = False,
) -> None:
    """List findings, the latest seen first."""
    with context(state).queue_db(writable=False) as database:
        found = Findings(database).list(kind, closed=closed, limit=limit or -1)
    if json:
        as_json(finding_facts(found))
        return
    if not found:
        say("no findings")
        return
    rows = [
        (one.id, utc(one.first_seen_s), one.kind, _state(one), subject_text(one), in_a_line(one.kind, one.detail)) for one in found
    ]
    table([("number", "since", "kind", "state", "about", "what"), *rows])


def _state(one: Finding) -> str:
    if one.closed_s is not None:
        return "closed"
    return "released" if one.released_s is not None else "acknowledged" if one.acknowledged_s is not None else "stands"


@findings_app.command("show")
def show(number: Annotated[int, typer.Argument(help="Its number.")], state: StateOption = None, json: JsonOption = False) -> None:
    """Show one finding: evidence, what explains it, who is right, what follows, and its history."""
    with context(state).queue_db(writable=False) as database:
        found = Findings(database).get(number)
        if found is None:
            raise FindingUnknown(what=number)
        history = Findings(database).history(number)
    if json:
        as_json(_facts(found) | {"history": [step._asdict() for step in history]})
        return
    say(f"{found.kind}: {subject_text(found)}")
    stands = "stands" if found.closed_s is None else f"closed {utc(found.closed_s)}"
    say(f"{stands}; first seen {utc(found.first_seen_s)}, last seen {utc(found.last_seen_s)}, {counted(found.times, 'time')}")
    for line in in_lines(found.kind, number, found.detail):
        say(f"  {line}")
    for step in history:
        what = "repair enqueued" if step.what == "repaired" else step.what
        say(f"  {utc(step.at_s)}  {what}" + (f" ({step.who})" if step.who else ""))


@findings_app.command("ack")
def acknowledge(numbers: NumbersArgument, state: StateOption = None, dry_run: DryRunOption = False) -> None:
    """Say that you know of findings; they stand until they are no longer true."""
    _change(state, numbers, "acknowledged", Findings.acknowledge, dry_run=dry_run)


@findings_app.command("release")
def release(numbers: NumbersArgument, state: StateOption = None, dry_run: DryRunOption = False) -> None:
    """Let be done what findings hold back: a mass of missing files, a quarantined repair, what was rolled back."""
    _change(state, numbers, "released", Findings.release, HOLDING, dry_run=dry_run)


@findings_app.command("close")
def close(numbers: NumbersArgument, state: StateOption = None, dry_run: DryRunOption = False) -> None:
    """Close findings by hand; what is still true is found again."""
    _change(state, numbers, "closed", _close, dry_run=dry_run)


def _close(findings: Findings, numbers: Collection[int], who: str, now_s: int) -> int:
    there = [one for one in map(findings.get, numbers) if one]
    return findings.close([(one.kind, one.subject) for one in there], now_s, who)


@findings_app.command("export")
def export(state: StateOption = None) -> None:
    """Write all findings, those that stand and those that do not, as one JSON object a line, with their history."""
    with context(state).queue_db(writable=False) as database:
        stream(_exported(database))


def _exported(database: Database) -> Iterator[str]:
    findings = Findings(database)
    for found in (*findings.list(limit=-1), *findings.list(closed=True, limit=-1)):
        history = [step._asdict() for step in findings.history(found.id)]
        yield canonical(_facts(found) | {"history": history})


def _change(
    state: StateOption,
    numbers: list[int],
    what: str,
    act: Callable[[Findings, Collection[int], str, int], object],
    kinds: Sequence[str] = (),
    *,
    dry_run: bool,
) -> None:
    """Change all of these findings, or none. kinds: only these can be; (): any."""
    ctx = context(state)
    with ctx.queue_db(writable=not dry_run) as database:
        findings = Findings(database)
        for number in numbers:
            found = findings.get(number)
            if found is None or found.closed_s is not None:
                raise FindingUnknown(what=number)
            if kinds and found.kind not in kinds:
                raise HoldsNothing(number=number, kind=found.kind, holding=", ".join(kinds))
        if dry_run:
            say(f"would be {what}: {', '.join(map(str, numbers))}")
            return
        act(findings, numbers, caller(), int(time.time()))
        say(f"{what}: {', '.join(map(str, numbers))}")


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(findings_app, name="findings")
