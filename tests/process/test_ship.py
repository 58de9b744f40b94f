"""The ledger is shipped as it grows: by hand, and by the shipper."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Suite
from suites import tmpfs

from autoops.store.registry import SCHEMA

Make = Callable[..., Suite]


def ledger(suite: Suite) -> list[dict[str, Any]]:
    """Return the registry's ledger, as exported."""
    return [json.loads(line) for line in suite.run("export", "--format", "ledger").out.splitlines()]


def shipped(directory: Path) -> list[dict[str, Any]]:
    """Return what is in the open segment, in the form of an export."""
    lines = [json.loads(line) for path in sorted(directory.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    return [{key: line[key] for key in ("hash", "record", "signature")} for line in lines]


def segments(suite: Suite) -> Path:
    return suite.state / "backups" / "ledger"


# by hand


def test_the_ledger_is_shipped_by_hand_and_what_was_shipped_is_not_shipped_again(still: Suite) -> None:
    count = len(ledger(still))
    assert f"{count} commit(s) would be shipped" in still.run("backup", "ship", "--dry-run").out
    assert not segments(still).exists()
    answer = still.run("backup", "ship", "--json").json
    assert (answer["after"], answer["until"], answer["commits"]) == (0, count, count)
    assert shipped(segments(still)) == ledger(still)
    assert "nothing to ship" in still.run("backup", "ship").out
    (still.root / "b.txt").write_text("b\n")
    still.once()
    assert still.run("backup", "ship", "--json").json["after"] == count
    assert shipped(segments(still)) == ledger(still)
    assert {path.stat().st_mode & 0o777 for path in segments(still).iterdir()} == {0o600}


def test_a_submitted_patch_is_shipped_with_its_submission(still: Suite) -> None:
    (entry,) = still.export()
    patch = {"changes": {entry["id"]: {"tags": ["kept"]}}, "revs": {entry["id"]: entry["rev"]}, "reason": "for the test"}
    still.run("submit", "-", stdin=json.dumps(patch))
    still.once()
    still.run("backup", "ship")
    newest = json.loads((segments(still) / "000000000001.jsonl").read_bytes().splitlines()[-1])
    assert json.loads(newest["record"])["source"] == f"patch:{newest['submission']}"


def test_in_a_maintenance_window_nothing_is_shipped(still: Suite) -> None:
    (still.state / ".maintenance").touch()
    assert "paused" in still.run("backup", "ship", code=5).err
    (still.state / ".maintenance").unlink()
    assert not segments(still).exists()


def test_a_registry_that_was_put_back_to_an_older_state_ships_nothing_and_takes_nothing_away(still: Suite) -> None:
    shutil.copytree(still.state / "registry", still.base / "older")
    (still.root / "b.txt").write_text("b\n")
    still.once()
    still.run("backup", "ship")
    before = shipped(segments(still))
    shutil.copytree(still.state / "registry", still.base / "newer")
    put_back(still, still.base / "older")
    for option in ("--dry-run", "--json"):  # behind
        answer = still.run("backup", "ship", option, code=1)
        assert "is not the one that was shipped" in answer.err and "was shipped already" in answer.err and "RUNBOOK" in answer.err
    (still.root / "c.txt").write_text("c\n")
    still.once()
    (still.root / "d.txt").write_text("d\n")
    still.once()
    assert len(ledger(still)) >= len(before)
    assert "has hash" in still.run("backup", "ship", code=1).err  # another history
    assert shipped(segments(still)) == before
    put_back(still, still.base / "newer")
    assert "nothing to ship" in still.run("backup", "ship").out
    still.once()


def put_back(suite: Suite, registry: Path) -> None:
    """Put another registry directory in the place of a suite's."""
    shutil.rmtree(suite.state / "registry")
    shutil.copytree(registry, suite.state / "registry")


def test_damaged_segments_are_not_written_past(still: Suite) -> None:
    still.run("backup", "ship")
    path = segments(still) / "000000000001.jsonl"
    path.write_bytes(path.read_bytes()[:-9] + b"damaged!\n")
    before = path.read_bytes()
    (still.root / "b.txt").write_text("b\n")
    still.once()
    answer = still.run("backup", "ship", code=1)
    assert "cannot be trusted: 000000000001.jsonl" in answer.err and "hint" in answer.err
    assert path.read_bytes() == before


def test_a_backup_directory_that_is_not_there_is_an_error_that_says_so(still: Suite) -> None:
    still.configure([{"name": "tree"}], {"backup": {"directory": str(still.base / "disk")}})
    answer = still.run("backup", "ship", config=True, code=6)
    assert f"{still.base / 'disk'} cannot be written: No such file or directory" in answer.err and "mounted" in answer.err
    (still.base / "disk").mkdir()
    still.run("backup", "ship", config=True)
    assert shipped(still.base / "disk" / "ledger") == ledger(still)


def test_a_registry_that_cannot_be_read_is_an_error_that_says_so(still: Suite) -> None:
    with sqlite3.connect(still.state / "registry" / "registry.db") as con:
        con.execute("PRAGMA user_version = 99")
    assert "newer autoops" in still.run("backup", "ship", code=6).err
    with sqlite3.connect(still.state / "registry" / "registry.db") as con:
        con.execute(f"PRAGMA user_version = {SCHEMA.version}")


# by the shipper


@pytest.fixture
def live(make_suite: Make) -> Suite:
    """A suite with a file registered, its services running, the shipper among them."""
    suite = make_suite(tables={"queue": {"backoff_first_s": 0.1}, "service": {"heartbeat_s": 0.5}})
    (suite.root / "a.txt").write_text("a\n")
    suite.start("worker", "watcher", "shipper")
    suite.idle()
    return suite


def all_shipped(suite: Suite, directory: Path | None = None) -> bool:
    return shipped(directory or segments(suite)) == ledger(suite)


def shipping(suite: Suite) -> dict[str, Any]:
    """Return what the health check says of shipping."""
    checks = {check["name"]: check for check in suite.run("health", "--json", code=None).json["checks"]}
    return dict(checks["shipping"])


def edit(suite: Suite, text: str) -> None:
    """Make a commit."""
    (suite.root / "a.txt").write_text(text)
    suite.idle()


def test_each_commit_is_shipped_as_it_is_made(live: Suite) -> None:
    for number in range(5):
        edit(live, f"{number}\n")
        live.until(lambda: all_shipped(live), "it is shipped")
    live.until(lambda: shipping(live)["level"] == "OK", "health agrees")
    assert {"shipping_behind", "shipping_behind_commits", "shipping_latency_p99"} == {
        one["label"] for one in shipping(live)["figures"]
    }
    status = live.run("status", "--json").json["processes"]["shipper"]
    assert status["alive"] and "shipped up to commit" in status["status"]


def test_the_commits_of_a_scan_that_is_not_over_are_shipped(make_suite: Make) -> None:
    suite = make_suite(tables={"worker": {"commit_files": 8}})
    for number in range(100):
        (suite.root / f"f{number}").write_text(f"{number}\n")
    suite.start("shipper")
    suite.start("watcher")
    suite.start("worker", trace="freeze:commit:after:5", ready=False)  # in the middle; no checkpoint is written yet
    suite.until(lambda: segments(suite).exists() and len(shipped(segments(suite))) >= 5, "what is committed is shipped")
    assert all_shipped(suite)
    suite.kill("worker")
    suite.start("worker")
    suite.idle()
    suite.until(lambda: all_shipped(suite), "the rest is shipped")


@pytest.mark.parametrize("point", ["segment:written", "segment:written:3", "segment:synced:2"])
def test_a_shipper_that_dies_is_gone_on_from(make_suite: Make, point: str) -> None:
    suite = make_suite()
    suite.start("worker", "watcher")
    suite.start("shipper", trace=point, ready=False)
    for number in range(20):
        if suite.processes["shipper"].poll() is None:
            edit_new(suite, number)
    assert suite.died("shipper") == -signal.SIGKILL
    edit(suite, "while nobody ships\n")
    suite.start("shipper")
    suite.until(lambda: all_shipped(suite), "all is shipped, each commit once")


def edit_new(suite: Suite, number: int) -> None:
    (suite.root / f"n{number}").write_text(f"{number}\n")
    suite.idle()
    suite.until(lambda: suite.processes["shipper"].poll() is not None or all_shipped(suite), "it was shipped, or it died")


def test_a_fork_is_told_at_once_nothing_is_written_over_and_it_ends_when_the_true_ledger_is_back(live: Suite) -> None:
    edit(live, "b\n")
    live.until(lambda: all_shipped(live), "it is shipped")
    live.stop("worker")
    shutil.copytree(live.state / "registry", live.base / "older")
    live.start("worker")
    edit(live, "c\n")
    edit(live, "d\n")
    live.until(lambda: all_shipped(live), "it is shipped")
    before = shipped(segments(live))
    live.stop("worker")
    shutil.copytree(live.state / "registry", live.base / "newer")
    put_back(live, live.base / "older")
    live.start("worker")
    live.until(lambda: live.findings("ledger_forked"), "it is told")
    (finding,) = live.findings("ledger_forked")
    assert finding["detail"]["shipped"] == len(before) and finding["detail"]["same_until"] <= len(before) - 2
    for text in "efgh":
        edit(live, f"{text}\n")
    live.until(lambda: live.findings("ledger_forked")[0]["detail"]["registry_hash"], "it is a fork now, not only behind")
    health = live.run("health", "--json", code=2).json
    assert next(check for check in health["checks"] if check["name"] == "findings")["level"] == "CRITICAL"
    assert shipped(segments(live)) == before
    live.stop("worker", "watcher")
    put_back(live, live.base / "newer")
    live.start("worker", "watcher")
    live.until(lambda: not live.findings("ledger_forked"), "the finding closes by itself")
    live.idle()
    live.until(lambda: all_shipped(live), "it goes on")
    assert shipped(segments(live))[: len(before)] == before


def test_a_record_that_no_commit_wrote_is_told_as_damage_and_the_shipper_goes_on(live: Suite) -> None:
    live.stop("shipper")
    damaged = len(shipped(segments(live))) + 1
    edit(live, "b\n")
    edit(live, "c\n")
    live.stop("worker")
    with contextlib.closing(sqlite3.connect(live.state / "registry/registry.db", isolation_level=None)) as con:
        (record,) = con.execute("SELECT record FROM ledger WHERE sequence = ?", (damaged,)).fetchone()
        con.execute("UPDATE ledger SET record = 'x' WHERE sequence = ?", (damaged,))
        live.start("shipper")
        live.until(lambda: live.findings("ledger_unshipped"), "it is told")
        assert f"the record of commit {damaged} cannot be read" in live.findings("ledger_unshipped")[0]["detail"]["why"]
        con.execute("UPDATE ledger SET record = ? WHERE sequence = ?", (record, damaged))
    live.until(lambda: not live.findings("ledger_unshipped"), "the finding closes by itself")
    live.until(lambda: all_shipped(live), "it goes on")


def configured(suite: Suite, directory: Path) -> None:
    """Have the shipper use another backup directory, from now on."""
    suite.configure([{"name": "tree"}], {"backup": {"directory": str(directory)}, "service": {"heartbeat_s": 0.5}})
    suite.processes["shipper"].send_signal(signal.SIGHUP)


def test_a_backup_directory_that_is_gone_is_told_and_everything_else_goes_on(live: Suite) -> None:
    disk = live.base / "disk"
    disk.mkdir()
    configured(live, disk)
    live.until(lambda: (disk / "ledger").exists() and all_shipped(live, disk / "ledger"), "it ships there, from the beginning")
    disk.rename(live.base / "unplugged")
    edit(live, "b\n")
    live.until(lambda: live.findings("ledger_unshipped"), "it is told")
    assert str(disk) in live.findings("ledger_unshipped")[0]["detail"]["why"]
    live.until(
        lambda: "nothing is shipped now" in live.run("status", "--json").json["processes"]["shipper"]["status"], "it says so"
    )
    assert not disk.exists()  # where a disk should be mounted, nothing is made
    assert live.processes["shipper"].poll() is None
    (live.base / "unplugged").rename(disk)
    live.until(lambda: all_shipped(live, disk / "ledger"), "it is shipped when the disk is back")
    live.until(lambda: not live.findings("ledger_unshipped"), "the finding closes by itself")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with tmpfs(tmp_path / "small", "256k") as disk:
        yield disk


def test_a_full_and_then_a_read_only_backup_disk_is_told_and_shipped_to_when_there_is_room(live: Suite, small_disk: Path) -> None:
    configured(live, small_disk)
    live.until(lambda: (small_disk / "ledger").exists() and all_shipped(live, small_disk / "ledger"), "it ships there")
    filler = small_disk / "filler"
    fill(filler)
    for number in range(40):
        (live.root / f"f{number}").write_text(f"{number}\n")
    live.idle()
    live.until(lambda: live.findings("ledger_unshipped"), "it is told")
    assert "No space left" in live.findings("ledger_unshipped")[0]["detail"]["why"]
    known = shipped(small_disk / "ledger")
    assert known == ledger(live)[: len(known)]
    filler.unlink()
    live.until(lambda: all_shipped(live, small_disk / "ledger"), "it is shipped when there is room")
    live.until(lambda: not live.findings("ledger_unshipped"), "the finding closes by itself")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    edit(live, "b\n")
    live.until(lambda: live.findings("ledger_unshipped"), "it is told")
    assert "Read-only" in live.findings("ledger_unshipped")[0]["detail"]["why"]
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    live.until(lambda: all_shipped(live, small_disk / "ledger"), "it is shipped when it may be written again")
    live.until(lambda: not live.findings("ledger_unshipped"), "the finding closes by itself")


def fill(path: Path) -> None:
    """Fill a file system up to its last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size):
                    pass


def test_a_registry_that_is_removed_is_told_and_the_segments_stay(live: Suite) -> None:
    live.until(lambda: all_shipped(live), "it is shipped")
    before = shipped(segments(live))
    live.stop("worker")
    (live.state / "registry").rename(live.base / "removed")
    live.until(lambda: live.findings("ledger_unshipped"), "it is told")
    assert "does not exist" in live.findings("ledger_unshipped")[0]["detail"]["why"]
    assert shipped(segments(live)) == before
    (live.base / "removed").rename(live.state / "registry")
    live.start("worker")
    edit(live, "b\n")
    live.until(lambda: not live.findings("ledger_unshipped") and all_shipped(live), "it goes on")


def test_a_queue_that_is_locked_puts_off_what_is_told_and_not_what_is_shipped(live: Suite) -> None:
    live.until(lambda: all_shipped(live), "it is shipped")
    live.stop("worker", "watcher")
    with (live.state / "queue" / "queue.db.guard").open("r+") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        (live.state / "registry").rename(live.base / "removed")
        live.until(lambda: any(one["event"] == "look_put_off" for one in live.events("shipper")), "it could not write its finding")
    live.until(lambda: live.findings("ledger_unshipped"), "it writes it afterwards")
    (live.base / "removed").rename(live.state / "registry")
    live.start("worker", "watcher")
    live.until(lambda: not live.findings("ledger_unshipped"), "the finding closes by itself")


def test_while_another_works_in_the_backup_directory_the_shipper_waits_and_that_is_no_finding(live: Suite) -> None:
    live.until(lambda: all_shipped(live), "it is shipped")
    with (live.state / "backups" / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        edit(live, "b\n")
        live.until(lambda: "is at work" in live.run("status", "--json").json["processes"]["shipper"]["status"], "it says so")
        assert not all_shipped(live) and live.findings() == []
    live.until(lambda: all_shipped(live), "it is shipped afterwards")


def test_in_a_window_the_shipper_is_quiet_and_afterwards_it_ships_what_was_edited(live: Suite) -> None:
    live.until(lambda: all_shipped(live), "it is shipped")
    live.run("pause", "--no-snapshot")
    assert live.run("status", "--json").json["processes"]["shipper"]["state"] == "paused"
    assert shipping(live)["text"] == "not looked at while a maintenance window is open"
    before = shipped(segments(live))
    (entry,) = live.export()
    with contextlib.closing(sqlite3.connect(live.state / "registry" / "registry.db")) as con:
        con.execute(
            "UPDATE entry SET described = json_set(described, '$.tags', json_array('edited')) WHERE id = ?", (int(entry["id"]),)
        )
        con.commit()
    assert shipped(segments(live)) == before
    live.run("resume")
    live.until(lambda: len(ledger(live)) > len(before) and all_shipped(live), "the commit of the edit is shipped")


def test_a_shipper_that_does_not_run_is_a_warning_and_one_that_never_did_is_none(live: Suite, still: Suite) -> None:
    assert (shipping(still)["level"], shipping(still)["text"]) == ("OK", "was never started: the ledger is not shipped")
    live.until(lambda: all_shipped(live), "it is shipped")
    live.stop("shipper")
    live.until(lambda: shipping(live)["level"] == "WARNING", "health warns")
    assert "the shipper does not run" in shipping(live)["text"]
    edit(live, "b\n")
    assert "not shipped" in shipping(live)["text"]


def test_it_goes_on_without_inotify(make_suite: Make) -> None:
    suite = make_suite()
    suite.environment["PYTHONPATH"] = str(suite.base / "without")
    (suite.base / "without").mkdir()
    (suite.base / "without" / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'start-shipper' in sys.argv:\n"
        "    import autoops.files.inotify as inotify\n"
        "    def none(self): raise OSError(24, 'Too many open files')\n"
        "    inotify.Inotify.__init__ = none\n"
    )
    suite.start("worker", "watcher", "shipper")
    for number in range(3):
        edit_new(suite, number)
    assert all_shipped(suite)
