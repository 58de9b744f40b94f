"""The watcher when things go wrong: afterwards a gap says where, a scan stands for what was missed, and nobody stays blind."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from watching import watching

from autoops import clock
from autoops.watch.pending import Pending

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@contextmanager
def mounted(at: Path, *how: str) -> Iterator[None]:
    done = subprocess.run(["mount", *(how or ("-t", "tmpfs", "none")), str(at)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], capture_output=True)


def test_a_root_that_does_not_exist_yet_is_a_gap_until_it_does(tmp_path: Path) -> None:
    root = tmp_path / "later"
    with watching(root, tmp_path / "state") as watch:
        assert ("r", b"") in watch.kept.gaps
        root.mkdir()
        watch.until(lambda: not watch.kept.gaps and b"" in watch.kept.scans())
        assert watch.blind() == set()


@needs_root
def test_one_directory_under_two_paths_is_watched_once_and_said_so(root: Path, tmp_path: Path) -> None:
    (root / "a/loop").mkdir(parents=True)
    with mounted(root / "a/loop", "--bind", str(root)), watching(root, tmp_path / "state") as watch:
        watch.until(lambda: ("r", b"a/loop") in watch.kept.gaps)
        assert watch.kept.gaps == {("r", b"a/loop"): "alias"}
        (root / "f").write_text("x")
        watch.settle()
        assert watch.kept.jobs().keys() == {b"f"}


@needs_root
def test_a_mount_that_inotify_cannot_see_is_polled(root: Path, tmp_path: Path) -> None:
    (root / "m").mkdir()
    kinds = frozenset({"tmpfs"})
    with (
        mounted(root / "m"),
        watching(root, tmp_path / "state", poll_kinds=kinds, poll_interval_s=0.05, patterns=("*.tmp",)) as watch,
    ):
        watch.until(lambda: b"m" in watch.kept.scans() or watch.watcher._roots[0]._polls)
        (root / "m/d").mkdir()
        (root / "m/d/f").write_text("x")
        (root / "m/d/f.tmp").write_text("x")
        (root / "m/link").symlink_to("/usr")
        watch.until(lambda: {b"m/d/f", b"m/link"} <= watch.kept.jobs().keys())
        (root / "m/d/f").rename(root / "m/g")
        watch.until(lambda: b"m/g" in watch.kept.jobs())
        assert (watch.kept.jobs()[b"m/g"].facts or {})["moved_from"] == [["m/d/f"]]
        (root / "m/g").unlink()
        watch.until(lambda: watch.kept.jobs()[b"m/g"].delay_s == 0.0)
        assert not any(path.startswith((b"m/link/", b"m/d/f.tmp")) for path in watch.kept.jobs())


@needs_root
def test_a_polled_root_answers_cookies_after_it_looked(root: Path, tmp_path: Path) -> None:
    with (
        mounted(root),
        watching(root, tmp_path / "state", poll_kinds=frozenset({"tmpfs"}), poll_interval_s=0.05) as watch,
    ):
        for number in range(5):
            (root / str(number)).write_text("x")
            watch.settle()
            assert str(number).encode() in watch.kept.jobs()


def test_what_the_storing_thread_meets_is_raised_by_the_next_step(root: Path, tmp_path: Path) -> None:
    with watching(root, tmp_path / "state") as watch:
        watch.kept.broken = ValueError("boom")
        (root / "a").write_text("x")
        with pytest.raises(ValueError, match="boom"):
            watch.until(lambda: False)


def dying(*_: object) -> None:
    raise OSError(errno.EIO, "dying")


def test_an_emitter_that_dies_is_replaced_with_a_gap_and_a_scan(root: Path, tmp_path: Path) -> None:
    (root / "d").mkdir()
    with watching(root, tmp_path / "state") as watch:
        emitter = next(iter(watch.watcher._observer.emitters))
        emitter._read = dying  # type: ignore[attr-defined]  # the next event raises in the thread
        (root / "d/missed").write_text("x")
        watch.until(lambda: ("closed", b"") in [entry[:2] for entry in watch.kept.history])
        assert "emitter died" in watch.kept.history[0][2]
        assert b"" in watch.kept.scans()
        assert watch.blind() == set()


def test_an_emitter_that_dies_as_often_as_it_is_replaced_has_to_wait(root: Path, tmp_path: Path) -> None:
    with watching(root, tmp_path / "state", retry_s=3600.0) as watch:
        emitter = next(iter(watch.watcher._observer.emitters))
        emitter._read = dying  # type: ignore[attr-defined]
        (root / "missed").write_text("x")
        watch.until(lambda: watch.kept.history)
        assert watch.watcher.step(clock.boottime_ns() / 1e9) > 3000
        assert watch.kept.history[-1][0] == "opened" and list(watch.watcher._observer.emitters) == []


def test_an_emitter_that_dies_of_a_bug_takes_the_service_along(root: Path, tmp_path: Path) -> None:
    with watching(root, tmp_path / "state") as watch:
        emitter = next(iter(watch.watcher._observer.emitters))
        emitter._read = None  # type: ignore[attr-defined]  # the next event raises TypeError in the thread
        (root / "missed").write_text("x")
        with pytest.raises(TypeError):
            watch.until(lambda: False)


def test_a_sink_that_is_slow_gets_one_job_per_path(root: Path, tmp_path: Path) -> None:
    with watching(root, tmp_path / "state") as watch:
        watch.kept.gate.clear()
        for number in range(50):
            for name in "abc":
                (root / name).write_text(str(number))
        watch.kept.gate.set()
        watch.settle()
        assert len(watch.kept.works) <= 3 * 3


def test_more_changes_than_the_limit_become_a_scan_of_the_root() -> None:
    from autoops.watch.changes import Change

    pending = Pending(limit=10)
    assert pending.add([Change(b"%d" % number, "closed") for number in range(8)])
    assert not pending.add([Change(b"x%d" % number, "closed") for number in range(8)])
    pending.add([Change(b"later", "closed")])
    batch = pending.take()
    assert (batch.scans, [change.path for change in batch.changes]) == ([b""], [b"later"])
