"""`autoops-backup restore`."""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from autoops import names
from autoops.backup import reach
from autoops.backup.errors import NoBackupDirectory
from autoops.backup.lost import Lost, lost_after
from autoops.backup.place import Place
from autoops.backup.restore import Ask, Restored, restore, restore_to
from autoops.backup.shelf import Shelf
from autoops.cli import keys
from autoops.cli.caller import caller
from autoops.cli.context import Context
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context, file_name
from autoops.cli.output import as_json, say, warn
from autoops.cli.progress import Progress
from autoops.cli.spans import span_s
from autoops.config import Config, root_around
from autoops.core.ledger import stamp, utc
from autoops.core.signing import Verifier
from autoops.errors import AutoopsError, CannotTell, LedgerKeyChanged, Refused, UsageError
from autoops.model import JSON
from autoops.runtime import maintenance
from autoops.state import SYSTEM_KEY
from autoops.window.services import refuse_at_work

FromOption = Annotated[
    Path | None,
    typer.Option("--from", metavar="DIR", readable=False, help="Another backup directory than the configured one."),
]
PublicKeyOption = Annotated[
    Path | None,
    typer.Option("--public-key", metavar="FILE", readable=False, help="The ledger's public key, where there is no ledger.pub."),
]


class Wanted(NamedTuple):
    """Which state is asked for: exactly one of these."""

    latest: bool
    snapshot: str
    at: str
    seq: int | None


def restore_state(
    latest: Annotated[bool, typer.Option("--latest", help="The last commit that was shipped.")] = False,
    snapshot: Annotated[str, typer.Option("--snapshot", metavar="NAME", help="The commit of a snapshot.")] = "",
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="The last commit then: 2026-01-31T18:00 (UTC), or 2h ago: 2h.")
    ] = "",
    seq: Annotated[int | None, typer.Option("--seq", metavar="N", help="A commit by its number.")] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", readable=False, help="Into a new state directory; else in place."),
    ] = None,
    source: FromOption = None,
    public_key: PublicKeyOption = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Do not look what differs on the disk afterwards.")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Put the registry back as it was after a commit. What was there is kept beside it; services must be stopped, or paused."""
    ctx = context(state, config)
    wanted = _one_of(Wanted(latest, snapshot, at, seq))
    settings = ctx.running_config()
    if to is not None:
        _refuse_watched(ctx, settings, file_name(to, "--to"))
    place = Place.of(ctx.state, settings.backup.directory)
    origin = named(source) if source else place
    verifier = verifier_of(ctx, public_key, in_place=to is None)
    progress, faults = Progress(), Faults(quiet=json)
    ask = Ask(origin, _sequence(wanted, origin, verifier, progress, faults), verifier)
    missing = _missing(ctx, ask, is_own=origin == place) if wanted.latest else []
    if dry_run:
        _say_plan(ctx, ask, to, missing, json=json)
        raise typer.Exit(1 if missing else 0)
    if to is not None:
        done = restore_to(to.absolute(), ask, progress.bytes, faults)
    else:
        done = restore(ctx.state, place, ask, stamp(time.time()), actor(), progress.bytes, faults)
    progress.end()
    if json:
        as_json(_facts(done, ask, to, faults) | {"missing": [one.sequence for one in missing]})
        raise typer.Exit(1 if missing else 0)
    _say_restored(done, ask, ctx.state.directory if to is None else to.absolute())
    if to is None and not no_report:
        _say_differences(ctx)
    _say_missing(missing)
    raise typer.Exit(1 if missing else 0)


class Faults:
    """What of the backups cannot be used, told as it is met."""

    def __init__(self, *, quiet: bool) -> None:
        self.told: list[str] = []
        self._quiet = quiet

    def __call__(self, error: AutoopsError) -> None:
        self.told.append(str(error))
        if not self._quiet:
            warn(f"autoops: not used: {error}")


