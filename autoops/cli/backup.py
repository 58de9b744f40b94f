"""`autoops backup ...`, and the same as a program of its own, `autoops-backup`."""

from __future__ import annotations

import typer

from autoops import log
from autoops.cli import shell
from autoops.cli.failing import run as run_to_the_end

# What has commands for it, each with a function `register(app)`; in the order of the help.
MODULES: tuple[str, ...] = (
    *("backup_snapshots", "backup_verify", "backup_ship", "backup_place"),
    *("backup_restore", "backup_recover", "backup_drill", "backup_archive"),
)


def program(name: str) -> typer.Typer:
    """Return the commands as one program, or one group of them."""
    return shell.program(name, "Backups: snapshots of registry and queue, the ledger as it grows, and the way back.", MODULES)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(program("backup"), name="backup")


def main() -> None:
    """Run `autoops-backup`."""
    log.configure("warning", "auto", "autoops-backup")
    run_to_the_end(program("autoops-backup"))
