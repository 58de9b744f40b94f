"""`autoops report errors|capacity|performance|weekly|dry-run`: what became of this over a time."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from autoops import names
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context, one_of
from autoops.cli.output import as_json, json_text, say, table, warn
from autoops.cli.spans import seconds
from autoops.errors import CannotTell, NotWritten, UsageError
from autoops.files import durable
from autoops.model import JSON
from autoops.report import text
from autoops.report.errors import Asked
from autoops.report.page import Page
from autoops.store.operations import DryRun

report_app = typer.Typer(help="Reports: errors, capacity, performance, weekly, dry-run.", no_args_is_help=True)

_LONGEST_S = 10 * 366 * 86400
LastOption = Annotated[str, typer.Option("--last", metavar="TIME", help="How far to look back: 24h, 7d.")]
FORMATS = ("text", "json", "html")


def asked_of(last: str) -> Asked:
    """Return the time that --last means. Raises UsageError."""
    span_s, now_s = int(seconds(last, "--last")), int(time.time()) + 1  # this second too
    if not 0 < span_s <= _LONGEST_S:
        raise UsageError(detail=f"--last {names.show(last)} is no time to look back: give 1m at least, ten years at most")
    return Asked(max(0, now_s - span_s), now_s)


@report_app.command("errors")
def errors(
    state: StateOption = None,
    last: LastOption = "24h",
    trend: Annotated[bool, typer.Option("--trend", help="By hour or day, and against the time before.")] = False,
    json: JsonOption = False,
) -> None:
    """Show what went wrong: findings, failed jobs, deliveries, backups, gaps. Reads only; 3 when it cannot be told."""
    from autoops.cli.reporting import begun_s, lasts, reading
    from autoops.report import errors as report

    asked, ctx = asked_of(last), context(state)
    with reading(ctx) as database:
        facts = report.gathered(database, asked, lasts(ctx), begun_s(ctx), trend=trend)
    _tell(facts, report.page(facts), json)


@report_app.command("capacity")
def capacity(state: StateOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show how large everything is, how it grows, and when disks will be full. Reads only; 3 when it cannot be told."""
    from autoops.cli.reporting import reading
    from autoops.report import capacity as report

    ctx = context(state, config)
    roots = [root.name for root in ctx.running_config().roots]
    with reading(ctx) as database:
        facts = report.gathered(database, roots, int(time.time()))
    _tell(facts, report.page(facts), json)


@report_app.command("performance")
def performance(state: StateOption = None, last: LastOption = "24h", json: JsonOption = False) -> None:
    """Show how long each stage took, how much was done, and the slowest extractors. Reads only; 3 when it cannot be told."""
    from autoops.cli.reporting import reading
    from autoops.report import performance as report

    asked = asked_of(last)
    with reading(context(state)) as database:
        facts = report.gathered(database, asked)
    _tell(facts, report.page(facts), json)


@report_app.command("weekly")
def weekly(
    state: StateOption = None,
    config: ConfigOption = None,
    last: LastOption = "7d",
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="text, json or html.")] = "text",
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FILE", readable=False, help="Write it into a file; a link is not followed; -: standard output."
        ),
    ] = None,
    mail: Annotated[
        bool, typer.Option("--mail", help="Send it, with the next run of the alerts, to the channels of infos.")
    ] = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Show the week on one page. 3 when a part of it cannot be told."""
    from autoops.cli import reporting
    from autoops.report import weekly as report

    form = one_of("json" if json else form, FORMATS, "--format")
    ctx = context(state, config)
    facts = reporting.weekly(ctx, asked_of(last))
    whole = report.page(facts)
    to_output = not mail if to is None else str(to) == "-"
    if mail:
        channels = reporting.post(ctx, facts, whole, dry_run=dry_run)
        told = f"{'would be sent' if dry_run else 'sent with the next run of the alerts'} to: {', '.join(channels)}"
        (warn if to_output else say)(told)
    if to_output:
        sys.stdout.write(_written(form, facts, whole))
    elif to is not None:
        if not dry_run:
            _write(to, _written(form, facts, whole))
        say(f"{'would be written' if dry_run else 'written'}: {names.show(os.fsencode(to))}")
    if lost := report.missing(facts):
        raise CannotTell(detail=f"all of it: {'; '.join(lost)}", remedy="autoops health says what is wrong")


def _written(form: str, facts: JSON, whole: Page) -> str:
    if form == "html":
        from autoops.report.web import html

        return html(whole)
    if form == "json":
        return json_text(facts) + "\n"
    return "".join(f"{line}\n" for line in text.lines(whole))


def _write(file: Path, said: str) -> None:
    path = file.absolute()
    try:
        if path.is_symlink():
            raise NotWritten(
                file=names.show(os.fsencode(file)), why="it is a link", remedy="name the file itself, or remove the link"
            )
        durable.write(path, said.encode("utf-8", "replace"), mode=0o640)
    except OSError as error:
        raise NotWritten.because(names.show(os.fsencode(file)), error) from None


def _tell(facts: JSON, whole: Page, json: bool) -> None:
    if json:
        as_json(facts)
        return
    for line in text.lines(whole):
        print(line)


@report_app.command("dry-run")
def dry_run(
    state: StateOption = None,
    root: Annotated[str | None, typer.Option("--in", metavar="ROOT", help="Only this root (its name).")] = None,
    limit: Annotated[int, typer.Option(help="List at most so many paths; 0: only the summary.")] = 20,
    json: JsonOption = False,
) -> None:
    """Show what would have been written in the roots whose policy is `observe`."""
    ctx = context(state)
    with ctx.queue_db(writable=False) as database:
        report = DryRun(database)
        counts = report.summary()
        ctx.require_root(root, seen={name for name, _ in counts})
        summary = {key: count for key, count in counts.items() if root in (None, key[0])}
        listed = report.list(root, limit) if limit else []
    if json:
        as_json(
            {
                "paths": [{**one._asdict(), "path": names.text(one.path)} for one in listed],
                "summary": [{"action": action, "paths": count, "root": name} for (name, action), count in summary.items()],
            }
        )
        return
    if not summary:
        say("nothing: no root has the policy observe, or nothing was seen in one yet")
        return
    table([("root", "would", "paths"), *((name, action, count) for (name, action), count in summary.items())])
    if listed:
        say("")
        table([("would", "path", "times"), *((one.action, names.text(one.path), one.times) for one in listed)])


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(report_app, name="report")
