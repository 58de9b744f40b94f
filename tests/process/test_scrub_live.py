"""`autoops scrub` with a real worker: what it verifies, in which order, and how it ends."""

from __future__ import annotations

import datetime
import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from running import DEADLINE_S, Suite, environment, program

from autoops.model import split_key

Make = Callable[..., Suite]
KIB = 1024
CALM = {"max_load": 0}  # whatever else this machine does


def verified(suite: Suite) -> dict[bytes, int]:
    """Return when each file was verified last, by path."""
    with closing(sqlite3.connect(f"file:{suite.state}/registry/registry.db?mode=ro", uri=True)) as db:
        sql = "SELECT d.key, e.name, e.verified_s FROM entry e JOIN directory d ON d.id = e.directory WHERE e.status = 'active'"
        return {(key.replace(b"\0", b"/") + b"/" if key else b"") + name: at_s for key, name, at_s in db.execute(sql)}


def sequence(suite: Suite) -> int:
    return int(suite.run("status", "--json").json["sequence"])


def on_their_way(suite: Suite) -> list[dict[str, Any]]:
    """Return the scrub's jobs in the queue."""
    with closing(sqlite3.connect(f"file:{suite.state}/queue/queue.db?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT key, facts FROM job WHERE kind = 'path' AND priority = 80")]


def a_second_later(suite: Suite) -> int:
    """Wait until what is verified now can be told from what was verified before; return that time."""
    newest_s = max(verified(suite).values())
    suite.until(lambda: int(time.time()) > newest_s, "the clock goes on")
    return newest_s + 1


def scrub(suite: Suite, *arguments: object, code: int = 0) -> Any:
    answer = suite.run("scrub", "--json", *arguments, config=True, code=code)
    return answer.json if code == 0 else answer


def started(suite: Suite, *arguments: str) -> subprocess.Popen[str]:
    """Start a scrub and leave it running."""
    command = [*program(), "scrub", "--state", str(suite.state), "--config", str(suite.config), *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True
    )


