"""The registry is changed by hand or put back in a window only, and a window outlives whoever dies in it.

A restore while a service runs is refused, an edit outside of a window is never committed over. All processes are killed (kill -9)
between any two of pause, snapshot, edit, resume; what is left to do is then done as if nothing had happened. A window that nobody
will close is told of. The controls: a restore that asks nobody, and a window whose holder counts as living.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from changing import change
from judge import Acknowledged, require_acknowledged, require_whole
from running import Suite, environment, program
from scene import Scene
from writer import EACH

LONG = pytest.mark.long
STEPS = ("pause", "snapshot", "edit", "resume")


def edit(suite: Suite, name: str, value: str) -> str:
    """Do what an operator does with an editor of his own: give an entry a class. Return what was there."""
    with contextlib.closing(sqlite3.connect(suite.state / "registry" / "registry.db")) as con, con:
        (before,) = con.execute("SELECT described FROM entry WHERE name = ?", (name.encode(),)).fetchone()
        con.execute("UPDATE entry SET described = json_set(described, '$.class', ?) WHERE name = ?", (value, name.encode()))
    return str(before)


def flag_of(suite: Suite) -> Path:
    return suite.state / ".maintenance"


def worker_state(suite: Suite) -> str:
    return str(suite.run("status", "--json").json["processes"]["worker"]["state"])


def by_hand(suite: Suite, name: str) -> list[dict[str, Any]]:
    """Return the commits that took over an edit of an entry."""
    steps = suite.run("explain", suite.entry(name)["id"], "--json").json
    return [step for step in steps if step["evidence"]["kind"] == "by-hand"]


# in the way of services


def commit_and_note(suite: Suite) -> int:
    """Ship a commit, make another one; return the first."""
    first = int(suite.run("status", "--json").json["sequence"])
    suite.run("backup", "snapshot", config=True)
    (suite.root / "0.txt").write_text("later\n")
    suite.idle()
    suite.run("backup", "ship", config=True)
    return first


def enqueue(suite: Suite) -> Acknowledged:
    command = [str(one) for one in (*Scene(suite).write(EACH), "--jobs-only")]
    subprocess.run(command, env=environment(), check=True)
    return Scene(suite).promised()


def test_a_restore_while_services_run_is_refused_and_disturbs_nothing(suite: Suite) -> None:
    suite.start()
    first = commit_and_note(suite)
    answer = suite.run("backup", "restore", "--seq", first, config=True, code=4)
    assert "autoops-worker" in answer.err and "autoops-watcher" in answer.err and "autoops pause" in answer.err
    require_whole(suite, enqueue(suite))


ASKS_NOBODY = """
import contextlib
from autoops.window import services
services.refuse_at_work = lambda state: None
services.standing_still = lambda state: contextlib.nullcontext()
"""


def test_control_a_restore_that_asks_nobody_takes_the_registry_away_from_the_worker(suite: Suite) -> None:
    suite.start()
    first = commit_and_note(suite)
    change(suite, ASKS_NOBODY)
    suite.run("backup", "restore", "--seq", first, "--no-report", config=True)
    acknowledged = enqueue(suite)
    suite.require_nothing_left_to_do()  # for the worker did it, in the file that it has open
    with pytest.raises(AssertionError, match="lost: "):
        require_acknowledged(suite, acknowledged)


def test_an_edit_without_a_window_is_found_and_never_committed_over(suite: Suite) -> None:
    suite.start()
    before = edit(suite, "0.txt", "mine")
    assert "changed past the ledger" in suite.run("verify", code=1).out
    entry, patch = suite.entry("0.txt"), suite.base / "patch.json"
    patch.write_text(json.dumps({"changes": {entry["id"]: {"tags": ["x"]}}, "revs": {entry["id"]: entry["rev"]}}))
    suite.run("submit", patch, "--wait", code=4)
    suite.run("queue", "purge", "--in-state", "dead_letter")
    assert by_hand(suite, "0.txt") == []
    with contextlib.closing(sqlite3.connect(suite.state / "registry" / "registry.db")) as con, con:
        con.execute("UPDATE entry SET described = ? WHERE name = ?", (before, b"0.txt"))
    require_whole(suite)


# killed between any two steps


def do(suite: Suite, step: str, value: str) -> None:
    """Take one step of an edit by hand."""
    match step:
        case "pause":
            suite.run("pause", "--why", value, "--no-snapshot")
        case "snapshot":
            suite.run("maintenance", "snapshot")
        case "edit":
            edit(suite, "1.txt", value)
        case "resume":
            suite.run("resume")


def kill_all_in_resume(suite: Suite) -> None:
    """Kill it and the services once the flag is gone."""
    resume = subprocess.Popen([*program(), "resume", "--state", str(suite.state)], env=environment(), stdout=subprocess.DEVNULL)
    suite.until(lambda: not flag_of(suite).exists(), "the window is closed")
    resume.kill()
    suite.kill()
    resume.wait()


def test_a_kill_between_any_two_steps_changes_nothing_of_what_comes_out(suite: Suite) -> None:
    suite.start()
    for number, killed_after in enumerate(STEPS):
        value = f"killed-after-{killed_after}"
        for step in STEPS:
            if step == killed_after == "resume":
                kill_all_in_resume(suite)
            else:
                do(suite, step, value)
            if step == killed_after:
                suite.kill()
                suite.start()
                if step != "resume":
                    assert worker_state(suite) == "paused", step
        suite.idle()
        assert suite.entry("1.txt")["class"] == value
        commits = by_hand(suite, "1.txt")
        assert len(commits) == number + 1 and commits[-1]["reason"].startswith(value), commits
    require_whole(suite)


def test_the_flag_and_the_edits_outlive_every_process(suite: Suite) -> None:
    suite.start()
    suite.run("pause", "--why", "before the reboot", "--declare", "class:document")
    edit(suite, "1.txt", "mine")
    suite.kill()
    suite.start()
    assert worker_state(suite) == "paused"
    (suite.root / "d.txt").write_text("seen while paused\n")
    suite.kill()
    flag_of(suite).unlink()  # while nobody runs
    suite.start()
    suite.idle()
    (commit,) = by_hand(suite, "1.txt")
    assert commit["reason"].startswith("before the reboot; ") and commit["set"]["class"] == "mine"
    require_whole(suite)


@pytest.mark.parametrize("point", [*(pytest.param(f"commit:{at}", marks=LONG) for at in ("before", "inside")), "commit:after"])
def test_a_worker_that_dies_while_it_takes_an_edit_over_takes_it_over_again(suite: Suite, point: str) -> None:
    suite.start("worker")
    suite.run("pause", "--why", "x")
    for name in ("0.txt", "1.txt"):
        edit(suite, name, "mine")
    suite.kill("worker")
    flag_of(suite).unlink()
    suite.start("worker", trace=point, ready=False)
    assert suite.died("worker") == -signal.SIGKILL
    require_whole(suite)
    assert {suite.entry(name)["class"] for name in ("0.txt", "1.txt")} == {"mine"}
    assert len(by_hand(suite, "0.txt")) == 1


# a window that nobody will close


def leave_a_window(suite: Suite) -> None:
    """Have a command hold a window, and kill whoever runs it."""
    suite.start("worker")
    line = [*program(), "maintenance", "run", "--state", str(suite.state), "--why", "batch", "--"]
    command = ["sh", "-c", f"echo $$ >{suite.base}/command; exec sleep 60"]
    with subprocess.Popen([*line, *command], env=environment(), stdout=subprocess.DEVNULL) as holder:
        suite.until((suite.base / "command").exists, "it holds")
        holder.kill()
    number = int((suite.base / "command").read_text())
    suite.until(lambda: not Path(f"/proc/{number}").exists(), "its command is ended with it")
    assert flag_of(suite).exists() and worker_state(suite) == "paused"


def test_a_window_whose_holder_was_killed_stays_and_is_told_of(suite: Suite) -> None:
    leave_a_window(suite)
    assert "ALARM: the command that held the window has died" in suite.run("maintenance", "status", code=1).out
    assert suite.check("maintenance")["level"] == "CRITICAL"
    suite.run("maintenance", "snapshot")  # removes what the holder may have left of its own
    suite.run("resume")
    require_whole(suite)


EVERYBODY_LIVES = """
from autoops import clock
from autoops.runtime import maintenance
maintenance._lives = lambda holder, is_alive: True
"""


def test_control_whose_holder_counts_as_living_is_not_told_of_and_stays(suite: Suite) -> None:
    leave_a_window(suite)
    change(suite, EVERYBODY_LIVES)
    assert "ALARM" not in suite.run("maintenance", "status").out
    suite.run("resume", code=4)
