"""Is this host good for autoops: clock, inotify limits, file system, versions? Pure but for the functions that read.

Reads /proc, adjtimex(2) and the installed libraries' metadata; writes nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from autoops.core.spoken import age, counted
from autoops.health.limits import WATCHES_WARNING
from autoops.health.result import Figure, Level, Result, entry
from autoops.store.filesystem import is_remote
from autoops.store.version import Version, has_wal_reset_bug

_SAME_NAME = (
    "watchdog",
    "typer",
    "structlog",
    "sdnotify",
    "cryptography",
    "pathspec",
    "fastjsonschema",
    "jsonpatch",
    "imagesize",
    "pypdf",
)
LIBRARIES = {"PyYAML": "yaml", **{name: name for name in _SAME_NAME}}  # distribution: module
_TIME_ERROR = 5  # adjtimex(2): not synchronised
_TIMEX_BYTES = 512  # struct timex has 208 on 64 bits
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")  # systemd-timesyncd(8): it has been, since the boot
_CONTAINER_SIGNS = (Path("/run/systemd/container"), Path("/.dockerenv"), Path("/run/.containerenv"))
_MEMORY_ONLY = ("tmpfs", "ramfs")


class Limits(NamedTuple):
    """The inotify limits of this kernel (inotify(7)), and what the watcher uses of the first."""

    watches: int
    instances: int
    queued_events: int
    used: int | None  # None: the watcher does not run, or is hidden


# clock


def is_synchronised() -> bool | None:
    """Return whether the kernel's clock is kept by somebody, None when nobody says."""
    if _TIMESYNCD.exists():
        return True
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # zeros: asks, and sets nothing
    return None if state < 0 else state != _TIME_ERROR


def is_container() -> bool:
    """Tell whether this is a container, whose host keeps the clock."""
    return any(path.exists() for path in _CONTAINER_SIGNS)


def clock(
    now: datetime.datetime,
    last_commit: datetime.datetime | None,
    synchronised: bool | None,
    container: bool,
    last_sign: datetime.datetime | None = None,
    *,
    must_know: bool = True,
) -> Result:
    """Judge the clock: no earlier than the last commit and the last sign of life of a daemon, and kept by somebody.

    must_know: whoever asks may ask the kernel; a unit with ProtectClock=yes may not.
    """
    before = {"the last commit": last_commit, "the last sign of life of a daemon": last_sign}
    for what, at in before.items():
        if at is not None and now < at:
            late = age((at - now).total_seconds())
            said = f"the clock is {late} before {what}; IDs go on from the last one, but times in the ledger are wrong"
            return Result("clock", Level.CRITICAL, said, remedy=entry("clock"))
    if synchronised:
        return Result("clock", Level.OK, "synchronised")
    if container:
        return Result("clock", Level.OK, "not synchronised from here: this is a container, and its host keeps the clock")
    if synchronised is None and not must_know:
        return Result("clock", Level.OK, "not before anything that was recorded; who keeps it, autoops doctor says (as root)")
    if synchronised is None:
        return Result("clock", Level.UNKNOWN, "the kernel does not say whether it is synchronised", remedy="timedatectl")
    return Result("clock", Level.WARNING, "nobody synchronises it", remedy="timedatectl set-ntp true")


# inotify


def limits(watcher: int | None) -> Limits:
    """Return the limits, and how many watches a process has. Raises OSError."""
    base = Path("/proc/sys/fs/inotify")
    names = ("max_user_watches", "max_user_instances", "max_queued_events")
    watches, instances, events = (int((base / name).read_text()) for name in names)
    return Limits(watches, instances, events, count_watches(watcher) if watcher else None)


def count_watches(pid: int) -> int | None:
    """Return how many inotify watches a process has (proc_pid_fdinfo(5)), None when it is hidden from us or gone."""
    total = 0
    try:
        for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
            with contextlib.suppress(FileNotFoundError), entry.open("rb") as lines:  # closed meanwhile
                total += sum(line.startswith(b"inotify wd:") for line in lines)
    except OSError:
        return None
    return total


def inotify(found: Limits, unwatched: int) -> Result:
    """Judge whether the limit on watches is enough. unwatched: directories that the limit has left out."""
    wanted = max(524_288, 1 << (2 * max(found.used or 0, found.watches)).bit_length() - 1)
    remedy = (
        f"sysctl -w fs.inotify.max_user_watches={wanted}; for good: "
        f"echo fs.inotify.max_user_watches={wanted} >/etc/sysctl.d/90-autoops.conf"
    )
    if unwatched:
        said = f"{counted(unwatched, 'place')} not watched, for max_user_watches ({found.watches:,}) is used up"
        return Result("inotify", Level.CRITICAL, said, remedy=remedy)
    if found.used is None:
        said = f"max_user_watches {found.watches:,}; how many are used is not to be seen (no watcher, or another user's)"
        return Result("inotify", Level.OK, said)
    share = 100 * found.used / found.watches if found.watches else 100.0
    figures = (Figure("watches_used", share, "%", WATCHES_WARNING, None),)
    said = f"the watcher uses {found.used:,} of {found.watches:,} watches"
    if share >= WATCHES_WARNING:
        return Result("inotify", Level.WARNING, said, figures, remedy)
    return Result("inotify", Level.OK, said, figures)


# file system, versions


def file_system(kind: str) -> Result:
    """Judge the file system of the state directory."""
    if is_remote(kind):
        said = f"{kind} is a network file system, where WAL does not work"
        return Result("file system", Level.CRITICAL, said, remedy="put the state directory on a local disk")
    if kind in _MEMORY_ONLY:
        said = f"{kind} is memory: everything is gone after a reboot"
        return Result("file system", Level.WARNING, said, remedy="put the state directory on a disk")
    return Result("file system", Level.OK, kind or "not told by the kernel")


def versions(autoops: str, sqlite: Version, libraries: Mapping[str, str]) -> Result:
    """Say which versions are at work, and what is known to be wrong with them."""
    import platform

    number = ".".join(map(str, sqlite))
    said = f"autoops {autoops}, Python {platform.python_version()}, SQLite {number}"
    if has_wal_reset_bug(sqlite):
        said += " (has the WAL-reset bug; autoops holds its writers off while it checkpoints: outside a maintenance window let no"
        said += " other program write)"
    missing = [name for name, version in libraries.items() if not version]
    if missing:
        return Result(
            "versions", Level.CRITICAL, f"{said}; not installed: {', '.join(missing)}", remedy="install the package again"
        )
    return Result("versions", Level.OK, f"{said}; {', '.join(f'{name} {version}' for name, version in libraries.items())}")


def library_versions() -> dict[str, str]:
    """Return the version of each library, "" for one that is not installed, "?" for one that does not say."""
    import importlib.metadata  # 10 ms, for the doctor alone
    import importlib.util

    found = {}
    for name, module in LIBRARIES.items():
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "?" if importlib.util.find_spec(module) else ""
    return found
