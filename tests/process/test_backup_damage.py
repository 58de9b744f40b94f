"""Backups with one flipped bit, or an empty manifest: each is found, told, and neither built on nor counted as a good one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from running import Suite


@pytest.fixture
def three(still: Suite) -> tuple[str, str, str]:
    """A and B, full ones, and C, built on B a commit later."""
    a, b = snapshot(still), snapshot(still, "--full")
    commit(still, "late.txt")
    return a, b, snapshot(still)


def snapshot(suite: Suite, *more: str) -> str:
    return str(suite.run("backup", "snapshot", "--json", *more).json["name"])


def commit(suite: Suite, name: str) -> None:
    (suite.root / name).write_text(name)
    suite.once()


def path_of(suite: Suite, *parts: str) -> Path:
    return suite.state.joinpath("backups", *parts)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def listed(suite: Suite, code: int = 0) -> dict[str, dict[str, object]]:
    return {one["name"]: one for one in suite.run("backup", "list", "--json", code=code).json}


def health(suite: Suite) -> tuple[str, str]:
    checks = suite.run("health", "--json", code=None, config=True).json["checks"]
    return next((check["level"], check["text"]) for check in checks if check["name"] == "backup")


def test_on_a_full_one_with_a_flipped_bit_nothing_is_built_and_the_last_good_one_stays(
    still: Suite, three: tuple[str, str, str]
) -> None:
    a, b, c = three
    flip(path_of(still, "snapshots", b, "registry.db.zst"))
    told = still.run("backup", "snapshot", "--json")
    assert told.json["kind"] == "full" and told.json["pruned"] == [] and b in told.err
    there = listed(still, code=1)
    assert {name for name in there if there[name]["usable"]} == {a, told.json["name"]}
    assert list(there) == [a, b, c, told.json["name"]]
    level, said = health(still)
    assert level == "WARNING" and b in said
    assert still.run("backup", "snapshot", "--json").json["base"] == told.json["name"]


def test_what_verify_found_unsound_is_neither_built_on_nor_counted_until_it_is_good_again(
    still: Suite, three: tuple[str, str, str]
) -> None:
    a, b, _ = three
    path = path_of(still, "snapshots", b, "registry.db.zst")
    flip(path)
    still.run("backup", "verify", code=1)
    assert health(still)[0] == "WARNING" and b in health(still)[1]
    assert not listed(still, code=1)[b]["usable"]
    told = still.run("backup", "snapshot", "--json").json
    assert (told["kind"], told["pruned"]) == ("full", []) and listed(still, code=1)[a]["usable"]
    flip(path)
    still.run("backup", "verify", b)
    assert health(still)[0] == "OK" and all(one["usable"] for one in listed(still).values())


def test_before_a_full_one_is_removed_each_that_stays_is_read(still: Suite, three: tuple[str, str, str]) -> None:
    a, b, _ = three
    flip(path_of(still, "snapshots", b, "registry.db.zst"))
    assert still.run("backup", "prune", "--floor", "1", "--dry-run", "--json").json["pruned"] == []
    assert still.run("backup", "prune", "--floor", "1", "--json").json == {"dry_run": False, "kept": {a: ["last"]}, "pruned": []}
    assert health(still)[0] == "WARNING"


def empty(suite: Suite, name: str) -> None:
    path_of(suite, "snapshots", name, "manifest.json").write_bytes(b"")


def cut(suite: Suite, name: str) -> None:
    path_of(suite, "snapshots", name, "queue.db.zst").write_bytes(b"")


def hollow(suite: Suite, name: str) -> None:
    shutil.rmtree(path_of(suite, "snapshots", name))
    path_of(suite, "snapshots", name).mkdir()


@pytest.mark.parametrize("spoil", [empty, cut, hollow])
def test_verify_names_a_newest_one_that_cannot_be_used_and_the_drill_fails(
    still: Suite, three: tuple[str, str, str], spoil: Callable[[Suite, str], None]
) -> None:
    _, b, c = three
    spoil(still, c)
    for options in ((), ("--quick",), ("--all",)):
        told = still.run("backup", "verify", "--json", *options, code=1).json
        assert list(told["faults"]) == [c] and b in told["good"]
    assert f"{b}: good" in still.run("backup", "verify", code=1).out
    assert health(still)[0] == "WARNING" and c in health(still)[1]
    assert c in still.run("backup", "drill", config=True, code=1).out


def test_what_a_snapshot_finds_that_cannot_be_used_health_tells_until_it_is_removed(
    still: Suite, three: tuple[str, str, str]
) -> None:
    *_, c = three
    empty(still, c)
    snapshot(still)
    assert health(still)[0] == "WARNING" and c in health(still)[1]
    shutil.rmtree(path_of(still, "snapshots", c))
    snapshot(still)
    assert health(still)[0] == "OK"


def test_what_is_built_on_one_that_cannot_be_used_cannot_be_used_and_goes_when_that_is_gone(
    still: Suite, three: tuple[str, str, str]
) -> None:
    a, b, c = three
    empty(still, b)
    told = still.run("backup", "verify", "--json", code=1).json
    assert set(told["faults"]) == {b, c} and told["good"] == [a]
    there = listed(still, code=1)
    assert not there[c]["usable"] and f"what it is built on, {b}, cannot be used" in str(there[c]["fault"])
    still.run("backup", "prune")
    assert set(listed(still, code=1)) == {a, b, c}
    shutil.rmtree(path_of(still, "snapshots", b))
    assert "is not there. (goes with the next prune)" in still.run("backup", "list", code=1).err
    still.run("backup", "restore", "--snapshot", c, "--to", still.base / "back")
    assert still.run("backup", "prune", "--json").json["pruned"] == [c]
    assert set(listed(still)) == {a}


def test_without_any_snapshot_verify_has_nothing_to_do(still: Suite) -> None:
    for options in ((), ("--all",)):
        assert "there is no snapshot" in still.run("backup", "verify", *options, code=4).err


def test_without_any_that_can_be_used_nothing_is_removed(still: Suite, three: tuple[str, str, str]) -> None:
    a, b, c = three
    empty(still, a)
    shutil.rmtree(path_of(still, "snapshots", b))
    assert set(still.run("backup", "verify", "--json", code=1).json["faults"]) == {a, c}
    assert still.run("backup", "prune", "--json").json["pruned"] == []


@pytest.fixture
def shipped(still: Suite) -> Suite:
    """Six commits that were shipped, a full snapshot at the fifth, and damage in the second."""
    for number in range(4):
        commit(still, f"{number}.txt")
    snapshot(still)
    commit(still, "late.txt")
    still.run("backup", "ship")
    damage(still, 2)
    return still


def damage(suite: Suite, number: int) -> None:
    path = path_of(suite, "ledger", "000000000001.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    line = bytearray(lines[number - 1])
    line[len(line) // 2] ^= 1
    path.write_bytes(b"".join([*lines[: number - 1], bytes(line), *lines[number:]]))


def test_a_damaged_line_of_the_ledger_is_named_wherever_it_stands(shipped: Suite) -> None:
    for options in ((), ("--all",), ("--quick",)):
        told = shipped.run("backup", "verify", "--json", *options, code=1).json
        assert list(told["faults"]) == ["ledger"] and "000000000001.jsonl: line 2: " in told["faults"]["ledger"]
    assert "000000000001.jsonl: line 2: " in shipped.run("backup", "verify", code=1).out
    assert health(shipped)[0] == "WARNING" and "line 2" in health(shipped)[1]
    assert "line 2" in shipped.run("backup", "drill", config=True, code=1).out
    snapshot(shipped)  # it looks no further than the tail
    assert health(shipped)[0] == "WARNING"
    damage(shipped, 2)
    assert "ledger: good" in shipped.run("backup", "verify").out
    assert health(shipped)[0] == "OK"
    newest = len(path_of(shipped, "ledger", "000000000001.jsonl").read_bytes().splitlines())
    damage(shipped, newest)
    assert f"line {newest}: " in shipped.run("backup", "verify", code=1).out
    commit(shipped, "more.txt")
    assert "the last line: " in shipped.run("backup", "ship", code=1).err


def test_a_ledger_that_is_gone_is_found_by_its_checksums_alone(shipped: Suite) -> None:
    shutil.rmtree(path_of(shipped, "ledger"))
    assert "before commit" in shipped.run("backup", "verify", "--quick", code=1).out


def test_times_are_read_of_a_full_snapshot_where_the_ledger_before_it_is_damaged(shipped: Suite) -> None:
    at = [json.loads(line)["record"] for line in shipped.run("export", "--format", "ledger").out.splitlines()]
    times = [json.loads(record)["at"] for record in at]
    last = len(times)
    for number in (1, 2, last - 1):
        told = shipped.run("backup", "restore", "--at", times[number - 1], "--dry-run", "--json", "--to", shipped.base / "x").json
        assert told["sequence"] == number
    damage(shipped, last)
    told = shipped.run("backup", "restore", "--at", times[1], "--dry-run", "--json", "--to", shipped.base / "x").json
    assert told["sequence"] == 2
    answer = shipped.run("backup", "restore", "--at", "0s", "--dry-run", "--to", shipped.base / "x", code=1)
    assert f"line {last}: " in answer.err
