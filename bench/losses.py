"""What a burst changed, and what of it nobody reported. Decides from values; `files_of` alone looks at the disk."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

COARSE_CLOCK_NS = int(time.clock_getres(time.CLOCK_REALTIME) * 1e9) + 4_000_000  # a file's times lag by a tick, 4 ms at most


class Report(NamedTuple):
    """One line of a watcher's log."""

    at_ns: int
    kind: str
    path: str


State = tuple[int, int, int, int]  # inode, mtime_ns, size, ctime_ns


def files_of(root: Path) -> dict[str, State]:
    """Return every regular file below a root, .git left out; a symlink is never closed after writing, so it does not count."""
    found: dict[str, State] = {}
    for base, folders, names in os.walk(root):
        if ".git" in folders:
            folders.remove(".git")
        for name in names:
            status = os.lstat(f"{base}/{name}")
            if stat.S_ISREG(status.st_mode):
                found[f"{base}/{name}"] = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_ctime_ns)
    return found


def losses(
    root: Path, before: dict[str, State], after: dict[str, State], reports: Iterable[Report], ended_ns: int, wall_offset_ns: int
) -> dict[str, int]:
    """Count what a burst changed and what of it nobody reported.

    A file counts as reported when it was named, or when a scan of a directory above it was asked for after its last change: the
    inode's change time, which no program can set back, carried to the monotonic clock by `wall_offset_ns`. A deletion counts as
    reported when it or a vanished directory above it was named, or when a scan was asked for after the burst.
    """
    written = {path: state for path, state in after.items() if before.get(path) != state}
    gone = before.keys() - after.keys()
    named: set[str] = set()
    closed: set[str] = set()
    scanned_ns: dict[str, int] = {}
    overflows = 0
    for report in reports:
        if report.kind == "S":
            scanned_ns[report.path] = max(report.at_ns, scanned_ns.get(report.path, 0))
        elif report.kind == "V":
            overflows += 1
        else:
            named.add(report.path)
            if report.kind == "W":
                closed.add(report.path)
    unnamed = written.keys() - named
    by_scan = {
        path
        for path in unnamed
        if any(scanned_ns.get(above, 0) > written[path][3] + COARSE_CLOCK_NS - wall_offset_ns for above in above_of(path, root))
    }
    unseen = {
        path for path in gone - named if not any(_covers(above, named, scanned_ns, ended_ns) for above in above_of(path, root))
    }
    return {
        "written": len(written),
        "named": len(written) - len(unnamed),
        "named_while_open_only": len((written.keys() & named) - closed),
        "by_scan": len(by_scan),
        "missed": len(unnamed) - len(by_scan),
        "deleted": len(gone),
        "gone_missed": len(unseen),
        "overflows": overflows,
    }


def _covers(above: str, named: set[str], scanned_ns: dict[str, int], ended_ns: int) -> bool:
    return scanned_ns.get(above, 0) > ended_ns or (above in named and not os.path.isdir(above))


def above_of(path: str, root: Path) -> Iterable[str]:
    """Yield the directories above a path, the root last."""
    while len(path) > len(str(root)):
        path = path.rpartition("/")[0]
        yield path
