"""`autoops config ...` and `autoops keys ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoops import config as configuration
from autoops.cli import keys
from autoops.cli.options import DryRunOption, OwnConfigOption, RootOption, StateOption, context, file_name
from autoops.cli.output import say
from autoops.core.ledger import utc
from autoops.core.spoken import counted
from autoops.errors import CheckFailed

config_app = typer.Typer(help="The configuration: check it, show it.", no_args_is_help=True)
keys_app = typer.Typer(help="The key that signs the ledger.", no_args_is_help=True)


@config_app.command()
def check(
    config: OwnConfigOption = None,
    state: StateOption = None,
    root: RootOption = None,
) -> None:
    """Check the configuration and its roots; every fault at once, with its line. 0 when it is good, 2 when not."""
    ctx = context(state, config, root)
    settings = ctx.config()
    if settings.roots:
        ctx.checked_config()
    counts = {
        "root": settings.roots,
        "classification rule": settings.classes,
        "catalog": settings.catalog_tables,
        "replica": settings.replicas,
        "foreign checkpoint": settings.checkpoints,
        "channel": settings.channels,
        "playbook": settings.playbook_tables,
    }
    say("the configuration is good: " + ", ".join(counted(len(tables), noun) for noun, tables in counts.items()))


@config_app.command("show")
def show_config(config: OwnConfigOption = None, root: RootOption = None) -> None:
    """Show the configuration as it is in force, defaults and all, as TOML."""
    print(configuration.as_toml(context(None, config, root).config()), end="")


@keys_app.command("show")
def show_keys(state: StateOption = None) -> None:
    """Show the public key of the ledger, and since when the registry knows it."""
    ctx = context(state)
    public = ctx.public_key().hex()
    known = ctx.registry().meta("public_key")
    say(f"public key: {public}")
    if known is not None and known != public:
        raise CheckFailed(detail=f"the registry knows another key: {known}")
    if ctx.state.public_key.exists():
        say(f"in {ctx.state.public_key}, since {utc(ctx.state.public_key.stat().st_mtime)}")


@keys_app.command("make")
def make_keys(
    state: StateOption = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", readable=False, help="The private key. Default: ledger.key in the state."),
    ] = None,
    dry_run: DryRunOption = False,
) -> None:
    """Make the key that signs the ledger, if there is none, and write its public half, ledger.pub, into the state directory.

    Never a second one: exit 6 when the ledger is signed by a key already, and that one is not here.
    """
    ctx = context(state)
    private = file_name(key, "--key").absolute() if key else ctx.state.private_key
    if not dry_run:
        ctx.state.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for line in keys.make(ctx.state, private, dry_run=dry_run) or ["nothing to do"]:
        say(line)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(config_app, name="config")
    app.add_typer(keys_app, name="keys")
