"""`autoops backup ship`: what the shipper does all the time, once."""

from __future__ import annotations

import contextlib

import typer

from autoops.acting import as_owner_of
from autoops.backup.lock import held
from autoops.backup.shipping import make_own, pending, reaching, ship
from autoops.cli.context import require_state
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say


def ship_ledger(
    state: StateOption = None, config: ConfigOption = None, dry_run: DryRunOption = False, json: JsonOption = False
) -> None:
    """Copy what the ledger has grown by into the backup directory. 1: it is not the ledger that was shipped; 5: paused."""
    ctx = context(state, config)
    require_state(ctx.state)
    ctx.refuse_window()
    place = ctx.backups()
    with contextlib.closing(ctx.registry()) as registry, reaching(place):
        if dry_run:
            done = pending(registry, place)
        else:
            make_own(ctx.state, place)
            with as_owner_of(place.directory), held(place):
                done = ship(registry, place)
    if json:
        as_json(done._asdict() | {"commits": done.commits, "directory": str(place.ledger), "dry_run": dry_run})
    elif done.commits:
        would = "would be " if dry_run else ""
        say(f"{done.commits:,} commit(s) {would}shipped to {place.ledger}: {done.after + 1:,} to {done.until:,}")
    else:
        say(f"nothing to ship: {place.ledger} has the ledger up to commit {done.until:,}")


def register(app: typer.Typer) -> None:
    """Add this command to the group."""
    app.command("ship")(ship_ledger)
