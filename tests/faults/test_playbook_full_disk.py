"""Playbooks on a disk that is full to the last byte: what makes room is done, within the same bounds, and recorded afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playing import Played
from suites import tmpfs

from autoops.store.database import Database
from autoops.store.queue import SCHEMA


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Played]:
    """A state on a small disk, with a reader (as there is where services run), and a playbook that makes room on it."""
    run = tmp_path / "run"
    run.mkdir()
    with tmpfs(tmp_path / "disk", "4m") as disk:
        played = Played(disk)
        played.base, played.config = tmp_path, tmp_path / "autoops.toml"
        played.environment["RUNTIME_DIRECTORY"] = str(run)
        played.configure(played.shell("room", f"rm {disk}/ballast", when="health:disk", at_most=100), at_most=1000)
        played.by_itself()  # makes the files that there are where it has run once
        with Database.open(played.state / "queue/queue.db", SCHEMA, mode="ro") as reader:
            reader.query("SELECT 1 FROM job")
            fill(disk)
            yield played


def fill(disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"), (disk / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert os.statvfs(disk).f_bavail == 0


def an_hour_passes(remembered: Path) -> None:
    runs = json.loads(remembered.read_text())
    remembered.write_text(json.dumps([run | {key: run[key] - 3600 for key in ("began_s", "ended_s")} for run in runs]))


def test_room_is_made_and_the_ledger_hears_of_it_as_soon_as_there_is(full: Played) -> None:
    full.by_itself()
    assert full.ran("room") == 1 and not (full.base / "disk/ballast").exists()
    assert full.runs("room") == []
    full.by_itself()
    (run,) = full.runs("room")
    assert (run.outcome, run.cause) == ("good", "health:disk")
    assert [note.partition(";")[0] for note in full.notes()] == ["run 1 of room (command), for health:disk: good"]
    assert (full.base / "run/playbooks.emergency").read_bytes() == b""


def test_what_does_not_help_is_tried_twice_and_no_third_time(full: Played) -> None:
    full.configure(full.shell("useless", "exit 1", when="health:disk", at_most=100, cool_down_s=60), at_most=1000)
    full.by_itself()
    full.by_itself()
    assert full.ran("useless") == 1  # within the cool-down
    for _ in range(3):
        an_hour_passes(full.base / "run/playbooks.emergency")
        full.by_itself()
    assert full.ran("useless") == 2
    (full.base / "disk/ballast").unlink()
    full.by_itself()
    assert [run.outcome for run in full.runs("useless")] == ["failed", "failed"] and full.actions() == {"useless": "held"}
    assert "it failed 2 times in a row" in full.findings()[0]["detail"]["reason"]


def test_killed_in_the_middle_it_counts_as_failed_there_too(full: Played) -> None:
    full.by_itself(code=-9, trace="playbook:carried-out")
    assert full.ran("room") == 1
    full.by_itself()
    assert [(run.outcome, "has died" in run.detail) for run in full.runs("room")] == [("failed", True)]


def test_what_was_remembered_and_cannot_be_read_stands_for_nothing_more(full: Played) -> None:
    (full.base / "run/playbooks.emergency").write_text('[{"id": 0')
    full.by_itself()
    assert full.ran("room") == 0


def test_without_a_place_to_remember_it_nothing_is_done_and_the_error_says_why(full: Played) -> None:
    del full.environment["RUNTIME_DIRECTORY"]
    assert "no room left on the disk" in full.by_itself(code=6).err
    assert full.ran("room") == 0


def test_other_troubles_wait(full: Played) -> None:
    full.configure(full.shell("other", "true", when="health:inodes"), full.shell("room", "true", when="health:disk"))
    full.by_itself()
    assert (full.ran("other"), full.ran("room")) == (0, 1)


def test_snapshots_can_be_removed_there_down_to_the_floor_and_no_further(full: Played) -> None:
    (full.base / "disk/ballast").unlink()
    for _ in range(3):
        full.autoops("backup", "snapshot", "--full", "--no-prune")
    fill(full.base / "disk")
    full.configure({"name": "prune", "when": "health:disk", "remedy": "prune-backups", "floor": 1, "verify": ["/bin/true"]})
    full.by_itself()
    assert len(list((full.state / "backups/snapshots").iterdir())) == 1
