"""What is mounted where, as this process sees it.

Reads /proc/self/mountinfo (proc_pid_mountinfo(5)); writes nothing. Paths are bytes, with the kernel's octal escapes undone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

_ESCAPE = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mount, in the order they were made."""

    mount_point: bytes
    device: int  # as in st_dev
    kind: str  # file-system type: "ext4", "nfs4", "fuse.sshfs"
    source: bytes
    id: int
    is_read_only: bool = False  # this mount of it; another one of the same file system may be writable


# File systems whose files are the kernel talking: neither watched nor registered (opening.py has their numbers).
_KERNEL = """proc sysfs devpts cgroup cgroup2 debugfs tracefs securityfs pstore bpf mqueue configfs efivarfs binfmt_misc fusectl
selinuxfs nsfs autofs rpc_pipefs"""
PSEUDO = frozenset(_KERNEL.split())


def mounts() -> list[Mount]:
    """Return every mount of this process's namespace."""
    return parse(Path("/proc/self/mountinfo").read_bytes())


def parse(content: bytes) -> list[Mount]:
    """Return the mounts that a mountinfo file lists; a line of another shape is passed over, as the man page asks."""
    found = []
    for line in content.split(b"\n"):
        before, _, after = line.partition(b" - ")
        fields, more = before.split(b" "), after.split(b" ")
        if len(fields) < 6 or len(more) < 2:
            continue
        major, _, minor = fields[2].partition(b":")
        device = os.makedev(int(major), int(minor))
        kind, source = more[0].decode("utf-8", "replace"), _plain(more[1])
        found.append(Mount(_plain(fields[4]), device, kind, source, int(fields[0]), b"ro" in fields[5].split(b",")))
    return found


def kind_of(path: bytes) -> str:
    """Return the type of the file system that holds this path, which must be absolute and without links; "" when none does."""
    return holder(path, mounts())


def holder(path: bytes, among: list[Mount]) -> str:
    """Return the type of the file system that holds the path, "" when none does."""
    best = deepest(path, among)
    return best.kind if best else ""


def deepest(path: bytes, among: list[Mount]) -> Mount | None:
    """Return the deepest mount that holds the path; of two on one point, the later hides the earlier."""
    best: Mount | None = None
    for mount in among:
        inside = path == mount.mount_point or path.startswith(mount.mount_point.rstrip(b"/") + b"/")
        if inside and (best is None or len(mount.mount_point) >= len(best.mount_point)):
            best = mount
    return best


def below(root: bytes, among: list[Mount] | None = None) -> list[Mount]:
    """Return the mounts strictly below a directory, given absolute and without links."""
    start = root.rstrip(b"/") + b"/"
    every = mounts() if among is None else among
    return [mount for mount in every if mount.mount_point.startswith(start) and mount.mount_point != start]


def _plain(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field)
