"""How a program of many commands is put together: each module of commands adds its own."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

import typer

from autoops import __version__


def program(name: str, about: str, modules: Iterable[str]) -> typer.Typer:
    """Return a program, or a group of commands; each module of autoops.cli has a function `register(app)`."""
    app = typer.Typer(
        name=name,
        help=about,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for module in modules:
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
