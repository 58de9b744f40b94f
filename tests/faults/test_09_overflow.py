"""More happens than the kernel's queue of events can hold: the registry equals the tree all the same, and health tells of it.

A watcher that is stopped for a while loses events as a slow one does, with the queue as it is set on this machine. The control is
a watcher that does not heed that events were lost.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from pathlib import Path

import pytest
import watching as harness
from changing import changed
from judge import require_whole
from running import Suite

from autoops.files.inotify import Inotify

QUEUED = Path("/proc/sys/fs/inotify/max_queued_events")
MOST_QUEUED = 100_000  # more cannot be filled in a test
DIRECTORIES = 20
HEEDLESS = """
from autoops.watch.coverage import Coverage
Coverage.overflowed = lambda self, on_their_way: None
"""


@pytest.fixture
def suite(suite: Suite) -> Suite:
    for number in range(DIRECTORIES):
        (suite.root / f"d{number}").mkdir()
        for name in ("edited", "deleted", "renamed"):
            (suite.root / f"d{number}" / name).write_text(f"{name} {number}\n")
    return suite


def enough() -> int:
    """Return how many files fill the queue, of two events each."""
    held = int(QUEUED.read_text())
    if held > MOST_QUEUED:
        pytest.skip("fs.inotify.max_queued_events is too high to be reached in a test")
    return held // 2 + 100


def flood(suite: Suite, files: int) -> None:
    """Write more than the watcher can hear of, and then change what nobody can hear of."""
    suite.processes["watcher"].send_signal(signal.SIGSTOP)
    try:
        for number in range(files):
            (suite.root / f"d{number % DIRECTORIES}" / f"{number}.txt").write_text(f"{number}\n")
        for number in range(DIRECTORIES):
            directory = suite.root / f"d{number}"
            (directory / "edited").write_text("edited unheard\n")
            if number < 5:  # few: what seems to be a mass is not called missing
                (directory / "deleted").unlink()
                (directory / "renamed").rename(directory / "by another name")
            (directory / "new" / "deep").mkdir(parents=True)
            (directory / "new" / "deep" / "f").write_text(f"new {number}\n")
    finally:
        suite.processes["watcher"].send_signal(signal.SIGCONT)
    for _ in range(20):
        if suite.run("wait-idle", "--timeout", 60, code=None).code == 0:
            break
    suite.idle()


@pytest.mark.parametrize("files", [0, pytest.param(100_000, marks=pytest.mark.long)], ids=["as many as are needed", "100,000"])
def test_after_an_overflow_the_registry_equals_the_tree_and_health_tells_of_it(suite: Suite, files: int) -> None:
    suite.start()
    suite.idle()
    assert suite.check("coverage")["text"] == "everything is watched"
    renamed = suite.entry("d3/renamed")["id"]
    flood(suite, files or enough())
    suite.require_disk_registered()
    assert suite.entry("d3/by another name")["id"] == renamed
    told = suite.check("coverage")
    assert told["level"] == "OK" and "events were lost within a day" in told["text"], told
    assert {figure["label"]: figure["value"] for figure in told["figures"]}["overflows"] >= 1
    (over,) = suite.run("coverage", "--json", config=True).json["unwatched"]
    assert over["reason"] == "overflow" and over["seconds"] >= 1 and not over["still"]
    (suite.root / "d3/new/deep/later").write_text("what was made unheard is watched now\n")
    suite.idle()
    assert ("tree", b"d3/new/deep/later") in suite.active()
    require_whole(suite)


def test_control_whoever_does_not_heed_that_events_were_lost_registers_less(suite: Suite) -> None:
    with changed(suite, HEEDLESS):
        suite.start()
    suite.idle()
    flood(suite, enough())
    with pytest.raises(AssertionError, match="only on the disk"):
        suite.require_disk_registered()
    assert suite.check("coverage")["text"] == "everything is watched"


class ShortQueue(Inotify):
    """An instance that holds 16 events: the kernel copies the limit when it makes one, so it is low for no longer."""

    def __init__(self) -> None:
        with QUEUED.open("r+") as limit:
            fcntl.flock(limit, fcntl.LOCK_EX)  # the number is put back, so nobody else may have it lowered
            before = limit.read()
            try:
                QUEUED.write_text("16")
                super().__init__()
            finally:
                QUEUED.write_text(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change fs.inotify.max_queued_events")
def test_with_a_short_queue_every_overflow_is_a_gap_and_a_scan_and_nobody_stays_blind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoops.watch.emitter.Inotify", ShortQueue)
    root = tmp_path / "root"
    root.mkdir()
    before = QUEUED.read_text()
    with harness.watching(root, tmp_path / "state") as watch:
        assert QUEUED.read_text() == before
        for directory in range(20):
            (root / f"d{directory}/sub").mkdir(parents=True)
            for number in range(100):
                (root / f"d{directory}/sub/{number}").touch()
        shutil.rmtree(root / "d3")
        watch.until(lambda: ("opened", b"", "overflow") in watch.kept.history)
        watch.until(lambda: not watch.unnamed())
        watch.until(lambda: watch.kept.gaps == {})
        assert b"" in watch.kept.scans()
        watch.settle()
        assert watch.unnamed() == set()
        for path in harness.directories(root):  # one at a time: the queue is still short
            watch.kept.forget()
            probe = os.path.join(path, b".probe") if path else b".probe"
            (root / os.fsdecode(probe)).touch()
            watch.until(lambda probe=probe: probe in watch.kept.jobs())  # type: ignore[misc]
