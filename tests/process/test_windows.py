"""Pause, snapshot, edit, resume: what an operator does to the registry by hand, with the real services and a real editor."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import Suite, environment, program

Make = Callable[..., Suite]
CLASS = "UPDATE entry SET described = json_set(described, '$.class', 'mine') WHERE name = ?"


@pytest.fixture
def suite(make_suite: Make) -> Suite:
    return started(make_suite())


@pytest.fixture(scope="module")
def whole(make_shared: Make) -> Suite:
    """One suite for many broken edits: after each the way back makes it whole."""
    return started(make_shared())


def started(suite: Suite) -> Suite:
    for name in ("a.txt", "b.txt", "c.txt"):
        (suite.root / name).write_text(f"this is {name}\n")
    suite.start()
    suite.idle()
    return suite


def edit(suite: Suite, sql: str, *values: object) -> None:
    """Do what an operator does with an editor of his own."""
    with contextlib.closing(sqlite3.connect(suite.state / "registry" / "registry.db")) as con, con:
        con.execute("PRAGMA foreign_keys = OFF")
        con.execute(sql, values)


def flag_of(suite: Suite) -> Path:
    return suite.state / ".maintenance"


def worker_state(suite: Suite) -> str:
    with contextlib.closing(sqlite3.connect(suite.state / "queue" / "queue.db")) as con:
        (state,) = con.execute("SELECT state FROM heartbeat WHERE process = 'worker'").fetchone()
    return str(state)


def remove_flag(suite: Suite, then: str = "running") -> None:
    flag_of(suite).unlink()
    suite.until(lambda: worker_state(suite) == then, f"the worker is {then}")


def last_change(suite: Suite, name: str) -> dict[str, Any]:
    return dict(suite.run("explain", suite.entry(name)["id"], "--json").json[-1])


def test_a_window_is_opened_edited_in_and_closed_with_one_commit_of_what_was_edited(suite: Suite) -> None:
    before = suite.entry("b.txt")
    said = suite.run("pause", "--why", "tidy", "--until", "2h", "--declare", suite.root / "a.txt").out
    assert "paused: autoops-watcher, autoops-worker" in said and "snapshot: " in said
    (snapshot,) = (suite.state / "backups").iterdir()
    assert snapshot.stat().st_mode & 0o777 == 0o600
    edit(suite, CLASS, b"a.txt")
    edit(suite, "UPDATE entry SET status = 'retired' WHERE name = ?", b"b.txt")
    (suite.root / "d.txt").write_text("made meanwhile\n")
    told = suite.run("maintenance", "status").out
    assert "edited: " in told and "edited, not declared: " in told and "tidy, by " in told
    assert "1 declared, 1 not declared" in suite.run("resume").out
    change = last_change(suite, "a.txt")
    assert change["set"] == {"class": "mine", "class_rule": change["actor"], "confidence": 100}
    assert change["reason"].startswith("tidy; declared: ") and change["source"].startswith("window:20")
    assert change["evidence"] == {"confidence": 100, "declared": True, "kind": "by-hand"}
    assert {"confidence": 100, "declared": False, "kind": "by-hand"} in suite.evidence(before)
    suite.idle()
    suite.require_disk_registered()  # the file of the retired one is still there, so it is back
    suite.require_proven()
    (event,) = [one for one in suite.events("worker") if one["event"] == "edited_by_hand"]
    assert (event["entries"], event["undeclared"]) == (2, 1)


def test_a_flag_that_was_touched_and_removed_does_the_same(suite: Suite) -> None:
    flag_of(suite).touch()
    suite.until(lambda: worker_state(suite) == "paused", "it pauses")
    edit(suite, CLASS, b"a.txt")
    remove_flag(suite)
    change = last_change(suite, "a.txt")
    assert change["set"]["class"] == "mine" and change["evidence"]["declared"] is False
    assert change["reason"] == "edited by hand; nothing was declared"
    (suite.root / "a.txt").write_text("a new text is described anew, and the class stays\n")
    suite.idle()
    assert suite.entry("a.txt")["class"] == "mine"
    suite.require_proven()


def test_a_window_in_which_nothing_was_edited_leaves_no_commit(suite: Suite) -> None:
    before = suite.run("status", "--json").json["sequence"]
    suite.run("pause", "--no-snapshot")
    assert not (suite.state / "backups").exists()
    with contextlib.closing(sqlite3.connect(suite.state / "registry" / "registry.db")) as con:
        con.execute("SELECT count(*) FROM entry").fetchall()
    assert suite.run("resume").out == "resumed\n"
    suite.idle()
    assert suite.run("status", "--json").json["sequence"] == before


def test_fields_that_are_the_registrys_own_are_put_back_without_a_commit(suite: Suite) -> None:
    suite.run("pause")
    edit(suite, "UPDATE entry SET rev = rev + 5, sequence = 1, since_s = 7 WHERE name = ?", b"a.txt")
    assert suite.run("resume").out == "resumed\n"
    suite.require_proven()


def test_two_documents_may_swap_their_paths_by_hand(suite: Suite) -> None:
    before = {name: suite.entry(name)["id"] for name in ("a.txt", "b.txt")}
    suite.run("pause")
    for new, old in ((b"x", b"a.txt"), (b"a.txt", b"b.txt"), (b"b.txt", b"x")):
        edit(suite, "UPDATE entry SET name = ? WHERE name = ?", new, old)
    assert "2 not declared" in suite.run("resume").out
    suite.idle()
    after = {name: suite.entry(name)["id"] for name in ("a.txt", "b.txt")}
    assert after == before, "the files did not move: inode and birth time say which is which"
    suite.require_proven()


def test_a_directory_that_is_renamed_by_hand_moves_every_entry_in_it(suite: Suite) -> None:
    (suite.root / "old").mkdir()
    for number in range(40):
        (suite.root / "old" / f"{number}").write_text(f"{number}\n")
    suite.idle()
    before = {name: entry["id"] for name, entry in suite.entries("old").items()}
    suite.stop()
    edit(suite, "UPDATE directory SET key = ? WHERE key = ?", b"new", b"old")
    (suite.root / "old").rename(suite.root / "new")
    suite.start()
    suite.idle()
    assert {name: entry["id"] for name, entry in suite.entries("new").items()} == before
    assert suite.run("explain", before["7"], "--json").json[-1]["actor"] == "operator:unknown", "nobody had said that he would edit"
    suite.require_proven()


BROKEN = {
    "a path that leaves its root": (
        "UPDATE entry SET name = CAST('../../etc/passwd' AS BLOB) WHERE name = CAST('a.txt' AS BLOB)",
        "is no path below a root",
    ),
    "the last ID changed": ("UPDATE meta SET value = '9999123123590001' WHERE key = 'last_id'", "last_id was changed"),
    "the key changed": ("UPDATE meta SET value = 'x' WHERE key = 'public_key'", "public_key was changed"),
    "the history deleted": ("DELETE FROM history", "its history was changed"),
    "a row deleted": ("DELETE FROM entry WHERE name = 'a.txt'", "was deleted"),
    "a row added": (
        "INSERT INTO entry SELECT id + 1000, 1, sequence, directory, CAST('new' AS BLOB), status, since_s, kind, size_bytes,"
        " mtime_ns, inode, birth_ns, sha256, mime, described, ctime_ns, verified_s, pending FROM entry LIMIT 1",
        "entries were added",
    ),
    "a class that is no text": ("UPDATE entry SET described = json_set(described, '$.class', 7)", "class"),
    "a descriptor that is no JSON": ("UPDATE entry SET described = '{'", "cannot be read"),
    "a directory that is not there": ("UPDATE entry SET directory = 999", "points to nothing"),
    "a kind that does not exist": ("UPDATE entry SET kind = 'wish'", "kind"),
    "an index dropped": ("DROP INDEX entry_path", "index entry_path is missing"),
    "a trigger added": ("CREATE TRIGGER t AFTER UPDATE ON entry BEGIN SELECT 1; END", "trigger t was added"),
    "a ledger record changed": ("UPDATE ledger SET record = replace(record, 'a.txt', 'z.txt') WHERE sequence = 1", "commit 1"),
    "a ledger record removed": ("DELETE FROM ledger WHERE sequence = 1", "records are missing"),
    "a leaf changed": ("UPDATE bucket SET members = zeroblob(48)", "Merkle"),
    "a stored hash changed": ("UPDATE mid SET hash = zeroblob(32)", "stored hash(es) of mids"),
    "a signature changed": ("UPDATE ledger SET signature = zeroblob(64) WHERE sequence = 1", "not signed"),
}


@pytest.mark.parametrize(("sql", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_edit_keeps_the_window_open_says_why_and_there_is_a_way_back(whole: Suite, sql: str, said: str) -> None:
    suite = whole
    digest = suite.digest()
    suite.run("pause")
    edit(suite, sql.replace("'a.txt'", "CAST('a.txt' AS BLOB)") if "entry WHERE" in sql else sql)
    told = suite.run("maintenance", "status", code=1).out
    assert "BROKEN: " in told and said in told
    refused = suite.run("resume", code=4)
    assert said in refused.err and "autoops resume --restore-snapshot" in refused.err
    assert flag_of(suite).exists() and worker_state(suite) == "paused"
    answer = suite.run("resume", "--restore-snapshot")
    assert "restored window-" in answer.out and "resumed" in answer.out
    assert suite.digest() == digest
    assert list((suite.state / "registry").glob("registry.db.edited-*"))


def test_a_worker_that_is_held_goes_on_by_itself_when_the_edit_is_mended(suite: Suite) -> None:
    suite.run("pause")
    edit(suite, "CREATE TABLE notes (text TEXT)")
    remove_flag(suite, then="held")
    assert "table notes was added" in suite.run("status").out
    assert "table notes was added" in suite.run("wait-idle", code=5).err
    suite.kill("worker")
    suite.start("worker", ready=False)
    suite.until(lambda: worker_state(suite) == "held", "a new worker is held too")
    edit(suite, "DROP TABLE notes")
    suite.until(lambda: worker_state(suite) == "running", "it goes on")
    suite.idle()
    suite.require_proven()


def test_nor_does_it_wait_for_the_registry_when_it_was_the_checkpoints_that_were_edited(suite: Suite) -> None:
    checkpoints = suite.state / "registry" / "checkpoints.jsonl"
    good = checkpoints.read_bytes()
    suite.run("pause")
    checkpoints.write_bytes(good + b"{}\n")
    remove_flag(suite, then="held")
    checkpoints.write_bytes(good)
    suite.until(lambda: worker_state(suite) == "running", "it goes on")
    suite.idle()
    suite.require_proven()


def test_a_registry_replaced_by_an_older_copy_is_refused(suite: Suite) -> None:
    suite.run("pause")
    (old,) = (suite.state / "backups").iterdir()
    suite.run("resume")
    (suite.root / "a.txt").write_text("a later state\n")
    suite.idle()
    suite.run("pause")
    shutil.copyfile(old, suite.state / "registry" / "registry.db")
    refused = suite.run("resume", code=4)
    assert "replaced by an older copy" in refused.err
    suite.run("resume", "--restore-snapshot", "--snapshot", old.name, code=1)
    suite.run("resume", "--restore-snapshot")
    suite.idle()
    suite.require_disk_registered()
    suite.require_proven()


def test_what_is_asked_for_wrongly_is_refused_and_changes_nothing(suite: Suite) -> None:
    assert "no maintenance window is open" in suite.run("resume", code=4).err
    for wrong in (("--until", "noon"), ("--until", "2001-01-01"), ("--until", "-2h")):
        assert "--until" in suite.run("pause", *wrong, code=2).err
    for unknown in ("2026010101010001", suite.root / "nowhere.txt", "/etc", "/", ".", "nowhere.txt", "class:nowhere"):
        assert "Nothing in the registry answers to" in suite.run("pause", "--declare", unknown, code=1).err
    assert "would write" in suite.run("pause", "--dry-run").out
    assert not flag_of(suite).exists() and worker_state(suite) == "running"
    suite.run("pause", "--why", "mine", "--no-snapshot")
    again = suite.run("pause", code=4)
    assert "is open already" in again.err and "mine, by " in again.err
    assert "there is no snapshot.\n" in suite.run("resume", "--restore-snapshot", code=4).err
    taken = suite.run("maintenance", "snapshot").out.split("/")[-1].strip()
    asked = suite.run("resume", "--restore-snapshot", "--snapshot", "nowhere", code=4)
    assert f"there is no snapshot nowhere; there are {taken}" in asked.err
    suite.run("resume")


def test_a_document_is_declared_as_it_is_listed_or_as_it_is_on_the_disk(suite: Suite) -> None:
    (suite.root / "below").mkdir()
    (suite.root / "below" / "d.txt").write_text("d\n")
    suite.idle()
    a, below = os.fspath(suite.root / "a.txt"), os.fspath(suite.root / "below")
    suite.run("pause", "--no-snapshot", *(f"--declare={one}" for one in ("a.txt", a, "below", below, f"{below}/", suite.root)))
    window = suite.run("maintenance", "status", "--json").json["window"]
    assert window["what"] == [a, a, below, below, below, os.fspath(suite.root)]
    suite.run("resume")


def test_a_registry_that_was_broken_before_the_window_is_not_written_after_it(suite: Suite) -> None:
    suite.kill("worker")  # so that nothing says that it was touched
    with contextlib.closing(sqlite3.connect(suite.state / "registry" / "registry.db")) as con, con:
        con.execute("ATTACH ? AS kept", (os.fspath(suite.base / "kept.db"),))
        con.execute("CREATE TABLE kept.entry AS SELECT * FROM entry WHERE name = CAST('b.txt' AS BLOB)")
    edit(suite, "DELETE FROM entry WHERE name = ?", b"b.txt")
    suite.start("worker")
    suite.idle()
    suite.run("pause", "--no-snapshot")
    refused = suite.run("resume", code=4)
    assert "was deleted" in refused.err
    suite.until(lambda: worker_state(suite) == "held", "the worker is held")
    told = suite.run("maintenance", "status", code=1).out
    assert "BROKEN: " in told and "no snapshot was taken" in told
    with contextlib.closing(sqlite3.connect(suite.state / "registry" / "registry.db")) as con, con:
        con.execute("ATTACH ? AS kept", (os.fspath(suite.base / "kept.db"),))
        con.execute("INSERT INTO main.entry SELECT * FROM kept.entry")
    suite.until(lambda: worker_state(suite) == "running", "it goes on by itself when it is mended")


def test_an_edit_made_while_the_worker_is_down_after_a_crash_is_looked_at_when_it_starts(suite: Suite) -> None:
    suite.kill("worker")
    suite.run("pause", "--no-snapshot")
    edit(suite, CLASS, b"a.txt")
    assert "edited, not declared: " in suite.run("maintenance", "status").out
    assert "taken over when it starts" in suite.run("resume").out
    suite.start("worker")
    suite.idle()
    assert last_change(suite, "a.txt")["evidence"]["kind"] == "by-hand"


def test_a_patch_submitted_in_a_window_waits_for_its_end(suite: Suite) -> None:
    entry = suite.entry("a.txt")
    patch = json.dumps({"changes": {entry["id"]: {"class": "mine"}}, "revs": {entry["id"]: entry["rev"]}})
    suite.run("pause", "--no-snapshot")
    said = suite.run("submit", "-", "--wait", stdin=patch, code=5)
    assert "is paused" in said.err and "waits in the queue" in said.err
    suite.run("resume")
    suite.until(lambda: suite.entry("a.txt")["class"] == "mine", "it is applied")


def test_a_flag_with_broken_toml_is_a_plain_flag_and_warned_of(suite: Suite) -> None:
    flag_of(suite).write_text("why = disk")
    suite.until(lambda: worker_state(suite) == "paused", "it pauses")
    assert "the flag itself is faulty: not TOML" in suite.run("maintenance", "status").out
    suite.run("resume")
    suite.idle()


def test_a_window_past_its_end_raises_an_alarm_and_stays(suite: Suite) -> None:
    flag_of(suite).write_text("until = 2020-01-01T00:00:00Z")
    suite.until(lambda: [one for one in suite.events("worker") if one["event"] == "window_alarm"], "it alarms")
    assert "ALARM: the window was to end at 2020" in suite.run("maintenance", "status", code=1).out
    assert worker_state(suite) == "paused"
    assert "was to end at" in suite.run("status").out
    suite.run("resume")


def hold(suite: Suite, *command: str) -> subprocess.Popen[str]:
    line = [*program(), "maintenance", "run", "--state", str(suite.state), "--why", "batch", "--", *command]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())


def test_a_window_is_held_while_a_command_runs(suite: Suite) -> None:
    script = f"import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as con:\n    con.execute({CLASS!r}, (b'a.txt',))"
    out, err = hold(suite, sys.executable, "-c", script, str(suite.state / "registry" / "registry.db")).communicate(timeout=60)
    assert "resumed\nedited by hand: 0 declared, 1 not declared" in out, err
    assert last_change(suite, "a.txt")["reason"].startswith("batch; ")


def test_a_window_that_a_command_holds_is_not_closed_by_others(suite: Suite) -> None:
    held = hold(suite, "sleep", "60")
    suite.until(lambda: worker_state(suite) == "paused", "it holds")
    suite.until(lambda: "snapshot: " in suite.run("maintenance", "status").out, "the command runs")
    assert "a command that runs now holds the window (batch, " in suite.run("resume", code=4).err
    flag_of(suite).unlink()
    suite.until(lambda: worker_state(suite) == "running", "it goes on")
    suite.run("pause", "--why", "somebody else's", "--no-snapshot")
    subprocess.run(["pkill", "-P", str(held.pid)], check=True)
    _, err = held.communicate(timeout=60)
    assert held.returncode == 1 and "by another while the command ran, which was killed" in err
    assert "somebody else's" in suite.run("maintenance", "status").out
    suite.run("resume")


def test_a_command_that_fails_leaves_the_window_open_and_alarmed(suite: Suite) -> None:
    held = hold(suite, "sh", "-c", "exit 7")
    _, err = held.communicate(timeout=60)
    assert held.returncode == 1 and "the command ended with 7" in err
    assert "ALARM: the command that held the window ended with 7" in suite.run("maintenance", "status", code=1).out
    assert worker_state(suite) == "paused"
    suite.run("resume")
    assert "could not be started" in hold(suite, "/nowhere/at/all").communicate(timeout=60)[1]
    suite.run("resume")


def test_unfinished_copies_of_the_dead_are_removed_those_of_the_living_are_not(suite: Suite) -> None:
    watcher = suite.processes["watcher"].pid
    suite.kill("watcher")
    (suite.state / "backups").mkdir()
    ours = suite.state / "backups" / f".window-20260101T000000Z.db.{os.getpid()}.tmp"
    dead = ours.with_name(f".window-20260101T000000Z.db.{watcher}.tmp")
    for left in (ours, dead):
        left.write_bytes(b"")
    suite.run("maintenance", "snapshot")
    assert ours.exists() and not dead.exists()
    ours.unlink()


def test_what_killed_commands_left_of_a_flag_goes_with_it_and_nothing_else(suite: Suite) -> None:
    watcher = suite.processes["watcher"].pid
    suite.kill("watcher")
    left = [suite.state / name for name in (f".maintenance.{watcher}", f"..maintenance.{watcher}.tmp", "..maintenance.tmp")]
    mine = [suite.state / name for name in (".maintenance.bak", "old.maintenance.txt")]
    for path in (*left, *mine):
        path.write_text("why = 'reclassify'\n")
    suite.run("pause", "--no-snapshot")
    suite.run("resume")
    assert not any(path.exists() for path in left) and all(path.exists() for path in mine)


def test_pause_names_the_service_that_does_not_let_go(suite: Suite) -> None:
    frozen = suite.processes["worker"].pid
    os.kill(frozen, signal.SIGSTOP)
    try:
        late = suite.run("pause", "--timeout", 0.5, code=1)
        assert "autoops-worker has not let go" in late.err and "watcher" not in late.err
        assert "the window is open, but do not edit yet; autoops resume closes it" in late.err
    finally:
        os.kill(frozen, signal.SIGCONT)
    suite.until(lambda: worker_state(suite) == "paused", "it lets go after all")
    suite.run("resume")


def test_a_pause_without_its_copy_says_that_the_window_is_open(suite: Suite) -> None:
    (suite.state / "backups").write_text("in the way")
    failed = suite.run("pause", code=6)
    assert "the window is open" in failed.err and flag_of(suite).exists()
    suite.run("resume")
    (suite.state / "backups").unlink()
    again = suite.run("pause", "--dry-run")
    flag_of(suite).touch()
    assert "hint: autoops maintenance status" in suite.run("pause", "--dry-run", code=4).err and "would write" in again.out
    suite.run("resume")


def test_what_a_killed_way_back_left_is_not_played_into_the_next(suite: Suite) -> None:
    suite.run("pause")
    (taken,) = (suite.state / "backups").iterdir()
    copy, left = suite.base / "copy.db", suite.state / "registry" / ".registry.db.restored"
    shutil.copy(taken, copy)
    with contextlib.closing(sqlite3.connect(copy)) as con:
        con.execute("PRAGMA journal_mode = WAL")
        con.execute(CLASS, (b"a.txt",))
        con.commit()
        shutil.copy(f"{copy}-wal", f"{left}-wal")
    suite.run("resume", "--restore-snapshot")
    suite.idle()
    assert list(left.parent.glob(f"{left.name}*")) == []
    suite.require_proven()


def test_the_worker_lets_go_quickly_even_while_it_scans(make_suite: Make) -> None:
    suite = make_suite(tables={"worker": {"commit_files": 64}})
    for number in range(3000):
        (suite.root / f"{number % 7}").mkdir(exist_ok=True)
        (suite.root / f"{number % 7}" / f"{number}").write_text(f"{number}\n")
    suite.start(ready=False)
    suite.until(lambda: suite.run("status", "--json", code=None).code == 0, "it is there")
    suite.run("pause", "--timeout", 30)
    began_s = time.monotonic()
    with contextlib.closing(sqlite3.connect(suite.state / "registry" / "registry.db", timeout=0)) as con, con:
        con.execute("BEGIN EXCLUSIVE")  # nobody else is in it
    assert time.monotonic() - began_s < 60
    suite.run("resume")
    suite.idle()
    suite.require_disk_registered()
