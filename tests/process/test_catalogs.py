"""Catalogs of running suites: jobs after commits, the builder and its commands, and what readers see meanwhile."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from running import DEADLINE_S, PROJECT, Answer, Suite, environment

Make = Callable[..., Suite]


def declare(suite: Suite, *tables: Mapping[str, object], part_entries: int = 10, debounce_s: float = 0.2) -> None:
    """Declare catalogs in the configuration of a suite."""
    more = [f"[catalogs]\npart_entries = {part_entries}\ndebounce_s = {debounce_s}\n"]
    more += ["[[catalog]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items()) for table in tables]
    suite.config.write_text("\n".join([suite.config.read_text(), *more]))


def builder(suite: Suite, *options: str, code: int = 0) -> Answer:
    """Run autoops-catalog to its end."""
    command = [sys.executable, str(PROJECT / "bin" / "autoops-catalog"), "--state", str(suite.state), "--config", str(suite.config)]
    run = subprocess.run([*command, *options], capture_output=True, text=True, env=environment(), timeout=DEADLINE_S)
    assert run.returncode == code, run.stderr[-3000:]
    return Answer(run.returncode, run.stdout, run.stderr)


def status(suite: Suite) -> dict[str, Any]:
    return dict(suite.run("catalog", "status", "--json", config=True).json)


def fill(suite: Suite, count: int, stem: str = "f") -> None:
    for number in range(count):
        (suite.root / f"{stem}{number:03d}.txt").write_text(f"{stem} {number}\n")


@pytest.fixture
def catalogued(make_suite: Make) -> Suite:
    """A suite with 25 files registered, nothing running, and two catalogs declared, not built."""
    suite = make_suite()
    declare(suite, {"name": "all"}, {"name": "sheet", "format": "csv", "class": "document"})
    fill(suite, 25)
    suite.once()
    return suite


# jobs


def test_commits_leave_one_job_for_each_catalog_and_the_builder_works_them_off(catalogued: Suite) -> None:
    waiting = [job for job in catalogued.run("queue", "list", "--json").json if job["kind"] == "catalog"]
    assert len(waiting) == 2
    assert (catalogued.state / "queue" / "catalogs.declared").exists()
    builder(catalogued)
    assert {name: found["state"] for name, found in status(catalogued).items()} == {"all": "fresh", "sheet": "fresh"}
    catalogued.require_nothing_left_to_do()
    lines = [
        line for path in sorted((catalogued.state / "catalogs" / "all").glob("*.jsonl")) for line in path.read_text().splitlines()
    ]
    assert [json.loads(line) for line in lines] == catalogued.export()
    with (catalogued.state / "catalogs" / "sheet" / "sheet-00001.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["path"] == "f000.txt"


def test_the_builder_waits_for_a_job_that_is_due_within_the_debounce_time_and_not_for_a_late_retry(make_suite: Make) -> None:
    suite = make_suite(tables={"queue": {"backoff_first_s": 1000.0}})
    declare(suite, {"name": "all"}, {"name": "bad", "format": "command", "command": ["/nowhere/program"]}, debounce_s=1.5)
    fill(suite, 1)
    suite.once()
    answer = builder(suite, code=1)
    assert "/nowhere/program cannot be started" in answer.err and "hint:" in answer.err
    assert {name: found["state"] for name, found in status(suite).items()} == {"all": "fresh", "bad": "never built"}
    (left,) = suite.run("queue", "list", "--json").json
    assert (left["kind"], left["state"]) == ("catalog", "failed")
    suite.run("queue", "purge", "--in-state", "failed")


def test_without_declared_catalogs_the_builder_does_nothing_and_the_worker_asks_for_nothing(still: Suite) -> None:
    assert builder(still, "--all", "--verify") == Answer(0, "", "")
    assert not (still.state / "catalogs").exists()
    assert not (still.state / "queue" / "catalogs.declared").exists()
    still.require_nothing_left_to_do()


def test_a_stream_of_commits_does_not_put_a_build_off_for_ever(make_suite: Make) -> None:
    suite = make_suite(tables={"describe": {"enabled": False}})
    declare(suite, {"name": "all"}, debounce_s=1.0)
    suite.start()
    suite.idle()
    builder(suite)  # the job that every worker begins with
    ended = threading.Event()

    def edits() -> None:
        number = 0
        while not ended.wait(0.05):
            number += 1
            (suite.root / "busy.txt").write_text(f"{number}\n")

    thread = threading.Thread(target=edits)
    thread.start()
    try:

        def is_due() -> bool:
            jobs = [job for job in suite.run("queue", "list", "--json").json if job["kind"] == "catalog"]
            return any(job["due_in_s"] < -0.5 for job in jobs)

        suite.until(is_due, "a job is due though commits go on")
    finally:
        ended.set()
        thread.join()
    suite.idle()
    builder(suite)
    assert status(suite)["all"]["state"] == "fresh"


def test_a_job_for_a_catalog_that_is_declared_no_more_is_dropped_and_its_directory_is_listed(catalogued: Suite) -> None:
    builder(catalogued)
    (catalogued.root / "one more").touch()
    catalogued.once()
    catalogued.config.write_text(catalogued.config.read_text().replace('name = "sheet"', 'name = "other"'))
    builder(catalogued)
    catalogued.require_nothing_left_to_do()
    listed = catalogued.run("catalog", "list", "--json", config=True).json
    assert [(one["name"], one["declared"]) for one in listed] == [("all", True), ("other", True), ("sheet", False)]
    assert "declared no more" in catalogued.run("catalog", "list", config=True).out


def test_in_a_maintenance_window_nothing_is_built_and_the_jobs_stay(catalogued: Suite) -> None:
    (catalogued.state / ".maintenance").touch()
    builder(catalogued, "--all")
    assert not (catalogued.state / "catalogs").exists()
    assert catalogued.run("catalog", "build", "--all", config=True, code=5).err.startswith("autoops: autoops is paused")
    (catalogued.state / ".maintenance").unlink()
    builder(catalogued)
    assert status(catalogued)["all"]["state"] == "fresh"


def test_the_suite_in_the_foreground_keeps_the_catalogs_up_to_date(make_suite: Make) -> None:
    suite = make_suite()
    declare(suite, {"name": "page", "format": "html"})
    fill(suite, 12)
    command = [sys.executable, "-m", "autoops", "up", "--state", str(suite.state), "--config", str(suite.config)]
    with (suite.base / "up").open("wb") as out:
        up = subprocess.Popen(command, stdout=out, stderr=out, env=environment())
    try:
        suite.until(lambda: suite.state.joinpath("catalogs", "page", "metadata.json").exists(), "the catalog is built")
        (suite.root / "later <b>.txt").write_text("later\n")
        page = suite.state / "catalogs" / "page"
        suite.until(lambda: any("later" in path.read_text() for path in page.glob("*.js")), "it follows")
        assert suite.run("status", "--json").json["processes"]["catalog"]["state"] == "running"
    finally:
        up.terminate()
        assert up.wait(DEADLINE_S) == 0
    text = b"".join(path.read_bytes() for path in page.glob("*.js"))
    assert b"later \\u003cb>.txt" in text
    scripts = re.findall(r'src="([^"]+)"', (page / "index.html").read_text())
    assert {*scripts, "index.html", "metadata.json"} == {path.name for path in page.iterdir()}


# commands


def test_build_says_what_it_did_and_does_nothing_the_second_time(catalogued: Suite) -> None:
    assert (
        "would be made anew: from nothing, because it was never built"
        in catalogued.run("catalog", "build", "all", "--dry-run", config=True).out
    )
    assert not (catalogued.state / "catalogs" / "all").exists()
    assert catalogued.run("catalog", "build", "all", config=True).out.startswith("all: made anew: from nothing")
    assert catalogued.run("catalog", "build", "all", config=True).out.startswith("all: nothing to do; 25 entries")
    (catalogued.root / "f003.txt").write_text("edited\n")
    catalogued.once()
    assert re.match(r"all: made anew: 1 of \d parts", catalogued.run("catalog", "build", "all", "--workers", 1, config=True).out)
    (one, other) = catalogued.run("catalog", "build", "--all", "--anew", "--json", config=True).json
    assert (one["name"], one["done"], other["name"]) == ("all", "built", "sheet")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("build",), "--all"),
        (("build", "all", "--all"), "--all"),
        (("build", "nobody"), "No catalog is called nobody"),
        (("verify", "nobody"), "the catalogs that are declared: all, sheet"),
        (("build", "all", "--workers", "many"), "--workers many"),
        (("build", "all", "--workers", "0"), "--workers 0"),
        (("build", "all", "--workers", "9" * 5000), "--workers 9"),
    ],
)
def test_what_is_asked_wrongly_is_refused_with_what_to_do(shared_catalogs: Suite, arguments: tuple[str, ...], said: str) -> None:
    assert said in shared_catalogs.run("catalog", *arguments, config=True, code=2).err


@pytest.fixture(scope="module")
def shared_catalogs(make_shared: Make) -> Suite:
    suite = make_shared()
    declare(suite, {"name": "all"}, {"name": "sheet", "format": "csv"})
    fill(suite, 1)
    suite.once()
    return suite


def test_status_tells_fresh_stale_wrong_and_never_built(catalogued: Suite) -> None:
    assert "never built" in catalogued.run("catalog", "status", config=True).out
    catalogued.run("catalog", "build", "all", config=True)
    found = status(catalogued)
    assert (found["all"]["state"], found["all"]["entries"], found["sheet"]["state"]) == ("fresh", 25, "never built")
    (catalogued.root / "f003.txt").write_text("edited\n")
    catalogued.once()
    found = status(catalogued)["all"]
    assert found["state"] == "stale" and found["detail"]["commits"] >= 1 and found["detail"]["parts"] == 1
    assert "behind: its entries were changed" in catalogued.run("catalog", "status", config=True).out
    (catalogued.state / "catalogs" / "all" / "all-00002.jsonl").unlink()
    assert status(catalogued)["all"]["state"] == "wrong"
    assert "it is missing (all-00002.jsonl)" in catalogued.run("catalog", "status", config=True).out


def test_what_a_bag_leaves_out_is_told_when_it_is_built_and_in_its_status(make_suite: Make) -> None:
    suite = make_suite()
    declare(suite, {"name": "bag", "format": "bagit", "root": "tree"})
    (suite.root / "plain").write_text("x\n")
    (suite.root / "link").symlink_to("plain")
    Path(os.fsdecode(os.fsencode(suite.root) + b"/caf\xe9")).write_text("y\n")
    suite.once()
    said = "left out: 1 (name is not UTF-8), 1 (no plain file)"
    for _ in range(2):
        assert said in suite.run("catalog", "build", "bag", config=True).out
    assert said in suite.run("catalog", "status", config=True).out
    assert status(suite)["bag"]["left_out"] == {"name is not UTF-8": 1, "no plain file": 1}
    manifest = (suite.state / "catalogs/bag/manifest-sha256.txt").read_text()
    assert [line.split("  ")[1] for line in manifest.splitlines()] == ["data/plain"]


def test_verify_finds_what_was_changed_and_names_the_line(catalogued: Suite) -> None:
    catalogued.run("catalog", "build", "--all", config=True)
    assert catalogued.run("catalog", "verify", config=True).out.endswith("Verification: PASSED\n")
    directory = catalogued.state / "catalogs" / "all"
    file, metadata = directory / "all-00001.jsonl", directory / "metadata.json"
    raw = file.read_bytes()
    file.write_bytes(raw.replace(b'"rev":2', b'"rev":0', 1))
    answer = catalogued.run("catalog", "verify", "--json", config=True, code=1).json
    (fault,) = answer["catalogs"]["all"]
    assert not answer["good"] and answer["catalogs"]["sheet"] == []
    assert (fault["kind"], fault["file"], fault["reason"]) == ("catalog_checksum", file.name, "its content is another")
    said = json.loads(metadata.read_text())
    said["files"][file.name]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    metadata.write_text(json.dumps(said))  # somebody who covers it up
    (fault, *_) = catalogued.run("catalog", "verify", "all", "--json", config=True, code=1).json["catalogs"]["all"]
    assert fault["kind"] == "catalog_checksum" and fault["line"] == 1 and "rev" in fault["reason"]


def test_the_nightly_look_makes_anew_what_was_damaged_and_nothing_else(catalogued: Suite) -> None:
    builder(catalogued)
    directory = catalogued.state / "catalogs"
    before = {path: path.stat().st_ino for path in directory.rglob("*") if path.is_file()}
    victim = directory / "all" / "all-00002.jsonl"
    raw = victim.read_bytes()
    victim.write_bytes(raw[:-1] + b" ")
    builder(catalogued, "--all")
    assert victim.read_bytes() != raw, "of the same size: who does not read it sees nothing"
    builder(catalogued, "--all", "--verify")
    assert victim.read_bytes() == raw
    after = {path: path.stat().st_ino for path in directory.rglob("*") if path.is_file() and ".previous" not in str(path)}
    assert {path.name for path in after if before[path] != after[path]} == {"all-00002.jsonl", "metadata.json"}
    catalogued.run("catalog", "verify", config=True)


# readers


def test_a_reader_never_sees_half_a_catalog(make_suite: Make) -> None:
    suite = make_suite()
    declare(suite, {"name": "all"})
    fill(suite, 60)
    suite.once()
    suite.run("catalog", "build", "all", config=True)
    ended, faults, looks = threading.Event(), list[str](), [0]

    def look() -> None:
        while not ended.is_set():
            try:
                fd = os.open(suite.state / "catalogs" / "all", os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                faults.append("there is no catalog")
                continue
            try:
                faults.extend(faults_of(fd))
                looks[0] += 1
            finally:
                os.close(fd)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for number in range(6):
            (suite.root / f"f{number * 9:03d}.txt").write_text(f"edited {number}\n")
            (suite.root / f"new{number}").touch()
            suite.once()
            suite.run("catalog", "build", "all", *(["--anew"] if number % 2 else []), config=True)
    finally:
        ended.set()
        thread.join()
    assert not faults and looks[0] > 10


def faults_of(fd: int) -> list[str]:
    """Return in what an opened catalog disagrees with its metadata."""

    def read(name: str) -> bytes:
        with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=fd), "rb") as file:
            return file.read()

    said = json.loads(read("metadata.json"))
    names = set(os.listdir(fd)) - {"metadata.json"}
    wrong = [name for name in said["files"] if hashlib.sha256(read(name)).hexdigest() != said["files"][name]["sha256"]]
    lines = sum(read(name).count(b"\n") for name in said["files"])
    return wrong + ([] if names == set(said["files"]) else ["names"]) + ([] if lines == said["entries"] else ["lines"])


def test_the_document_that_describes_the_digest_is_enough_to_compute_it(catalogued: Suite) -> None:
    builder(catalogued)
    directory = catalogued.state / "catalogs" / "all"
    said = json.loads((directory / "metadata.json").read_text())
    digests = []
    for part in said["parts"]:
        members = b""
        for line in (directory / part["file"]).read_bytes().splitlines():
            members += json.loads(line)["id"].encode() + hashlib.sha256(b"\0" + line).digest()
        digests.append(hashlib.sha256(b"\4" + members).digest())
        assert digests[-1].hex() == part["digest"]
    assert hashlib.sha256(b"\5" + b"".join(digests)).hexdigest() == said["digest"]
    assert said["registry_digest"] == catalogued.digest()
    assert time.strptime(said["made_at"][:19], "%Y-%m-%dT%H:%M:%S")


def test_without_a_state_the_builder_says_what_to_run(make_suite: Make) -> None:
    suite = make_suite()
    declare(suite, {"name": "all"})
    answer = builder(suite, code=6)
    assert "autoops migrate" in answer.err and "Traceback" not in answer.err
    suite.once()


def test_the_builder_says_its_version_and_its_options() -> None:
    for option, said in (("--version", "autoops "), ("--help", "--follow")):
        run = subprocess.run(
            [sys.executable, Path(PROJECT / "bin" / "autoops-catalog"), option], capture_output=True, text=True, env=environment()
        )
        assert run.returncode == 0 and said in run.stdout
