"""`autoops backup restore`: an older state is put back exactly, in place or elsewhere, or there is a clear error and all stays."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from running import Answer, Suite, environment, program

from autoops.backup import manifest
from autoops.backup.place import MANIFEST, Place
from autoops.backup.segments import Segments
from autoops.backup.shelf import SCHEMAS, Shelf
from autoops.core.canonical import entry_text
from autoops.core.signing import Signer, Verifier
from autoops.state import State
from autoops.store.records import said_by
from autoops.store.registry import Registry

Make = Callable[..., Suite]


class Then(NamedTuple):
    """What was exported after a commit, and when that was."""

    sequence: int
    export: str
    digest: str
    at: str


def now(suite: Suite, state: Path | None = None) -> Then:
    """Return what a registry is."""
    with closing(Registry.open(State(state or suite.state).registry_db)) as registry:
        head = registry.head()
        (record,) = registry.records(head.sequence - 1)
        text = "".join(entry_text(entry) + "\n" for entry in registry.entries())
    return Then(head.sequence, text, head.digest.hex(), said_by(record).at)


def run(suite: Suite, *arguments: object, code: int | None = 0) -> Answer:
    """Run a command on the suite's state, or on another one that is named."""
    if "--state" not in arguments:
        return suite.run(*arguments, code=code)
    done = subprocess.run([*program(), *map(str, arguments)], capture_output=True, text=True, env=environment(), timeout=120)
    assert code is None or done.returncode == code, (done.returncode, arguments, done.stdout[-2000:], done.stderr[-2000:])
    return Answer(done.returncode, done.stdout, done.stderr)


def lived(suite: Suite) -> list[Then]:
    """Have a few things happen, with a snapshot in between; all of it is shipped. Nothing runs."""
    seen = []
    for number in range(4):
        (suite.root / f"file-{number}").write_text(f"{number}\n")
        (suite.root / "grows").write_text(f"{number}\n" * (number + 1))
        if number == 2:
            (suite.root / "file-0").rename(suite.root / "moved")
            (suite.root / "file-1").unlink()
        suite.once()
        seen.append(now(suite))
        if number in (1, 2):
            suite.run("backup", "snapshot")
    suite.run("backup", "ship")
    return seen


@pytest.fixture(scope="module")
def lived_once(make_shared: Make) -> tuple[Suite, list[Then]]:
    suite = make_shared()
    seen = lived(suite)
    shutil.copytree(suite.state, suite.base / "kept", ignore=shutil.ignore_patterns("*.sock"))
    return suite, seen


