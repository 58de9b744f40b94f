"""Drift of every kind is found, named, explained and mended; and what must not be mended is held, by every safety rule."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from running import PROJECT, Answer, Suite, environment

Make = Callable[..., Suite]
ONE_BY_ONE = {"watch": {"rescan_s": 0}}


def reconcile(suite: Suite, *options: str, code: int | None = None) -> Any:
    """Run the reconciler; return what it says as JSON."""
    return suite.run("reconcile", "--json", *options, code=code, config=True).json


def kinds(said: Any) -> dict[str, str]:
    """Return the kind of each finding about a file, by path."""
    return {found["path"]: found["kind"] for found in said["findings"] if "path" in found}


def stand(suite: Suite) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in suite.findings():
        found[one["kind"]] = found.get(one["kind"], 0) + 1
    return found


def tree_of(suite: Suite) -> None:
    (suite.root / "sub").mkdir(exist_ok=True)
    for name in ("gone", "edited", "touched", "moving", "changing", "kept", "replaced", "sub/deep"):
        (suite.root / name).write_text(f"what is in {name}\n")


def drift(suite: Suite) -> dict[str, str]:
    """Make a disagreement of each kind; return the kinds by path."""
    root = suite.root
    (root / "new").write_text("nobody knows of it\n")
    (root / "gone").unlink()
    (root / "edited").write_text("something else\n")
    os.utime(root / "touched", (1, 1))
    (root / "moving").rename(root / "sub" / "moved")
    (root / "changing").unlink()
    (root / "changing").symlink_to("kept")
    (root / ".beside").write_text("another file, put in its place\n")
    (root / ".beside").rename(root / "replaced")
    return {
        "new": "unregistered",
        "gone": "missing",
        "edited": "modified",
        "touched": "metadata",
        "sub/moved": "moved",
        "changing": "wrong_kind",
        "replaced": "replaced",
    }


# every kind


def test_every_kind_of_drift_is_named_exactly_and_after_the_repair_nothing_is_left(make_suite: Make) -> None:
    suite = make_suite(tables=ONE_BY_ONE)
    tree_of(suite)
    suite.once()
    assert reconcile(suite, code=0)["findings"] == []
    wanted = drift(suite)
    before = (suite.digest(), suite.queue(), suite.findings())
    assert kinds(reconcile(suite, "--report", code=1)) == wanted
    assert kinds(reconcile(suite, "--repair", "--dry-run", code=1)) == wanted
    assert (suite.digest(), suite.queue(), suite.findings()) == before, "looking changes nothing"
    said = reconcile(suite, "--repair", code=1)
    assert kinds(said) == wanted and said["repairs"] == len(wanted)
    assert {one["subject"].removeprefix("tree/"): one["kind"] for one in suite.findings()} == wanted
    assert {found["detail"]["winner"] for found in said["findings"]} == {"the disk"}
    suite.start("worker")
    suite.until(lambda: suite.queue()["queued"] == 0, "the repairs are done")
    suite.until(lambda: reconcile(suite)["findings"] == [], "a second run finds nothing")
    assert suite.findings() == []
    suite.require_disk_registered()


def test_the_same_while_the_worker_runs_and_the_watcher_is_deaf(make_suite: Make) -> None:
    suite = make_suite(tables=ONE_BY_ONE)
    tree_of(suite)
    suite.once()
    suite.start("worker")
    suite.until(lambda: suite.queue()["running"] == suite.queue()["queued"] == 0, "it is idle")
    wanted = drift(suite)
    said = reconcile(suite, "--repair", code=1)
    assert kinds(said) == wanted
    assert {found["detail"]["blame"]["by"] for found in said["findings"]} == {"unknown"}, "a worker runs, and no gap is known"
    suite.until(lambda: suite.findings() == [], "the worker closes what it has mended, without a second run")
    for one in suite.run("findings", "list", "--closed", "--json").json:
        history = suite.run("findings", "show", one["id"], "--json").json["history"]
        assert [step["what"] for step in history] == ["opened", "repaired", "closed"]
    suite.until(lambda: reconcile(suite)["findings"] == [], "a second run finds nothing")
    suite.require_disk_registered()


def test_a_scan_closes_what_it_registers_and_what_is_not_committed_stands(make_suite: Make) -> None:
    suite = make_suite(tables={**ONE_BY_ONE, "reconcile": {"repair": False}})
    tree_of(suite)
    suite.once()
    suite.start("worker")
    wanted = drift(suite)
    assert kinds(reconcile(suite, code=1)) == wanted and len(suite.findings()) == len(wanted)
    entry_id = suite.entry("edited")["id"]
    edit(suite, f"UPDATE entry SET described = replace(described, 'document', 'forged') WHERE id = {int(entry_id)}")
    suite.run("scan", config=True)
    suite.until(lambda: stand(suite) == {"modified": 1, "registry_edited": 1}, "only the edited entry's file is not settled")
    edit(suite, f"UPDATE entry SET described = replace(described, 'forged', 'document') WHERE id = {int(entry_id)}")
    suite.until(lambda: reconcile(suite, "--repair")["counts"] == {}, "put right, it is mended")
    assert suite.findings() == []


def test_what_is_only_on_its_way_is_no_finding(suite: Suite) -> None:
    tree_of(suite)
    suite.idle()
    writer = subprocess.Popen(
        ["sh", "-c", 'i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i >"n$i"; mv "n$i" "m$i"; done'], cwd=suite.root
    )
    try:
        while writer.poll() is None:
            said = reconcile(suite, "--report")
            assert said["findings"] == []
    finally:
        writer.wait()
    suite.idle()
    assert reconcile(suite, "--report", code=0)["findings"] == []


def test_one_directory_alone_is_compared_and_findings_elsewhere_stay(make_suite: Make) -> None:
    suite = make_suite()
    tree_of(suite)
    suite.once()
    (suite.root / "new").touch()
    (suite.root / "sub" / "new").touch()
    reconcile(suite, code=1)
    assert stand(suite) == {"unregistered": 2}
    (suite.root / "sub" / "new").unlink()
    assert kinds(reconcile(suite, str(suite.root / "sub"), code=0)) == {}
    assert [one["subject"] for one in suite.findings()] == ["tree/new"]
    suite.once()


def test_an_observed_root_has_nothing_to_disagree_with(make_suite: Make) -> None:
    suite = make_suite(roots=[{"name": "tree", "policy": "observe"}])
    tree_of(suite)
    suite.once()
    assert reconcile(suite, code=0)["findings"] == []


# what explains it


def test_downtime_and_hands_are_blamed(make_suite: Make) -> None:
    suite = make_suite(tables=ONE_BY_ONE)
    tree_of(suite)
    suite.start()
    suite.idle()
    suite.kill()
    (suite.root / "edited").write_text("while nobody looked\n")
    found = reconcile(suite, "--report", code=1)["findings"]
    assert [one["detail"]["blame"]["by"] for one in found] == ["downtime"]

    suite.start("worker")
    entry = suite.entry("edited")
    patch = {"changes": {entry["id"]: {"status": "missing"}}, "revs": {entry["id"]: entry["rev"]}, "reason": "a mistake"}
    suite.run("submit", "-", "--wait", stdin=json.dumps(patch))
    blamed = {one["path"]: one["detail"]["blame"] for one in reconcile(suite, "--report", code=1)["findings"]}
    assert any("a mistake" in blame["said"] and blame["by"] == "hand" for blame in blamed.values()), blamed
    reconcile(suite, "--repair", code=1)
    suite.until(lambda: reconcile(suite)["findings"] == [], "it is mended")


def test_the_time_without_a_watcher_is_named(make_suite: Make) -> None:
    suite = make_suite(tables=ONE_BY_ONE)
    tree_of(suite)
    suite.start()
    suite.idle()
    suite.stop("watcher")
    (suite.root / "edited").write_text("nobody heard this\n")
    stopped_s = time.time()
    suite.until(lambda: time.time() > stopped_s + 2, "there is a time to speak of")
    suite.start("watcher")  # which has the tree scanned
    suite.idle()
    assert suite.findings() == []
    gaps = sqlite3.connect(suite.state / "queue" / "queue.db").execute("SELECT root, reason FROM gap").fetchall()
    assert ("", "downtime") in gaps


# what is not mended


def emptied(make_suite: Make) -> Suite:
    """Return a suite whose root lost all of its forty files at once."""
    suite = make_suite(tables=ONE_BY_ONE)
    for number in range(40):
        (suite.root / f"f{number}").write_text(f"{number}\n")
    suite.once()
    for path in suite.root.iterdir():
        path.unlink()
    return suite


def test_an_emptied_root_is_not_taken_for_deleted_until_a_person_says_so(make_suite: Make) -> None:
    suite = emptied(make_suite)
    said = reconcile(suite, "--repair", code=1)
    assert said["counts"]["mass_missing"] == 1 and said["repairs"] == 0
    assert [one["kind"] for one in said["findings"]] == ["mass_missing"]
    suite.start("worker")
    suite.run("scan", config=True)
    suite.until(lambda: suite.queue()["queued"] == suite.queue()["running"] == 0, "the scan was refused")
    assert len(suite.active()) == 40, "nothing is called missing"
    (finding,) = suite.findings("mass_missing")
    suite.run("findings", "release", finding["id"])
    suite.run("scan", config=True)
    suite.until(lambda: not suite.active(), "now it is")
    suite.until(lambda: reconcile(suite)["findings"] == [], "and nothing is left to find")
    assert suite.findings() == []


def test_what_is_gone_at_once_and_was_released_is_mended_as_any_other_difference(make_suite: Make) -> None:
    suite = emptied(make_suite)
    assert reconcile(suite, "--repair", code=1)["repairs"] == 0
    (finding,) = suite.findings("mass_missing")
    suite.run("findings", "release", finding["id"])
    said = reconcile(suite, "--repair", code=1)
    assert said["counts"] == {"mass_missing": 1, "missing": 40} and said["repairs"] == 40
    suite.start("worker")
    suite.until(lambda: not suite.active(), "they are called missing")
    suite.until(lambda: reconcile(suite)["findings"] == [], "and nothing is left to find")
    assert suite.findings() == []


def test_a_half_mounted_root_is_not_taken_for_half_deleted(make_suite: Make) -> None:
    suite = make_suite(tables=ONE_BY_ONE)
    (suite.root / "disk").mkdir()
    for number in range(60):
        (suite.root / ("disk" if number < 40 else ".") / f"f{number}").write_text(f"{number}\n")
    suite.once()
    (suite.root / "disk").rename(suite.base / "unmounted")
    (suite.root / "new").write_text("new\n")
    said = reconcile(suite, "--repair", code=1)
    assert said["counts"] == {"mass_missing": 1, "missing": 40, "unregistered": 1} and said["repairs"] == 1
    suite.once()
    assert len(suite.active()) == 61
    (suite.root / "disk").mkdir()
    suite.start("worker")
    for place in (suite.root / "disk", suite.root):  # by hand, a part or all of it
        suite.run("scan", place, config=True)
        suite.until(lambda: suite.queue()["queued"] == suite.queue()["running"] == 0, "the scan is over")
        assert len(suite.active()) == 61, "nothing is called missing"
    (suite.root / "disk").rmdir()
    (suite.base / "unmounted").rename(suite.root / "disk")
    suite.run("scan", config=True)
    suite.until(lambda: not suite.findings("mass_missing"), "it is mounted again")
    assert reconcile(suite, code=0)["findings"] == []
    assert suite.findings() == []


def test_what_moved_to_another_disk_with_a_link_in_its_place_is_not_called_missing_at_once(make_suite: Make) -> None:
    suite = make_suite(tables=ONE_BY_ONE)
    (suite.root / "large").mkdir()
    for number in range(40):
        (suite.root / "large" / f"f{number}").write_text(f"{number}\n")
    suite.once()
    (suite.root / "large").rename(suite.base / "moved")
    (suite.root / "large").symlink_to(suite.base / "moved")
    suite.once()
    assert [one["kind"] for one in suite.findings()] == ["mass_missing"] and len(suite.active()) == 41
    (suite.root / "large").unlink()
    (suite.base / "moved").rename(suite.root / "large")
    suite.once()
    suite.require_disk_registered()


def test_few_missing_files_are_no_mass_whatever_their_share(make_suite: Make) -> None:
    suite = make_suite()
    tree_of(suite)
    suite.once()
    for path in [path for path in suite.root.rglob("*") if path.is_file()]:
        path.unlink()
    assert reconcile(suite, code=1)["counts"] == {"missing": 8}
    suite.once()


def test_another_directory_in_the_place_of_a_root_stops_everything_about_it(make_suite: Make) -> None:
    suite = make_suite(tables=ONE_BY_ONE)
    tree_of(suite)
    suite.once()
    suite.root.rename(suite.base / "unmounted")
    suite.root.mkdir()
    said = reconcile(suite, "--repair", code=1)
    assert said["counts"] == {"root_replaced": 1} and said["repairs"] == 0
    assert stand(suite) == {"root_replaced": 1}
    suite.root.rmdir()
    assert reconcile(suite, code=1)["counts"] == {"root_replaced": 1}
    (suite.base / "unmounted").rename(suite.root)
    assert reconcile(suite, code=0)["counts"] == {}
    assert suite.findings() == []


def test_the_same_repair_a_third_time_is_a_loop_and_is_held(make_suite: Make) -> None:
    suite = make_suite(tables=ONE_BY_ONE)
    tree_of(suite)
    suite.once()
    suite.start("worker")
    for _ in range(2):
        (suite.root / "gone").unlink()
        reconcile(suite, "--repair", code=1)
        suite.until(lambda: ("tree", b"gone") not in suite.active(), "it is called missing")
        (suite.root / "gone").write_text("what is in gone\n")
        reconcile(suite, "--repair", code=1)
        suite.until(lambda: ("tree", b"gone") in suite.active(), "it is back")
    (suite.root / "gone").unlink()
    said = reconcile(suite, "--repair", code=1)
    assert said["repairs"] == 0 and "quarantined" in said["findings"][0]["plan"]["held"]
    (finding,) = suite.findings("quarantined")
    suite.run("findings", "release", finding["id"])
    assert reconcile(suite, "--repair", code=1)["repairs"] == 1
    suite.until(lambda: ("tree", b"gone") not in suite.active(), "it is called missing")
    assert reconcile(suite, code=0)["counts"] == {}
    assert suite.findings() == []


def test_what_was_rolled_back_is_not_put_in_again_until_it_is_released(make_suite: Make) -> None:
    suite = make_suite(tables={**ONE_BY_ONE, "describe": {"enabled": False}})
    tree_of(suite)
    suite.once()
    before = suite.entry("edited")["observation"]["sha256"]
    suite.start("worker")
    (suite.root / "edited").write_text("not what was agreed\n")
    suite.run("scan", config=True)
    suite.until(lambda: suite.entry("edited")["observation"]["sha256"] != before, "the edit is registered")
    suite.run("rollback", suite.entry("edited")["id"], "--wait")
    for command in (["scan"], ["scan", "--hash"]):
        suite.run(*command, config=True)
        suite.until(lambda: suite.queue()["queued"] == suite.queue()["running"] == 0, "the scan is over")
        assert suite.entry("edited")["observation"]["sha256"] == before
    said = reconcile(suite, "--repair", code=1)
    assert said["repairs"] == 0 and "rolled back" in said["findings"][0]["plan"]["held"]
    suite.kill("worker")
    suite.start("worker")
    suite.run("scan", config=True)
    suite.until(lambda: suite.queue()["queued"] == suite.queue()["running"] == 0, "the scan is over")
    assert suite.entry("edited")["observation"]["sha256"] == before, "the memory outlives the worker"
    (memory,) = suite.findings("rolled_back")
    suite.run("findings", "release", memory["id"])
    assert reconcile(suite, "--repair", code=1)["repairs"] == 1
    suite.until(lambda: suite.entry("edited")["observation"]["sha256"] != before, "it is registered again")
    suite.until(lambda: reconcile(suite)["counts"] == {}, "and nothing is left")
    assert suite.findings() == []


# what changed by itself


class Disk:
    """An ext4 file system in a file, mounted where the first suite has its tree."""

    def __init__(self, base: Path) -> None:
        self.image, self.at = base / "disk.img", base / "suite-0" / "tree"
        self.at.mkdir(parents=True)
        with self.image.open("wb") as out:
            out.truncate(8 << 20)
        subprocess.run(["mkfs.ext4", "-q", str(self.image)], check=True)

    def mount(self) -> None:
        done = subprocess.run(["mount", "-o", "loop", str(self.image), str(self.at)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot mount here: {done.stderr.strip()}")

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.at)], check=True)

    def flip(self, old: bytes, new: bytes) -> None:
        """Change bytes behind the file system's back."""
        self.unmount()
        content = self.image.read_bytes()
        assert content.count(old) == 1 and len(old) == len(new)
        with self.image.open("r+b") as raw:
            raw.seek(content.index(old))
            raw.write(new)
        self.mount()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    made.mount()
    shutil.rmtree(made.at / "lost+found")
    yield made
    made.unmount()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a disk image")
