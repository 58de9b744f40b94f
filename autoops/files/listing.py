"""One directory against what is known of it: the unit of a scan, done in a child process.

Compares by stat first, and reads only what differs: a file whose kind, size, mtime, inode and ctime are what they were when its
content was hashed is the same. Reads the watched trees only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping

from autoops.files import opening
from autoops.files.observe import Rules, Seen, Unreadable, Unsettled, observe

_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
Stamp = tuple[int, int, int, int]  # ctime_ns, mtime_ns, size_bytes, inode
Stamps = Mapping[bytes, Stamp]  # by name
Contents = Mapping[bytes, tuple[str, bytes | None]]  # kind and sha256, by name
Ignored = Callable[[bytes, Collection[bytes], Collection[bytes]], set[bytes]]  # as Ignore.ignored


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
    fd: int,
    path: bytes,
    known: Stamps,
    rules: Rules,
    ignored: Ignored,
    *,
    contents: Contents | None,
    skip: Collection[bytes],
    progress: Callable[[bytes], None],
) -> Listing:
    """Compare an open directory with what is known of it. Raises OSError when it cannot be listed, Pseudo.

    `contents`: what is in the known files, to read them all; None: read those whose stamp is another one. `skip`: names to leave
    alone, for they broke a child before; `progress`: told each name first.
    """
    listing = Listing()
    opening.require_documents(fd)
    with os.scandir(fd) as found:  # names of a directory that was opened by number come as text
        entries = {entry.name.encode(_ENCODING, _ERRORS): entry for entry in found}  # os.fsencode, at a third of its price
    directories = {name for name, entry in entries.items() if entry.is_dir(follow_symlinks=False)}
    left_out = ignored(path, entries, directories)
    listing.directories = sorted(directories - left_out)
    for name in directories | left_out:
        entries.pop(name, None)
    comparable = {} if contents is not None else known
    if skip:
        comparable = {name: stamp for name, stamp in comparable.items() if name not in skip}
    to_read = [name for name, entry in entries.items() if name not in comparable or comparable[name] != _stamp(entry)]
    listing.same = len(entries) - len(to_read)
    vanished = []
    for name in sorted(to_read):
        if name in skip:
            continue
        progress(name)
        outcome = observe(fd, name, rules, is_regular=entries[name].is_file(follow_symlinks=False))
        match outcome:
            case Seen():
                if contents and _is_known(outcome, known.get(name), contents.get(name)):
                    listing.same += 1
                else:
                    listing.seen.append(outcome)
            case Unsettled():
                listing.unsettled.append(outcome)
            case Unreadable():
                listing.unreadable.append(outcome)
            case None:
                vanished.append(name)
    if listing.same < len(known):  # else each of them is there
        there = entries.keys() - vanished
        listing.gone = [name for name in known if name not in there]
    return listing


def _stamp(entry: os.DirEntry[str]) -> Stamp | None:
    try:
        found = entry.stat(follow_symlinks=False)  # half of what os.stat costs
    except OSError:
        return None
    return found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_ino


def _is_known(seen: Seen, stamp: Stamp | None, content: tuple[str, bytes | None] | None) -> bool:
    found = seen.observation
    return (
        stamp is not None and (found.mtime_ns, found.size_bytes, found.inode) == stamp[1:] and content == (found.kind, found.sha256)
    )
