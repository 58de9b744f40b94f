"""Trees are made, moved in and out; a root is renamed, deleted, unmounted: it is followed, and nothing is a mass deletion.

The disks are real (ext4 on a loop device). The controls are a watcher that does not look into what it begins to watch, one that
does not give up what left the tree, one that does not look whether its root is still the one it was, and a worker that believes
that whatever it does not find is deleted.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from changing import changed
from disks import Disk, mounted
from judge import require_whole
from running import Suite

TREES = 100
IMPATIENT = """
import functools
from autoops.watch import root
root.Settings = functools.partial(root.Settings, retry_s=0.2)  # instead of half a minute
"""
NOT_LOOKING = """
from autoops.watch.coverage import Coverage
Coverage._list = lambda self, directory: []
"""
NOT_GIVING_UP = """
from autoops.watch.coverage import Coverage
Coverage.left = lambda self, path: None
"""
TRUSTING_ITS_ROOT = """
from autoops.watch.root import Root
Root._trouble = lambda self: ""
"""
BELIEVING = """
from autoops.walk.absence import Absences
from autoops.work import scans
Absences.believable = lambda self, found: list(found)
scans.why_not_there = lambda *_: ""
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk that is mounted where the root will be."""
    (tmp_path / "suite").mkdir()
    disk = Disk(tmp_path / "disk.img", tmp_path / "suite" / "tree", "ext4")
    with mounted(disk):
        yield disk


def start(suite: Suite, change: str = "") -> None:
    with changed(suite, IMPATIENT + change):
        suite.start()
    suite.idle()


def shuffle(suite: Suite) -> None:
    """Make trees at once, copy and move one in, move one out, and go on writing there."""
    outside = suite.base / "outside"
    for number in range(20):
        (outside / f"in/{number}/k").mkdir(parents=True)
        (outside / f"in/{number}/k/f").write_text(f"in {number}\n")
        (suite.root / f"out/{number}/k").mkdir(parents=True)
        (suite.root / f"out/{number}/k/f").write_text(f"out {number}\n")
    suite.idle()
    for number in range(TREES):
        (suite.root / f"s{number}/x/y").mkdir(parents=True)
        (suite.root / f"s{number}/x/y/f").write_text(f"made {number}\n")
    shutil.copytree(outside / "in", suite.root / "copied")
    (outside / "in").rename(suite.root / "moved")
    (suite.root / "out").rename(outside / "out")
    suite.idle()
    (suite.root / "moved/3/k/later").write_text("later\n")
    (outside / "out/3/k/f").write_text("this is not in the tree any more\n")
    suite.idle()


def test_trees_made_at_once_moved_in_and_moved_out_are_registered_as_they_are(suite: Suite) -> None:
    start(suite)
    shuffle(suite)
    suite.require_disk_registered()
    assert not [entry for entry in suite.export() if entry["status"] == "missing" and not entry["path"].startswith("out/")]
    require_whole(suite)


@pytest.mark.parametrize("change", [NOT_LOOKING, NOT_GIVING_UP], ids=["not looking", "not giving up"])
def test_control_a_watcher_that_does_less_registers_something_else(suite: Suite, change: str) -> None:
    start(suite, change)
    shuffle(suite)
    with pytest.raises(AssertionError, match="only registered"):
        suite.require_disk_registered()


def exchange(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) == 0, os.strerror(ctypes.get_errno())


def put_another_in_its_place(suite: Suite) -> Path:
    """Rename the root away while another directory takes its name; return where it is."""
    away = suite.base / "away"
    away.mkdir()
    exchange(away, suite.root)
    return away


def require_nothing_missing(suite: Suite) -> None:
    """A scan of what is there now calls nothing missing."""
    suite.run("scan", config=True)
    suite.require_nothing_left_to_do()
    missing = [entry["path"] for entry in suite.export() if entry["status"] != "active"]
    assert not missing, f"called missing: {missing}"


def require_heard(suite: Suite, name: str) -> None:
    """What comes into the tree is heard of."""
    (suite.root / name).write_text(f"{name}\n")
    suite.idle()
    assert ("tree", os.fsencode(name)) in suite.active(), f"not heard of: {name}"


def restarted(suite: Suite) -> list[str]:
    """Return why the watcher began with its root anew, each time."""
    return [event["reason"] for event in suite.events("watcher") if event["event"] == "watch_restarted"]


def not_watched(suite: Suite) -> list[tuple[str, str]]:
    return [(gap["path"], gap["reason"]) for gap in suite.run("coverage", "--json", config=True).json["now"]]


def require_back(suite: Suite, name: str) -> None:
    """The root is the one it was: it is watched, and nothing is found any more."""
    suite.until(lambda: not_watched(suite) == [], "it is watched")
    suite.until(lambda: suite.findings() == [], "nothing is found any more")
    require_heard(suite, name)


def test_a_root_that_is_renamed_replaced_or_deleted_loses_nothing_and_what_takes_its_place_is_watched(suite: Suite) -> None:
    start(suite)
    before = {path: entry["id"] for path, entry in suite.active().items()}
    suite.root.rename(suite.base / "away")
    suite.until(lambda: not_watched(suite), "it is missed")
    (suite.base / "away" / "0.txt").write_text("nobody hears of this\n")
    require_nothing_missing(suite)
    (suite.base / "away").rename(suite.root)
    require_back(suite, "renamed")

    away = put_another_in_its_place(suite)
    suite.until(lambda: restarted(suite)[1:], "it is noticed")
    suite.until(lambda: not_watched(suite) == [], "the new one is watched")
    (suite.root / "new").write_text("a file in it does not make it the root\n")
    suite.idle()
    require_nothing_missing(suite)
    assert ("tree", b"new") not in suite.active()
    assert [found["kind"] for found in suite.findings()] == ["root_replaced"]
    exchange(away, suite.root)
    require_back(suite, "replaced")

    shutil.copytree(suite.root, suite.base / "copy")
    shutil.rmtree(suite.root)
    suite.until(lambda: not_watched(suite), "it is missed")
    shutil.copytree(suite.base / "copy", suite.root)
    require_back(suite, "deleted")
    assert {path: entry["id"] for path, entry in suite.active().items() if path in before} == before

    exchange(away, suite.root)
    suite.until(lambda: suite.findings("root_replaced"), "it is noticed")
    suite.run("scan", "--accept-root", config=True)
    suite.idle()
    require_back(suite, "accepted")
    require_whole(suite)


def test_control_a_worker_that_believes_what_it_sees_calls_all_of_it_missing(suite: Suite) -> None:
    start(suite, BELIEVING)
    put_another_in_its_place(suite)
    with pytest.raises(AssertionError, match="called missing"):
        require_nothing_missing(suite)


def test_control_a_watcher_that_trusts_its_root_hears_nothing_of_the_new_one(suite: Suite) -> None:
    start(suite, TRUSTING_ITS_ROOT)
    put_another_in_its_place(suite)
    suite.run("scan", "--accept-root", config=True)
    with pytest.raises(AssertionError, match="not heard of"):
        require_heard(suite, "new")


def test_what_is_unmounted_is_a_gap_and_no_heap_of_deletions(disk: Disk, suite: Suite, tmp_path: Path) -> None:
    start(suite)
    with mounted(Disk(tmp_path / "below.img", suite.root / "m", "ext4")) as below:
        (below.path / "d").mkdir()
        (below.path / "d" / "f").write_text("below\n")
        suite.until(lambda: ("tree", b"m/d/f") in suite.active(), "what is mounted below is watched")
        suite.idle()
        below.unmount()
        suite.until(lambda: not_watched(suite) == [("m", "unmounted")], "it is missed")
        require_nothing_missing(suite)
        below.mount()
        require_back(suite, "m/d/later")
        below.unmount()
        disk.unmount()
        suite.until(lambda: ("", "root is not mounted") in not_watched(suite), "it is missed")
        (suite.root / "stray").write_text("not on the disk\n")
        require_nothing_missing(suite)
        assert ("tree", b"stray") not in suite.active()
        disk.mount()
        suite.until(lambda: not_watched(suite) == [("m", "unmounted")], "a half of it is there")
        require_nothing_missing(suite)
        below.mount()
        require_back(suite, "after")
        require_whole(suite)


def test_control_without_the_doubt_an_unmounted_root_is_deleted(disk: Disk, suite: Suite) -> None:
    start(suite, BELIEVING)
    disk.unmount()
    with pytest.raises(AssertionError, match="called missing"):
        require_nothing_missing(suite)


def test_control_without_the_doubt_what_was_mounted_below_a_root_is_deleted(suite: Suite, tmp_path: Path) -> None:
    start(suite, BELIEVING)
    with mounted(Disk(tmp_path / "below.img", suite.root / "m", "ext4")) as disk:
        (disk.path / "f").write_text("below\n")
        suite.until(lambda: ("tree", b"m/f") in suite.active(), "it is registered")
        suite.idle()
        disk.unmount()
        with pytest.raises(AssertionError, match="called missing"):
            require_nothing_missing(suite)
