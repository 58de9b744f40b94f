"""The watcher when things go wrong: afterwards a gap says where, a scan stands for what was missed, and nobody stays blind."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from watchdog.observers.api import EventQueue, ObservedWatch
from watching import Kept, Watching, watching

from autoops import clock
from autoops.files import mounts
from autoops.files.ignore import Ignore
from autoops.files.inotify import Inotify
from autoops.model import Work
from autoops.watch.coverage import Coverage, Legacy, Scope
from autoops.watch.emitter import InotifyEmitter
from autoops.watch.observer import Source, store
from autoops.watch.pending import GapChange, Pending
from autoops.watch.root import Settings

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
def test_an_unmounted_disk_is_named_however_many_gaps_there_are(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoops.watch.coverage.MAX_GAPS", 1)
    (root / "a/loop").mkdir(parents=True)
    (root / "m").mkdir()
    with (
        mounted(root / "a/loop", "--bind", str(root)),
        mounted(root / "m"),
        watching(root, tmp_path / "state") as watch,
    ):
        watch.until(lambda: watch.kept.gaps.get(("r", b"a/loop")) == "alias")
        subprocess.run(["umount", str(root / "m")], check=True)
        watch.until(lambda: watch.kept.gaps.get(("r", b"m")) == "unmounted")  # what was on it is not called missing


@needs_root
def test_a_disk_that_is_away_is_still_a_gap_under_new_settings(root: Path, tmp_path: Path) -> None:
    (root / "m").mkdir()
    with mounted(root / "m"), watching(root, tmp_path / "state") as watch:
        subprocess.run(["umount", str(root / "m")], check=True)
        watch.until(lambda: watch.kept.gaps.get(("r", b"m")) == "unmounted")
        watch.kept.forget()
        (wanted,), settings = watch.plan
        watch.plan = ([wanted._replace(patterns=("*.tmp",))], settings)
        watch.watcher.reload()
        watch.until(lambda: b"" in watch.kept.scans())
        watch.settle()
        assert watch.kept.gaps == {("r", b"m"): "unmounted"}


def test_which_disks_are_away_is_stored_before_the_scans_that_it_is_for() -> None:
    told: list[str] = []

    class Telling(Kept):
        def enqueue(self, works: Sequence[Work]) -> object:
            told.append("scan")
            return super().enqueue(works)

        def gap_opened(self, root: str, path: bytes, reason: str, detail: str) -> None:
            told.append(reason)

        def gap_closed(self, root: str, path: bytes | None, reason: str) -> None:
            told.append(f"{reason} no more")

    source = Source("r", 0.0, 0.0)
    gaps = [(True, b"a", "watch-limit"), (False, b"m", "unmounted"), (True, b"m", "unmounted"), (False, b"a", "watch-limit")]
    source.add(scans=[b""], gaps=[GapChange(*gap) for gap in gaps])
    store(source, Telling())
    assert told == ["unmounted no more", "unmounted", "scan", "watch-limit", "watch-limit no more"]


class Short(Inotify):
    """A kernel that has no watch for some directories."""

    refused = errno.ENOSPC

    def add(self, path: bytes, mask: int) -> int:
        if self.refused and b"/over" in path:
            raise OSError(self.refused, os.strerror(self.refused), path)
        return super().add(path, mask)


def covering(root: Path, directories: int) -> tuple[Coverage, Short]:
    """Return what is watched of a root with so many directories for which there is no watch, its first scans forgotten."""
    for number in range(directories):
        (root / f"over{number}").mkdir()
    door = Short()
    coverage = Coverage(Scope(os.fsencode(root), Ignore(os.fsencode(root), (), ())), door)
    coverage.begin(Legacy())
    coverage.scans.clear()
    coverage.gap_changes.clear()
    return coverage, door


def test_a_root_that_stands_for_many_gaps_is_not_scanned_at_each_try(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoops.watch.coverage.MAX_GAPS", 2)
    coverage, door = covering(root, 5)
    with closing(door):
        assert len(coverage.gaps) == 3 and coverage.gaps[b""] == "watch-limit"
        coverage.retry(everything=False)
        assert (coverage.scans, coverage.gap_changes) == (set(), [])
        (root / "over-too").mkdir()
        coverage.cover(b"over-too")
        assert (coverage.scans, coverage.gap_changes) == ({b"over-too"}, [])
        door.refused = 0
        coverage.retry(everything=False)
        coverage.retry(everything=False)
        assert coverage.gaps == {} and len(coverage.directories) == 7


def test_a_gap_for_another_reason_ends_the_one_before(root: Path) -> None:
    coverage, door = covering(root, 1)
    with closing(door):
        door.refused = errno.EACCES
        coverage.retry(everything=False)
        assert coverage.gap_changes[:1] == [GapChange(False, b"over0", "watch-limit")]
        assert [(one.opened, one.reason) for one in coverage.gap_changes[1:]] == [(True, "unreadable")]
        coverage.open_gap(b"over0", "unmounted")
        coverage.gap_changes.clear()
        coverage.retry(everything=True)
        assert (coverage.gaps, coverage.gap_changes) == ({b"over0": "unmounted"}, [])


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


def polled(root: Path, state: Path) -> AbstractContextManager[Watching]:
    kinds = frozenset({mounts.kind_of(os.path.realpath(os.fsencode(root)))})
    return watching(root, state, poll_kinds=kinds, poll_interval_s=0.05)


def test_a_polled_tree_may_be_deeper_than_pythons_stack(root: Path, tmp_path: Path) -> None:
    deep = root.joinpath(*"d" * 1100)
    subprocess.run(["mkdir", "-p", str(deep)], check=True)
    try:
        with polled(root, tmp_path / "state") as watch:
            (deep / "f").write_text("x")
            watch.until(lambda: os.fsencode(os.path.relpath(deep / "f", root)) in watch.kept.jobs())
            assert "1,101 directories" in watch.watcher.status() and watch.kept.gaps == {}
    finally:
        subprocess.run(["rm", "-r", str(root / "d")], check=True)


def test_a_polled_tree_that_cannot_be_read_is_a_gap_answers_no_cookie_and_reports_no_deletions(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "d").mkdir()
    (root / "d/f").write_text("x")
    scandir = os.scandir

    def failing(path: str) -> Any:
        if broken.is_set() and os.fspath(path).endswith("/root/d"):
            raise OSError(errno.EIO, "the server is away")
        return scandir(path)

    broken = threading.Event()
    with polled(root, tmp_path / "state") as watch:
        monkeypatch.setattr(os, "scandir", failing)
        watch.settle()
        broken.set()
        watch.until(lambda: watch.kept.gaps)
        (tmp_path / "state/cookies/asked").touch()
        rounds = iter(range(50))
        watch.until(lambda: next(rounds, None) is None)
        assert "the server is away" in watch.kept.gaps["r", b""]
        assert watch.kept.jobs() == {} and b"asked" not in [name for name, _ in watch.kept.cookies]
        broken.clear()
        watch.until(lambda: not watch.kept.gaps and b"" in watch.kept.scans())
        watch.settle()


def test_another_directory_in_the_place_of_a_polled_root_reports_no_deletions(root: Path, tmp_path: Path) -> None:
    (root / "f").write_text("x")
    with polled(root, tmp_path / "state") as watch:
        emitter = next(iter(watch.watcher._observer.emitters))
        root.rename(tmp_path / "away")
        root.mkdir()
        emitter.join(20)  # before the watcher looks by itself
        assert not emitter.is_alive()
        watch.until(lambda: b"" in watch.kept.scans() and not watch.kept.gaps)
        assert watch.kept.jobs() == {}


def test_a_changed_ignore_file_in_a_polled_tree_has_its_directory_scanned(root: Path, tmp_path: Path) -> None:
    (root / "d").mkdir()
    with polled(root, tmp_path / "state") as watch:
        (root / "d/.gitignore").write_text("*.log\n")
        watch.until(lambda: b"d" in watch.kept.scans())
        (root / "d/a.log").write_text("x")
        (root / "d/b").write_text("x")
        watch.until(lambda: b"d/b" in watch.kept.jobs())
        assert b"d/a.log" not in watch.kept.jobs()


def test_a_root_that_cannot_be_watched_costs_no_descriptor_however_often_it_is_tried(root: Path, tmp_path: Path) -> None:
    watch = Watching(root, tmp_path / "state", Settings(retry_s=0.0))
    shutil.rmtree(tmp_path / "state")  # with the directory of the cookies
    watch.watcher.open()
    try:
        watch.until(lambda: watch.kept.gaps)
        before = len(os.listdir("/proc/self/fd"))
        rounds = iter(range(20))
        watch.until(lambda: next(rounds, None) is None)
        assert len(os.listdir("/proc/self/fd")) < before + 10  # not one a round; other threads hold one now and then
        (tmp_path / "state/cookies").mkdir(parents=True)
        watch.until(lambda: not watch.kept.gaps)
        assert watch.blind() == set()
    finally:
        watch.watcher.close()


def test_a_tree_that_is_emptied_by_renames_is_reported_while_that_goes_on(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "away").mkdir()
    files = 1000
    for number in range(files):
        (root / str(number)).touch()

    def rename_one(_: float = 0.0) -> None:
        name = os.listdir(root)[0]
        (root / name).rename(tmp_path / "away" / name)

    watch = ObservedWatch(str(root), recursive=True)
    scope = Scope(os.fsencode(root), Ignore(os.fsencode(root), (), ()))
    emitter = InotifyEmitter(EventQueue(), watch, scope=scope, legacy=Legacy(), pending=Pending(), notify=lambda: None)
    emitter.on_thread_start()
    monkeypatch.setattr("autoops.watch.emitter.time", SimpleNamespace(sleep=rename_one))  # whenever it waits, one more goes
    try:
        rename_one()
        assert 0 < len(emitter._events()) < files / 10
    finally:
        emitter.on_thread_stop()


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
        emitter._events = dying  # type: ignore[attr-defined]  # the next event raises in the thread
        (root / "d/missed").write_text("x")
        watch.until(lambda: ("closed", b"") in [entry[:2] for entry in watch.kept.history])
        assert "emitter died" in watch.kept.history[0][2]
        assert b"" in watch.kept.scans()
        assert watch.blind() == set()


def test_an_emitter_that_dies_as_often_as_it_is_replaced_has_to_wait(root: Path, tmp_path: Path) -> None:
    with watching(root, tmp_path / "state", retry_s=3600.0) as watch:
        emitter = next(iter(watch.watcher._observer.emitters))
        emitter._events = dying  # type: ignore[attr-defined]
        (root / "missed").write_text("x")
        watch.until(lambda: watch.kept.history)
        assert watch.watcher.step(clock.boottime_ns() / 1e9) > 3000
        assert watch.kept.history[-1][0] == "opened" and list(watch.watcher._observer.emitters) == []


def test_an_emitter_that_dies_of_a_bug_takes_the_service_along(root: Path, tmp_path: Path) -> None:
    with watching(root, tmp_path / "state") as watch:
        emitter = next(iter(watch.watcher._observer.emitters))
        emitter._events = None  # type: ignore[attr-defined]  # the next event raises TypeError in the thread
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
