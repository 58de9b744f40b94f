"""A note: the ledger says something, once, and no entry changes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from running import PROJECT, Suite

from autoops.model import note
from autoops.runtime.wake import Waker
from autoops.state import State
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue

Make = Callable[..., Suite]
SAID = note("restore:20260131T120000Z", "operator:eva", "restore", "commit 1 was put back\n")


def enqueue(suite: Suite) -> None:
    state = State(suite.state)
    with Database.open(state.queue_db, SCHEMA, guard=True) as database:
        Queue(database).enqueue([SAID])
    with closing(Waker(state.worker_socket)) as waker:
        waker.wake()


def ledger(suite: Suite) -> list[dict[str, Any]]:
    lines = suite.run("export", "--format", "ledger").out.splitlines()
    return [json.loads(json.loads(line)["record"]) for line in lines]


def noted(suite: Suite) -> list[dict[str, Any]]:
    return [record for record in ledger(suite) if not record["patches"]]


@pytest.mark.parametrize("point", ["", "commit:before", "commit:inside", "commit:after", "complete:before", "complete:after"])
def test_a_note_becomes_one_record_however_often_it_is_enqueued_and_whenever_its_worker_dies(still: Suite, point: str) -> None:
    digest = still.digest()
    enqueue(still)
    enqueue(still)
    if point:
        still.start("worker", trace=point, ready=False)
        assert still.died("worker") == -signal.SIGKILL
    still.start("worker")
    still.until(lambda: noted(still), "the note is written")
    enqueue(still)
    still.until(lambda: not still.run("queue", "list", "--json").json, "the second one is done")
    (record,) = noted(still)
    assert {key: record[key] for key in ("actor", "source", "reason")} == SAID.facts
    assert record["digest_before"] == record["digest_after"] == digest == still.digest()


def test_a_ledger_with_a_note_is_exported_and_checked_and_undoing_the_note_changes_nothing(still: Suite) -> None:
    enqueue(still)
    still.start()
    still.idle()  # waits for the note too
    sequence = noted(still)[0]["sequence"]
    assert still.run("rollback", sequence, "--wait").out == "applied: there was nothing to change\n"
    assert still.run("rollback", sequence, "--dry-run").out == "nothing would change\n"
    (still.root / "a.txt").write_text("edited after the note\n")
    still.idle()
    assert [step["rev"] for step in still.run("explain", "a.txt", "--json").json] == [1, 2, 3, 4]
    still.stop()
    for name, form in (("entries", "jsonl"), ("ledger", "ledger")):
        (still.base / name).write_text(still.run("export", "--format", form).out)
    command = [sys.executable, "-I", PROJECT / "docs" / "verify_export.py", "entries", "ledger", still.state / "ledger.pub"]
    checked = subprocess.run(command, cwd=still.base, capture_output=True, text=True, check=True)
    assert checked.stdout.startswith("agrees: 1 entries")