@pytest.fixture
def past(lived_once: tuple[Suite, list[Then]]) -> Iterator[tuple[Suite, list[Then]]]:
    """The same state directory for each test; what a test adds to the tree goes."""
    suite, _ = lived_once
    there = set(suite.root.iterdir())
    yield lived_once
    suite.kill("watcher", "worker")
    shutil.rmtree(suite.state)
    shutil.copytree(suite.base / "kept", suite.state)
    for path in set(suite.root.iterdir()) - there:
        path.unlink()
    for path in suite.base.iterdir():
        if path.name not in ("state", "kept", "tree", "log", "autoops.toml"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def files_of(directory: Path) -> dict[str, str]:
    """Return what is in every file of a directory, but the marks that SQLite makes for readers."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal", ".guard", ".lock")) and path.name != "lock"
    }


def notes(suite: Suite) -> list[str]:
    records = [json.loads(json.loads(line)["record"]) for line in suite.run("export", "--format", "ledger").out.splitlines()]
    return [record["reason"] for record in records if not record["patches"]]


# the way back


def test_each_commit_is_put_back_in_place_exactly_and_life_goes_on(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    for then in reversed(seen):  # each of them is in what was shipped of the one before
        answer = suite.run("backup", "restore", "--seq", then.sequence)
        assert f"commit {then.sequence}," in answer.out and "kept: " in answer.out
        assert now(suite) == then
        suite.run("verify")
    suite.start()
    suite.idle()
    suite.require_disk_registered()
    assert [f"commit {seen[0].sequence};" in reason for reason in notes(suite)][-1]
    suite.stop()


def test_each_commit_is_made_elsewhere_and_nothing_here_is_touched(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    last = seen[-1].sequence
    known = {then.sequence: then for then in seen}
    before = files_of(suite.state)
    for sequence in range(1, last + 1):
        target = suite.base / f"to-{sequence}"
        suite.run("backup", "restore", "--seq", sequence, "--to", target)
        there = now(suite, target)
        assert there.sequence == sequence and there == known.get(sequence, there)
        if sequence in known:
            run(suite, "verify", "--state", target)
    assert files_of(suite.state) == before
    assert oct((suite.base / "to-1").stat().st_mode)[-3:] == "700"
    shutil.copy(suite.state / "ledger.key", suite.base / f"to-{last}")
    run(suite, "up", "--once", "--root", suite.root, "--state", suite.base / f"to-{last}")
    run(suite, "verify", "--deep", "--root", suite.root, "--state", suite.base / f"to-{last}")
    run(suite, "backup", "list", "--state", suite.base / f"to-{last}")


def test_the_latest_and_a_snapshot_and_a_time_name_a_commit(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past

    def restored(*which: str) -> int:
        target = suite.base / "there"
        answer = suite.run("backup", "restore", *which, "--to", target, "--json").json
        shutil.rmtree(target)
        return int(answer["sequence"])

    assert restored("--latest") == seen[-1].sequence
    names = [one["name"] for one in suite.run("backup", "list", "--json").json]
    assert [restored("--snapshot", name) for name in names] == [seen[1].sequence, seen[2].sequence]
    for then in seen:
        assert restored("--at", then.at) == then.sequence
        assert restored("--at", then.at.replace("Z", "+00:00")) == then.sequence
    suite.environment["TZ"] = "Asia/Tokyo"  # a time without a zone is one of the ledger, wherever one is
    assert restored("--at", seen[1].at.removesuffix("Z")) == seen[1].sequence
    del suite.environment["TZ"]


def test_what_is_restored_while_paused_is_what_the_services_go_on_with(make_suite: Make) -> None:
    suite = make_suite()
    (suite.root / "a").write_text("a\n")
    suite.start()
    suite.idle()
    suite.run("backup", "snapshot")
    then = now(suite)
    (suite.root / "b").write_text("b\n")
    suite.idle()
    suite.run("backup", "ship")
    suite.run("pause", "--no-snapshot")
    (suite.root / "c").write_text("c\n")
    answer = suite.run("backup", "restore", "--seq", then.sequence)
    assert "autoops reconcile --report" in answer.out
    assert now(suite) == then
    suite.run("resume")
    suite.until(lambda: len(suite.active()) == 3, "the scan has taken up the rest")
    suite.idle()
    suite.require_disk_registered()
    assert len(notes(suite)) == 1


def test_a_frozen_worker_that_no_longer_is_in_the_queue_is_noticed_too(past: tuple[Suite, list[Then]]) -> None:
    suite, _ = past
    suite.start("worker")
    shutil.rmtree(suite.state / "queue")
    answer = suite.run("backup", "restore", "--latest", code=4)
    assert "a worker (process" in answer.err
    suite.kill("worker")
    suite.run("backup", "restore", "--latest")


# what is gone, or damaged, of the state


def test_a_registry_that_is_gone_comes_back(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    shutil.rmtree(suite.state / "registry")
    suite.run("backup", "restore", "--latest")
    assert now(suite) == seen[-1]
    assert (suite.state / "registry").stat().st_mode & 0o777 == 0o700
    lines = (suite.state / "registry" / "checkpoints.jsonl").read_text().splitlines()
    assert len(lines) > 0 and json.loads(lines[-1])["sequence"] <= seen[2].sequence  # of the newest snapshot
    suite.start()
    suite.idle()


def test_a_disk_that_is_gone_comes_back_from_another_one(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    elsewhere, key = suite.base / "elsewhere", suite.base / "saved.pub"
    shutil.move(suite.state / "backups", elsewhere)
    shutil.copy(suite.state / "ledger.pub", key)
    private = (suite.state / "ledger.key").read_bytes()
    shutil.rmtree(suite.state)
    answer = suite.run("backup", "restore", "--latest", "--from", elsewhere, code=3)
    assert "ledger.pub" in answer.err
    suite.run("backup", "restore", "--latest", "--from", elsewhere, "--public-key", key)
    assert now(suite) == seen[-1]
    assert (suite.state / "ledger.pub").read_text() == key.read_text()
    shutil.rmtree(suite.state)
    suite.state.mkdir()
    (suite.state / "ledger.key").write_bytes(private)
    (suite.state / "ledger.key").chmod(0o600)
    suite.run("backup", "restore", "--latest", "--from", elsewhere)  # who has the private key knows the public one
    assert now(suite) == seen[-1] and (suite.state / "ledger.pub").read_text() == key.read_text()
    suite.start()
    suite.idle()
    suite.stop()
    suite.run("backup", "ship")  # into the state's own directory, from the first commit on
    assert "up to commit" in suite.run("backup", "ship").out


def lose(suite: Suite, how: str) -> None:
    for path in (suite.state / "registry").glob("registry.db*"):
        path.unlink()
    if how == "empty":
        (suite.state / "registry" / "registry.db").touch()


@pytest.mark.parametrize(("how", "said"), [("gone", "does not exist"), ("empty", "is empty")])
def test_no_empty_registry_takes_the_place_of_one_that_is_lost(past: tuple[Suite, list[Then]], how: str, said: str) -> None:
    suite, seen = past
    lose(suite, how)
    for command in (("status",), ("verify",), ("list",), ("backup", "snapshot")):
        answer = suite.run(*command, code=6)
        assert f"registry.db {said}" in answer.err and "autoops-backup restore --latest brings it back" in answer.err
        assert "migrate" not in answer.err
    for command in (("migrate",), ("migrate", "--dry-run")):
        answer = suite.run(*command, code=4)
        assert f"registry.db {said}, but there was a registry: " in answer.err and "restore --latest" in answer.err
    run(suite, "up", "--once", "--root", suite.root, "--state", suite.state, code=4)
    assert (suite.state / "registry" / "registry.db").exists() == (how == "empty")
    suite.run("backup", "restore", "--latest")
    assert now(suite) == seen[-1]
    assert "nothing to do" in suite.run("migrate").out


def test_backups_in_another_place_show_that_there_was_a_registry_and_those_of_another_key_do_not(make_suite: Make) -> None:
    suite = make_suite()
    elsewhere = suite.base / "elsewhere"
    elsewhere.mkdir()
    suite.configure([{"name": "tree", "path": str(suite.root)}], {"backup": {"directory": str(elsewhere)}})
    (suite.root / "a").write_text("a\n")
    suite.once()
    suite.run("backup", "snapshot")
    then = now(suite)
    running = (suite.state / "registry" / "running.toml").read_text()
    shutil.rmtree(suite.state / "registry")
    (suite.state / "registry").mkdir()
    (suite.state / "registry" / "running.toml").write_text(running)
    answer = suite.run("migrate", code=4)
    assert str(elsewhere) in answer.err
    for command in ("list", "status", "verify"):
        assert "autoops-backup restore --latest brings it back" in suite.run(command, code=6).err
    suite.state.rename(suite.base / "aside")  # to begin anew
    suite.once()
    other = now(suite)
    assert other.sequence > 0
    shutil.rmtree(suite.state)
    (suite.base / "aside").rename(suite.state)
    suite.run("backup", "restore", "--latest", "--config", suite.config)
    assert now(suite) == then


def test_a_state_that_never_had_a_commit_gets_its_registry_whatever_became_of_the_first_one(make_suite: Make) -> None:
    suite = make_suite()
    assert "registry.db: it does not exist; would be made" in suite.run("migrate", "--dry-run").out
    suite.run("migrate")
    lose(suite, "empty")
    assert "registry.db: it is empty; would be made" in suite.run("migrate", "--dry-run").out
    assert "registry.db: made" in suite.run("migrate").out
    lose(suite, "gone")
    assert "autoops migrate makes it" in suite.run("list", code=6).err
    suite.once()


@pytest.mark.parametrize("gone", ["missing", "nonsense", "suspect"])
def test_a_queue_that_does_not_open_is_put_back_with_what_was_acknowledged(past: tuple[Suite, list[Then]], gone: str) -> None:
    suite, seen = past
    entry = suite.entry("grows")
    patch = json.dumps({"changes": {entry["id"]: {"tags": ["kept"]}}, "revs": {entry["id"]: entry["rev"]}})
    queue = suite.state / "queue" / "queue.db"
    suite.run("submit", "-", stdin=patch)
    if gone == "missing":
        shutil.rmtree(queue.parent)
    elif gone == "nonsense":
        with closing(sqlite3.connect(queue)) as con:
            con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = bytearray(queue.read_bytes())
        size = int.from_bytes(content[16:18])
        with closing(sqlite3.connect(queue)) as con:
            (page,) = con.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'heartbeat'").fetchone()
        content[(page - 1) * size : page * size] = os.urandom(size)
        queue.write_bytes(content)
    else:
        queue.with_name("queue.db.suspect").write_text("{}\n")
    answer = suite.run("backup", "restore", "--latest")
    assert "queue.db: " in answer.out
    assert now(suite) == seen[-1]
    suite.start()
    suite.idle()
    assert suite.entry("grows")["tags"] == ([] if gone == "missing" else ["kept"])
    assert list(queue.parent.glob("queue.db.before-*")) or gone == "missing"


def test_what_is_in_the_wal_of_a_killed_worker_is_kept_too(make_suite: Make) -> None:
    suite = make_suite(tables={"describe": {"enabled": False}})
    (suite.root / "a").write_text("a\n")
    suite.once()
    suite.run("backup", "snapshot")
    then = now(suite)
    suite.start("worker", "watcher")
    (suite.root / "b").write_text("b\n")
    suite.idle()
    suite.kill()
    after = now(suite)
    suite.run("backup", "restore", "--latest")
    assert now(suite) == then
    (kept,) = (suite.state / "registry").glob("registry.db.before-*")
    with closing(sqlite3.connect(kept)) as con:
        assert con.execute("SELECT max(sequence) FROM ledger").fetchone() == (after.sequence,)
    suite.once()


# two histories


def test_what_is_left_is_kept_and_can_be_gone_back_to(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    answer = suite.run("backup", "restore", "--seq", seen[1].sequence, "--json").json
    abandoned = Path(answer["abandoned"])
    assert answer["left"] == seen[-1].sequence and abandoned.parent == suite.state / "backups" / "abandoned"
    listed = suite.run("backup", "list", "--json").json
    assert [one["sequence"] for one in listed] == [seen[1].sequence]
    (suite.root / "other").write_text("another history\n")
    suite.once()
    suite.run("backup", "ship")  # goes on where the histories part
    suite.run("backup", "snapshot")
    other = now(suite)
    assert notes(suite)[-1].endswith(f"; abandoned: commit {seen[-1].sequence}, {head_of(seen[-1], abandoned)}")
    suite.run("backup", "restore", "--latest", "--from", abandoned)
    assert now(suite) == seen[-1]
    suite.once()
    suite.run("backup", "ship")
    suite.run("backup", "snapshot")
    (newer,) = (path for path in (suite.state / "backups" / "abandoned").iterdir() if path != abandoned)
    suite.run("backup", "restore", "--latest", "--from", newer, "--to", suite.base / "back")
    assert now(suite, suite.base / "back") == other


def head_of(then: Then, place: Path) -> str:
    (record,) = Segments(Place(place).ledger).records(then.sequence - 1, then.sequence)
    return record.hash.hex()


def test_no_id_that_was_given_in_a_history_that_was_left_is_given_again(make_suite: Make) -> None:
    suite = make_suite()
    (suite.root / "a").write_text("a\n")
    suite.once()
    suite.run("backup", "ship")
    then = now(suite)
    for number in range(20):
        (suite.root / f"gone-{number}").write_text(f"{number}\n")
    suite.once()
    left = {entry["id"] for entry in suite.export()}
    for path in suite.root.glob("gone-*"):
        path.unlink()
    suite.run("backup", "restore", "--seq", then.sequence)
    (suite.root / "new").write_text("new\n")
    suite.once()
    assert suite.entry("new")["id"] not in left
    suite.run("backup", "ship")
    shutil.rmtree(suite.state / "registry")  # and not after another restore either
    suite.run("backup", "restore", "--seq", then.sequence)
    (suite.root / "newer").write_text("newer\n")
    suite.once()
    assert suite.entry("newer")["id"] not in left | {suite.entry("new")["id"]}


def test_the_open_segment_that_was_kept_does_not_grow_with_the_new_history(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    place = Path(suite.run("backup", "restore", "--seq", seen[0].sequence, "--json").json["abandoned"])
    kept = files_of(place)
    (suite.root / "more").write_text("more\n")
    suite.once()
    suite.run("backup", "ship")
    suite.run("backup", "prune")
    assert files_of(place) == kept


# errors


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "give one of --latest"),
        (["--latest", "--seq", "1"], 2, "got --latest and --seq"),
        (["--seq", "0"], 2, "the first one is commit 1"),
        (["--seq", "-3"], 2, "the first one is commit 1"),
        (["--seq", "4711"], 4, "there is no commit 4711"),
        (["--seq", "one"], 2, "not a valid int"),
        (["--snapshot", "nobody"], 4, "there is no snapshot nobody"),
        (["--snapshot", "../../registry"], 4, "there is no snapshot"),
        (["--at", "yesterday"], 2, "is no time"),
        (["--at", "1999-12-31T23:59:59"], 4, "the first commit in"),
        (["--at", "2999-01-01"], 4, "is yet to come"),
        (["--at", "99999999999999d"], 2, "is no time"),
        (["--latest", "--from", "/nowhere"], 4, "/nowhere does not exist"),
        (["--latest", "--public-key", "/nowhere"], 3, "/nowhere"),
    ],
)
def test_what_cannot_be_restored_is_told_and_nothing_is_touched(
    past: tuple[Suite, list[Then]], arguments: list[str], code: int, said: str
) -> None:
    suite, seen = past
    before = files_of(suite.state)
    answer = suite.run("backup", "restore", *arguments, code=code)
    assert said in answer.err and "Traceback" not in answer.err, answer.err
    assert "--snapshot" in arguments or "snapshot takes one" not in answer.err  # that helps nobody there
    assert files_of(suite.state) == before and now(suite) == seen[-1]


def test_a_dry_run_says_what_it_would_do_and_does_nothing(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    before = files_of(suite.state)
    answer = suite.run("backup", "restore", "--seq", seen[1].sequence, "--dry-run")
    assert f"commit {seen[1].sequence}" in answer.out and "registry.db" in answer.out
    assert suite.run("backup", "restore", "--latest", "--dry-run", "--json").json["sequence"] == seen[-1].sequence
    suite.run("backup", "restore", "--latest", "--dry-run", "--to", suite.base / "not-made")
    assert not (suite.base / "not-made").exists()
    assert files_of(suite.state) == before


def test_a_directory_that_holds_something_is_not_restored_into(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    (suite.base / "full").mkdir()
    (suite.base / "full" / "mine").write_text("mine\n")
    (suite.base / "file").write_text("mine\n")
    (suite.base / "link").symlink_to("full")
    for name in ("full", "file", "link", "no/such/parent"):
        assert "Refused" in suite.run("backup", "restore", "--latest", "--to", suite.base / name, code=4).err
    assert (suite.base / "full" / "mine").read_text() == "mine\n"
    (suite.base / "empty").mkdir()
    suite.run("backup", "restore", "--latest", "--to", suite.base / "empty")
    assert now(suite, suite.base / "empty") == seen[-1]


def test_a_directory_in_a_watched_root_is_not_restored_into(past: tuple[Suite, list[Then]]) -> None:
    suite, _ = past
    (suite.base / "link").symlink_to(suite.root)
    for target in (suite.root, suite.root / "back", suite.base / "link" / "back"):
        for more in ([], ["--dry-run"]):
            answer = suite.run("backup", "restore", "--latest", "--to", target, *more, config=True, code=4)
            assert f"{target} lies in the watched root tree" in answer.err
    assert not (suite.root / "back").exists()


def spoil(suite: Suite, change: Callable[[Any, Path], object]) -> None:
    """Change every manifest, signed again."""
    place = Place(suite.state / "backups")
    verifier = Verifier(bytes.fromhex((suite.state / "ledger.pub").read_text()))
    for one in Shelf(place, verifier).good():
        change(one, place.snapshot(one.name) / MANIFEST)


def test_backups_of_another_key_are_not_this_registrys(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    stranger = Signer(bytes(32))
    (suite.base / "stranger.pub").write_text(stranger.public.hex())
    answer = suite.run("backup", "restore", "--latest", "--public-key", suite.base / "stranger.pub", code=6)
    assert "is signed by the key" in answer.err
    answer = suite.run(
        "backup", "restore", "--latest", "--public-key", suite.base / "stranger.pub", "--to", suite.base / "x", code=4
    )
    assert "is signed by the key" in answer.err and not (suite.base / "x").exists()

    def foreign(one: Any, path: Path) -> None:
        forged = one._replace(public_key=stranger.public.hex())
        path.write_text(manifest.text(forged, stranger.sign(manifest.signed_bytes(forged))))

    spoil(suite, foreign)
    shutil.rmtree(suite.state / "backups" / "ledger")
    assert "is signed by the key" in suite.run("backup", "restore", "--latest", code=4).err
    assert now(suite) == seen[-1]


def test_backups_of_a_later_program_are_refused_with_what_to_do(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    own = Signer((suite.state / "ledger.key").read_bytes())

    def later(one: Any, path: Path) -> None:
        forged = one._replace(schemas={**SCHEMAS, "registry": 99}, version="9.9")
        path.write_text(manifest.text(forged, own.sign(manifest.signed_bytes(forged))))

    spoil(suite, later)
    shutil.rmtree(suite.state / "backups" / "ledger")
    answer = suite.run("backup", "restore", "--latest", code=4)
    assert "autoops 9.9" in answer.err and "upgrade autoops" in answer.err
    assert now(suite) == seen[-1]


@pytest.mark.parametrize("what", ["empty", "truncated", "flipped"])
def test_a_damaged_snapshot_is_told_of_and_another_way_is_taken(past: tuple[Suite, list[Then]], what: str) -> None:
    suite, seen = past
    for path in (suite.state / "backups" / "snapshots").rglob("registry.db.zst"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes({"empty": b"", "truncated": content[:-7], "flipped": content}[what])
    answer = suite.run("backup", "restore", "--latest")
    assert "not used: " in answer.err
    assert now(suite) == seen[-1]


def flipped(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("knows", ["checkpoints", "a damaged line alone"])
def test_commits_that_are_known_of_and_cannot_be_made_are_told_of(past: tuple[Suite, list[Then]], knows: str) -> None:
    suite, seen = past
    last = seen[-1].sequence
    (segment,) = (suite.state / "backups" / "ledger").glob("*.jsonl")
    flipped(segment, -300)
    lose(suite, "gone")
    if knows != "checkpoints":
        (suite.state / "registry" / "checkpoints.jsonl").unlink()
    for more in (["--dry-run"], ["--to", suite.base / "elsewhere"], []):
        answer = suite.run("backup", "restore", "--latest", *more, code=1)
        assert f"commit {last}: nothing says of which entries" in answer.err and "autoops-backup recover" in answer.err
    assert now(suite).sequence == last - 1


def test_what_was_not_shipped_yet_is_not_missing_while_the_registry_has_it(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    (suite.root / "unshipped").write_text("u\n")
    suite.once()
    later = now(suite)
    suite.run("backup", "restore", "--latest", "--to", suite.base / "elsewhere")
    answer = suite.run("backup", "restore", "--latest")
    first = seen[-1].sequence + 1
    assert f"abandoned: commit{f's {first} to' if first < later.sequence else ''} {later.sequence}\n" in answer.out


def test_a_time_after_the_last_commit_is_that_commit_in_words_and_one_to_come_is_refused(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    suite.until(lambda: time.time() > datetime.fromisoformat(seen[-1].at).timestamp() + 1, "a second without a commit")
    answer = suite.run("backup", "restore", "--at", "0s", "--to", suite.base / "there", "--json")
    assert answer.json["sequence"] == seen[-1].sequence
    assert f"no commit was shipped between {seen[-1].at}, that of commit {seen[-1].sequence}, and " in answer.err
    assert "no commit was shipped" not in suite.run("backup", "restore", "--at", seen[1].at, "--dry-run").err


def test_the_history_that_is_left_is_named_from_where_it_parts(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    first, last = seen[0].sequence, seen[-1].sequence
    answer = suite.run("backup", "restore", "--seq", first, "--json").json
    (suite.root / "other").write_text("another history\n")
    suite.once()
    other = now(suite)
    out = suite.run("backup", "restore", "--latest", "--from", answer["abandoned"]).out
    assert f"abandoned: commits {first + 1} to {other.sequence}\n" in out
    suite.run("backup", "ship")
    lose(suite, "gone")
    out = suite.run("backup", "restore", "--seq", first).out
    assert f"abandoned: commits {first + 1} to {last}\n" in out and "the backups as they were: " in out
    suite.once()
    assert any(f"; abandoned: commit {last}, " in reason for reason in notes(suite))


def test_a_dry_run_says_that_it_would_be_refused_and_that_nothing_is_there_to_keep(past: tuple[Suite, list[Then]]) -> None:
    suite, _ = past
    suite.start("worker", "watcher", "tailer")
    answer = suite.run("backup", "restore", "--latest", "--dry-run", code=4)
    assert "which would be kept" in answer.out
    assert re.search(
        r"autoops-\w+ \(process \d+\), autoops-\w+ \(process \d+\) and autoops-\w+ \(process \d+\) are at work", answer.err
    )
    suite.run("backup", "restore", "--latest", "--dry-run", "--to", suite.base / "there")
    suite.stop()
    lose(suite, "gone")
    answer = suite.run("backup", "restore", "--latest", "--dry-run")
    assert "which is not there now" in answer.out and "kept" not in answer.out


def test_recovery_takes_the_backups_that_are_named(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    shutil.move(suite.state / "backups", suite.base / "elsewhere")
    lose(suite, "gone")
    assert "does not exist" in suite.run("backup", "recover", "--from", "/nowhere", code=4).err
    suite.run("backup", "recover", "--from", suite.base / "elsewhere")
    assert now(suite) == seen[-1]


def test_without_any_backup_there_is_a_clear_error(still: Suite) -> None:
    answer = still.run("backup", "restore", "--latest", code=4)
    assert "there is no" in answer.err and "autoops-backup snapshot" in answer.err


def test_somebody_who_has_the_registry_open_is_waited_for_and_then_told_of(past: tuple[Suite, list[Then]]) -> None:
    suite, seen = past
    with closing(sqlite3.connect(suite.state / "registry" / "registry.db", isolation_level=None)) as con:
        con.execute("INSERT INTO meta VALUES ('x', 1)")
        con.execute("DELETE FROM meta WHERE key = 'x'")
        con.execute("BEGIN")
        con.execute("SELECT count(*) FROM entry").fetchall()
        started_s = time.monotonic()
        answer = suite.run("backup", "restore", "--latest", code=6)
        assert "stayed locked" in answer.err and time.monotonic() - started_s > 1
    suite.run("backup", "restore", "--latest")
    assert now(suite) == seen[-1]
