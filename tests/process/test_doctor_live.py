"""`autoops doctor` on real state directories, whole and broken."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import Suite, environment, program

from autoops.core.signing import new_key

Make = Callable[..., Suite]


def doctor(suite: Suite) -> dict[str, dict[str, Any]]:
    """Return what each check says."""
    return {check["name"]: check for check in suite.run("doctor", "--json", code=None).json["checks"]}


# These depend on the machine that the tests run on.
OF_THE_HOST = (
    "clock",
    "disk",
    "file system",
    "inotify",
    "single writer, by the units",
    "single writer, by the kernel",
    "sandbox in force",
)


def test_a_suite_that_is_well_is_good(shared: Suite) -> None:
    found = doctor(shared)
    assert {name: one for name, one in found.items() if one["level"] != "OK" and name not in OF_THE_HOST} == {}
    assert f"process {shared.processes['worker'].pid} holds the lock" in found["single writer, by the lock"]["text"]
    assert found["inotify"]["figures"][0]["label"] == "watches_used", "the watcher's watches are seen"
    out = shared.run("doctor", code=None).out
    assert all(line.startswith(("good", "WRONG", "cannot tell", "            ")) for line in out.splitlines())


def test_another_writer_of_the_registry_is_found(shared: Suite) -> None:
    connection = sqlite3.connect(shared.state / "registry" / "registry.db")
    try:
        connection.execute("SELECT 1 FROM sqlite_schema").fetchall()
        found = doctor(shared)["single writer, by the lock"]
    finally:
        connection.close()
    assert found["level"] == "CRITICAL" and "is not the worker" in found["text"] and "ps -o" in found["remedy"]


def test_what_is_broken_is_wrong_each_with_its_remedy(make_suite: Make) -> None:
    suite = make_suite()
    (suite.root / "a.txt").write_text("a\n")
    suite.once()
    key, public = suite.state / "ledger.key", suite.state / "ledger.pub"
    good_key, good_public = key.read_bytes(), public.read_bytes()
    key.write_bytes(new_key())
    assert "does not belong" in doctor(suite)["key"]["text"]
    key.write_bytes(good_key)
    public.write_text("00" * 32 + "\n")
    assert "is signed by" in doctor(suite)["key"]["text"]
    public.write_bytes(good_public)
    key.chmod(0o644)
    suite.state.chmod(0o777)
    answer = suite.run("doctor", code=1)
    assert answer.out.count("WRONG") >= 2 and answer.out.count("remedy: chmod") == 2
    key.chmod(0o600)
    suite.state.chmod(0o700)
    assert doctor(suite)["permissions"]["level"] == doctor(suite)["state directory"]["level"] == "OK"


@pytest.mark.parametrize("name", ["queue", "registry"])
def test_a_damaged_database_is_wrong_and_the_rest_is_told(make_suite: Make, name: str) -> None:
    suite = make_suite()
    (suite.root / "a.txt").write_text("a\n")
    suite.once()
    suite.run("migrate")  # what lies in the WAL is carried over: a page that it holds too would be whole
    path = suite.state / name / f"{name}.db"
    good = path.read_bytes()
    with path.open("r+b") as file:  # a page in the middle
        file.seek(len(good) // 8192 * 4096)
        file.write(b"\xff" * 4096)
    found = doctor(suite)
    path.write_bytes(good)
    assert found[f"{name} database"]["level"] == "CRITICAL" and found["versions"]["level"] == "OK"


def test_a_state_that_is_not_there_is_wrong_without_a_traceback(tmp_path: Path) -> None:
    run = subprocess.run([*program(), "doctor", "--state", tmp_path / "none"], env=environment(), capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr == "" and "does not exist" in run.stdout