def test_a_content_that_changed_by_itself_is_corrupt_and_the_registry_keeps_what_was_written(disk: Disk, make_suite: Make) -> None:
    good, rotten = b"the very content that was written", b"the very cOntent that was written"
    suite = make_suite(tables=ONE_BY_ONE)
    (suite.root / "precious").write_bytes(good)
    written_s = time.time()
    suite.until(lambda: time.time() > written_s + 0.3, "a change within the clock's grain of the reading would prove nothing")
    suite.once()
    before = suite.entry("precious")
    disk.flip(good, rotten)
    assert reconcile(suite, "--report", code=0)["findings"] == [], "size, mtime and ctime say that nothing happened"
    said = reconcile(suite, "--hash", code=1)
    assert kinds(said) == {"precious": "corrupt"} and said["repairs"] == 0
    suite.start("worker")
    suite.run("scan", "--hash", config=True)
    suite.until(lambda: suite.queue()["queued"] == suite.queue()["running"] == 0, "the scan is over")
    assert suite.entry("precious") == before, "the registry keeps what was written"
    assert reconcile(suite, code=0)["counts"] == {} and stand(suite) == {"corrupt": 1}, "a look by stat does not clear it"
    (suite.root / "precious").write_bytes(good)  # from a backup
    suite.run("scan", config=True)
    suite.until(lambda: not suite.findings("corrupt"), "it is whole again")


