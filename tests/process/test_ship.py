"""The ledger is shipped as it grows: by hand, and by the shipper."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from running import Suite

Make = Callable[..., Suite]


def ledger(suite: Suite) -> list[dict[str, Any]]:
    """Return the registry's ledger, as exported."""
    return [json.loads(line) for line in suite.run("export", "--format", "ledger").out.splitlines()]


def shipped(directory: Path) -> list[dict[str, Any]]:
    """Return what is in the open segment, in the form of an export."""
    lines = [json.loads(line) for path in sorted(directory.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    return [{key: line[key] for key in ("hash", "record", "signature")} for line in lines]


def segments(suite: Suite) -> Path:
    return suite.state / "backups" / "ledger"


# by hand


def test_the_ledger_is_shipped_by_hand_and_what_was_shipped_is_not_shipped_again(still: Suite) -> None:
    count = len(ledger(still))
    assert f"{count} commit(s) would be shipped" in still.run("backup", "ship", "--dry-run").out
    assert not segments(still).exists()
    answer = still.run("backup", "ship", "--json").json
    assert (answer["after"], answer["until"], answer["commits"]) == (0, count, count)
    assert shipped(segments(still)) == ledger(still)
    assert "nothing to ship" in still.run("backup", "ship").out
    (still.root / "b.txt").write_text("b\n")
    still.once()
    assert still.run("backup", "ship", "--json").json["after"] == count
    assert shipped(segments(still)) == ledger(still)
    assert {path.stat().st_mode & 0o777 for path in segments(still).iterdir()} == {0o600}


def test_a_submitted_patch_is_shipped_with_its_submission(still: Suite) -> None:
    (entry,) = still.export()
    patch = {"changes": {entry["id"]: {"tags": ["kept"]}}, "revs": {entry["id"]: entry["rev"]}, "reason": "for the test"}
    still.run("submit", "-", stdin=json.dumps(patch))
    still.once()
    still.run("backup", "ship")
    newest = json.loads((segments(still) / "000000000001.jsonl").read_bytes().splitlines()[-1])
    assert json.loads(newest["record"])["source"] == f"patch:{newest['submission']}"


def test_in_a_maintenance_window_nothing_is_shipped(still: Suite) -> None:
    (still.state / ".maintenance").touch()
    assert "paused" in still.run("backup", "ship", code=5).err
    (still.state / ".maintenance").unlink()
    assert not segments(still).exists()


def test_a_registry_that_was_put_back_to_an_older_state_ships_nothing_and_takes_nothing_away(still: Suite) -> None:
    shutil.copytree(still.state / "registry", still.base / "older")
    (still.root / "b.txt").write_text("b\n")
    still.once()
    still.run("backup", "ship")
    before = shipped(segments(still))
    shutil.copytree(still.state / "registry", still.base / "newer")
    put_back(still, still.base / "older")
    for option in ("--dry-run", "--json"):  # behind
        answer = still.run("backup", "ship", option, code=1)
        assert "is not the one that was shipped" in answer.err and "was shipped already" in answer.err and "RUNBOOK" in answer.err
    (still.root / "c.txt").write_text("c\n")
    still.once()
    (still.root / "d.txt").write_text("d\n")
    still.once()
    assert len(ledger(still)) >= len(before)
    assert "has hash" in still.run("backup", "ship", code=1).err  # another history
    assert shipped(segments(still)) == before
    put_back(still, still.base / "newer")
    assert "nothing to ship" in still.run("backup", "ship").out
    still.once()


def put_back(suite: Suite, registry: Path) -> None:
    """Put another registry directory in the place of a suite's."""
    shutil.rmtree(suite.state / "registry")
    shutil.copytree(registry, suite.state / "registry")


def test_damaged_segments_are_not_written_past(still: Suite) -> None:
    still.run("backup", "ship")
    path = segments(still) / "000000000001.jsonl"
    path.write_bytes(path.read_bytes()[:-9] + b"damaged!\n")
    before = path.read_bytes()
    (still.root / "b.txt").write_text("b\n")
    still.once()
    answer = still.run("backup", "ship", code=1)
    assert "cannot be trusted: 000000000001.jsonl" in answer.err and "hint" in answer.err
    assert path.read_bytes() == before


def test_a_backup_directory_that_is_not_there_is_an_error_that_says_so(still: Suite) -> None:
    still.configure([{"name": "tree"}], {"backup": {"directory": str(still.base / "disk")}})
    answer = still.run("backup", "ship", config=True, code=6)
    assert f"{still.base / 'disk'} cannot be written: No such file or directory" in answer.err and "mounted" in answer.err
    (still.base / "disk").mkdir()
    still.run("backup", "ship", config=True)
    assert shipped(still.base / "disk" / "ledger") == ledger(still)


def test_a_registry_that_cannot_be_read_is_an_error_that_says_so(still: Suite) -> None:
    with sqlite3.connect(still.state / "registry" / "registry.db") as con:
        con.execute("PRAGMA user_version = 99")
    assert "newer autoops" in still.run("backup", "ship", code=6).err
    with sqlite3.connect(still.state / "registry" / "registry.db") as con:
        con.execute("PRAGMA user_version = 1")
