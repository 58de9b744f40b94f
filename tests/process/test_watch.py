"""The watcher on real trees, when everything goes as it usually does: nothing missed, nobody blind."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest
from watching import watching

from autoops.core.hints import renames_of
from autoops.watch.emitter import BatchReady
from autoops.watch.pending import Pending


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_a_file_that_is_written_and_closed_becomes_one_settled_job(root: Path, tmp_path: Path) -> None:
    with watching(root, tmp_path / "state", min_age_s=0.25) as watch:
        (root / "a").write_text("x")
        watch.settle()
        (job,) = [work for _, work in watch.kept.works]
        assert (job.kind, job.key, job.facts, job.delay_s) == ("path", b"r\0a", {"closed": True}, 0.25)


def test_a_file_still_open_a_link_and_a_fifo_get_a_job_that_waits(root: Path, tmp_path: Path) -> None:
    with watching(root, tmp_path / "state") as watch, (root / "open").open("w") as still:
        (root / "link").symlink_to("/etc/passwd")
        os.mkfifo(root / "fifo")
        watch.settle()
        assert {path: work.delay_s for path, work in watch.kept.jobs().items()} == {b"open": 0.5, b"link": 0.5, b"fifo": 0.5}
        still.close()
        watch.settle()
        assert watch.kept.jobs()[b"open"].facts == {"closed": True}


def test_a_renamed_file_names_both_paths_and_where_it_came_from(root: Path, tmp_path: Path) -> None:
    (root / "a\\b").write_text("x")
    with watching(root, tmp_path / "state") as watch:
        (root / "a\\b").rename(root / "new")
        watch.settle()
        jobs = watch.kept.jobs()
        assert jobs.keys() == {b"a\\b", b"new"}
        assert renames_of(jobs[b"new"].facts or {}) == (((b"a\\b",),), False)
        assert renames_of(jobs[b"a\\b"].facts or {}) == ((), True)


def test_a_chain_of_renames_and_a_save_over_it_name_every_name_the_document_had(root: Path, tmp_path: Path) -> None:
    (root / "a").write_text("x")
    with watching(root, tmp_path / "state") as watch:
        (root / "a").rename(root / "b")
        watch.settle()
        (root / "b").rename(root / "c")
        (root / "new").write_text("y")
        (root / "new").rename(root / "c")
        watch.settle()
        assert renames_of(watch.kept.jobs()[b"c"].facts or {}) == (((b"a", b"b"), (b"new",)), False)


def test_a_file_set_aside_under_an_ignored_name_has_not_left_its_place(root: Path, tmp_path: Path) -> None:
    (root / "a").write_text("x")
    with watching(root, tmp_path / "state", patterns=("*~",)) as watch:
        (root / "a").rename(root / "a~")
        (root / "a").write_text("y")
        watch.settle()
        assert {renames_of(work.facts or {}) for work in watch.kept.told(b"a")} == {((), False)}
        (root / "a").rename(root / "b")
        (root / "a").write_text("z")
        watch.settle()
        assert ((), True) in {renames_of(work.facts or {}) for work in watch.kept.told(b"a")}


def test_a_file_whose_times_or_permissions_are_set_is_looked_at_again(root: Path, tmp_path: Path) -> None:
    for name in ("dated", "closed", "left"):
        (root / name).write_text("x")
    with watching(root, tmp_path / "state") as watch:
        os.utime(root / "dated", (1, 1))
        (root / "closed").chmod(0)
        root.chmod(0o700)
        watch.settle()
        assert watch.kept.jobs().keys() == {b"dated", b"closed"}
        assert watch.kept.scans() == []


def test_a_file_that_is_written_and_then_dated_is_still_one_that_its_writer_closed(root: Path, tmp_path: Path) -> None:
    with watching(root, tmp_path / "state") as watch:
        (root / "a").write_text("x")
        os.utime(root / "a", (1, 1))
        watch.settle()
        assert any((work.facts or {}).get("closed") for work in watch.kept.told(b"a"))


def test_a_deleted_file_is_due_at_once(root: Path, tmp_path: Path) -> None:
    (root / "a").write_text("x")
    with watching(root, tmp_path / "state", min_age_s=5.0) as watch:
        (root / "a").unlink()
        watch.settle()
        assert watch.kept.jobs()[b"a"].delay_s == 0.0


def test_a_deleted_tree_is_told_file_by_file_without_a_scan(root: Path, tmp_path: Path) -> None:
    for number in range(20):
        (root / f"t/{number}/k").mkdir(parents=True)
        (root / f"t/{number}/k/f").write_text("x")
    with watching(root, tmp_path / "state") as watch:
        shutil.rmtree(root / "t")
        watch.settle()
        assert watch.kept.jobs().keys() == {b"t/%d/k/f" % number for number in range(20)}
        assert watch.kept.scans() == []
        assert "1 directory watched" in watch.watcher.status()


def test_reading_files_makes_no_jobs(root: Path, tmp_path: Path) -> None:
    (root / "a").write_text("x")
    with watching(root, tmp_path / "state") as watch:
        for _ in range(50):
            (root / "a").read_text()
            os.listdir(root)
        watch.settle()
        assert watch.kept.works == []


def test_trees_made_at_once_are_never_missed(root: Path, tmp_path: Path) -> None:
    with watching(root, tmp_path / "state") as watch:
        for number in range(300):
            deep = root / f"s{number}/x/y"
            deep.mkdir(parents=True)
            (deep / "f").write_text("x")
        watch.settle()
        assert watch.unnamed() == set()
        assert watch.blind() == set()


def test_a_storm_of_twenty_thousand_files_is_named_file_by_file(root: Path, tmp_path: Path) -> None:
    with watching(root, tmp_path / "state") as watch:
        for directory in range(100):
            (root / f"d{directory}").mkdir()
            for number in range(200):
                os.close(os.open(root / f"d{directory}/{number}", os.O_CREAT | os.O_WRONLY))
        watch.settle()
        assert watch.unnamed() == set()
        assert ("opened", b"", "overflow") not in watch.kept.history
        assert len(watch.kept.jobs()) == 20_000
        assert watch.blind() == set()


def test_a_big_directory_moved_in_is_one_scan(root: Path, tmp_path: Path) -> None:
    (tmp_path / "big/sub").mkdir(parents=True)
    for number in range(2100):
        (tmp_path / f"big/sub/{number}").touch()
    with watching(root, tmp_path / "state") as watch:
        (tmp_path / "big").rename(root / "big")
        watch.settle()
        assert watch.kept.scans() == [b"big"]
        assert watch.kept.jobs() == {}
        assert watch.blind() == set()


def test_a_tree_moved_in_and_a_tree_copied_are_seen_whole(root: Path, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"src/{number}/k").mkdir(parents=True)
        for leaf in range(20):
            (tmp_path / f"src/{number}/k/{leaf}").write_text("x")
    with watching(root, tmp_path / "state") as watch:
        shutil.copytree(tmp_path / "src", root / "copied")
        (tmp_path / "src").rename(root / "moved")
        watch.settle()
        assert watch.unnamed() == set()
        assert watch.kept.jobs()[b"moved/3/k/7"].delay_s == 0.5
        assert watch.blind() == set()


def test_a_directory_moved_within_takes_its_watches_along(root: Path, tmp_path: Path) -> None:
    (root / "a/b/c").mkdir(parents=True)
    (root / "a/b/c/f").write_text("x")
    with watching(root, tmp_path / "state") as watch:
        (root / "a/b").rename(root / "z")
        watch.settle()
        jobs = watch.kept.jobs()
        assert (jobs[b"z/c/f"].facts or {})["moved_from"] == [["a/b/c/f"]]
        assert b"a/b" in watch.kept.scans()
        assert watch.blind() == set()
        assert "4 directories" in watch.watcher.status()


def test_a_directory_moved_out_is_heard_no_more(root: Path, tmp_path: Path) -> None:
    (root / "d/e").mkdir(parents=True)
    with watching(root, tmp_path / "state") as watch:
        (root / "d").rename(tmp_path / "d")
        watch.settle()
        assert watch.kept.scans() == [b"d"]
        watch.kept.forget()
        (tmp_path / "d/secret").write_text("x")
        (tmp_path / "d/e/secret").write_text("x")
        watch.settle()
        assert watch.kept.works == []
        assert "1 directory watched" in watch.watcher.status()


def test_chains_swaps_and_exchanges_of_directories_leave_nobody_blind(root: Path, tmp_path: Path) -> None:
    for name in "abcdef":
        (root / name / "sub").mkdir(parents=True)
        (root / name / "sub/f").write_text(name)
    with watching(root, tmp_path / "state") as watch:
        for number in range(100):
            (root / "a").rename(root / "t")
            (root / "b").rename(root / "a")
            (root / "t").rename(root / "b")
            (root / "c").rename(root / f"d/moved{number}")
            (root / f"d/moved{number}").rename(root / "c")
            (root / "e").rename(tmp_path / "e")
            (root / "e").mkdir()
            (root / "e").rmdir()
            (tmp_path / "e").rename(root / "e")
            exchange(root / "c", root / "f")
        watch.settle()
        assert watch.unnamed() == {b"d/sub/f"}  # the only one that never moved
        assert watch.blind() == set()


def exchange(one: Path, other: Path) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) == 0, os.strerror(ctypes.get_errno())


def test_names_of_any_bytes_arrive_as_they_are(root: Path, tmp_path: Path) -> None:
    odd = [
        b"bad\xff\xfe",
        b"new\nline",
        b"esc\x1b[2J",
        b"-rf",
        b"=cmd()",
        b"x" * 255,
        "\u202egpj.exe".encode(),
        b" lead",
        b"tail ",
    ]
    with watching(root, tmp_path / "state") as watch:
        for name in odd:
            path = os.path.join(os.fsencode(root), name)
            os.mkdir(path)
            os.close(os.open(os.path.join(path, name), os.O_CREAT | os.O_WRONLY))
        watch.settle()
        assert watch.kept.jobs().keys() == {os.path.join(name, name) for name in odd}
        assert watch.blind() == set()


def test_links_to_directories_are_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with watching(root, tmp_path / "state") as watch:
        (root / "out").symlink_to(tmp_path / "other")
        (root / "loop").symlink_to("..")
        watch.settle()
        watch.kept.forget()
        (tmp_path / "other/x").write_text("x")
        watch.settle()
        assert watch.kept.works == []


def test_ignored_files_and_directories_are_not_watched_until_the_ignore_file_says_otherwise(root: Path, tmp_path: Path) -> None:
    (root / "build/deep").mkdir(parents=True)
    (root / ".gitignore").write_text("build/\n")
    with watching(root, tmp_path / "state", patterns=("*.tmp",)) as watch:
        (root / "build/deep/x").write_text("x")
        (root / "a.tmp").write_text("x")
        watch.settle()
        assert watch.kept.works == []
        (root / ".gitignore").write_text("")
        watch.settle()
        assert b"" in watch.kept.scans()
        assert watch.blind() == set()
        (root / ".gitignore").write_text("build/\n")
        watch.settle()
        watch.kept.forget()
        (root / "build/deep/x").write_text("y")
        watch.settle()
        assert watch.kept.works == []


def test_a_tree_that_changes_while_it_is_watched_from_the_start_is_seen_whole(root: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def churn(name: str) -> None:
        number = 0
        while not stop.is_set() and number < 3000:
            number += 1
            base = root / f"{name}{number % 50}"
            shutil.rmtree(base, ignore_errors=True)
            (base / "p/q").mkdir(parents=True, exist_ok=True)
            (base / "p/q/f").write_text(str(number))
            (base / "p").rename(base / "r")

    threads = [threading.Thread(target=churn, args=(name,)) for name in "xy"]
    for thread in threads:
        thread.start()
    with watching(root, tmp_path / "state") as watch:
        for _ in range(5):
            watch.settle()
        stop.set()
        for thread in threads:
            thread.join()
        watch.settle()
        assert watch.blind() == set()
        assert watch.kept.gaps == {}


def test_the_state_directory_inside_a_root_is_not_watched(root: Path) -> None:
    with watching(root, root / "state") as watch:
        (root / "state/queue.db").write_text("x")
        (root / "a").write_text("x")
        watch.settle()
        assert watch.kept.jobs().keys() == {b"a"}


def test_everything_is_stored_by_one_thread_that_closes_its_sink(root: Path, tmp_path: Path) -> None:
    with watching(root, tmp_path / "state") as watch:
        (root / "a").write_text("x")
        watch.settle()
    assert len(watch.kept.threads) == 1
    assert threading.get_ident() not in watch.kept.threads
    assert watch.kept.closed


def test_no_two_announcements_are_equal_so_that_the_queue_drops_none() -> None:
    pending = Pending()
    assert BatchReady("r", pending) != BatchReady("r", pending)


def test_two_batches_in_a_row_are_both_told(root: Path, tmp_path: Path) -> None:
    with watching(root, tmp_path / "state") as watch:
        for number in range(20):
            (root / "same").write_text(str(number))
            watch.settle()
        assert len(watch.kept.works) == 20
