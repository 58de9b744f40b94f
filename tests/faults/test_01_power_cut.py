"""The power goes at any moment: every acknowledged job, patch and checkpoint line is there afterwards, and nobody has to help.

Three ways to cut it. A copy of the disk by reference, while its file system is at work, is what had reached it by then; many of one
run. FS_IOC_SHUTDOWN stops the file system under the running programs, which see their disk die. And a disk
with a cache of its own that loses any sectors that were not flushed (volatile.py). Their controls write without a sync
(synchronous=NORMAL, OFF), or to a disk that heeds no flush, and have to lose what was acknowledged.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from disks import Disk, mounted, need_root
from judge import living_on, require_there, require_whole
from running import Suite, environment
from scene import SEED, WRITER, acknowledged
from volatile import VolatileDisk, need_fuse
from writer import Promised, Promises

LONG = pytest.mark.long
ENOUGH_JOBS = 400


class Cut(NamedTuple):
    """A disk as it was, and what had been promised before that."""

    disk: Disk
    promised: Promised


@pytest.fixture
def outer(tmp_path: Path) -> Iterator[Disk]:
    """A disk that can copy files by reference."""
    with mounted(Disk(tmp_path / "outer.img", tmp_path / "outer", "btrfs", "3G")) as disk:
        yield disk


def writing(suite: Suite, promises: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start a writer on the suite's state, and wait until it is under way."""
    at = Promises(promises).read().jobs
    command = [sys.executable, WRITER, suite.state, promises, *map(str, arguments)]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    suite.until(lambda: Promises(promises).read().jobs > at + 16 or process.poll() is not None, "it writes")
    assert process.poll() is None, process.communicate()
    return process


def cuts_of(suite: Suite, disk: Disk, outer: Disk, count: int, *arguments: object) -> list[Cut]:
    """Let a writer write, and copy the disk at moments of no meaning; kill the writer and take the disk out in the end."""
    print(f"seed {SEED}")
    pick = random.Random(SEED)
    promises = outer.path.parent / "promises"
    writer = writing(suite, promises, *arguments)
    cuts = []
    for number in range(count):
        time.sleep(pick.uniform(0.02, 0.25))  # the moment
        promised = Promises(promises).read()
        cuts.append(Cut(disk.copy(outer.path / f"cut-{number}.img"), promised))
    assert writer.poll() is None, writer.communicate()
    writer.kill()
    writer.communicate()
    disk.unmount()
    return cuts


@pytest.mark.parametrize(
    ("inner", "count"), [("ext4", 4), pytest.param("ext4", 40, marks=LONG), pytest.param("xfs", 40, marks=LONG)]
)
def test_a_disk_copied_while_it_is_written_holds_all_that_was_acknowledged(
    outer: Disk, tmp_path: Path, inner: str, count: int
) -> None:
    disk = Disk(outer.path / "disk.img", tmp_path / "disk", inner)
    with mounted(disk), living_on(disk.path, tmp_path / "suite") as suite:
        cuts = cuts_of(suite, disk, outer, count)
        for number, cut in enumerate(cuts):
            cut.disk.mount()
            require_there(suite, acknowledged(cut.promised))
            if number == 0 or count > 4:
                require_whole(suite, acknowledged(cut.promised))
            cut.disk.unmount()


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_control_without_the_syncs_it_loses_what_was_acknowledged(outer: Disk, tmp_path: Path, synchronous: str) -> None:
    lost = 0
    disk = Disk(outer.path / "disk.img", tmp_path / "disk", "ext4")
    with mounted(disk), living_on(disk.path, tmp_path / "suite") as suite:
        for cut in cuts_of(suite, disk, outer, 4, "--synchronous", synchronous):
            cut.disk.mount()
            try:
                require_there(suite, acknowledged(cut.promised))
            except AssertionError as error:
                assert "lost: " in str(error) or "is damaged" in str(error)
                lost += 1
            cut.disk.unmount()
    assert lost > 0


@pytest.mark.parametrize(
    ("kind", "count"),
    [("ext4", 1), pytest.param("xfs", 20, marks=LONG), pytest.param("ext4", 20, marks=LONG)],
)
def test_services_whose_disk_dies_under_them_end_and_go_on_after_the_restart(tmp_path: Path, kind: str, count: int) -> None:
    print(f"seed {SEED}")
    pick = random.Random(SEED)
    promises = tmp_path / "promises"
    disk = Disk(tmp_path / "disk.img", tmp_path / "disk", kind)
    with mounted(disk), living_on(disk.path, tmp_path / "suite") as suite:
        for number in range(count):
            suite.start()
            writer = writing(suite, promises, "--jobs-only")
            for edit in range(pick.randrange(20)):
                (suite.root / f"new-{edit}.txt").write_text(f"{number} {edit}\n")
                time.sleep(0.01)
            time.sleep(pick.uniform(0.0, 0.3))  # the moment
            promised, done = Promises(promises).read(), suite.committed()
            disk.cut_power()
            (suite.root / "late.txt").write_text(f"{number}: what makes them look\n")
            assert writer.wait(60) == 6, writer.communicate()
            for name in ("worker", "watcher"):
                assert suite.died(name) not in (0, -signal.SIGKILL), suite.log(name)[-2000:]
            # A sync that is under way during the ioctl may be told that it was done: what came in that moment does not count.
            Promises(promises).write(0, promised.jobs)
            disk.unmount()
            disk.mount()
            require_there(suite, acknowledged(promised), sequence=done)
            require_whole(suite, acknowledged(promised))


@contextmanager
def written(base: Path, kind: str, *, synchronous: str = "FULL") -> Iterator[tuple[VolatileDisk, Suite]]:
    """Let a writer write on a disk with a cache, and kill it; give the disk, and the suite whose state was on it."""
    print(f"seed {SEED}")
    need_root()
    need_fuse()
    volatile = VolatileDisk(base, kind)
    with volatile.serving() as disk, living_on(disk.path, base / "suite") as suite:
        writer = writing(suite, volatile.promises, "--synchronous", synchronous)
        suite.until(lambda: Promises(volatile.promises).read().jobs > ENOUGH_JOBS, "it has written enough")
        writer.kill()
        writer.communicate()
    yield volatile, suite


@pytest.mark.parametrize(
    ("kind", "count"), [("ext4", 4), pytest.param("ext4", 200, marks=LONG), pytest.param("xfs", 60, marks=LONG)]
)
def test_a_disk_that_had_not_flushed_its_cache_holds_all_that_was_acknowledged(tmp_path: Path, kind: str, count: int) -> None:
    with written(tmp_path, kind) as (volatile, suite):
        for number, (left, promised) in enumerate(volatile.after_power_cuts(count, random.Random(SEED))):
            left.mount()
            require_there(suite, acknowledged(promised))
            if number % 10 == 0:
                require_whole(suite, acknowledged(promised))
            left.unmount()


@pytest.mark.parametrize(("synchronous", "flushes"), [("OFF", True), ("FULL", False)], ids=["no sync", "no flush"])
def test_control_without_syncs_or_flushes_a_disk_loses_what_was_acknowledged(
    tmp_path: Path, synchronous: str, flushes: bool
) -> None:
    lost = 0
    with written(tmp_path, "ext4", synchronous=synchronous) as (volatile, suite):
        for left, promised in volatile.after_power_cuts(6, random.Random(SEED), flushes=flushes):
            try:
                left.mount()
                require_there(suite, acknowledged(promised))
            except (AssertionError, OSError):  # of the file system itself there may be nothing left
                lost += 1
            if os.path.ismount(left.path):
                left.unmount()
    assert lost > 0
