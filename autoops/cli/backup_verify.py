"""`autoops-backup verify`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from autoops.acting import as_owner_of
from autoops.backup import check
from autoops.backup.errors import BackupBusy, FoundUnsound
from autoops.backup.manifest import Manifest
from autoops.backup.place import Place
from autoops.backup.scratch import scratch
from autoops.backup.shelf import Shelf, Unreadable
from autoops.cli.backup_snapshots import shelf_of
from autoops.cli.options import ConfigOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say
from autoops.cli.progress import Progress
from autoops.core.signing import Verifier
from autoops.errors import AutoopsError
from autoops.files.unsound import LEDGER, remember
from autoops.state import State


def verify(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="A snapshot; nothing: the newest, and what cannot be used.")] = "",
    all_of_them: Annotated[bool, typer.Option("--all", help="Every snapshot.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Signatures and checksums only: nothing is unpacked.")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make snapshots registries again, in scratch, and prove them; read the shipped ledger. 1: something is not what was kept."""
    ctx = context(state, config)
    shelf, verifier, progress = shelf_of(ctx), Verifier(ctx.public_key()), Progress()
    faults: dict[str, str] = {}
    for one in _wanted(shelf, name, all_of_them=all_of_them):
        faults[one.name] = _fault(ctx.state, shelf, one, verifier, progress, faults, quick=quick)
        progress.end()
        if faults[one.name] and not shelf.has(one.name):  # pruned while it was read: that takes no lock, for it may take hours
            del faults[one.name]
            if not json:
                say(f"{one.name}: removed meanwhile")
        elif not json:
            say(f"{one.name}: {faults[one.name] or 'good'}")
    good = [key for key, fault in faults.items() if not fault]
    faults[LEDGER] = _ledger_fault(shelf, progress)
    bad = {key: fault for key, fault in faults.items() if fault}
    found = shelf.unsound()
    remember(ctx.state.unsound_backups, found._replace(unusable={**found.unusable, **bad}))
    if json:
        as_json({"faults": bad, "good": good})
    else:
        say(f"{LEDGER}: {faults[LEDGER] or 'good'}")
        say(f"Backups: {'FAILED' if bad else 'PASSED'}")
    raise typer.Exit(1 if bad else 0)


def _ledger_fault(shelf: Shelf, progress: Progress) -> str:
    good = shelf.good()
    fault = check.ledger_fault(shelf.place, good[-1].head.sequence if good else 0, progress.bytes)
    progress.end()
    shelf.found(LEDGER, fault)
    return fault


def _wanted(shelf: Shelf, name: str, *, all_of_them: bool) -> list[Manifest | Unreadable]:
    """Return one; or all; or the newest that can be used, and all that cannot, for they may be newer.

    Raises NoBackup when none is there; for one, what is wrong with its manifest.
    """
    if name:
        return [shelf.get(name)]
    there = shelf.all()
    newest = [one for one in there if isinstance(one, Manifest)][-1:]
    if not there:
        shelf.newest()
    return there if all_of_them else [one for one in there if one in newest or isinstance(one, Unreadable)]


def _fault(
    state: State,
    shelf: Shelf,
    one: Manifest | Unreadable,
    verifier: Verifier,
    progress: Progress,
    faults: Mapping[str, str],
    *,
    quick: bool,
) -> str:
    """Return what is wrong with a snapshot, "" for nothing. `faults`: of those before it, and so of what it is built on.

    Raises BackupUnwritable: there is no room for scratch, say; BackupBusy: another one has it.
    """
    manifest = _to_read(one, faults)
    if manifest is None:
        return str(one.error) if isinstance(one, Unreadable) else ""
    try:
        base = shelf.get(manifest.base)
    except AutoopsError as error:
        return str(error)
    for each in {base.name: base, manifest.name: manifest}.values():
        fault = faults[each.name] if each.name in faults else check.fault_of(shelf.place, each, progress.bytes)
        shelf.found(each.name, fault)
        if fault:
            return fault
    fault = "" if quick else _fault_restored(state, shelf.place, manifest, verifier, progress)
    if fault and manifest is base:
        shelf.found(manifest.name, fault)
    return fault


def _to_read(one: Manifest | Unreadable, faults: Mapping[str, str]) -> Manifest | None:
    """Return a manifest whose files are worth reading: when a base is not, what is built on it is not."""
    if isinstance(one, Manifest) or one.manifest is None:
        return one if isinstance(one, Manifest) else None
    return one.manifest if isinstance(one.error, FoundUnsound) or faults.get(one.manifest.base) == "" else None


def _fault_restored(state: State, place: Place, one: Manifest, verifier: Verifier, progress: Progress) -> str:
    try:
        with as_owner_of(place.directory), scratch(state, place, "verify") as empty:
            check.require_restorable(place, one, verifier, empty, progress.bytes)
    except BackupBusy:
        raise
    except AutoopsError as error:
        if error.exit_code == 6:
            raise
        return str(error)
    return ""


def register(app: typer.Typer) -> None:
    """Add this command to the group."""
    app.command()(verify)
