"""`autoops-backup drill`."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from autoops.acting import as_owner_of
from autoops.backup import drill as drills
from autoops.backup.drill import Files, Outcome
from autoops.backup.last import remember_fault, remember_good
from autoops.backup.lock import held
from autoops.backup.place import Place
from autoops.backup.shelf import Shelf
from autoops.cli.context import Context, require_state
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say
from autoops.cli.progress import Progress
from autoops.config import Config
from autoops.core.drift import DRILL_FAILED
from autoops.core.signing import Verifier
from autoops.errors import BackupUnwritable
from autoops.log import emit
from autoops.model import note
from autoops.pool import asking
from autoops.pool.pool import Pool
from autoops.store.findings import Findings
from autoops.store.registry import Registry

_SUBJECT = b"restore"


def drill(
    files: Annotated[int, typer.Option(min=-1, help="Read so many files, chosen at random. Default: [drill] files.")] = -1,
    state: StateOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Restore the newest backup into scratch, prove it, compare it with the live registry and with files. 1: it is not the same."""
    ctx = context(state, config)
    require_state(ctx.state)
    settings = ctx.running_config()
    place = Place.of(ctx.state, settings.backup.directory)
    verifier = Verifier(ctx.public_key())
    newest = Shelf(place, verifier).newest()
    if dry_run:
        say(f"would restore {newest.name} into {place.directory}, and compare it")
        return
    with as_owner_of(place.directory), held(place, name=".drill.lock"), _scratch(place) as scratch:
        outcome = _drill(ctx, settings, place, verifier, scratch, settings.drill.files if files < 0 else files)
        _record(ctx, outcome)
    if json:
        as_json(outcome.facts())
    else:
        _say(outcome)
    raise typer.Exit(1 if outcome.fault else 0)


def _drill(ctx: Context, settings: Config, place: Place, verifier: Verifier, scratch: Path, files: int) -> Outcome:
    progress = Progress()
    size = settings.worker.pool_size or os.cpu_count() or 1
    pool = Pool(asking.setup_of(settings, ctx.state.directory), size=size, idle_s=60, limit_s=settings.worker.task_timeout_s)

    def look(restored: Registry) -> Files:
        return drills.read_files(restored, pool, files)

    with contextlib.closing(pool), contextlib.closing(ctx.registry()) as live:
        outcome = drills.drill(place, scratch, live, verifier, look, progress.bytes)
    progress.end()
    return outcome


@contextlib.contextmanager
def _scratch(place: Place) -> Iterator[Path]:
    """Give an empty directory on the disk of the backups: there is room for what is unpacked, or for no restore either."""
    scratch = place.directory / ".drill"
    try:
        if scratch.exists():  # of one that was killed
            shutil.rmtree(scratch)
        scratch.mkdir(mode=0o700)
    except OSError as error:
        raise BackupUnwritable(directory=place.directory, why=error.strerror or error) from error
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _record(ctx: Context, outcome: Outcome) -> None:
    """Have the ledger say how it ended, and keep it for the health check."""
    now_s = time.time()
    with ctx.queue_db() as database:
        findings = Findings(database)
        if outcome.fault:
            findings.open([(DRILL_FAILED, _SUBJECT, {"fault": outcome.fault, "snapshot": outcome.snapshot})], int(now_s))
        else:
            findings.close([(DRILL_FAILED, _SUBJECT)], int(now_s))
    ctx.queue().enqueue([note(f"drill:{time.time_ns()}", "drill", f"backup:{outcome.snapshot}", _sentence(outcome))])
    ctx.wake_worker()
    if outcome.fault:
        remember_fault(ctx.state.last_drill, outcome.fault, now_s)
    else:
        remember_good(ctx.state.last_drill, outcome.snapshot, now_s)
    emit("drill_ended", snapshot=outcome.snapshot, sequence=outcome.sequence, entries=outcome.entries, fault=outcome.fault)


def _sentence(outcome: Outcome) -> str:
    if outcome.fault:
        return f"drill of {outcome.snapshot} failed: {outcome.fault}"
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