# the registry itself


@contextmanager
def put_back(path: Path) -> Iterator[None]:
    good = path.read_bytes()
    yield
    path.write_bytes(good)


def edit(suite: Suite, sql: str) -> None:
    with sqlite3.connect(suite.state / "registry" / "registry.db") as connection:
        assert connection.execute(sql).rowcount == 1
    connection.close()


@pytest.fixture(scope="module")
def still(make_shared: Make) -> Suite:
    suite = make_shared()
    tree_of(suite)
    suite.once()
    return suite


TAMPERED = {
    "a registry row": ("UPDATE entry SET size_bytes = 4711 WHERE name = CAST('kept' AS BLOB)", "registry_edited"),
    "a ledger record": ("UPDATE ledger SET record = replace(record, 'worker', 'nobody') WHERE sequence = 1", "ledger_broken"),
    "a signature": ("UPDATE ledger SET signature = zeroblob(64) WHERE sequence = 1", "ledger_broken"),
}


@pytest.mark.parametrize(("sql", "kind"), TAMPERED.values(), ids=TAMPERED)
def test_what_was_changed_in_the_registry_is_found_and_named(still: Suite, sql: str, kind: str) -> None:
    wanted = still.entry("kept")["id"] if kind == "registry_edited" else "commit 1"
    with put_back(still.state / "registry" / "registry.db"):
        edit(still, sql)
        said = reconcile(still, "--only", "proofs", code=1)
        assert wanted in {found["subject"] for found in said["findings"] if found["kind"] == kind}
        assert kind in stand(still)
        if kind == "registry_edited":  # a commit over it would hide the edit for good
            for parts in ((), ("--only", "files")):
                assert reconcile(still, "--repair", *parts, code=1)["repairs"] == 0
    assert reconcile(still, code=0)["counts"] == {}
    assert still.findings() == []


