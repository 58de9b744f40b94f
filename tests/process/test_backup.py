"""`autoops backup snapshot|list|prune` on the state of a suite that runs, and with everything that can be wrong with it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import Suite, environment, program
from suites import tmpfs

from autoops.backup import manifest
from autoops.backup.manifest import Manifest
from autoops.backup.packing import unpack
from autoops.backup.place import MANIFEST, REGISTRY, SNAPSHOTS_LOCK, Place
from autoops.backup.retention import Keep
from autoops.backup.shelf import SCHEMAS, Shelf
from autoops.cli.backup_snapshots import prune_if_free
from autoops.cli.progress import Progress
from autoops.core.signing import Signer, Verifier

Make = Callable[..., Suite]


def place_of(suite: Suite) -> Place:
    return Place(suite.state / "backups")


def read(suite: Suite, name: str) -> Manifest:
    verifier = Verifier(bytes.fromhex((suite.state / "ledger.pub").read_text()))
    return manifest.read((place_of(suite).snapshot(name) / MANIFEST).read_bytes(), name, verifier, SCHEMAS)


def snapshot(suite: Suite, *more: str) -> str:
    return str(suite.run("backup", "snapshot", "--json", *more).json["name"])


def listed(suite: Suite, code: int = 0) -> list[dict[str, object]]:
    return list(suite.run("backup", "list", "--json", code=code).json)


def require_nothing_temporary(suite: Suite) -> None:
    assert not [path for path in place_of(suite).directory.rglob("*") if ".tmp" in path.name or path.name.startswith(".")]


def test_a_snapshot_of_a_running_suite_is_its_registry_and_the_second_one_is_the_ledger_since(suite: Suite) -> None:
    for number in range(30):
        (suite.root / f"{number}.txt").write_text(f"{number}\n")
    suite.idle()
    first = snapshot(suite)
    told = read(suite, first)
    assert (told.kind, told.base, told.entries, told.head.digest.hex()) == ("full", first, 30, suite.digest())
    back = suite.base / "back.db"
    unpack(place_of(suite).snapshot(first) / REGISTRY, back, told.files[REGISTRY], first)
    exported = suite.run("export").out
    other = suite.base / "other"
    (other / "registry").mkdir(parents=True)
    shutil.move(back, other / "registry" / "registry.db")
    assert (
        subprocess.run(
            ["sqlite3", str(other / "registry/registry.db"), "PRAGMA integrity_check"], capture_output=True, text=True
        ).stdout
        == "ok\n"
    )
    (suite.root / "new.txt").write_text("new\n")
    suite.idle()
    second = snapshot(suite)
    told = read(suite, second)
    assert (told.kind, told.base, told.entries, told.head.digest.hex()) == ("incremental", first, 31, suite.digest())
    assert REGISTRY not in told.files
    assert exported != suite.run("export").out
    assert [one["kind"] for one in listed(suite)] == ["full", "incremental"]
    assert read(suite, snapshot(suite, "--full")).kind == "full"
    require_nothing_temporary(suite)


def test_without_the_key_or_a_registry_there_is_a_clear_error_and_no_snapshot(still: Suite) -> None:
    key = still.state / "ledger.key"
    kept = key.read_bytes()
    key.unlink()
    assert "ledger.key" in still.run("backup", "snapshot", code=6).err
    key.write_bytes(bytes(32))
    assert "but the key at hand is" in still.run("backup", "snapshot", code=6).err
    key.write_bytes(kept)
    assert listed(still) == []
    shutil.move(still.state / "registry", still.base / "away")
    assert still.run("backup", "snapshot", code=6).err
    shutil.move(still.base / "away", still.state / "registry")
    snapshot(still)


def test_a_registry_that_was_edited_or_damaged_is_never_taken_for_good(still: Suite) -> None:
    snapshot(still)
    registry = still.state / "registry/registry.db"
    subprocess.run(["sqlite3", registry, "UPDATE entry SET size_bytes = 4711"], check=True)
    answer = still.run("backup", "snapshot", code=1)
    assert "changed past the ledger" in answer.err and "autoops verify" in answer.err
    assert len(listed(still)) == 1
    require_nothing_temporary(still)
    subprocess.run(["sqlite3", registry, "UPDATE entry SET size_bytes = 2"], check=True)
    snapshot(still)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b'"entries":1', b'"entries":2')), "not what was signed"),
        (lambda path: path.unlink(), "cannot be read"),
    ],
)
def test_a_spoiled_snapshot_is_listed_as_such_and_is_neither_built_on_nor_pruned(
    still: Suite, spoil: Callable[[Path], object], said: str
) -> None:
    first = snapshot(still)
    spoil(place_of(still).snapshot(first) / MANIFEST)
    answer = still.run("backup", "list", code=1)
    assert first in answer.err and said in answer.err
    assert read(still, snapshot(still)).kind == "full"
    still.run("backup", "prune")
    assert [one["usable"] for one in listed(still, code=1)] == [False, True]


def test_a_snapshot_of_another_key_or_a_later_program_says_so(still: Suite) -> None:
    first = snapshot(still)
    told, path = read(still, first), place_of(still).snapshot(first) / MANIFEST
    stranger = Signer(bytes(range(32)))
    foreign = told._replace(public_key=stranger.public.hex())
    path.write_text(manifest.text(foreign, stranger.sign(manifest.signed_bytes(foreign))))
    assert "is signed by the key" in still.run("backup", "list", code=1).err
    own = Signer((still.state / "ledger.key").read_bytes())
    later = told._replace(schemas={**told.schemas, "registry": 99}, version="9.9")
    path.write_text(manifest.text(later, own.sign(manifest.signed_bytes(later))))
    assert "written by a later program, autoops 9.9" in still.run("backup", "list", code=1).err


def test_prune_keeps_what_the_configuration_says_and_what_that_is_built_on(make_suite: Make) -> None:
    suite = make_suite(tables={"backup": {"keep_last": 2, "keep_hourly": 0, "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0}})
    (suite.root / "a.txt").write_text("a\n")
    suite.once()
    names = [snapshot(suite, "--no-prune") for _ in range(4)]
    told = suite.run("backup", "prune", "--dry-run", "--json", config=True).json
    assert told["pruned"] == [names[1]] and set(told["kept"]) == {names[0], *names[2:]}
    assert len(listed(suite)) == 4
    suite.run("backup", "prune", config=True)
    assert [one["name"] for one in listed(suite)] == [names[0], *names[2:]]


def test_two_at_once_wait_for_each_other(suite: Suite) -> None:
    command = ["backup", "snapshot", "--state", str(suite.state)]
    both = [subprocess.Popen([*program(), *command], env=environment()) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    assert len(listed(suite)) == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with tmpfs(tmp_path / "disk", "700k") as disk:
        yield disk


def test_a_full_disk_leaves_the_last_good_snapshot_and_nothing_of_the_new_one(make_suite: Make, small_disk: Path) -> None:
    suite = make_suite(tables={"backup": {"directory": str(small_disk)}})
    for number in range(40):
        (suite.root / f"{number}.bin").write_bytes(os.urandom(400))
    suite.once()
    suite.run("backup", "snapshot", config=True)
    before = json.loads(suite.run("backup", "list", "--json", config=True).out)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(max(0, _free(small_disk) - 200_000)))
    answer = suite.run("backup", "snapshot", "--full", config=True, code=6)
    assert "No space left" in answer.err or "no room" in answer.err, answer.err
    assert json.loads(suite.run("backup", "list", "--json", config=True).out) == before
    assert not list((small_disk / "snapshots").glob(".*"))
    filler.unlink()
    suite.run("backup", "snapshot", config=True)
    assert len(json.loads(suite.run("backup", "list", "--json", config=True).out)) == 2


def _free(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def test_hooks_are_run_around_a_snapshot_and_a_failed_one_says_what_it_means(make_suite: Make, tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    suite = make_suite(tables={"backup": {"hooks": str(hooks)}})
    (suite.root / "a.txt").write_text("a\n")
    suite.once()
    for when in ("pre", "post"):
        (hooks / f"{when}-snapshot.d").mkdir(parents=True)
        hook = hooks / f"{when}-snapshot.d" / "10-note"
        hook.write_text(f'#!/bin/sh\necho "$AUTOOPS_HOOK $AUTOOPS_SNAPSHOT $AUTOOPS_SNAPSHOT_PATH" >>{tmp_path}/said\n')
        hook.chmod(0o700)
    name = suite.run("backup", "snapshot", "--json", config=True).json["name"]
    assert (tmp_path / "said").read_text().split() == ["pre", name, "post", name, str(place_of(suite).snapshot(name))]
    bad = hooks / "post-snapshot.d" / "20-bad"
    bad.write_text("#!/bin/sh\necho no volume >&2; exit 3\n")
    bad.chmod(0o700)
    answer = suite.run("backup", "snapshot", config=True, code=1)
    assert "the snapshot is good, but" in answer.err and "no volume" in answer.err and len(listed(suite)) == 2
    bad.rename(hooks / "pre-snapshot.d" / "20-bad")
    assert "no volume" in suite.run("backup", "snapshot", config=True, code=1).err
    assert len(listed(suite)) == 2


def test_the_ledger_is_shipped_while_a_snapshot_is_taken_and_a_second_snapshot_waits(still: Suite) -> None:
    snapshot(still)
    (still.root / "b.txt").write_text("b\n")
    still.once()
    with (place_of(still).directory / SNAPSHOTS_LOCK).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "shipped to" in still.run("backup", "ship").out
        assert "is at work in" in still.run("backup", "snapshot", code=4).err
    snapshot(still)


def test_a_snapshot_that_cannot_prune_because_another_is_taken_is_good(still: Suite) -> None:
    shelf = Shelf(place_of(still), Verifier(bytes.fromhex((still.state / "ledger.pub").read_text())))
    names = [snapshot(still, "--full", "--no-prune") for _ in range(2)]
    with (place_of(still).directory / SNAPSHOTS_LOCK).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert prune_if_free(shelf, Keep(1, 0, 0, 0, 0), Progress()) == []
    assert shelf.names() == names
    assert [one.name for one in prune_if_free(shelf, Keep(1, 0, 0, 0, 0), Progress())] == names[:1]


def test_what_is_committed_and_shipped_while_a_snapshot_is_taken_is_no_fork(still: Suite) -> None:
    snapshot(still)
    command = [*program(), "backup", "snapshot", "--json", "--state", str(still.state)]
    with subprocess.Popen(command, env=environment(AUTOOPS_TRACE="freeze:snapshot:copied"), stdout=subprocess.PIPE) as taking:
        still.until(lambda: Path(f"/proc/{taking.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "it is frozen")
        (still.root / "since.txt").write_text("since\n")
        still.once()
        still.run("backup", "ship")
        taking.send_signal(signal.SIGCONT)
        told = json.loads(taking.communicate()[0])
    assert taking.returncode == 0 and told["entries"] == 1
    still.run("backup", "verify", "--all")
    assert read(still, snapshot(still)).entries == 2