def _one_of(wanted: Wanted) -> Wanted:
    given = [name for name, value in zip(wanted._fields, wanted, strict=True) if value or (value == 0 and value is not False)]
    if len(given) != 1:
        which = " and ".join(f"--{name}" for name in given) or "none of them"
        raise UsageError(detail=f"give one of --latest, --snapshot NAME, --at TIME, --seq N; got {which}")
    return wanted


def _refuse_watched(ctx: Context, settings: Config, to: Path) -> None:
    """Raises Refused for a directory in a watched root: all that is restored into it would be registered as documents."""
    root = root_around(settings, ctx.state.directory, to)
    if root is not None:
        detail = f"{names.show(os.fsencode(to.absolute()))} lies in the watched root {names.show(root.name)}"
        raise Refused(detail=f"{detail}, where all that is restored would be registered; name a directory outside")


def named(source: Path) -> Place:
    """Return another backup directory than the configured one. Raises NoBackupDirectory."""
    place = Place(source.absolute())
    with contextlib.suppress(PermissionError):  # told better by whoever reads it
        if not place.directory.exists():
            raise NoBackupDirectory(directory=place.directory)
    return place


def _missing(ctx: Context, ask: Ask, *, is_own: bool) -> list[Lost]:
    """Return the commits after that one which are known of, and of which the backups do not lead to the registry.

    What the state's own checkpoints know is not missing as long as a registry there has it.
    """
    checkpoints = ctx.state.checkpoints if is_own else None
    with contextlib.suppress(AutoopsError), contextlib.closing(ctx.registry()) as registry:
        checkpoints = None if registry.head().sequence else checkpoints
    return lost_after(ask.sequence, checkpoints, ask.source, None, ask.verifier)


def _sequence(wanted: Wanted, origin: Place, verifier: Verifier, progress: Progress, faults: Faults) -> int:
    """Return the commit that is asked for. Raises UsageError, NoBackup, BackupUnsound and its like."""
    if wanted.seq is not None:
        if wanted.seq < 1:
            raise UsageError(detail=f"there is no commit {wanted.seq}: the first one is commit 1")
        return reach.required(origin, verifier, wanted.seq, faults)
    if wanted.snapshot:
        return Shelf(origin, verifier).get(wanted.snapshot).head.sequence
    if wanted.latest:
        return reach.last_commit(origin, verifier, faults)
    at_s = _time_of(wanted.at)
    then = reach.commit_at(origin, verifier, at_s, time.time(), progress.bytes, faults)
    if then.is_last:
        progress.end()
        warn(f"no commit was shipped between {utc(then.made_s)}, that of commit {then.sequence}, and {utc(at_s)}, nor later")
    return then.sequence


def _time_of(text: str) -> float:
    """Return a time, or a span back from now, in seconds since 1970. Without a zone it is UTC, as `explain` shows times.

    Raises UsageError.
    """
    back_s = span_s(text)
    at_s = maintenance.time_of(text, datetime.UTC) if back_s is None else time.time() - back_s
    try:
        utc(at_s if at_s is not None else math.inf)
    except (ValueError, OverflowError, OSError):
        raise UsageError(detail=f"--at {names.show(text)} is no time: write 2026-01-31T18:00, or 2h for two hours ago") from None
    assert at_s is not None
    return at_s


def verifier_of(ctx: Context, file: Path | None, *, in_place: bool) -> Verifier:
    """Return who knows what our key signed. Raises CannotTell, LedgerKeyChanged."""
    if file is None:
        return Verifier(_own_key(ctx))
    known = ctx.public_key() if in_place and ctx.state.public_key.exists() else None
    try:
        given = bytes.fromhex(file.read_text().strip())
        verifier = Verifier(given)
    except (OSError, ValueError) as error:
        remedy = "give the file ledger.pub of the registry: 64 hexadecimal digits"
        raise CannotTell(detail=f"the public key {file} cannot be read ({error})", remedy=remedy) from None
    if known not in (None, given):
        raise LedgerKeyChanged(database=ctx.state.public_key, known=(known or b"").hex(), given=given.hex())
    return verifier


