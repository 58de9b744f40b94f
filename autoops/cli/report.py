"""`autoops report ...`."""

from __future__ import annotations

from typing import Annotated

import typer

from autoops import names
from autoops.cli.options import JsonOption, StateOption, context
from autoops.cli.output import as_json, say, table
from autoops.store.operations import DryRun

report_app = typer.Typer(help="Reports.", no_args_is_help=True)


@report_app.command("dry-run")
def dry_run(
    state: StateOption = None,
    root: Annotated[str | None, typer.Option("--in", metavar="ROOT", help="Only this root (its name).")] = None,
    limit: Annotated[int, typer.Option(help="List at most so many paths; 0: only the summary.")] = 20,
    json: JsonOption = False,
) -> None:
    """Show what would have been written in the roots whose policy is `observe`."""
    with context(state).queue_db(writable=False) as database:
        report = DryRun(database)
        summary = {key: count for key, count in report.summary().items() if root in (None, key[0])}
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
