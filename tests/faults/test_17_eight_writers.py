"""Eight processes write at once, into the queue, and through it one entry of the registry: no update is lost, nobody is told
"busy", what kills its worker ends as a dead letter.

The controls read, add one and write: without a transaction of their own, and on a condition that is not what they had read.
Both lose updates.
"""

from __future__ import annotations

import collections
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from judge import living_on, require_whole
from running import Suite, environment

from autoops.model import Work
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue

WRITERS = 8
MAX_ATTEMPTS = 3

WRITER = """
import json, sys, time
from pathlib import Path
from autoops.model import Work
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue
name, until_s = sys.argv[2], time.monotonic() + float(sys.argv[3])
number, done, slowest_s = 0, [], 0.0
with Database.open(Path(sys.argv[1]), SCHEMA, guard=True) as db:
    queue = Queue(db)
    while time.monotonic() < until_s:
        begin_s = time.monotonic()
        number += 1
        queue.enqueue([Work("path", f"{name}.{number}".encode()), Work("scan", b"shared", facts={name: number})])
        jobs = queue.claim(2, 60, ["path"])
        done += [job.key.decode() for job in jobs]
        assert queue.complete(jobs) == []
        slowest_s = max(slowest_s, time.monotonic() - begin_s)
print(json.dumps({"last": number, "done": done, "slowest_s": slowest_s}))
"""

CONTROL = """
import sqlite3, sys, time
con = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
for _ in range(int(sys.argv[2])):
    (value,) = con.execute("SELECT value FROM number").fetchone()
    con.execute("UPDATE number SET value = ?", (value + 1,))
"""

# Counts in the tags of one entry, on condition that it is as it was read; careless: as it was read a second time.
SUBMITTER = """
import json, sys, time
import typer
from typer.testing import CliRunner
from autoops.cli import inspect, trust
app = typer.Typer()
inspect.register(app), trust.register(app)
def run(*arguments, text=None):
    return CliRunner().invoke(app, [*arguments, "--state", sys.argv[1]], input=text)
entry_id, until_s, done = sys.argv[2], time.monotonic() + float(sys.argv[3]), 0
while time.monotonic() < until_s:
    seen = json.loads(run("show", entry_id, "--json").stdout)
    more = {"tags": [str(int(seen["tags"][0]) + 1)]}
    if sys.argv[4] == "careless":
        seen = json.loads(run("show", entry_id, "--json").stdout)
    patch = {"changes": {entry_id: more}, "revs": {entry_id: seen["rev"]}, "reason": "one more"}
    answer = run("submit", "-", "--wait", text=json.dumps(patch))
    code = getattr(answer.exception, "exit_code", answer.exit_code)
    assert code in (0, 4), (code, answer.output, answer.exception)  # 4: it has been changed since
    done += code == 0
print(json.dumps(done))
"""

CLAIMER = """
import os, signal, sys
from pathlib import Path
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue
queue = Queue(Database.open(Path(sys.argv[1]), SCHEMA, guard=True), max_attempts=int(sys.argv[2]))
queue.rescue()
if not queue.claim(1, 3600):
    sys.exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "queue" / "queue.db"
    Database.open(path, SCHEMA, mode="create", guard=True).close()
    yield path
    with Database.open(path, SCHEMA) as db:
        assert db.check() == []
    assert not list(path.parent.glob("*.suspect"))


def together(program: str, *arguments: object) -> list[str]:
    """Run eight processes of a program, the name of each in place of NAME; return what they printed. Each has to end well."""
    commands = [[sys.executable, "-c", program, *(str(one).replace("NAME", name) for one in arguments)] for name in "abcdefgh"]
    started = [subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) for command in commands]
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0] * WRITERS
    return said


@pytest.mark.parametrize("span_s", [3, pytest.param(60, marks=pytest.mark.long)])
def test_no_update_is_lost_and_nobody_is_told_busy(path: Path, span_s: int) -> None:
    told = [json.loads(said) for said in together(WRITER, path, "NAME", span_s)]
    with Database.open(path, SCHEMA, guard=True) as db:
        queue = Queue(db)
        rest = [job.key.decode() for job in queue.claim(1_000_000, 60, ["path"])]
        taken = collections.Counter(rest + [key for one in told for key in one["done"]])
        assert taken == {f"{name}.{n}": 1 for name, one in zip("abcdefgh", told, strict=True) for n in range(1, one["last"] + 1)}
        (shared,) = queue.claim(1, 60, ["scan"])
        assert shared.facts == {name: one["last"] for name, one in zip("abcdefgh", told, strict=True)}
    print(f"{sum(taken.values())} jobs; the longest wait {max(one['slowest_s'] for one in told):.2f} s")


def test_control_without_a_transaction_updates_are_lost(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    with sqlite3.connect(path) as con:
        con.execute("PRAGMA journal_mode=WAL").fetchone()
        con.execute("CREATE TABLE number (value INTEGER)")
        con.execute("INSERT INTO number VALUES (0)")
    con.close()
    together(CONTROL, path, 200)
    con = sqlite3.connect(path)
    (value,) = con.execute("SELECT value FROM number").fetchone()
    con.close()
    assert value < WRITERS * 200


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[Suite]:
    """A suite whose worker runs, and whose first entry counts from 0."""
    with living_on(tmp_path, tmp_path / "suite") as suite:
        suite.start("worker")
        entry = suite.entry("0.txt")
        patch = {"changes": {entry["id"]: {"tags": ["0"]}}, "revs": {entry["id"]: entry["rev"]}, "reason": "begin"}
        suite.run("submit", "-", "--wait", stdin=json.dumps(patch))
        yield suite


def counted(suite: Suite, span_s: float, how: str) -> tuple[int, int]:
    """Have eight processes count; return how often they were told that it is done, and how far the entry came."""
    told = sum(map(json.loads, together(SUBMITTER, suite.state, suite.entry("0.txt")["id"], span_s, how)))
    (tag,) = suite.entry("0.txt")["tags"]
    return told, int(tag)


@pytest.mark.parametrize("span_s", [4, pytest.param(60, marks=pytest.mark.long)])
def test_no_patch_that_was_taken_is_lost(counting: Suite, span_s: float) -> None:
    told, count = counted(counting, span_s, "careful")
    assert told == count and told > WRITERS
    require_whole(counting)


def test_control_patches_on_another_condition_than_what_was_read_are_lost(counting: Suite) -> None:
    told, count = counted(counting, 4, "careless")
    assert told > count


def test_a_job_that_kills_its_worker_ends_as_a_dead_letter_and_the_others_are_done(path: Path) -> None:
    with Database.open(path, SCHEMA, guard=True) as db:
        queue = Queue(db, max_attempts=MAX_ATTEMPTS)
        queue.enqueue([Work("path", b"poison")])
        command = [sys.executable, "-c", CLAIMER, path, str(MAX_ATTEMPTS)]
        for _ in range(MAX_ATTEMPTS):
            assert subprocess.run(command, env=environment()).returncode == -signal.SIGKILL
        assert subprocess.run(command, env=environment()).returncode == 0
        queue.enqueue([Work("path", b"good")])
        assert [job.key for job in queue.claim(9, 60)] == [b"good"]
        assert queue.counts()["dead_letter"] == 1