def test_the_worker_does_not_commit_over_a_row_that_was_edited(suite: Suite) -> None:
    tree_of(suite)
    suite.idle()
    entry_id = suite.entry("edited")["id"]
    edit(suite, f"UPDATE entry SET described = replace(described, 'document', 'forged') WHERE id = {int(entry_id)}")
    assert suite.entry("edited")["class"] == "forged"
    sequence = suite.run("status", "--json").json["sequence"]
    (suite.root / "edited").write_text("and the file changes, too\n")
    suite.until(lambda: suite.findings("registry_edited"), "the worker tells of it")
    assert [one["subject"] for one in suite.findings("registry_edited")] == [entry_id]
    patch = {"changes": {entry_id: {"tags": ["x"]}}, "revs": {entry_id: suite.entry("edited")["rev"]}}
    assert "past the ledger" in suite.run("submit", "-", "--wait", stdin=json.dumps(patch), code=4).err
    assert suite.run("status", "--json").json["sequence"] == sequence
    (suite.root / "kept").write_text("the others go on\n")
    assert "nothing is committed over 1 entry changed past the ledger" in suite.idle(code=1).err
    assert suite.run("wait-idle", "--json", code=1).json == {"events_seen": True, "idle": True, "jobs_left": 0, "refused": 1}
    assert suite.run("status", "--json").json["sequence"] > sequence
    edit(suite, f"UPDATE entry SET described = replace(described, 'forged', 'document') WHERE id = {int(entry_id)}")
    assert reconcile(suite, "--repair", code=1)["repairs"] == 1, "what was refused meanwhile is made up for by one run"
    suite.until(lambda: reconcile(suite)["counts"] == {}, "put back, it is registered")
    assert suite.findings() == []
    suite.idle()