@pytest.fixture
def begun() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start scrubs that do not outlive the test."""
    processes: list[subprocess.Popen[str]] = []

    def begin(suite: Suite, *arguments: str) -> subprocess.Popen[str]:
        processes.append(started(suite, *arguments))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


Begun = Callable[..., subprocess.Popen[str]]


def tree(suite: Suite, count: int, size_bytes: int = 100) -> None:
    for number in range(count):
        directory = suite.root / f"d{number % 7}"
        directory.mkdir(exist_ok=True)
        (directory / f"f{number:04d}").write_bytes(b"%d" % number * (size_bytes // len(str(number))))


def worked(make_suite: Make, count: int, size_bytes: int = 100, watcher: bool = False, **settings: object) -> Suite:
    """Return a suite with so many files registered, and its worker running."""
    suite = make_suite(tables={"scrub": {**CALM, **settings}})
    tree(suite, count, size_bytes)
    suite.once()
    suite.start(*(("worker", "watcher") if watcher else ("worker",)))
    suite.until(lambda: suite.queue()["queued"] + suite.queue()["running"] == 0, "nothing is left to do")
    return suite


def test_a_scrubbed_tree_is_verified_anew_and_no_ledger_record_tells_of_it(make_suite: Make) -> None:
    suite = worked(make_suite, 700)
    (suite.root / "link").symlink_to("nowhere")
    suite.run("scan", config=True)
    suite.until(lambda: ("tree", b"link") in suite.active(), "the link is registered")
    since_s, before, digest = a_second_later(suite), sequence(suite), suite.digest()
    done = scrub(suite, "--until-done")
    assert (done["files"], done["verified"], done["left"]) == (700, 700, 0)
    assert all(at_s >= since_s for path, at_s in verified(suite).items() if path != b"link")
    assert (sequence(suite), suite.digest()) == (before, digest)
    suite.require_nothing_left_to_do()


def test_a_night_takes_a_share_of_the_oldest_and_the_next_one_goes_on(make_suite: Make) -> None:
    suite = worked(make_suite, 60, days=23)  # twenty nights
    first = a_second_later(suite)
    assert scrub(suite)["verified"] == 3
    second = a_second_later(suite)
    assert scrub(suite)["verified"] == 3
    assert sorted(at_s >= first for at_s in verified(suite).values()).count(True) == 6
    assert sum(at_s >= second for at_s in verified(suite).values()) == 3


def test_a_scrub_that_was_killed_is_gone_on_with_at_the_very_file(make_suite: Make, begun: Begun) -> None:
    suite = worked(make_suite, 30, 64 * KIB, bytes_per_s=96 * KIB)  # three files in two seconds
    since_s = a_second_later(suite)

    def done() -> set[bytes]:
        return {path for path, at_s in verified(suite).items() if at_s >= since_s}

    process = begun(suite, "--until-done")
    suite.until(lambda: len(done()) >= 3, "a first portion is verified")
    process.kill()
    process.wait(DEADLINE_S)
    suite.until(lambda: suite.queue()["queued"] + suite.queue()["running"] == 0, "what was on its way is done")
    halfway, middle_s = done(), a_second_later(suite)
    assert 3 <= len(halfway) < 30
    suite.configure([{"name": "tree"}], {"scrub": CALM})
    assert scrub(suite, "--limit-files", 30 - len(halfway), "--until-done")["verified"] == 30 - len(halfway)
    again = {path for path, at_s in verified(suite).items() if at_s >= middle_s}
    assert again == set(verified(suite)) - halfway


def test_outside_its_hours_it_waits_and_sigterm_ends_it_well(make_suite: Make, begun: Begun) -> None:
    later = datetime.datetime.now() + datetime.timedelta(hours=6)
    window = f"{later:%H:%M}-{later + datetime.timedelta(hours=1):%H:%M}"
    suite = worked(make_suite, 10, window=window)
    since_s = a_second_later(suite)
    process = begun(suite, "--until-done")
    assert process.stdout is not None
    assert process.stdout.readline() == f"waits: it works from {window.replace('-', ' to ')} ([scrub] window)\n"
    process.terminate()
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0 and "it was stopped" in out and err == ""
    assert not any(at_s >= since_s for at_s in verified(suite).values()) and on_their_way(suite) == []


def test_sigterm_in_the_middle_ends_it_well_and_it_says_what_is_left(make_suite: Make, begun: Begun) -> None:
    suite = worked(make_suite, 20, 64 * KIB, bytes_per_s=32 * KIB)
    since_s = a_second_later(suite)
    process = begun(suite, "--until-done", "--json")
    suite.until(lambda: any(at_s >= since_s for at_s in verified(suite).values()), "it has begun")
    process.terminate()
    out, err = process.communicate(timeout=DEADLINE_S)
    said = json.loads(out)
    assert process.returncode == 0 and err == ""
    assert said["reason"] == "it was stopped" and 1 <= said["files"] < 20 and said["left"] >= 20 - said["files"]


def test_what_is_enqueued_stays_within_the_budget_though_nobody_takes_it(make_suite: Make, begun: Begun) -> None:
    suite = worked(make_suite, 20, 64 * KIB, bytes_per_s=48 * KIB)
    a_second_later(suite)
    suite.processes["worker"].send_signal(signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        begun(suite, "--until-done")
        seen: list[int] = []
        while not seen or seen[-1] < 4:
            seen.append(len(on_their_way(suite)))
            assert seen[-1] * 64 * KIB <= 48 * KIB * (time.monotonic() - began_s) + 2 * 48 * KIB
            assert time.monotonic() < began_s + DEADLINE_S
    finally:
        suite.processes["worker"].send_signal(signal.SIGCONT)
    assert seen == sorted(seen) and set(seen) >= {1, 2, 3, 4}, "one after the other"
    assert {json.loads(job["facts"])["verify"] for job in on_their_way(suite)} <= {True}


def test_at_most_some_hundred_files_are_on_their_way(make_suite: Make, begun: Begun) -> None:
    suite = worked(make_suite, 400)
    since_s = a_second_later(suite)
    suite.processes["worker"].send_signal(signal.SIGSTOP)
    try:
        process = begun(suite, "--until-done")
        suite.until(lambda: len(on_their_way(suite)) >= 256, "it is waited for the worker")
        with closing(sqlite3.connect(f"file:{suite.state}/queue/queue.db?mode=ro", uri=True)) as db:
            looks = [db.execute("SELECT count(*) FROM job").fetchone()[0] for _ in range(2000)]
        assert set(looks) == {256}
    finally:
        suite.processes["worker"].send_signal(signal.SIGCONT)
    assert process.wait(DEADLINE_S) == 0
    assert all(at_s >= since_s for at_s in verified(suite).values())


def test_without_a_worker_it_cannot_tell_at_the_beginning_or_later(make_suite: Make, begun: Begun) -> None:
    suite = worked(make_suite, 20, 64 * KIB, bytes_per_s=32 * KIB)
    since_s = a_second_later(suite)
    process = begun(suite, "--until-done")
    suite.until(lambda: any(at_s >= since_s for at_s in verified(suite).values()), "it has begun")
    suite.stop("worker")
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 3 and "autoops-worker, which reads them, does not run" in err and "hint:" in err
    answer = scrub(suite, code=3)
    assert "autoops-worker, which reads them, does not run" in answer.err and answer.out == ""


def test_a_maintenance_window_ends_it_and_keeps_it_from_beginning(make_suite: Make, begun: Begun) -> None:
    suite = worked(make_suite, 20, 64 * KIB, bytes_per_s=32 * KIB)
    since_s = a_second_later(suite)
    process = begun(suite, "--until-done")
    suite.until(lambda: any(at_s >= since_s for at_s in verified(suite).values()), "it has begun")
    (suite.state / ".maintenance").touch()
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 5 and "paused" in err
    assert "paused" in scrub(suite, code=5).err
    (suite.state / ".maintenance").unlink()
    suite.until(lambda: suite.run("status", "--json").json["processes"]["worker"]["state"] == "running", "it goes on")


def test_a_dry_run_and_one_that_is_turned_off_enqueue_nothing(make_suite: Make) -> None:
    suite = worked(make_suite, 10, enabled=False)
    since_s = a_second_later(suite)
    assert "turned off" in suite.run("scrub", config=True).out
    assert suite.run("scrub", "--dry-run", config=True).out.startswith("10 files, ")
    told = scrub(suite, "--dry-run")
    assert (told["files"], told["due_files"], len(told["oldest"])) == (10, 0, 10)
    assert on_their_way(suite) == [] and not any(at_s >= since_s for at_s in verified(suite).values())
    assert scrub(suite, "--until-done")["verified"] == 10, "a person wants it"


def test_files_that_are_gone_or_never_hold_still_keep_no_other_from_its_turn(make_suite: Make) -> None:
    suite = worked(make_suite, 10)
    since_s = a_second_later(suite)
    restless, gone = suite.root / "d0" / "f0000", suite.root / "d1" / "f0001"
    gone.unlink()  # and no watcher tells
    writer = subprocess.Popen(["sh", "-c", 'while :; do echo x; sleep 0.05; done >>"$0"', restless])
    try:
        done = scrub(suite, "--until-done")
    finally:
        writer.kill()
        writer.wait()
    assert (done["files"], done["verified"]) == (10, 8)
    old = {path for path, at_s in verified(suite).items() if at_s < since_s}
    assert old == {b"d0/f0000"} and ("tree", b"d1/f0001") not in suite.active()
    suite.until(lambda: verified(suite)[b"d0/f0000"] >= since_s, "it holds still now")


def test_a_budget_that_does_not_suffice_is_told_and_is_no_failure(make_suite: Make, begun: Begun) -> None:
    suite = worked(make_suite, 20, 64 * KIB, bytes_per_s=32 * KIB, days=3)
    a_second_later(suite)
    with closing(sqlite3.connect(suite.state / "registry" / "registry.db")) as db:
        db.execute("UPDATE entry SET verified_s = 1000")
        db.commit()
    process = begun(suite)
    suite.until(lambda: any(at_s > 1000 for at_s in verified(suite).values()), "it has begun")
    process.terminate()
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0 and "the budget does not suffice: " in out and "32.0 KiB/s are given" in out
    health = suite.run("health", "--json", code=None).json
    (check,) = (check for check in health["checks"] if check["name"] == "verification")
    assert check["level"] == "WARNING" and "within 3 days" in check["text"]
    told = suite.run("coverage", "--json", config=True).json["verification"]
    assert told["overdue_files"] == int(check["text"].split()[0].replace(",", ""))
    suite.configure([{"name": "tree"}], {"scrub": {**CALM, "days": 3}})
    assert scrub(suite)["left"] == 0
    health = suite.run("health", "--json", code=None).json
    assert {check["level"] for check in health["checks"] if check["name"] == "verification"} == {"OK"}


def test_the_scrub_asks_for_files_by_their_real_names(make_suite: Make) -> None:
    suite = make_suite(tables={"scrub": CALM})
    name = b"odd \xff\n\\x41 \xc3\xbc"
    Path(suite.root).joinpath("sub").mkdir()
    with open(bytes(suite.root) + b"/sub/" + name, "wb") as out:  # noqa: PTH123  # bytes that are no text
        out.write(b"odd")
    suite.once()
    suite.start("worker")
    since_s = a_second_later(suite)
    assert scrub(suite, "--until-done")["verified"] == 1
    assert {path: at_s >= since_s for path, at_s in verified(suite).items()} == {b"sub/" + name: True}
    assert split_key(b"tree\0sub/" + name) == ("tree", b"sub/" + name)
