"""`autoops backup ...`, and the same as a program of its own, `autoops-backup`."""

from __future__ import annotations

import importlib

import typer

from autoops import __version__, log
from autoops.cli.failing import run as run_to_the_end

# What has commands for it, each with a function `register(app)`; in the order of the help.
MODULES: tuple[str, ...] = (
    *("backup_snapshots", "backup_verify", "backup_ship", "backup_place"),
    *("backup_restore", "backup_drill", "backup_archive"),
)


def program(name: str) -> typer.Typer:
    """Return the commands as one program, or one group of them."""
    app = typer.Typer(
        name=name,
        help="Backups: snapshots of registry and queue, the ledger as it grows, and the way back.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for module in MODULES:
        importlib.import_module(f"autoops.cli.{module}").register(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        print(f"autoops {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Say which version."),
) -> None:
    pass


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(program("backup"), name="backup")


def main() -> None:
    """Run `autoops-backup`."""
    log.configure("warning", "auto", "autoops-backup")
    run_to_the_end(program("autoops-backup"))