def test_a_checkpoint_that_was_changed_is_found_by_its_line(still: Suite) -> None:
    path = still.state / "registry" / "checkpoints.jsonl"
    with put_back(path):
        path.write_bytes(path.read_bytes().replace(b'"entries":8', b'"entries":9', 1))
        said = reconcile(still, "--only", "proofs", code=1)
        assert said["findings"][0]["kind"] == "checkpoint_mismatch" and "line 1" in said["findings"][0]["detail"]["fault"]
    assert reconcile(still, code=0)["counts"] == {}


def test_the_worker_goes_on_without_a_checkpoint_file(suite: Suite) -> None:
    (suite.root / "a").write_text("a\n")
    suite.idle()
    path = suite.state / "registry" / "checkpoints.jsonl"
    path.unlink()
    path.mkdir()
    (suite.root / "b").write_text("b\n")
    suite.until(lambda: any(event["event"] == "checkpoint_failed" for event in suite.events("worker")), "it tells")
    suite.idle()
    assert ("tree", b"b") in suite.active()
    path.rmdir()


# the commands


def test_in_a_window_and_without_a_state_it_says_so(make_suite: Make, tmp_path: Path) -> None:
    suite = make_suite()
    assert "autoops migrate" in suite.run("reconcile", code=6, config=True).err
    suite.once()
    suite.run("pause", "--why", "mine", "--no-snapshot")
    assert "mine" in suite.run("reconcile", code=5, config=True).err
    suite.run("resume")
    assert "--only must be" in suite.run("reconcile", "--only", "everything", code=2, config=True).err


