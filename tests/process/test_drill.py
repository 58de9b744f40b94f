"""`autoops backup drill` and `backup verify`: good backups pass; what is wrong with them, or with what is compared, is told."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from running import Suite, environment, program

Make = Callable[..., Suite]


@pytest.fixture
def kept(still: Suite) -> Suite:
    """A registry of a few files, a full snapshot, an incremental one, and a commit that nobody has shipped."""
    for number in range(20):
        (still.root / f"{number}.txt").write_text(f"{number}\n")
    still.once()
    still.run("backup", "snapshot")
    (still.root / "0.txt").write_text("another\n")
    still.once()
    still.run("backup", "snapshot")
    (still.root / "1.txt").unlink()
    (still.root / "late.txt").write_text("late\n")
    still.once()
    return still


def backups(suite: Suite) -> Path:
    return suite.state / "backups"


def newest(suite: Suite) -> str:
    return str(suite.run("backup", "list", "--json", code=None).json[-1]["name"])


def full_one(suite: Suite) -> Path:
    return next((backups(suite) / "snapshots").glob("*/registry.db.zst"))


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def drill_check(suite: Suite) -> dict[str, str]:
    checks = suite.run("health", "--json", code=None, config=True).json["checks"]
    return next(check for check in checks if check["name"] == "drill")


def test_a_drill_restores_compares_and_is_remembered_by_ledger_and_health(kept: Suite) -> None:
    told = kept.run("backup", "drill", "--json", config=True).json
    assert (told["fault"], told["snapshot"], told["entries"]) == ("", newest(kept), 22)
    assert told["shipped"] < told["sequence"]  # what was not shipped yet was played on
    assert told["files"] == {"looked": 21, "same": 21, "changed": 0, "faults": []}
    assert "Drill: PASSED" in kept.run("backup", "drill", config=True).out
    kept.once()
    ledger = kept.run("export", "--format", "ledger").out
    assert ledger.count("drill of") == 2 and f"backup:{newest(kept)}" in ledger
    assert drill_check(kept)["level"] == "OK"
    assert not list(backups(kept).glob(".drill/*"))


def test_a_dry_run_says_what_and_does_nothing(kept: Suite) -> None:
    assert newest(kept) in kept.run("backup", "drill", "--dry-run").out
    assert not (kept.state / "queue/drill.json").exists()


def test_without_a_snapshot_there_is_nothing_to_drill(still: Suite) -> None:
    assert "there is no snapshot" in still.run("backup", "drill", config=True, code=4).err
    assert "there is no snapshot" in still.run("backup", "verify", code=4).err
    assert still.findings("drill_failed") == []
    assert drill_check(still)["text"] == "nothing to restore yet"


def test_snapshots_that_are_gone_fail_the_drill(kept: Suite) -> None:
    shutil.rmtree(backups(kept) / "snapshots")
    assert "there is no snapshot" in kept.run("backup", "drill", config=True, code=4).err
    assert [found["kind"] for found in kept.findings("drill_failed")] == ["drill_failed"]
    assert drill_check(kept)["level"] == "CRITICAL"


@pytest.mark.parametrize("at", [5, 1000, -10])
def test_a_damaged_backup_fails_the_drill_stands_in_a_finding_and_closes_with_the_next_good_one(kept: Suite, at: int) -> None:
    flip(full_one(kept), at)
    answer = kept.run("backup", "drill", config=True, code=1)
    assert "Drill: FAILED" in answer.out and "cannot be trusted" in answer.out
    assert "FAILED" in kept.run("backup", "verify", code=1).out
    assert [found["kind"] for found in kept.findings("drill_failed")] == ["drill_failed"]
    assert drill_check(kept)["level"] == "CRITICAL"
    flip(full_one(kept), at)
    kept.run("backup", "drill", config=True)
    assert kept.findings("drill_failed") == []
    kept.once()


def test_a_good_drill_takes_back_what_was_found_of_the_shipped_ledger(kept: Suite) -> None:
    segment = next((backups(kept) / "ledger").iterdir())
    flip(segment, 100)
    kept.run("backup", "verify", code=1)
    memory = kept.state / "queue/unsound.json"
    assert "ledger" in json.loads(memory.read_text())["unusable"]
    flip(segment, 100)
    kept.run("backup", "drill", config=True)
    assert "ledger" not in json.loads(memory.read_text())["unusable"]
    assert "cannot be used" not in kept.run("health", "--verbose", code=None, config=True).out


def test_a_segment_that_is_damaged_or_missing_fails_drill_and_verification(kept: Suite) -> None:
    segment = next((backups(kept) / "ledger").iterdir())
    good = segment.read_bytes()
    segment.write_bytes(
        good.replace(b"another", b"changed") if b"another" in good else good[: len(good) // 2] + b"x" + good[len(good) // 2 + 1 :]
    )
    kept.run("backup", "verify", code=1)
    segment.unlink()
    kept.run("backup", "verify", code=1)
    kept.run("backup", "verify", "--all", code=1)
    kept.run("backup", "drill", config=True, code=1)
    segment.write_bytes(good)
    kept.run("backup", "verify", "--all")
    kept.run("backup", "drill", config=True)
    kept.once()


def test_a_live_registry_that_was_edited_is_not_what_was_kept(kept: Suite) -> None:
    registry = kept.state / "registry/registry.db"
    subprocess.run(
        ["sqlite3", registry, "UPDATE entry SET size_bytes = size_bytes + 1 WHERE name = CAST('late.txt' AS BLOB)"], check=True
    )
    answer = kept.run("backup", "drill", config=True, code=1)
    assert "1 entries are not what the live registry has" in answer.out and "late.txt" in answer.out
    subprocess.run(
        ["sqlite3", registry, "UPDATE entry SET size_bytes = size_bytes - 1 WHERE name = CAST('late.txt' AS BLOB)"], check=True
    )
    kept.run("backup", "drill", config=True)
    kept.once()


def test_a_file_that_is_another_one_although_size_and_time_are_the_same_fails_the_drill(kept: Suite) -> None:
    path = kept.root / "5.txt"
    there = path.stat()
    path.write_text("6\n")
    os.utime(path, ns=(there.st_atime_ns, there.st_mtime_ns))
    (kept.root / "7.txt").write_text("edited since\n")
    told = kept.run("backup", "drill", "--json", config=True, code=1).json
    assert told["files"] == {"looked": 21, "same": 19, "changed": 1, "faults": ["tree:5.txt"]}
    kept.once()
    kept.run("backup", "drill", config=True)
    kept.once()


def test_verify_all_names_each_and_quick_reads_checksums_only(kept: Suite) -> None:
    told = kept.run("backup", "verify", "--all", "--json").json
    assert len(told["good"]) == 2 and told["faults"] == {}
    assert "Backups: PASSED" in kept.run("backup", "verify", "--quick").out
    queue = backups(kept) / "snapshots" / newest(kept) / "queue.db.zst"
    flip(queue, 20)
    told = kept.run("backup", "verify", "--all", "--quick", "--json", code=1).json
    assert list(told["faults"]) == [newest(kept)] and len(told["good"]) == 1
    assert "there is no snapshot nothing" in kept.run("backup", "verify", "nothing", code=4).err
    assert not (backups(kept) / ".verify").exists()


def test_what_a_killed_verification_left_goes_with_the_next_one(kept: Suite) -> None:
    left = backups(kept) / ".verify" / "registry.db"
    left.parent.mkdir()
    left.write_bytes(bytes(4096))
    kept.run("backup", "verify")
    assert not left.parent.exists()


def test_what_is_pruned_while_it_is_verified_is_no_fault(kept: Suite) -> None:
    kept.run("backup", "snapshot", "--full", "--no-prune")
    with (backups(kept) / ".verify.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first one is read; there is no room to make it a registry yet
        command = [*program(), "backup", "verify", "--all", "--json", "--state", str(kept.state)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True) as verifying:
            kept.until(lambda: waits_for(verifying.pid, ".verify.lock"), "it waits")
            kept.run("backup", "prune", "--floor", 1)
            fcntl.flock(lock, fcntl.LOCK_UN)
            told = json.loads(verifying.communicate()[0])
    assert verifying.returncode == 0 and told == {"faults": {}, "good": [newest(kept)]}


def waits_for(pid: int, name: str) -> bool:
    return any(path.resolve().name == name for path in Path(f"/proc/{pid}/fd").iterdir())


def test_where_a_disk_is_not_mounted_a_drill_makes_no_directory(kept: Suite, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    kept.run("backup", "place", tmp_path / "disk" / "autoops", config=True)
    (tmp_path / "disk" / "autoops").rmdir()
    assert "is its disk mounted" in kept.run("backup", "drill", config=True, code=6).err
    assert list((tmp_path / "disk").iterdir()) == [] and kept.findings("drill_failed")


def test_a_drill_while_the_suite_works_is_good(suite: Suite) -> None:
    (suite.root / "a.txt").write_text("a\n")
    suite.idle()
    suite.run("backup", "snapshot")
    for number in range(60):
        (suite.root / f"{number}.txt").write_text(f"{number}\n")
    suite.run("backup", "drill", config=True)
    suite.idle()
    assert "drill of" in suite.run("export", "--format", "ledger").out
