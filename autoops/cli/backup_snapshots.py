"""`autoops-backup snapshot|list|prune`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from autoops import config as configuration
from autoops.acting import as_owner_of
from autoops.backup import prune as pruning
from autoops.backup import snapshot as snapshots
from autoops.backup.errors import BackupBusy, HookFailed
from autoops.backup.hooks import Hooks, run_after, run_before
from autoops.backup.manifest import Manifest
from autoops.backup.retention import Keep
from autoops.backup.shelf import Shelf, Unreadable
from autoops.cli.context import Context, require_state
from autoops.cli.extents import note_backups
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say, table, warn
from autoops.cli.progress import Progress
from autoops.config import BackupConfig
from autoops.core.signing import Signer, Verifier
from autoops.errors import AutoopsError, CheckFailed, LedgerKeyChanged
from autoops.files.last import remember_fault, remember_good
from autoops.files.unsound import recall, remember
from autoops.model import JSON

_DAY_S = 86400.0


def snapshot(
    full: Annotated[
        bool, typer.Option("--full", help="With the whole registry, also when the ledger since the last one would do.")
    ] = False,
    no_prune: Annotated[bool, typer.Option("--no-prune", help="Remove no old ones after it.")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Take a snapshot of registry and queue while they are written: copied, verified, packed, signed; then prune old ones."""
    ctx = context(state, config)
    if dry_run:
        say(f"would take a snapshot of {ctx.state.registry_db} and {ctx.state.queue_db} into {ctx.backups().snapshots}")
        return
    path, made, gone, failed = take(ctx, full=full, prunes=not no_prune)
    if json:
        as_json(_facts(made) | {"failed_hooks": [str(error) for error in failed], "pruned": [one.name for one in gone]})
    else:
        what = f"{made.kind}, {_size(made.size_bytes)}, {made.entries:,} entries, commit {made.head.sequence}"
        say(f"snapshot: {path} ({what})")
        if gone:
            say(f"pruned: {len(gone)}")
    if failed:
        raise CheckFailed(detail="; ".join(f"the snapshot is good, but {_uncapitalized(str(error))}" for error in failed))


class Taken(NamedTuple):
    """A snapshot, what was removed after it, and the hooks that failed then."""

    path: Path
    made: Manifest
    pruned: list[Manifest]
    failed: list[HookFailed]


def take(ctx: Context, *, full: bool = False, prunes: bool = True) -> Taken:
    """Take a snapshot, with everything around it. Raises HookFailed, CheckFailed, LedgerForked, StorageError."""
    require_state(ctx.state)
    settings, signer, shelf = ctx.running_config(), _signer(ctx), shelf_of(ctx)
    place = shelf.place
    wish = snapshots.Wish(configuration.as_toml(settings).encode(), settings.backup.full_days * _DAY_S, full)
    hooks = Hooks(Path(settings.backup.hooks), ctx.state.directory, settings.backup.hook_timeout_s)
    progress, begun_s = Progress(), time.time()
    with as_owner_of(nearest(place.directory)):
        with remembering(ctx.state.last_snapshot):
            run_before(hooks, snapshots.name_of(begun_s))
            made = snapshots.take(ctx.state, shelf, signer, begun_s, wish, progress.bytes)
        remember_good(ctx.state.last_snapshot, made.name, time.time())
        note_backups(ctx, place.directory)
        gone = prune_if_free(shelf, keep_of(settings.backup), progress) if prunes else []
        progress.end()
        remember(ctx.state.unsound_backups, shelf.unsound())
        path = place.snapshot(made.name)
        return Taken(path, made, gone, run_after(hooks, made.name, path))


def prune_if_free(shelf: Shelf, keep: Keep, progress: Progress) -> list[Manifest]:
    """Remove what is not kept, if that can be done now; return what was removed. Raises OSError."""
    try:
        return pruning.prune(shelf, keep, progress.bytes).going
    except BackupBusy:  # the next snapshot waited for this one, say: it prunes when it is taken
        return []