def test_a_directory_that_nobody_knows_is_named_and_one_that_is_gone_is_compared(make_suite: Make) -> None:
    suite = make_suite()
    tree_of(suite)
    (suite.root / "sub" / "below").mkdir()
    (suite.root / "sub" / "below" / "file").touch()
    (suite.root / "link").symlink_to("sub")
    suite.once()
    shutil.rmtree(suite.root / "sub")
    for known in ("sub", "sub/below", "../tree/sub"):
        assert "sub/below/file" in kinds(reconcile(suite, str(suite.root / known), "--report", code=1))
    for unknown in ("typo", "sub/typo", "kept", "kept/below", "link", "x" * 300):
        for command in ("reconcile", "scan"):
            said = suite.run(command, suite.root / unknown, code=2, config=True).err
            assert f"tree/{unknown} is no directory, and none is registered there" in said
    assert suite.queue()["queued"] == 0
    away = suite.root.rename(suite.base / "away")
    assert reconcile(suite, str(suite.root / "typo"), "--report", code=1)["counts"] == {"root_replaced": 1}
    away.rename(suite.root)
    suite.once()


def test_people_read_sentences_and_what_follows(make_suite: Make) -> None:
    suite = make_suite()
    tree_of(suite)
    suite.once()
    drift(suite)
    said = suite.run("reconcile", "--report", config=True, code=1).out
    assert "missing: tree/gone (" in said and "-> its entry is called missing" in said and "1 wrong_kind" in said
    command = [sys.executable, str(PROJECT / "bin" / "autoops-reconciler"), "--report", "--state", str(suite.state)]
    ran = subprocess.run([*command, "--config", str(suite.config)], env=environment(), capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, said)
    suite.once()


