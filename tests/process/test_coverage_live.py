"""`autoops coverage` on real daemons and misfortunes: as text, as JSON, and as a picture."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any
from xml.etree import ElementTree

import pytest
from running import Suite

Make = Callable[..., Suite]
HOSTILE = "<script>alert('1') & \" ]]> <!--"


def coverage(suite: Suite, *arguments: object) -> Any:
    return suite.run("coverage", "--json", *arguments, config=True).json


def unwatched(suite: Suite, reason: str) -> dict[str, dict[str, Any]]:
    """Return what was not watched for a reason, by root."""
    return {part["root"]: part for part in coverage(suite)["unwatched"] if part["reason"] == reason}


def test_a_watcher_that_does_not_run_is_downtime_now_and_afterwards_for_every_root(make_suite: Make) -> None:
    suite = make_suite(roots=[{"name": "docs"}, {"name": "music"}])
    suite.start()
    (suite.root / "a").write_text("a\n")
    suite.idle()
    assert (coverage(suite)["now"], coverage(suite)["unwatched"]) == ([], [])
    assert suite.run("coverage", config=True).out.startswith("everything is watched\n")
    suite.stop("watcher")
    suite.until(lambda: unwatched(suite, "downtime").get("music", {"seconds": 0})["seconds"] >= 2, "time passes")
    (gap,) = coverage(suite)["now"]
    assert (gap["root"], gap["reason"], gap["detail"]) == ("", "downtime", "the watcher does not run")
    text = suite.run("coverage", config=True).out
    assert text.startswith("not watched now: 1 place\n") and "the watcher does not run" in text and "goes on" in text
    suite.start("watcher")
    suite.until(lambda: coverage(suite)["now"] == [], "it is watched again")
    parts = unwatched(suite, "downtime")
    assert set(parts) == {"docs", "music"}
    assert all(part["seconds"] >= 2 and part["times"] == 1 and not part["still"] for part in parts.values())
    assert [root["unwatched_seconds"] for root in coverage(suite)["roots"]] == [part["seconds"] for part in parts.values()]
    assert "over" in suite.run("coverage", config=True).out


def test_what_is_left_out_is_told_for_each_root_and_that_nobody_knows_how_much_it_is(make_suite: Make) -> None:
    suite = make_suite(
        roots=[
            {"name": "docs", "ignore": ["*.log"], "ignore_files": [".hide", ".gitignore"]},
            {"name": "seen", "policy": "observe"},
        ],
        tables={"watch": {"ignore": ["*.tmp"]}},
    )
    suite.once()
    docs, seen = coverage(suite)["roots"]
    assert (docs["patterns"], docs["ignore_files"]) == (["*.tmp", "*.log"], [".hide", ".gitignore"])
    assert (seen["patterns"], seen["ignore_files"], seen["policy"]) == (["*.tmp"], [".autoopsignore"], "observe")
    text = suite.run("coverage", config=True).out
    assert "left out of docs: 2 patterns (*.tmp, *.log), and what is in .hide and .gitignore\n" in text
    assert "how many files the patterns and ignore files leave out is not known" in text
    assert "only observed, nothing of it is registered: seen\n" in text
    assert "the watcher never ran" in text


def test_files_are_told_by_when_they_were_verified(make_suite: Make) -> None:
    suite = make_suite(tables={"scrub": {"days": 20}})
    for number in range(6):
        (suite.root / f"f{number}").write_bytes(b"x" * (number + 1))
    suite.once()
    now_s, day_s = int(time.time()), 86400
    with closing(sqlite3.connect(suite.state / "registry" / "registry.db")) as db:
        for number, days in enumerate((0, 2, 15, 25, 40, 100)):
            db.execute("UPDATE entry SET verified_s = ? WHERE name = ?", (now_s - days * day_s, b"f%d" % number))
        db.commit()
    (root,) = coverage(suite)["roots"]
    assert [(age["files"], age["bytes"]) for age in root["ages"]] == [(1, 1), (1, 2), (2, 7), (1, 5), (1, 6)]
    assert (root["overdue_files"], root["overdue_bytes"], root["oldest_path"]) == (3, 15, "f5")
    assert root["oldest_s"] == now_s - 100 * day_s
    assert "verified within 20 days: 6 files, 3 overdue" in suite.run("coverage", config=True).out


def test_the_text_stays_one_screen_whatever_there_is_to_tell(make_suite: Make) -> None:
    suite = make_suite(roots=[{"name": f"root{number}", "ignore": [f"*.{number}"]} for number in range(30)])
    suite.once()
    lines = suite.run("coverage", config=True).out.splitlines()
    assert len(lines) <= 60 and "... and 20 more (--json shows all)" in lines
    assert len(coverage(suite)["roots"]) == 30


# the picture


@pytest.fixture(scope="module")
def hostile(make_shared: Make) -> Suite:
    suite = make_shared(roots=[{"name": HOSTILE}, {"name": "plain"}])
    suite.start()
    (suite.root / "f").write_text("f\n")
    suite.idle()
    suite.stop("watcher")
    suite.until(lambda: unwatched(suite, "downtime"), "a second passes")
    return suite


def test_the_picture_of_a_real_suite_is_well_formed_and_hostile_names_are_text(hostile: Suite) -> None:
    file = hostile.base / "picture.svg"
    assert hostile.run("coverage", "--svg", file, config=True).out == f"written: {file}\n"
    picture = ElementTree.fromstring(file.read_text())
    assert {element.tag.partition("}")[2] for element in picture.iter()} <= {"svg", "title", "style", "rect", "text", "line", "g"}
    said = [element.text for element in picture.iter()]
    assert HOSTILE in said and "downtime" in said
    assert list(hostile.base.glob(".picture*")) == []


def test_the_picture_goes_to_standard_output_and_nothing_else_does(hostile: Suite) -> None:
    answer = hostile.run("coverage", "--svg", "-", "--since", "2h", config=True)
    assert answer.err == "" and ElementTree.fromstring(answer.out).tag.endswith("svg")
    assert hostile.run("coverage", "--svg", "-", "--json", config=True, code=2).out == ""
    told = hostile.run("coverage", "--svg", hostile.base / "both.svg", "--json", config=True)
    assert told.json["roots"] and (hostile.base / "both.svg").exists()


def test_a_picture_that_cannot_be_written_is_an_error_that_says_so(hostile: Suite) -> None:
    answer = hostile.run("coverage", "--svg", hostile.base / "no" / "such.svg", config=True, code=4)
    assert "such.svg" in answer.err and "No such file" in answer.err and "hint: make its directory first" in answer.err
    assert "hint: that is a directory" in hostile.run("coverage", "--svg", hostile.base, config=True, code=4).err
    assert "is no span of time" in hostile.run("coverage", "--since", "yesterday", config=True, code=2).err
