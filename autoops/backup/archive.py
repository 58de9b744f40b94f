"""The archive: the backup directory in a restic repository, encrypted, on another host.

What goes into it: everything in the backup directory but the lock, what is hidden (half-made) and copies from before edits by hand;
and the configuration and the public key, which keep their own paths. The snapshots are listed first and the ledger is read after
that, so it has every commit that they are built on, though snapshots are taken and the ledger is shipped meanwhile. What vanishes
while it is read (a snapshot that is pruned, a segment that is closed) has the run begin again, once.

Each archive has the tags `autoops`, `key=` (the registry's, 16 digits) and `snapshot=` (the newest in it): so several hosts, and
several registries of one, can share a repository. Reads the backup directory; writes the repository, and `fetch` its target.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from autoops.backup.errors import NoBackup
from autoops.backup.place import Place
from autoops.backup.restic import Hear, Repository, ask
from autoops.backup.retention import Keep
from autoops.backup.trouble import ArchiveFull, ArchiveIncomplete, NoArchive
from autoops.errors import StorageFull
from autoops.model import JSON

SHORT = 8  # digits of an archive's name that are shown, as restic does
CHECK_PARTS = 30  # a part of the data is read by each check: after so many of them, all of it was
_HIDDEN = ".*"
_LEFT_OUT = (_HIDDEN, "lock", "*.lock", "window-*.db")
_TAG, _KEY, _SNAPSHOT = "autoops", "key=", "snapshot="
KEY_DIGITS = 16
_ON_A_SHELF = "snapshots"


class Source(NamedTuple):
    """What is archived, and as whose. `others`: more files (configuration, public key), by absolute paths."""

    place: Place
    others: tuple[Path, ...]
    host: str
    public_key: str

    @property
    def key(self) -> str:
        """What the registry's archives are known by."""
        return self.public_key[:KEY_DIGITS]


class Archive(NamedTuple):
    """One archive in a repository. `snapshot`: the newest that is in it, "" for none."""

    id: str
    at_s: float
    host: str
    key: str
    snapshot: str
    paths: tuple[str, ...]


class Made(NamedTuple):
    """What a run made, or would make. `added_bytes`: what was not in the repository before."""

    id: str
    snapshot: str
    files: int
    size_bytes: int
    added_bytes: int


class Fetched(NamedTuple):
    """What was fetched: a backup directory, and where what is not part of it lies there, None when the archive has none."""

    archive: Archive
    place: Place
    config: Path | None
    public_key: Path | None


def init(repository: Repository) -> None:
    """Make a repository. Raises ArchiveFailed, ArchiveExists among them."""
    ask(repository, "could not be made", "init")


def archives(repository: Repository, key: str = "", host: str = "") -> list[Archive]:
    """Return the archives of one registry and host ("": of any), the oldest first. Raises ArchiveFailed."""
    wanted = ["--tag", f"{_TAG},{_KEY}{key}" if key else _TAG, *(["--host", host] if host else [])]
    answers = ask(repository, "could not be read", "snapshots", *wanted)
    return sorted((_archive(one) for answer in answers for one in answer if isinstance(one, dict)), key=lambda one: one.at_s)


def make(repository: Repository, source: Source, hear: Hear, *, dry_run: bool = False) -> Made:
    """Archive what there is now. Raises NoBackup, ArchiveFailed."""
    before = archives(repository, source.key, source.host)
    parent = before[-1].id if before else ""
    try:
        return _make(repository, source, parent, hear, dry_run=dry_run)
    except ArchiveIncomplete:  # something vanished, or cannot be read
        return _make(repository, source, parent, hear, dry_run=dry_run)


def _make(repository: Repository, source: Source, parent: str, hear: Hear, *, dry_run: bool) -> Made:
    names, newest = contents(source.place)
    words = ["--host", source.host, "--tag", f"{_TAG},{_KEY}{source.key},{_SNAPSHOT}{newest}"]
    words += ["--parent", parent] if parent else []
    words += ["--dry-run"] if dry_run else []
    words += ["--exclude", f"{_literally(source.place.directory)}/**/{_HIDDEN}"]
    answers = ask(
        repository, "could not be added to", "backup", *words, "--", *names, *map(str, source.others),
        directory=source.place.directory, hear=hear,
    )  # fmt: skip
    summary: JSON = next(one for one in answers if isinstance(one, dict) and one.get("message_type") == "summary")
    return Made(
        str(summary["snapshot_id"])[:SHORT],
        newest,
        int(summary["total_files_processed"]),
        int(summary["total_bytes_processed"]),
        int(summary["data_added"]),
    )


