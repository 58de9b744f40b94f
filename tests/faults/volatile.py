"""A disk that keeps what is written in a cache until it is told to flush, and loses any part of it when the power goes.

It is a file of FUSE below a loop device: each write and each flush of the file system on it comes by here and is logged, with what
had been promised by then. Afterwards disks are built that can have been left behind: all that was flushed, and of what came after
it some sectors, whichever (what dm-log-writes does, for a kernel without it). Run as a program it serves one disk:

    volatile.py MOUNTPOINT IMAGE LOG PROMISES
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import mfusepy
import pytest
import running
from disks import Disk, need
from writer import Promised, Promises

SECTOR_BYTES = 512  # what a disk writes whole, or not at all
KEPT = (0.0, 0.3, 0.5, 0.9, 1.0)  # shares of the cache that reach the disk
_HEAD = struct.Struct("<QQQQQ")  # offset, size (0: a flush), and what had been promised
_NAME = "/disk"


class Step(NamedTuple):
    """A write, or without data a flush."""

    offset: int
    data: bytes
    promised: Promised


class VolatileDisk:
    """One disk, as it was before anybody wrote it, and all that came."""

    def __init__(self, base: Path, kind: str) -> None:
        self._base, self._work, self._log = base / "before.img", base / "work.img", base / "log"
        self._served, self.promises = base / "served", base / "promises"
        self.disk = Disk(self._served / _NAME[1:], base / "disk", kind)

    @contextmanager
    def serving(self) -> Iterator[Disk]:
        """Let it be written: a file system, mounted; in the end everything that came is in the log."""
        empty = Disk(self._base, self.disk.path, self.disk.kind)
        empty.make()
        shutil.copyfile(self._base, self._work)
        self._served.mkdir()
        Promises(self.promises)
        command = [sys.executable, __file__, self._served, self._work, self._log, self.promises]
        ours = os.pathsep.join(map(os.path.dirname, (running.__file__, __file__)))
        with subprocess.Popen(command, env=running.environment(PYTHONPATH=ours)) as server:
            try:
                _until_mounted(self._served, server)
                self.disk.mount()
                yield self.disk
            finally:
                for path in (self.disk.path, self._served):
                    if os.path.ismount(path):
                        subprocess.run(["umount", path], check=True)

    def after_power_cuts(self, count: int, pick: random.Random, *, flushes: bool = True) -> Iterator[tuple[Disk, Promised]]:
        """Yield disks that can have been left behind, by moments in order, and what had been promised by then.

        `flushes`: whether the disk heeds them, as an honest one does.
        """
        steps, pending = list(self._steps()), list[Step]()
        left = self._base.with_name("left.img")
        with self._base.open("r+b", buffering=0) as flushed:
            at = 0
            moments = [number for number, step in enumerate(steps) if step.promised.jobs]
            for cut in sorted(pick.sample(moments, min(count, len(moments)))):
                while at < cut:
                    step, at = steps[at], at + 1
                    if step.data:
                        pending.append(step)
                    elif flushes:
                        _apply(flushed.fileno(), pending, 1.0, pick)
                        pending.clear()
                subprocess.run(["cp", "--sparse=always", self._base, left], check=True)
                with left.open("r+b", buffering=0) as image:
                    _apply(image.fileno(), pending, pick.choice(KEPT), pick)
                yield Disk(left, self.disk.path, self.disk.kind), steps[cut].promised

    def _steps(self) -> Iterator[Step]:
        with self._log.open("rb") as log:
            while head := log.read(_HEAD.size):
                offset, size, *promised = _HEAD.unpack(head)
                yield Step(offset, log.read(size), Promised(*promised))


def _apply(image: int, steps: Sequence[Step], share: float, pick: random.Random) -> None:
    """Write a share of the sectors that are in the cache."""
    for step in steps:
        for at in range(0, len(step.data), SECTOR_BYTES):
            if share == 1.0 or pick.random() < share:
                os.pwrite(image, step.data[at : at + SECTOR_BYTES], step.offset + at)


def _until_mounted(path: Path, server: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + 30
    while not os.path.ismount(path):
        assert server.poll() is None and time.monotonic() < end_s, "it is not served"
        time.sleep(0.02)


def need_fuse() -> None:
    """Skip where there is no FUSE."""
    need("fusermount3")
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"no file system of FUSE can be served here: {error}")


class Server(mfusepy.Operations):
    """A directory with one file, the disk."""

    use_ns = True

    def __init__(self, image: Path, log: Path, promises: Path) -> None:
        self._image, self._size = os.open(image, os.O_RDWR), image.stat().st_size
        self._log, self._promises = log.open("ab", buffering=1 << 20), Promises(promises)

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path == _NAME:
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": self._size}
        raise mfusepy.FuseOSError(errno.ENOENT)

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", _NAME[1:]]

    def open(self, path: str, flags: int) -> int:
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(self._image, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._log.write(_HEAD.pack(offset, len(data), *self._promises.read()) + data)
        return os.pwrite(self._image, data, offset)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self._log.write(_HEAD.pack(0, 0, *self._promises.read()))
        return 0

    def destroy(self, path: str) -> None:
        self._log.close()


if __name__ == "__main__":
    mountpoint, *rest = map(Path, sys.argv[1:])
    mfusepy.FUSE(Server(*rest), str(mountpoint), foreground=True, nothreads=True)
