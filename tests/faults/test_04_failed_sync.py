"""A sync fails once: every writer stops, nobody tries again, and the database is made anew from what can be read of it.

After a failed sync the kernel calls its pages clean; the next sync reports success, and every check that reads through the cache
says all is well (PostgreSQL's wiki, "Fsync Errors"; seen on ext4). The controls: SQLite's own checkpoint throws the error away, and
a check without the medium finds nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import sys
from pathlib import Path

import pytest
from disks import Disk, mounted
from failing import FailingDisk
from judge import Acknowledged, living_on, require_whole
from running import Suite
from scene import UNTIL, Scene

from autoops.files import medium
from autoops.state import State
from autoops.store.border import flag_of

_FIBMAP = 1  # linux/fs.h: the number of a file's block on its device


def recover(suite: Suite) -> None:
    """Do what RUNBOOK says of a suspect database: copy the state to another place, recover the copy, go on with that."""
    copy = suite.base / "copy"
    shutil.copytree(suite.state, copy, ignore=shutil.ignore_patterns("*.sock"), copy_function=shutil.copy2)
    shutil.rmtree(suite.state)
    suite.state = copy
    answer = suite.run("backup", "recover", config=True)
    assert "suspect" in answer.out, answer
    assert not list(copy.glob("*/*.db.suspect"))
    suite.processes.clear()


def test_services_stop_when_a_sync_of_the_queue_fails_and_none_writes_it_again(library: Path, suite: Suite) -> None:
    queue = State(suite.state).queue_db
    disk = FailingDisk(library, queue, suite.base / "calls")
    suite.start("watcher")
    suite.environment = disk.fault(1, "EIO", only="fdatasync", file=queue.with_name("queue.db-wal"))
    suite.start("worker", ready=False)
    suite.environment = {}
    (suite.root / "first.txt").write_text("first\n")
    assert suite.died("worker") == 6
    (suite.root / "second.txt").write_text("second\n")
    assert suite.died("watcher") == 6
    syncs = disk.noted()
    assert disk.noted("!") == syncs and len(syncs) == 1, "it was tried again"
    assert "SQLITE_IOERR_FSYNC" in flag_of(queue).read_text()
    before = queue.with_name("queue.db-wal").read_bytes()
    for name in ("worker", "watcher"):
        suite.start(name, ready=False)
        assert suite.died(name) == 6
    assert suite.run("scan", config=True, code=6).err.startswith("autoops: ")
    assert queue.with_name("queue.db-wal").read_bytes() == before
    suite.run("status")  # reading goes on
    assert suite.check("suspect")["level"] == "CRITICAL"
    recover(suite)
    require_whole(suite)


@pytest.mark.parametrize("which", ["queue", "registry"])
def test_a_checkpoint_whose_sync_fails_is_the_last_one_and_loses_nothing(library: Path, suite: Suite, which: str) -> None:
    scene = Scene(suite)
    database = scene.state.queue_db if which == "queue" else scene.state.registry_db
    disk = FailingDisk(library, suite.state, suite.base / "calls")
    ended = disk.run(scene.write(), 1, "EIO", only="fdatasync", file=database)
    assert ended.code == 6 and "suspect" in ended.err, ended
    assert len(disk.noted()) == 1, "it was tried again"
    again = disk.run(scene.write(2 * UNTIL), 0, "EIO")
    assert again.code == 6 and not [call for call in disk.noted() if call.path == str(database)]
    promised: Acknowledged = scene.promised()
    assert promised.sources
    recover(suite)
    require_whole(suite, promised)


CARELESS = """
import sqlite3, sys
con = sqlite3.connect(sys.argv[1], isolation_level=None)
con.execute("PRAGMA synchronous=FULL")
con.execute("PRAGMA wal_autocheckpoint=1")
for number in range(5):
    con.execute("INSERT INTO meta VALUES (?, '')", (f"fault-{number}",))
assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
"""


def test_control_a_checkpoint_of_sqlites_own_throws_the_error_away_and_goes_on(library: Path, suite: Suite) -> None:
    registry = State(suite.state).registry_db
    copy = suite.base / "registry.db"
    shutil.copyfile(registry, copy)
    shutil.copyfile(registry.with_name("registry.db-wal"), copy.with_name("registry.db-wal"))
    disk = FailingDisk(library, suite.base, suite.base / "calls")
    ended = disk.run([sys.executable, "-c", CARELESS, copy], 1, "EIO", only="fdatasync", file=copy)
    assert len(ended.failed) == 1 and len(disk.noted()) > 1
    assert ended.code == 0, "nobody was told"


VERBS = """
import os, sys, time
from pathlib import Path
from autoops.model import Work
from autoops.store.database import Database
from autoops.store.operations import Heartbeats
from autoops.store.queue import SCHEMA, Queue
with Database.open(Path(sys.argv[1]), SCHEMA, guard=True) as database:
    queue = Queue(database)
    queue.enqueue([Work("path", b"tree\\0%d" % os.getpid())])
    jobs = queue.claim(10, 60) if "claim" in sys.argv else []
    if "beat" in sys.argv:
        Heartbeats(database).beat("worker", "running", "idle", int(time.time()))
    if "complete" in sys.argv:
        assert jobs and not queue.complete(jobs)
    if "fail" in sys.argv:
        assert queue.fail(jobs[0], "it cannot be read") == "failed"
"""


def test_what_a_power_cut_may_take_back_waits_for_no_disk_and_what_was_acknowledged_does(library: Path, suite: Suite) -> None:
    queue = State(suite.state).queue_db
    disk = FailingDisk(library, suite.state, suite.base / "calls")

    def syncs(*verbs: str) -> int:
        command = [sys.executable, "-c", VERBS, queue, *verbs]
        assert disk.run(command, 0, "EIO", only="fdatasync", file=queue.with_name("queue.db-wal")).code == 0
        return len([call for call in disk.noted() if call.name == "fdatasync"])

    assert syncs("claim", "complete") == syncs("beat") == syncs() == 1
    assert syncs("claim", "fail") == 2


def spoil(disk: Disk, path: Path) -> None:
    """Change what is on the disk of a file, as a write that failed leaves it, behind the back of the cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        block_bytes = os.fstatvfs(file.fileno()).f_bsize
        block = path.stat().st_size // block_bytes // 2
        found = bytearray(struct.pack("I", block))
        fcntl.ioctl(file.fileno(), _FIBMAP, found)
        file.read()  # into the cache
    (place,) = struct.unpack("I", found)
    with disk.image.open("r+b") as image:
        image.seek(place * block_bytes)
        image.write(b"?" * block_bytes)
        os.fsync(image.fileno())


def test_what_only_the_cache_holds_is_found_on_the_medium_and_brought_to_it(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk.img", tmp_path / "disk", "ext4")
    with mounted(disk), living_on(disk.path, tmp_path / "suite") as suite:
        registry = State(suite.state).registry_db
        suite.start("worker")
        suite.run("backup", "snapshot", config=True)
        suite.stop("worker")
        suite.run("backup", "recover", config=True)  # nothing to do
        assert medium.differing(registry) is None
        spoil(disk, registry)
        assert medium.differing(registry) is not None
        suite.run("verify")  # the control: whoever does not look at the medium finds nothing
        assert "its disk does not hold what the cache shows" in suite.run("backup", "recover", config=True).out
        disk.unmount()
        disk.mount()
        require_whole(suite)


def test_control_without_a_recovery_it_is_gone_with_the_cache(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk.img", tmp_path / "disk", "ext4")
    with mounted(disk), living_on(disk.path, tmp_path / "suite") as suite:
        suite.run("verify")
        spoil(disk, State(suite.state).registry_db)
        suite.run("verify")
        disk.unmount()
        disk.mount()
        assert suite.run("verify", code=None).code in (1, 6)
