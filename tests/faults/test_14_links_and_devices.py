"""Links, FIFOs, devices, and directories swapped for links while they are looked at: nothing else is touched, nothing hangs.

The kernel says what was opened (inotify, IN_OPEN). The controls follow links, and open before they look what it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from changing import changed
from judge import require_whole
from running import Suite

from autoops.files.inotify import Inotify, parse
from autoops.files.rename import exchange

ACCESS, MODIFY, OPEN = 0x1, 0x2, 0x20
NAMES = [f"x{number}" for number in range(10)]
SECRET = b"not ours\n"
FOLLOWING = """
import os
from autoops.files import opening
opening._DIRECTORY &= ~os.O_NOFOLLOW
opening._FILE &= ~os.O_NOFOLLOW
"""
OPENING = """
import os
from autoops.files import observe, opening
from autoops.files.opening import Stat
_stat = opening.stat
opening.stat = lambda fd, name=b"": _stat(fd, name) if not name else _stat(fd, name)._replace(mode=0o100644)
"""
WAITING = "opening._FILE &= ~os.O_NONBLOCK\n"


class Untouchable:
    """Things that nobody may open, outside and inside of the tree."""

    def __init__(self, suite: Suite) -> None:
        self.outside = suite.base / "outside"
        self.outside.mkdir()
        for name in ("secret", *NAMES):
            (self.outside / name).write_bytes(SECRET)
        self._door = Inotify()
        self._paths: dict[int, Path] = {}
        for path in (self.outside, *self.outside.iterdir()):
            self.watch(path)

    def watch(self, path: Path) -> None:
        self._paths[self._door.add(os.fsencode(path), OPEN | ACCESS | MODIFY)] = path

    def require_untouched(self, suite: Suite) -> None:
        touched = {self._paths[wd].name for wd, _, _, _ in self._events()}
        assert not touched, f"touched: {touched}"
        assert hashlib.sha256(SECRET).hexdigest() not in suite.run("export", "--format", "ledger").out

    def close(self) -> None:
        self._door.close()

    def _events(self) -> Iterator[tuple[int, int, int, bytes]]:
        while data := self._door.read():
            yield from parse(data)


@pytest.fixture
def untouchable(suite: Suite) -> Iterator[Untouchable]:
    made = Untouchable(suite)
    yield made
    made.close()


def fill(suite: Suite, untouchable: Untouchable) -> None:
    """Put into the tree whatever is no file."""
    root, outside = suite.root, untouchable.outside
    (root / "self").symlink_to("self")
    (root / "up").symlink_to("..")
    (root / "sub").mkdir()
    (root / "sub" / "loop").symlink_to("../sub")
    (root / "out").symlink_to(outside)
    (root / "file-out").symlink_to(outside / "secret")
    (root / "dangling").symlink_to("nowhere")
    os.mkfifo(root / "fifo")
    os.mkfifo(root / "sub" / ".autoopsignore")
    with contextlib.chdir(root), socket.socket(socket.AF_UNIX) as here:  # the path of a socket is short
        here.bind("socket")
    untouchable.watch(root / "fifo")
    untouchable.watch(root / "socket")
    if os.geteuid() == 0:
        os.mknod(root / "device", 0o666 | 0o020000, os.makedev(1, 5))  # /dev/zero: reading it never ends
        untouchable.watch(root / "device")


def test_what_is_no_file_is_registered_and_neither_opened_nor_followed(suite: Suite, untouchable: Untouchable) -> None:
    suite.start()
    fill(suite, untouchable)
    suite.idle()
    suite.run("scan", "--hash", config=True)
    suite.idle()
    suite.require_disk_registered()
    untouchable.require_untouched(suite)
    kinds = {entry["observation"]["kind"] for entry in suite.active().values()}
    assert kinds >= {"file", "link", "fifo", "socket"}
    (suite.base / "linked").write_text("a file with a name outside, too\n")
    before = (suite.base / "linked").stat()
    os.link(suite.base / "linked", suite.root / "linked")
    (suite.root / "d").mkdir()
    (suite.root / "d" / "x0").write_text("ours\n")
    suite.idle()
    shutil.move(suite.root / "d", suite.base / "d")
    (suite.root / "d").symlink_to(untouchable.outside)
    suite.idle()
    assert b"d/x0" not in {path for _, path in suite.active()}
    require_whole(suite)
    untouchable.require_untouched(suite)
    after = (suite.base / "linked").stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (before.st_ino, before.st_mtime_ns, before.st_mode)


def test_control_whoever_opens_before_looking_opens_a_fifo(suite: Suite, untouchable: Untouchable) -> None:
    with changed(suite, OPENING):
        suite.start()
    fill(suite, untouchable)
    suite.idle()
    with pytest.raises(AssertionError, match=r"touched: .*fifo"):
        untouchable.require_untouched(suite)


def test_control_and_whoever_waits_for_its_writer_hangs(suite: Suite, untouchable: Untouchable) -> None:
    with changed(suite, OPENING + WAITING):
        suite.start()
    fill(suite, untouchable)
    with pytest.raises(AssertionError):
        suite.idle(timeout_s=5)


@contextlib.contextmanager
def swapped(suite: Suite, outside: Path) -> Iterator[None]:
    """Meanwhile have a directory and files change places with links to others outside and with a FIFO, and write into the first."""
    root, over = suite.root, threading.Event()
    (root / "d").mkdir()
    os.mkfifo(root / "fifo")
    for name, target in (("d.link", outside), ("f.link", outside / "secret")):
        (root / name).symlink_to(target)
    for name in ("f", "g"):
        (root / name).write_text(f"ours, {name}\n")
    inside = os.open(root / "d", os.O_RDONLY | os.O_DIRECTORY)
    pairs = [(root / "d", root / "d.link"), (root / "f", root / "f.link"), (root / "g", root / "fifo")]

    def write(number: int) -> None:
        fd = os.open(NAMES[number % len(NAMES)], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=inside)
        os.write(fd, b"ours, %d\n" % number)
        os.close(fd)

    def swap() -> None:
        number = 0
        while not over.is_set() or number % 2:
            for one, other in pairs:
                exchange(one, other)
            write(number)
            number += 1
            time.sleep(0.002)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        os.close(inside)


def race(suite: Suite, untouchable: Untouchable, span_s: float) -> None:
    """Have the tree changed under the hands of watcher, scans and looks."""
    end_s = time.monotonic() + span_s
    with swapped(suite, untouchable.outside):
        while time.monotonic() < end_s:
            suite.run("scan", config=True)
            time.sleep(0.2)
    suite.idle()


@pytest.mark.parametrize("span_s", [4, pytest.param(60, marks=pytest.mark.long)])
def test_what_is_swapped_for_a_link_while_it_is_looked_at_leads_nowhere(
    suite: Suite, untouchable: Untouchable, span_s: float
) -> None:
    suite.start()
    race(suite, untouchable, span_s)
    untouchable.require_untouched(suite)
    require_whole(suite)
    untouchable.require_untouched(suite)


def test_control_whoever_follows_links_is_led_outside(suite: Suite, untouchable: Untouchable) -> None:
    with changed(suite, FOLLOWING):
        suite.start()
    race(suite, untouchable, 4)
    with pytest.raises(AssertionError, match="touched"):
        untouchable.require_untouched(suite)
