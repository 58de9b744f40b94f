"""Disks for tests, in image files on loop devices: whose power can be cut, and what was on them then."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, 2  # FS_IOC_SHUTDOWN (linux/fs.h), and not even the journal is written any more
_MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", "-J", "size=4"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
_MOUNT = {"xfs": ["nouuid"]}  # a copy has the identity of what it was copied from
_SIZE = {"ext4": "64M", "xfs": "320M", "btrfs": "512M"}
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def need_root() -> None:
    """Skip where nothing may be mounted."""
    if os.geteuid() != 0:
        pytest.skip("a disk of its own needs root")


def need(*programs: str) -> None:
    """Skip where a program is missing."""
    for program in programs:
        if shutil.which(program, path=_PATH) is None:
            pytest.skip(f"{program} is not installed here (./dev faults installs it)")


def _run(*command: object) -> str:
    done = subprocess.run([os.fspath(one) if isinstance(one, Path) else str(one) for one in command], capture_output=True,
                          text=True, env={**os.environ, "PATH": _PATH})  # fmt: skip
    if done.returncode:
        raise OSError(f"{command}: {done.stderr.strip()}")
    return done.stdout.strip()


class Disk:
    """A file system in an image file. `path` is where it is mounted."""

    def __init__(self, image: Path, path: Path, kind: str, size: str = "") -> None:
        self.image, self.path, self.kind = image, path, kind
        self._size = size or _SIZE[kind]

    def make(self) -> None:
        """Make an empty one."""
        _run("truncate", "-s", self._size, self.image)
        _run(*_MAKE[self.kind], self.image)

    def mount(self, *options: str) -> None:
        """Put it into its place; what was in the journal is replayed."""
        self.path.mkdir(exist_ok=True)
        _run("mount", "-t", self.kind, "-o", ",".join(["loop", *_MOUNT.get(self.kind, []), *options]), self.image, self.path)

    def unmount(self) -> None:
        _run("umount", self.path)

    def cut_power(self) -> None:
        """Stop the file system where it is: from now on every write fails, and nothing is written any more."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def copy(self, image: Path) -> Disk:
        """Return the disk as it is at this moment, without what waits in the memory of the machine. Its image is on a disk
        that can copy by reference."""
        _run("cp", "--reflink=always", self.image, image)
        return Disk(image, self.path, self.kind, self._size)


@contextlib.contextmanager
def mounted(disk: Disk) -> Iterator[Disk]:
    """Make a disk and mount it, skip where the kernel does not let us; unmounted in the end, whatever happened to it."""
    need_root()
    need("mount", "umount", _MAKE[disk.kind][0])
    disk.make()
    try:
        disk.mount()
    except OSError as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    try:
        yield disk
    finally:
        _let_go(disk.path)


def _let_go(path: Path) -> None:
    """Unmount what is mounted there; a loop device whose image is on it lets go of it a moment after it was unmounted itself."""
    end_s = time.monotonic() + 30
    while os.path.ismount(path):
        try:
            _run("umount", path)
        except OSError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.05)