def _uncapitalized(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def list_snapshots(state: StateOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the snapshots, the oldest first. 1: one of them cannot be used."""
    ctx = context(state, config)
    shelf = shelf_of(ctx)
    found = shelf.all()
    planned = pruning.plan(shelf, keep_of(ctx.running_config().backup))
    why, going = planned.kept, {one.name for one in planned.going}
    unusable = [one for one in found if isinstance(one, Unreadable)]
    if json:
        as_json([_facts(one) | {"kept": why.get(one.name, [])} if isinstance(one, Manifest) else _fault(one) for one in found])
    else:
        good = [one for one in found if isinstance(one, Manifest)]
        if good:
            rows = [
                (one.name, one.kind, _size(one.size_bytes), f"{one.entries:,}", one.head.sequence, _reasons(why, one))
                for one in good
            ]
            table([("name", "kind", "size", "entries", "commit", "kept as"), *rows])
        else:
            say(f"there is no snapshot in {shelf.place.directory}")
        for one in unusable:
            warn(f"{one.error}{' (goes with the next prune)' if one.name in going else ''}")
    raise typer.Exit(1 if unusable else 0)


def prune(
    floor: Annotated[
        int | None,
        typer.Option("--floor", min=1, metavar="N", help="For an emergency: only the newest N stay, and what they are built on."),
    ] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Remove the snapshots that the configured retention does not keep."""
    ctx = context(state, config)
    keep = keep_of(ctx.running_config().backup) if floor is None else Keep(floor, 0, 0, 0, 0)
    shelf, progress = shelf_of(ctx), Progress()
    if dry_run or not shelf.names():
        done = pruning.read_plan(shelf, keep, progress.bytes)
    else:
        with as_owner_of(shelf.place.directory):
            done = pruning.prune(shelf, keep, progress.bytes)
            remember(ctx.state.unsound_backups, shelf.unsound())
    progress.end()
    if json:
        as_json({"dry_run": dry_run, "kept": done.kept, "pruned": [one.name for one in done.going]})
        return
    for one in done.going:
        say(f"{'would be removed' if dry_run else 'removed'}: {one.name} ({one.kind}, {_size(one.size_bytes)})")
    say(f"{'would be kept' if dry_run else 'kept'}: {len(done.kept)}")


def shelf_of(ctx: Context) -> Shelf:
    """Return the snapshots, with what is known of them. Raises ConfigError, CannotTell."""
    return Shelf(ctx.backups(), Verifier(ctx.public_key()), recall(ctx.state.unsound_backups).read)


def _signer(ctx: Context) -> Signer:
    """Return the ledger's key. Raises LedgerKeyMissing, LedgerKeyChanged, CannotTell."""
    signer, known = Signer(ctx.load_key()), ctx.public_key()
    if signer.public != known:
        raise LedgerKeyChanged(database=ctx.state.registry_db, known=known.hex(), given=signer.public.hex())
    return signer


@contextlib.contextmanager
def remembering(memory: Path) -> Iterator[None]:
    """Keep how something ended that ends badly."""
    try:
        yield
    except BackupBusy:  # another one is at it
        raise
    except AutoopsError as error:
        with contextlib.suppress(OSError):  # a full disk, say: then the error itself is all that is told
            remember_fault(memory, str(error), time.time())
        raise


def keep_of(settings: BackupConfig) -> Keep:
    """Return the retention."""
    return Keep(settings.keep_last, settings.keep_hourly, settings.keep_daily, settings.keep_weekly, settings.keep_monthly)


def nearest(directory: Path) -> Path:
    """Return a directory, or the one above it that exists."""
    return next(path for path in (directory, *directory.parents) if path.is_dir())


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1e3:,.1f} kB"


def _reasons(why: dict[str, list[str]], one: Manifest) -> str:
    reasons = why.get(one.name, [])
    bases = sum(reason.startswith("base of") for reason in reasons)
    rules = [reason for reason in reasons if not reason.startswith("base of")]
    return ", ".join([*rules, *([f"base of {bases}"] if bases else [])]) or "(goes with the next prune)"


def _facts(one: Manifest) -> JSON:
    return {
        "at": one.at,
        "base": one.base,
        "digest": one.head.digest.hex(),
        "entries": one.entries,
        "host": one.host,
        "kind": one.kind,
        "name": one.name,
        "sequence": one.head.sequence,
        "size_bytes": one.size_bytes,
        "usable": True,
        "version": one.version,
    }


def _fault(one: Unreadable) -> JSON:
    return {"fault": str(one.error), "name": one.name, "usable": False}


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(snapshot)
    app.command("list")(list_snapshots)
    app.command()(prune)
