"""`autoops reconcile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, RootOption, StateOption, context
from autoops.cli.reconciling import Asked, run


def reconcile(
    path: Annotated[Path | None, typer.Argument(help="A directory below a root; nothing: every root.")] = None,
    report: Annotated[bool, typer.Option("--report", help="Look and tell; record nothing, change nothing.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Also enqueue what mends, whatever the configuration says.")] = False,
    dry_run: DryRunOption = False,
    hashes: Annotated[bool, typer.Option("--hash", help="Read every file, not only those that look changed.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="PART", help="files, proofs, catalogs or replicas; repeatable.")
    ] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    root: RootOption = None,
    json: JsonOption = False,
) -> None:
    """Find every disagreement of disk, registry, ledger, catalogs and replicas, record it, have mended what a rule can mend.

    --dry-run tells what would be recorded and repaired. 0: all agree; 1: something does not.
    """
    asked = Asked(path, report or dry_run, repair, hashes, tuple(only or ()), json)
    raise typer.Exit(run(context(state, config, root), asked))


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(reconcile)
