"""`autoops-backup archive`: the backups in a restic repository, on another host; and back from there."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from autoops import journal, log
from autoops.acting import as_owner_of
from autoops.backup import access, archive
from autoops.backup.archive import Archive, Made, Source
from autoops.backup.archive_log import ArchiveLog, Subject
from autoops.backup.place import Place
from autoops.backup.restic import Repository
from autoops.backup.trouble import ArchiveUnconfigured
from autoops.cli.backup_snapshots import keep_of
from autoops.cli.context import Context, require_state
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context, file_name
from autoops.cli.output import as_json, say, table, warn
from autoops.cli.progress import Progress
from autoops.config import Config
from autoops.core.ledger import utc
from autoops.errors import AutoopsError, StorageError, UsageError
from autoops.model import JSON

InitOption = Annotated[bool, typer.Option("--init", help="Make the repository.")]
CheckOption = Annotated[
    bool, typer.Option("--check", help=f"Check the repository; each time another {archive.CHECK_PARTS}th of its data is read.")
]
AllOption = Annotated[bool, typer.Option("--all", help="With --check: read all of its data.")]
ListOption = Annotated[bool, typer.Option("--list", help="List what is in the repository.")]
FetchOption = Annotated[
    Path | None,
    typer.Option("--fetch", metavar="DIR", readable=False, help="Put the newest archive into DIR, which is empty or not there."),
]
RegistryOption = Annotated[
    str, typer.Option("--registry", metavar="KEY", help="With --fetch: of this registry; default: of this host's, if it has one.")
]


def archive_backups(
    init: InitOption = False,
    check: CheckOption = False,
    every: AllOption = False,
    listing: ListOption = False,
    fetch: FetchOption = None,
    registry: RegistryOption = "",
    is_configured: Annotated[bool, typer.Option("--is-configured", help="Only say, by 0 or 1, whether there is one.")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Copy the backups into the configured repository, and remove from there what the retention does not keep.

    1: it failed, or the check found damage; 3: out of reach, or not ended in time; 4: refused, locked, or not there; 6: no room.
    """
    if journal.is_stderr():  # elsewhere what is printed says it all
        log.configure("info", "journal", "autoops-archive")
    if sum((init, check, listing, fetch is not None, is_configured)) > 1:
        raise UsageError(detail="say one of --init, --check, --list, --fetch and --is-configured")
    fetch = file_name(fetch, "--fetch") if fetch is not None else None
    if every and not check:
        raise UsageError(detail="--all belongs to --check")
    work = _Work(context(state, config), json=json, dry_run=dry_run)
    if is_configured:
        raise typer.Exit(0 if work.settings.archive.repository else 1)
    if dry_run and (check or listing):
        raise UsageError(detail="--check and --list change nothing: they have no --dry-run")
    try:
        if init:
            work.init()
        elif check:
            work.check(every=every)
        elif listing:
            work.list()
        elif fetch is not None:
            work.fetch(fetch.absolute(), registry)
        else:
            work.make()
    except KeyboardInterrupt:
        warn("autoops: interrupted; what the repository holds is good, and the next run goes on from what was uploaded")
        raise
    finally:
        work.progress.end()


def repository_of(ctx: Context, settings: Config) -> Repository:
    """Return the configured repository, with the password that goes with it. Raises ArchiveUnconfigured, ArchiveSecret."""
    return access.repository(settings.archive, ctx.file.parent, os.environ.get("CREDENTIALS_DIRECTORY", ""))