def test_the_last_line_names_what_was_looked_at(make_suite: Make) -> None:
    suite = make_suite(roots=[{"name": "tree"}, {"name": "seen", "policy": "observe"}])
    (suite.root / "one").touch()
    suite.once()

    def last(*options: str, code: int = 0) -> str:
        return suite.run("reconcile", *options, config=True, code=code).out.splitlines()[-1]

    commits = suite.run("status", "--json").json["sequence"]
    assert last() == f"1 file, {commits} commits, 0 catalogs, 0 replicas: all agree; not compared, only observed: seen"
    assert last("--only", "proofs") == f"{commits} commits: all agree"
    assert last("--only", "catalogs", "--only", "replicas") == "0 catalogs, 0 replicas: all agree"
    (suite.root / "two").touch()
    assert last(str(suite.root), "--only", "files", code=1) == "2 files: 1 unregistered; 1 repair enqueued"
    assert reconcile(suite, "--only", "files", "--report", code=1)["looked_at"] == {"files": 2}
    suite.once()


def test_findings_are_listed_shown_acknowledged_closed_and_exported(make_suite: Make) -> None:
    suite = make_suite(tables={"reconcile": {"repair": False}})
    tree_of(suite)
    suite.once()
    (suite.root / "new").touch()
    assert reconcile(suite, code=1)["repairs"] == 0
    (found,) = suite.findings()
    number = found["id"]

    def run(*arguments: object, code: int = 0) -> Answer:
        return suite.run("findings", *arguments, code=code)

    assert "unregistered" in run().out and "tree/new" in run("list", "--kind", "unregistered").out
    assert "no findings" in run("list", "--kind", "missing").out
    assert "would be acknowledged" in run("ack", number, "--dry-run").out and suite.findings()[0]["acknowledged_s"] is None
    run("ack", number)
    shown = run("show", number, "--json").json
    assert [step["what"] for step in shown["history"]] == ["opened", "acknowledged"] and shown["acknowledged_by"]
    assert "who is right: the disk" in run("show", number).out and "acknowledged" in run("list").out
    for options in ((), ("--dry-run",)):
        refused = run("release", number, *options, code=4).err
        assert f"finding {number} (unregistered) holds nothing back" in refused and f"findings show {number}" in refused
    assert suite.findings()[0]["released_s"] is None
    run("close", number)
    assert suite.findings() == [] and "unregistered" in run("list", "--closed").out
    assert "No finding that stands" in run("close", number, code=1).err and "4711" in run("show", 4711, code=1).err
    assert [step["who"] for step in run("show", number, "--json").json["history"]][-1], "it is known who closed it"
    reconcile(suite, code=1)
    assert [one["id"] for one in suite.findings()] == [number], "what is still true is found again"
    lines = [json.loads(line) for line in run("export").out.splitlines()]
    assert [line["id"] for line in lines] == [number] and len(lines[0]["history"]) == 4
    suite.once()