def _own_key(ctx: Context) -> bytes:
    """Return the ledger's public key; on a new disk, where ledger.pub is missing, of the private one. Raises CannotTell."""
    if not ctx.state.public_key.exists():
        for private in (ctx.state.private_key, SYSTEM_KEY):
            if half := keys.public_half(private):
                return bytes.fromhex(half)
    return ctx.public_key()


def actor() -> str:
    """Return who does it, as the ledger names him."""
    return f"operator:{caller()}"


# what is told


def _say_plan(ctx: Context, ask: Ask, to: Path | None, missing: list[Lost], *, json: bool) -> None:
    """Say what would be done. Raises ServicesRun where that would be refused."""
    target = to.absolute() if to else ctx.state.directory
    if json:
        facts = {"dry_run": True, "from": str(ask.source.directory), "into": str(target), "sequence": ask.sequence}
        as_json(facts | {"missing": [one.sequence for one in missing]})
    else:
        say(f"would make the registry of commit {ask.sequence} from {ask.source.directory}")
        kept = ", which would be kept beside it" if ctx.state.registry_db.exists() else ", which is not there now"
        say(f"would put it {f'into {target}' if to else f'in the place of {ctx.state.registry_db}{kept}'}")
        _say_missing(missing)
    if to is None:
        refuse_at_work(ctx.state)


def _say_missing(missing: list[Lost]) -> None:
    for one in missing:
        warn(f"autoops: known of, and cannot be made from these backups: {one}")
    if missing:
        warn("  hint: autoops-backup recover also takes what can be read of a damaged registry.db, and writes down what is lost")


def _say_restored(done: Restored, ask: Ask, target: Path) -> None:
    head = done.head
    what = f"commit {head.sequence}, {done.entries:,} entries, digest {head.digest.hex()[:16]}"
    say(f"restored: {target}, {what}, from {ask.source.directory}")
    if done.queue:
        say(f"queue.db: {done.queue}")
    if done.installed is None:
        say(f"to use it: autoops status --state {target}; services need the ledger's private key, which is in no backup")
        return
    for path in done.installed.kept:
        say(f"kept: {path}")
    if done.installed.left:
        left = done.installed.left
        first = left.common + 1
        say(f"abandoned: commit{f's {first} to' if first < left.sequence else ''} {left.sequence}")
    if done.installed.abandoned:
        say(f"the backups as they were: {done.installed.abandoned}")


def _say_differences(ctx: Context) -> None:
    """Say in one line what differs on the disk. Not to be able to is no failure: the registry is back."""
    from autoops.cli.reconciling import find_out

    how = "autoops reconcile --report tells what differs on the disk"
    try:
        outcome = find_out(ctx, ctx.config_with_roots(), None, hashes=False, parts=("files",))
    except AutoopsError as error:
        say(f"{how} (not now: {error})")
        return
    found = ", ".join(f"{count:,} {kind}" for kind, count in sorted(outcome.counts.items()))
    say(f"on the disk: {f'{found}; the scan that is enqueued takes it up; {how}' if found else 'all is as the registry says'}")


def _facts(done: Restored, ask: Ask, to: Path | None, faults: Faults) -> JSON:
    installed = done.installed
    return {
        "abandoned": str(installed.abandoned) if installed and installed.abandoned else None,
        "digest": done.head.digest.hex(),
        "entries": done.entries,
        "from": str(ask.source.directory),
        "into": str(to.absolute()) if to else None,
        "kept": [str(path) for path in installed.kept] if installed else [],
        "left": installed.left.sequence if installed and installed.left else None,
        "not_used": faults.told,
        "queue": str(done.queue) if done.queue else None,
        "sequence": done.head.sequence,
    }


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command("restore")(restore_state)