class _Work:
    """What one call of the command works with."""

    def __init__(self, ctx: Context, *, json: bool, dry_run: bool) -> None:
        self.ctx, self.settings = ctx, ctx.running_config()
        self._json, self._dry_run = json, dry_run
        self.progress = Progress()
        self._place = Place.of(ctx.state, self.settings.backup.directory)

    def make(self) -> None:
        """Archive, then forget what is too old."""
        with self._told("archive") as (repository, memory):
            source = Source(self._place, tuple(self._others()), socket.gethostname(), self.ctx.public_key().hex())
            with self._as_owner():
                made = archive.make(repository, source, self._hear, dry_run=self._dry_run)
            if not self._dry_run:
                with as_owner_of(self.ctx.state.queue_db.parent):
                    memory.good(made.snapshot)
                log.emit("archived", archive=made.id, snapshot=made.snapshot, added_bytes=made.added_bytes)
            with self._as_owner():
                gone = archive.forget(repository, source, keep_of(self.settings.backup), dry_run=self._dry_run)
        self._say_made(repository, made, gone)

    def check(self, *, every: bool) -> None:
        """Check the repository."""
        with self._told("archive check") as (repository, memory):
            next_part = memory.next_part()
            part = 0 if every else next_part
            with self._as_owner():
                archive.check(repository, part)
            with as_owner_of(self.ctx.state.queue_db.parent):
                memory.good(str(part or next_part - 1))
        read = f"part {part} of {archive.CHECK_PARTS} of its data was read" if part else "all of its data was read"
        if self._json:
            as_json({"good": True, "part": part, "parts": archive.CHECK_PARTS})
        else:
            say(f"{repository.shown}: good; {read}")

    def init(self) -> None:
        """Make the repository."""
        repository = repository_of(self.ctx, self.settings)
        if self._dry_run:
            say(f"would make a repository at {repository.shown}")
            return
        with self._as_owner():
            archive.init(repository)
        say(f"made: {repository.shown}")
        say("without its password nothing can be read from it: keep a copy of that elsewhere, and of the ledger's private key")

    def list(self) -> None:
        """List the archives."""
        repository = repository_of(self.ctx, self.settings)
        with self._as_owner():
            found = archive.archives(repository)
        if self._json:
            as_json([_facts(one) for one in found])
        elif not found:
            say(f"there is no archive in {repository.shown}")
        else:
            rows = [(one.id[: archive.SHORT], utc(one.at_s), one.host, one.key, one.snapshot or "-") for one in found]
            table([("archive", "made", "host", "registry", "newest snapshot"), *rows])

    def fetch(self, target: Path, registry: str) -> None:
        """Fetch the newest archive."""
        repository = repository_of(self.ctx, self.settings)
        key = registry[: archive.KEY_DIGITS] or self._own_key()
        if self._dry_run:
            chosen = archive.newest(repository, key)
            say(f"would fetch {chosen.id[: archive.SHORT]} of {utc(chosen.at_s)}, host {chosen.host}, into {target}")
            return
        fetched = archive.fetch(repository, target, key, hear=self._hear)
        one = fetched.archive
        if self._json:
            as_json(
                _facts(one) | {"config": _text(fetched.config), "directory": str(target), "public_key": _text(fetched.public_key)}
            )
            return
        say(f"fetched: archive {one.id[: archive.SHORT]} of {utc(one.at_s)}, host {one.host}, into {target}")
        for what, path in (("configuration", fetched.config), ("public key", fetched.public_key)):
            say(f"{what}: {path or 'there is none in it'}")

    # what all of them need

    @contextlib.contextmanager
    def _told(self, subject: Subject) -> Iterator[tuple[Repository, ArchiveLog]]:
        """Have it remembered how the work within ended: a finding, or none any more."""
        require_state(self.ctx.state)
        memory = ArchiveLog(self.ctx.state, subject, self.ctx.queue_db)
        try:
            yield repository_of(self.ctx, self.settings), memory
        except ArchiveUnconfigured:
            raise
        except AutoopsError as error:
            if not self._dry_run:
                self._note_failure(memory, error)
            raise
        if not self._dry_run:
            with as_owner_of(self.ctx.state.queue_db.parent):
                memory.settled()

    def _note_failure(self, memory: ArchiveLog, error: AutoopsError) -> None:
        if journal.is_stderr():
            log.emit("archive_failed", reason=str(error))
        try:
            with as_owner_of(self.ctx.state.queue_db.parent):
                memory.failed(error)
        except StorageError as unrecorded:
            warn(f"autoops: there is no finding of what follows: {unrecorded}")

    @contextlib.contextmanager
    def _as_owner(self) -> Iterator[None]:
        """Work as the owner of the backup directory, if there is one: a repository on this host is then his, whoever began it."""
        with as_owner_of(self._place.directory) if self._place.directory.exists() else contextlib.nullcontext():
            yield

    def _others(self) -> Iterator[Path]:
        for path in (self.ctx.file if self.ctx.file.exists() else self.ctx.state.running_config, self.ctx.state.public_key):
            if path.exists():
                yield path

    def _own_key(self) -> str:
        return self.ctx.public_key().hex()[: archive.KEY_DIGITS] if self.ctx.state.public_key.exists() else ""

    def _hear(self, facts: JSON) -> None:
        done: int = facts.get("bytes_done") or facts.get("bytes_restored") or 0
        total: int = facts.get("total_bytes", 0)
        self.progress.show(f"archive: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB" if total else "archive ...")

    def _say_made(self, repository: Repository, made: Made, gone: int) -> None:
        if self._json:
            as_json({**made._asdict(), "dry_run": self._dry_run, "removed": gone, "repository": repository.shown})
            return
        verb, removed = ("would be archived", "would be removed") if self._dry_run else (f"archived as {made.id}", "removed")
        say(
            f"{verb}: {made.files:,} files, {made.size_bytes / 1e6:,.1f} MB, of which {made.added_bytes / 1e6:,.1f} MB new;"
            f" newest snapshot: {made.snapshot or 'none'}; into {repository.shown}"
        )
        if gone:
            say(f"{removed}: {gone} archive(s) that the retention does not keep")


def _facts(one: Archive) -> JSON:
    return {"archive": one.id, "at": utc(one.at_s), "host": one.host, "registry": one.key, "snapshot": one.snapshot}


def _text(path: Path | None) -> str | None:
    return str(path) if path else None


def register(app: typer.Typer) -> None:
    """Add this command to the group."""
    app.command("archive")(archive_backups)