def _literally(path: Path) -> str:
    """Return a path as a pattern of restic's that means it alone."""
    return re.sub(r"([\\*?\[\]])", r"\\\1", str(path))


def contents(place: Place) -> tuple[list[str], str]:
    """Return what of a backup directory is archived, by paths below it, and the newest snapshot ("": none). Raises NoBackup."""
    try:
        there = sorted(os.listdir(place.directory))
        snapshots = sorted(os.listdir(place.snapshots)) if place.snapshots.is_dir() else []
    except OSError as error:
        raise NoBackup(detail=f"{place.directory} cannot be read ({error.strerror})") from error
    snapshots = [name for name in snapshots if not name.startswith(".")]
    if not snapshots and "ledger" not in there:
        raise NoBackup(detail=f"there is nothing in {place.directory} to be archived")
    rest = [name for name in there if name != _ON_A_SHELF and not any(fnmatch.fnmatchcase(name, one) for one in _LEFT_OUT)]
    return [*rest, *(f"{_ON_A_SHELF}/{name}" for name in snapshots)], max(snapshots, default="")


def forget(repository: Repository, source: Source, keep: Keep, *, dry_run: bool = False) -> int:
    """Remove the archives of this registry and host that the retention does not keep, and what only they hold; return how many.

    Raises ArchiveFailed.
    """
    numbers = [(name, number) for name, number in keep._asdict().items() if number]
    words = [word for name, number in numbers for word in (f"--keep-{name}", str(number))]
    words += ["--prune", "--group-by", "host", "--host", source.host, "--tag", f"{_TAG},{_KEY}{source.key}"]
    answers = ask(repository, "could not be rid of old ones", "forget", *words, *(["--dry-run"] if dry_run else []))
    groups = [group for answer in answers if isinstance(answer, list) for group in answer]
    return sum(len(group.get("remove") or []) for group in groups)


def check(repository: Repository, part: int) -> None:
    """Check the repository, and read one part of its data, from 1 to CHECK_PARTS; 0: all. Raises ArchiveFailed, ArchiveDamaged."""
    ask(
        repository, "could not be checked", "check", *(["--read-data-subset", f"{part}/{CHECK_PARTS}"] if part else ["--read-data"])
    )


def newest(repository: Repository, key: str = "", host: str = "") -> Archive:
    """Return the newest archive, of one registry or host when it is given. Raises NoArchive, ArchiveFailed."""
    found = archives(repository, key, host)
    if not found:
        of = "".join([f" of registry {key}" if key else "", f" of host {host}" if host else ""])
        raise NoArchive(detail=f"there is no archive{of} in {repository.shown}")
    if len({one.key for one in found}) > 1:
        which = sorted({f"{one.key} (host {one.host})" for one in found})
        raise NoArchive(detail=f"there are archives of several registries: {', '.join(which)}; say of which (--registry)")
    return found[-1]


def fetch(repository: Repository, target: Path, key: str = "", host: str = "", hear: Hear = lambda _: None) -> Fetched:
    """Restore the newest archive, of one registry or host when it is given, into a directory that is empty or not there.

    It has the name `target` only when it is whole. Raises NoArchive, ArchiveFailed, StorageFull.
    """
    if (target.is_dir() and any(target.iterdir())) or (target.exists() and not target.is_dir()):
        raise NoArchive(detail=f"{target} is there, and not an empty directory")
    chosen = newest(repository, key, host)
    partial = target.with_name(f".{target.name}.tmp")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of one that was killed
        partial.mkdir(mode=0o700, parents=True)
        ask(repository, "could not be fetched", "restore", chosen.id, "--target", str(partial), hear=hear)
        partial.rename(target)
    except ArchiveFull as error:
        if str(partial) in str(error):
            raise StorageFull(database=target) from error
        raise
    except OSError as error:
        raise NoArchive(detail=f"{target} cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    beside = [path for path in (target / one.lstrip("/") for one in chosen.paths) if path.is_file()]  # no part of the backups
    keys = [path for path in beside if path.name == "ledger.pub"]
    configs = [path for path in beside if path not in keys]
    return Fetched(chosen, Place(target), next(iter(configs), None), next(iter(keys), None))


def _archive(facts: JSON) -> Archive:
    tags = {name: value for name, _, value in (tag.partition("=") for tag in facts.get("tags") or ())}
    at_s = datetime.fromisoformat(facts["time"]).astimezone(UTC).timestamp()
    return Archive(facts["id"], at_s, facts["hostname"], tags.get("key", ""), tags.get("snapshot", ""), tuple(facts["paths"]))