# what was made of it


def test_a_catalog_byte_and_a_replica_row_are_found_and_named_and_the_catalog_is_built_again(make_suite: Make) -> None:
    suite = make_suite()
    tree_of(suite)
    suite.once()
    replica = suite.base / "copy.db"
    suite.run("maintenance", "snapshot")
    (copy,) = (suite.state / "backups").iterdir()
    copy.rename(replica)
    with suite.config.open("a") as config:
        config.write(f'\n[[catalog]]\nname = "all"\n[[replica]]\nname = "copy"\nwhere = "{replica}"\n')
    said = reconcile(suite, "--repair", code=1)
    assert said["counts"] == {"catalog_stale": 1} and said["repairs"] == 1, "it was never built"
    build = [sys.executable, str(PROJECT / "bin" / "autoops-catalog"), "--state", str(suite.state), "--config", str(suite.config)]
    subprocess.run(build, env=environment(), check=True)
    assert reconcile(suite, code=0)["counts"] == {}

    (part,) = [path for path in (suite.state / "catalogs" / "all").iterdir() if path.suffix == ".jsonl"]
    part.write_bytes(part.read_bytes().replace(b"kept", b"kePt", 1))
    entry_id = suite.entry("edited")["id"]
    with sqlite3.connect(replica) as other:
        other.execute("UPDATE entry SET size_bytes = 4711 WHERE id = ?", (int(entry_id),))
    other.close()
    said = reconcile(suite, "--repair", code=1)
    found = {one["kind"]: one for one in said["findings"]}
    assert found.keys() == {"catalog_checksum", "replica_differs"} and said["repairs"] == 1
    assert found["catalog_checksum"]["subject"] == "all" and found["catalog_checksum"]["detail"]["file"] == part.name
    assert entry_id in json.dumps(found["replica_differs"]["detail"])
    assert stand(suite) == {"catalog_checksum": 1, "replica_differs": 1}
    subprocess.run(build, env=environment(), check=True)
    replica.unlink()
    assert reconcile(suite, code=1)["counts"] == {"replica_unreachable": 1}
    assert stand(suite) == {"replica_unreachable": 1}
    suite.config.write_text(suite.config.read_text().partition("[[replica]]")[0])
    assert reconcile(suite, code=0)["counts"] == {}
    assert suite.findings() == []


def test_a_mass_that_has_been_missing_for_long_is_not_retired_until_a_person_says_so(make_suite: Make) -> None:
    suite = make_suite(tables={**ONE_BY_ONE, "worker": {"missing_grace_s": 0}})
    for number in range(30):
        (suite.root / f"f{number}").write_text(f"{number}\n")
    suite.once()
    for number in range(25):
        (suite.root / f"f{number}").unlink()

    def statuses() -> dict[str, int]:
        found: dict[str, int] = {}
        for entry in suite.export():
            found[entry["status"]] = found.get(entry["status"], 0) + 1
        return found

    reconcile(suite, "--repair", code=1)
    (mass,) = suite.findings("mass_missing")
    suite.run("findings", "release", mass["id"])
    suite.start("worker")
    suite.run("scan", config=True)
    suite.until(lambda: statuses() == {"active": 5, "missing": 25}, "they are called missing")
    missing_s = time.time()
    suite.until(lambda: time.time() > missing_s + 2, "the grace time, none, is over")
    suite.kill("worker")
    suite.start("worker")  # which sweeps when it starts
    suite.until(lambda: suite.findings("mass_retired"), "what is missing is not retired")
    assert statuses() == {"active": 5, "missing": 25}
    (mass,) = suite.findings("mass_retired")
    suite.run("findings", "release", mass["id"])
    suite.kill("worker")
    suite.start("worker")
    suite.until(lambda: statuses() == {"active": 5, "retired": 25}, "now it is")
    suite.until(lambda: reconcile(suite)["counts"] == {}, "and nothing is left to find")
