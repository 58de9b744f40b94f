"""The limit of W4 and W6: inotify through ctypes, and nothing else."""

from __future__ import annotations

import ctypes
import os
import struct
import time
from pathlib import Path
from typing import NoReturn

from bench.report import IGNORED, Log, ready

CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x8, 0x40, 0x80, 0x100, 0x200  # inotify(7)
OVERFLOW, UNWATCHED, IS_DIRECTORY, ONLY_DIRECTORY = 0x4000, 0x8000, 0x40000000, 0x01000000


class RawInotify:
    """The limit: inotify through ctypes, one thread; a new directory is watched first and listed then."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_CLOEXEC)
        self._directories: dict[int, str] = {}

    def watch(self, top: str, report: bool) -> None:
        """Watch a directory and all below it; report the files that are there already."""
        mask = CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | ONLY_DIRECTORY
        waiting = [top]
        while waiting:
            path = waiting.pop()
            descriptor = self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask)
            if descriptor < 0:
                continue  # it is gone again
            self._directories[descriptor] = path
            for item in _listing(path):
                if item.is_dir(follow_symlinks=False):
                    if item.name != IGNORED:
                        waiting.append(item.path)
                elif report:
                    self._log.write("W", item.path, time.monotonic_ns())

    def run(self) -> NoReturn:
        """Read events for ever."""
        head = struct.Struct("iIII")
        while True:
            buffer = os.read(self._fd, 1 << 20)
            now, at = time.monotonic_ns(), 0
            while at < len(buffer):
                descriptor, mask, _, length = head.unpack_from(buffer, at)
                name = os.fsdecode(buffer[at + head.size : at + head.size + length].rstrip(b"\0"))
                at += head.size + length
                self._take(descriptor, mask, name, now)
            self._log.flush()

    def _take(self, descriptor: int, mask: int, name: str, now: int) -> None:
        if mask & OVERFLOW:
            self._log.write("V", "", now)
        elif mask & UNWATCHED:
            self._directories.pop(descriptor, None)
        elif descriptor in self._directories:
            path = f"{self._directories[descriptor]}/{name}"
            if mask & IS_DIRECTORY:
                if mask & (CREATE | MOVED_TO) and name != IGNORED:
                    self.watch(path, True)
            elif mask & (CLOSE_WRITE | MOVED_TO):
                self._log.write("W", path, now)
            elif mask & (DELETE | MOVED_FROM):
                self._log.write("D", path, now)


def _listing(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as items:
            return list(items)
    except FileNotFoundError:
        return []


def raw(root: Path, log: Log) -> None:
    """Report through inotify itself."""
    inotify = RawInotify(log)
    inotify.watch(str(root), False)
    ready()
    inotify.run()
