"""Stage two with a third party's extractor that hangs, crashes or counts: it costs its own file only, and no content twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from running import Suite

Make = Callable[..., Suite]

EXTRACTOR = """
import os, time
NAME, VERSION, TYPES = "third", 1, ("text/plain",)
def extract(data, truncated):
    with open(os.environ["CALLS"], "ab", 0) as out:
        out.write(data.split()[0] + b"\\n")
    if data.startswith(b"HANG"):
        time.sleep(3600)
    if data.startswith(b"CRASH"):
        os.kill(os.getpid(), 11)
    if data.startswith(b"EXIT"):
        os._exit(3)
    if data.startswith(b"ONCE") and not os.path.exists(os.environ["CALLS"] + ".once"):
        open(os.environ["CALLS"] + ".once", "w").close()
        os.kill(os.getpid(), 9)
    return {"words": len(data.split())}
"""
LOW_LIMITS: dict[str, dict[str, object]] = {
    "describe": {"timeout_s": 0.5},
    "queue": {"max_attempts": 2, "backoff_first_s": 0.05, "backoff_max_s": 0.1},
}


def with_extractor(suite: Suite) -> Path:
    """Install the extractor as a package of its own; return the file where it notes each call."""
    place, calls = suite.base / "site", suite.base / "calls"
    info = place / "third-1.0.dist-info"
    info.mkdir(parents=True)
    (place / "third_party.py").write_text(EXTRACTOR)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[autoops.extractors]\nthird = third_party\n")
    suite.environment = {"PYTHONPATH": str(place), "CALLS": str(calls)}
    return calls


def dead_letters(suite: Suite) -> list[dict[str, Any]]:
    return list(suite.run("queue", "list", "--in-state", "dead_letter", "--json").json)


def settle(suite: Suite, dead: int) -> None:
    suite.until(lambda: len(dead_letters(suite)) == dead, f"{dead} files are given up")
    suite.idle()


def test_files_that_hang_or_crash_their_extractor_cost_only_themselves(make_suite: Make) -> None:
    suite = make_suite(tables=LOW_LIMITS)
    with_extractor(suite)
    poison = ("HANG", "CRASH", "EXIT")
    for number in range(20):
        (suite.root / f"good-{number:02}.txt").write_text(f"good {number}\n")
    for name in poison:
        (suite.root / f"good-10-{name}.txt").write_text(f"{name} says this file\n")
    suite.start()
    settle(suite, len(poison))
    suite.require_disk_registered()
    for (_, path), entry in suite.active().items():
        if any(name.encode() in path for name in poison):
            assert entry["descriptor"] is None and entry["observation"]["sha256"]
        else:
            assert entry["descriptor"]["extractor"] == "third/1", path
    reasons = {job["key"]: job["reason"] for job in dead_letters(suite)}
    ids = {name: suite.entry(f"good-10-{name}.txt")["id"] for name in poison}
    assert "longer than 0.5 s" in reasons[ids["HANG"]]
    assert "signal 11" in reasons[ids["CRASH"]] and "exit status 3" in reasons[ids["EXIT"]]
    assert all(job["kind"] == "describe" and job["attempts"] == 2 for job in dead_letters(suite))
    found = {one["detail"]["id"]: one["detail"]["reason"] for one in suite.findings("not_described")}
    assert found == reasons
    (suite.root / "good-10-CRASH.txt").write_text("cured\n")  # the finding goes with its cause
    suite.until(lambda: len(suite.findings("not_described")) == 2, "the finding is closed")
    assert suite.entry("good-10-CRASH.txt")["descriptor"]["words"] == 1


def test_a_file_that_breaks_its_extractor_once_is_described_by_the_second_attempt(make_suite: Make) -> None:
    suite = make_suite(tables=LOW_LIMITS)
    with_extractor(suite)
    (suite.root / "f.txt").write_text("ONCE and never again\n")
    suite.start()
    suite.idle()
    suite.until(lambda: suite.entry("f.txt")["descriptor"], "it is described")
    assert suite.entry("f.txt")["descriptor"]["words"] == 4
    assert suite.findings() == [] and dead_letters(suite) == []


def test_no_content_is_described_twice(make_suite: Make) -> None:
    suite = make_suite()
    calls = with_extractor(suite)
    (suite.root / "f.txt").write_text("first content\n")
    suite.start()
    suite.idle()
    (suite.root / "copy.txt").write_text("first content\n")
    (suite.root / "f.txt").rename(suite.root / "moved.txt")
    suite.idle()
    (suite.root / "moved.txt").write_text("second content\n")
    suite.idle()
    (suite.root / "moved.txt").write_text("first content\n")
    (suite.root / "moved.txt").touch()
    suite.idle()
    suite.stop()
    suite.start()
    suite.idle()
    assert calls.read_text().split() == ["first", "second"]
    assert {entry["descriptor"]["words"] for entry in suite.active().values()} == {2}


def test_descriptions_go_on_after_a_restart_where_they_were(make_suite: Make) -> None:
    suite = make_suite()
    calls = with_extractor(suite)
    for number in range(1500):
        (suite.root / f"{number}.txt").write_text(f"number-{number}\n")
    suite.start("worker")
    suite.run("scan", config=True)
    suite.until(lambda: calls.exists() and calls.read_text().count("\n") > 100, "it describes")
    suite.kill("worker")
    suite.start()
    suite.idle()
    assert all(entry["descriptor"] for entry in suite.active().values()) and len(suite.active()) == 1500
    suite.require_nothing_left_to_do()
