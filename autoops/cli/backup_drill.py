"""`autoops-backup drill`."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from autoops import config as configuration
from autoops.acting import as_owner_of
from autoops.backup import archive
from autoops.backup import drill as drills
from autoops.backup.drill import Files, Outcome
from autoops.backup.errors import BackupBusy, NoBackup
from autoops.backup.lock import held
from autoops.backup.place import Place
from autoops.backup.shelf import Shelf
from autoops.backup.shipping import reaching
from autoops.cli.backup_archive import repository_of
from autoops.cli.backup_snapshots import nearest
from autoops.cli.context import Context, require_state
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say
from autoops.cli.progress import Progress
from autoops.config import Config
from autoops.core.drift import DRILL_FAILED
from autoops.core.signing import Verifier
from autoops.errors import AutoopsError, CheckFailed
from autoops.files.last import recall, remember_fault, remember_good
from autoops.files.unsound import LEDGER, forget
from autoops.log import emit
from autoops.model import note
from autoops.pool import asking
from autoops.state import State
from autoops.store.findings import Findings
from autoops.store.registry import Registry


class Kind(NamedTuple):
    """Of what a drill is: the finding's subject, and where it is remembered how it ended."""

    subject: bytes
    memory: Callable[[State], Path]


_BACKUPS = Kind(b"backup", lambda state: state.last_drill)
_ARCHIVE = Kind(b"archive", lambda state: state.last_archive_drill)


def drill(
    files: Annotated[int, typer.Option(min=-1, help="Read so many files, chosen at random. Default: as configured.")] = -1,
    from_archive: Annotated[
        bool, typer.Option("--archive", help="From the archive alone: nothing of the backups here is used.")
    ] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Restore the newest backup into scratch, prove it, compare it with the live registry and with files. 1: it is not the same."""
    ctx = context(state, config)
    if dry_run:
        place, verifier = ctx.backups(), Verifier(ctx.public_key())
        newest = "the newest archive" if from_archive else Shelf(place, verifier).newest().name
        say(f"would restore {newest} into {place.directory}, and compare it")
        return
    outcome = hold(ctx, from_archive=from_archive, files=files)
    if json:
        as_json(outcome.facts())
    else:
        _say(outcome)
    raise typer.Exit(1 if outcome.fault else 0)


def hold(ctx: Context, *, from_archive: bool = False, files: int = -1) -> Outcome:
    """Hold a drill and have it remembered; files: -1 for as many as configured. Raises NoBackup, ArchiveFailed, StorageError."""
    require_state(ctx.state)
    settings, place, verifier = ctx.running_config(), ctx.backups(), Verifier(ctx.public_key())
    kind = _ARCHIVE if from_archive else _BACKUPS
    with as_owner_of(nearest(place.directory)), _recording(ctx, kind, place), _scratch(place) as scratch:
        source = _fetched(ctx, settings, scratch) if from_archive else place
        outcome = _drill(ctx, settings, source, verifier, scratch, settings.drill.files if files < 0 else files)
        _record(ctx, kind, outcome)
        if not outcome.fault and not from_archive:  # it has read the whole shipped ledger
            forget(ctx.state.unsound_backups, LEDGER)
    return outcome


def _fetched(ctx: Context, settings: Config, scratch: Path) -> Place:
    """Fetch the newest archive of this registry. Raises CheckFailed when what else a new host needs is not in it; ArchiveFailed."""
    repository = repository_of(ctx, settings)
    key = ctx.public_key().hex()
    fetched = archive.fetch(repository, scratch / "fetched", key[: archive.KEY_DIGITS])
    if fetched.public_key is None or fetched.public_key.read_text().strip() != key:
        raise CheckFailed(detail="the public key in the archive is not this registry's, or is not there")
    if fetched.config is None:
        raise CheckFailed(detail="there is no configuration in the archive")
    configuration.load(fetched.config)
    return fetched.place


def _drill(ctx: Context, settings: Config, source: Place, verifier: Verifier, scratch: Path, files: int) -> Outcome:
    pool = asking.pool_of(settings, ctx.state.directory, idle_s=60, limit_s=settings.worker.task_timeout_s)

    def look(restored: Registry) -> Files:
        return drills.read_files(restored, pool, files)

    with contextlib.closing(pool), contextlib.closing(ctx.registry()) as live, Progress() as progress:
        return drills.drill(source, scratch, live, verifier, look, progress.bytes)


@contextlib.contextmanager
def _scratch(place: Place) -> Iterator[Path]:
    """Give an empty directory on the disk of the backups: there is room for what is unpacked, or for no restore either."""
    scratch = place.directory / ".drill"
    with reaching(place):
        place.directory.mkdir(mode=0o700, exist_ok=True)
        with held(place, name=".drill.lock"):
            if scratch.exists():  # of one that was killed
                shutil.rmtree(scratch)
            scratch.mkdir(mode=0o700)
            try:
                yield scratch
            finally:
                shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _recording(ctx: Context, kind: Kind, place: Place) -> Iterator[None]:
    """Record also what ends a drill before it has an outcome."""
    try:
        yield
    except BackupBusy:  # another one is at it
        raise
    except AutoopsError as error:
        if not (isinstance(error, NoBackup) and _is_first_to_come(ctx, place)):
            _record(ctx, kind, drills.failed(str(error)))
        raise


def _is_first_to_come(ctx: Context, place: Place) -> bool:
    """Tell whether no snapshot was ever taken: then there is nothing to try out yet, which is no failure."""
    before = recall(ctx.state.last_snapshot)
    return not (before and before.good_s) and not Shelf(place, Verifier(ctx.public_key())).names()


def _record(ctx: Context, kind: Kind, outcome: Outcome) -> None:
    """Have the ledger say how it ended, and keep it for the health check."""
    now_s, memory = time.time(), kind.memory(ctx.state)
    with ctx.queue_db() as database:
        findings = Findings(database)
        if outcome.fault:
            findings.open([(DRILL_FAILED, kind.subject, {"fault": outcome.fault, "snapshot": outcome.snapshot})], int(now_s))
        else:
            findings.close([(DRILL_FAILED, kind.subject)], int(now_s))
    source = f"{kind.subject.decode()}:{outcome.snapshot}"
    ctx.queue().enqueue([note(f"drill:{time.time_ns()}", "drill", source, _sentence(outcome))])
    ctx.wake_worker()
    if outcome.fault:
        remember_fault(memory, outcome.fault, now_s)
    else:
        remember_good(memory, outcome.snapshot, now_s)
    emit("drill_ended", snapshot=outcome.snapshot, sequence=outcome.sequence, entries=outcome.entries, fault=outcome.fault)


def _sentence(outcome: Outcome) -> str:
    if outcome.fault:
        return f"drill{f' of {outcome.snapshot}' if outcome.snapshot else ''} failed: {outcome.fault}"
    files = outcome.files
    read = f"{files.looked} files read, {files.same} as registered, {files.changed} changed since"
    return f"drill of {outcome.snapshot} good: commit {outcome.sequence}, {outcome.entries} entries the same; {read}"


def _say(outcome: Outcome) -> None:
    say(_sentence(outcome))
    for one in outcome.differences:
        say(f"  {one}")
    for path in outcome.files.faults:
        say(f"  content differs: {path}")
    say(f"Drill: {'FAILED' if outcome.fault else 'PASSED'}")


def register(app: typer.Typer) -> None:
    """Add this command to the group."""
    app.command()(drill)
