"""`autoops-backup verify`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from autoops.acting import as_owner_of
from autoops.backup import check
from autoops.backup.errors import BackupUnsound
from autoops.backup.manifest import Manifest
from autoops.backup.place import Place
from autoops.backup.shelf import Shelf, Unreadable
from autoops.backup.shipping import reaching
from autoops.cli.options import ConfigOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say
from autoops.cli.progress import Progress
from autoops.core.signing import Verifier
from autoops.errors import AutoopsError


def verify(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="A snapshot; nothing: the newest.")] = "",
    all_of_them: Annotated[bool, typer.Option("--all", help="Every snapshot.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Signatures and checksums only: nothing is unpacked.")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make snapshots registries again, in scratch, and prove them. 0: they are what was kept; 1: one of them is not."""
    ctx = context(state, config)
    place, verifier = Place.of(ctx.state, ctx.running_config().backup.directory), Verifier(ctx.public_key())
    shelf, progress = Shelf(place, verifier), Progress()
    wanted = shelf.all() if all_of_them else [shelf.get(name) if name else shelf.newest()]
    faults: dict[str, str] = {}
    for one in wanted:
        fault = str(one.error) if isinstance(one, Unreadable) else _fault(shelf, one, verifier, progress, quick=quick)
        progress.end()
        faults[one.name] = fault
        if not json:
            say(f"{one.name}: {fault or 'good'}")
    if json:
        as_json(
            {"faults": {key: fault for key, fault in faults.items() if fault}, "good": [key for key in faults if not faults[key]]}
        )
    else:
        say(f"Backups: {'FAILED' if any(faults.values()) else 'PASSED'}")
    raise typer.Exit(1 if any(faults.values()) else 0)


def _fault(shelf: Shelf, one: Manifest, verifier: Verifier, progress: Progress, *, quick: bool) -> str:
    """Return what is wrong with a snapshot, "" when nothing is. Raises BackupUnwritable: there is no room for scratch, say."""
    place = shelf.place
    try:
        base = shelf.get(one.base)
        check.require_sound(place, one, base, progress.bytes)
        if not quick:
            with (
                reaching(place),
                as_owner_of(place.directory),
                tempfile.TemporaryDirectory(prefix=".verify-", dir=place.directory) as scratch,
            ):
                check.require_restorable(place, one, verifier, Path(scratch), progress.bytes)
    except BackupUnsound as error:
        return str(error)
    except AutoopsError as error:
        if error.exit_code == 6:
            raise
        return str(error)
    return ""


def register(app: typer.Typer) -> None:
    """Add this command to the group."""
    app.command()(verify)
