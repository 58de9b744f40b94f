"""The options that many commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from autoops import names
from autoops.cli.context import CONFIG_HELP, OWN_CONFIG_HELP, STATE_HELP, Context
from autoops.errors import UsageError

_Word = TypeVar("_Word", bound=str)

# readable=False: typer leaves the looking to us; our own errors say what to do
StateOption = Annotated[Path | None, typer.Option("--state", metavar="DIR", readable=False, help=STATE_HELP)]
NewStateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        readable=False,
        help="The state directory, made if it is not there. Default: ./.autoops, where other commands find it by themselves.",
    ),
]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", readable=False, help=CONFIG_HELP)]
OwnConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", readable=False, help=OWN_CONFIG_HELP)]
RootOption = Annotated[
    list[Path] | None,
    typer.Option("--root", metavar="DIR", readable=False, help="A tree to watch, instead of the configured ones; repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]


def file_name(path: Path, option: str) -> Path:
    """Return a file or directory that is to be made. Raises UsageError for -, with which nobody means a name."""
    if str(path) == "-":
        raise UsageError(detail=f"{option} cannot be standard output; write a file of that name as /DIR/-")
    return path


def one_of(value: str, known: Sequence[_Word], option: str) -> _Word:
    """Return which of these words an option says. Raises UsageError for another one."""
    for one in known:
        if one == value:
            return one
    raise UsageError(detail=f"{option} must be one of {', '.join(known)}; got {names.show(value)}")


def context(state: Path | None, config: Path | None = None, roots: list[Path] | None = None) -> Context:
    """Return the context that a command's options ask for."""
    return Context.of(state, config, roots or ())
