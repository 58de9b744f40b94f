"""One directory against what is known of it: the unit of a scan, done in a child process.

Compares by stat first, and reads only what differs: a file whose kind, size, mtime, inode and ctime are what they were when its
content was hashed is the same. Reads the watched trees only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping

from autoops.files import opening
from autoops.files.observe import Rules, Seen, Unreadable, Unsettled, observe

# name -> (kind, size_bytes, mtime_ns, inode, ctime_ns, sha256)
Known = Mapping[bytes, tuple[str, int, int, int, int, bytes | None]]
Ignored = Callable[[bytes, list[tuple[bytes, bool]]], Collection[bytes]]


class Listing:
    """What one directory holds, compared with what is known of it."""

    def __init__(self) -> None:
        self.directories: list[bytes] = []  # names, in order
        self.seen: list[Seen] = []  # new, changed or read again
        self.unsettled: list[Unsettled] = []
        self.unreadable: list[Unreadable] = []
        self.gone: list[bytes] = []  # known names that are not there
        self.same = 0


def list_directory(
    root: bytes,
    path: bytes,
    known: Known,
    rules: Rules,
    ignored: Ignored,
    *,
    rehash: bool,
    skip: Collection[bytes],
    progress: Callable[[bytes], None],
) -> Listing:
    """Compare a directory with what is known of it. Raises OSError when it cannot be listed, Loop, Pseudo.

    `rehash`: read every file; `skip`: names to leave alone, for they broke a child before; `progress`: told each name first.
    """
    listing = Listing()
    with opening.directory(root, path) as fd:
        opening.require_documents(fd)
        with os.scandir(fd) as found:  # names of a directory that was opened by number come as text
            entries = {os.fsencode(entry.name): entry for entry in found}
        names = [(name, entries[name].is_dir(follow_symlinks=False)) for name in sorted(entries)]
        left_out = ignored(path, names)
        there = set()
        for name, is_directory in names:
            if name in left_out:
                continue
            if is_directory:
                listing.directories.append(name)
                continue
            there.add(name)
            if name in skip:
                continue
            if not rehash and name in known and _is_same(entries[name], known[name]):
                listing.same += 1
                continue
            progress(name)
            outcome = observe(fd, name, rules)
            match outcome:
                case Seen():
                    if rehash and _is_known(outcome, known.get(name)):
                        listing.same += 1
                    else:
                        listing.seen.append(outcome)
                case Unsettled():
                    listing.unsettled.append(outcome)
                case Unreadable():
                    listing.unreadable.append(outcome)
                case None:
                    there.discard(name)
    listing.gone = [name for name in known if name not in there]
    return listing


def _is_same(entry: os.DirEntry[str], known: tuple[str, int, int, int, int, bytes | None]) -> bool:
    try:
        found = entry.stat(follow_symlinks=False)  # half of what os.stat costs
    except OSError:
        return False
    _, size_bytes, mtime_ns, inode, ctime_ns, _ = known
    return (found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_ino) == (ctime_ns, mtime_ns, size_bytes, inode)


def _is_known(seen: Seen, known: tuple[str, int, int, int, int, bytes | None] | None) -> bool:
    found = seen.observation
    return known is not None and (found.kind, found.size_bytes, found.mtime_ns, found.inode, found.sha256) == (*known[:4], known[5])
