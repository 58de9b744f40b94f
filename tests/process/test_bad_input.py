"""Bad input gets a clear answer, what, where and what to do, and leaves nothing half done."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import Answer, Suite, disk, environment, program

Make = Callable[..., Suite]
WITHOUT_PRIVILEGE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]


def autoops(*arguments: object, before: list[str] | None = None, cwd: Path | None = None) -> Answer:
    command = [*(before or []), *program(), *(str(one) for one in arguments)]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", errors="surrogateescape", env=environment(), cwd=cwd)
    return Answer(run.returncode, run.stdout, run.stderr)


def unprivileged() -> list[str]:
    """Return what makes a command obey file permissions, even for root."""
    if os.geteuid() != 0:
        return []
    if subprocess.run([*WITHOUT_PRIVILEGE, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("root without setpriv(1) is never refused anything")
    return WITHOUT_PRIVILEGE


# roots


def refused_root(tmp_path: Path, *roots: Path, state: Path | None = None, before: list[str] | None = None) -> str:
    """Require that a root is refused and nothing is made; return the message."""
    state = state or tmp_path / "state"
    options = [option for root in roots for option in ("--root", root)]
    answer = autoops("up", "--once", *options, "--state", state, before=before)
    assert answer.code == 2 and answer.out == "" and "Traceback" not in answer.err, answer
    assert "hint:" in answer.err or "; " in answer.err, answer.err
    assert not (state / "registry").exists()
    return answer.err


def test_a_root_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in refused_root(tmp_path, tmp_path / "nowhere")


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in refused_root(tmp_path, tmp_path / "file")


def test_a_root_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    message = refused_root(tmp_path, closed, before=unprivileged())
    assert str(closed) in message and "read" in message


def test_a_root_inside_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    message = refused_root(tmp_path, tmp_path / "a", tmp_path / "a" / "b")
    assert str(tmp_path / "a" / "b") in message and "inside" in message


def test_a_root_inside_the_state_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state" / "tree").mkdir(parents=True)
    message = refused_root(tmp_path, tmp_path / "state" / "tree")
    assert str(tmp_path / "state" / "tree") in message and "state" in message


def test_the_same_root_twice_is_refused_also_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    assert str(tmp_path / "a") in refused_root(tmp_path, tmp_path / "a", tmp_path / "a")
    assert str(tmp_path / "link") in refused_root(tmp_path, tmp_path / "a", tmp_path / "link")


def test_all_bad_roots_are_named_at_once(tmp_path: Path) -> None:
    message = refused_root(tmp_path, tmp_path / "one", tmp_path / "two")
    assert str(tmp_path / "one") in message and str(tmp_path / "two") in message


# files


def test_a_huge_sparse_file_is_registered_with_its_right_hash(suite: Suite) -> None:
    size = 1 << 30
    with (suite.root / "sparse").open("wb") as out:
        out.truncate(size)
    suite.idle()
    entry = suite.entry("sparse")
    zeros, wanted = bytes(1 << 24), hashlib.sha256()
    for _ in range(size >> 24):
        wanted.update(zeros)
    assert (entry["observation"]["size_bytes"], entry["observation"]["sha256"]) == (size, wanted.hexdigest())
    (suite.root / "sparse").unlink()  # the judge need not read it again
    suite.idle()


def test_a_file_without_permission_is_a_finding_until_it_can_be_read(make_suite: Make) -> None:
    suite = make_suite()
    (suite.root / "open").write_text("open\n")
    (suite.root / "closed").write_text("closed\n")
    (suite.root / "closed").chmod(0)
    (suite.root / "den").mkdir()
    (suite.root / "den" / "in").write_text("in\n")
    (suite.root / "den").chmod(0)
    options = ["--config", suite.config, "--state", suite.state]
    assert autoops("up", "--once", *options, before=unprivileged()).code == 0
    assert suite.entry("open")["observation"]["sha256"]
    assert suite.entry("closed")["observation"]["sha256"] is None
    found = {one["subject"]: one["detail"]["reason"] for one in suite.findings("unreadable")}
    assert found == {"tree/closed": "Permission denied", "tree/den": "Permission denied"}
    (suite.root / "closed").chmod(0o644)
    (suite.root / "den").chmod(0o755)
    suite.once()
    assert suite.findings() == []
    suite.require_disk_registered()


def scanned_while_closed(suite: Suite, closed: Path, mode: int) -> set[bytes]:
    """Have the worker scan while it may not list a directory; return what is registered then."""
    suite.start("worker", before=unprivileged())
    closed.chmod(mode)
    try:
        suite.run("scan", config=True)
        suite.until(lambda: suite.queue()["queued"] == suite.queue()["running"] == 0, "the scan is over")
    finally:
        closed.chmod(0o755)
    suite.stop("worker")
    assert [one["detail"]["reason"] for one in suite.findings("unreadable")] == ["Permission denied"]
    return {path for _, path in suite.active()}


def test_of_a_root_that_may_not_be_listed_nothing_is_called_missing(make_suite: Make) -> None:
    suite = make_suite()
    (suite.root / "sub").mkdir()
    for name in ("f", "sub/f"):
        (suite.root / name).write_text(f"{name}\n")
    suite.once()
    assert scanned_while_closed(suite, suite.root, 0o111) == {b"f", b"sub/f"}
    suite.once()
    assert suite.findings() == []


def test_what_is_gone_beside_a_directory_that_may_not_be_read_is_missing(make_suite: Make) -> None:
    suite = make_suite()
    for name in ("den", "den\x01", "den\x01\x01"):  # as names come, the first two have nothing between them
        (suite.root / name).mkdir()
        (suite.root / name / "f").write_text(f"{name!r}\n")
    suite.once()
    shutil.rmtree(suite.root / "den\x01")
    assert scanned_while_closed(suite, suite.root / "den", 0) == {b"den/f", b"den\x01\x01/f"}
    suite.once()
    suite.require_disk_registered()


def test_a_bind_mount_of_a_tree_into_itself_ends(make_suite: Make) -> None:
    suite = make_suite()
    (suite.root / "sub" / "loop").mkdir(parents=True)
    (suite.root / "f").write_text("f\n")
    mount = ["unshare", "--mount", "sh", "-c", f'mount --bind "{suite.root}" "{suite.root}/sub/loop" && exec "$@"', "sh"]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs to be allowed to mount")
    answer = autoops("up", "--once", "--config", suite.config, "--state", suite.state, before=mount)
    assert answer.code == 0, answer
    assert b"f" in {path for _, path in suite.active()} and len(suite.active()) < 4
    (found,) = suite.findings("unreadable")
    assert "loop" in found["subject"] and "bind mount" in found["detail"]["reason"]
    suite.once()


# databases


@pytest.fixture
def made(make_suite: Make) -> Iterator[Suite]:
    """A state with a registered file, whose databases a test may damage; it is put back for the judge."""
    suite = make_suite()
    (suite.root / "f").write_text("f\n")
    suite.once()
    suite.run("migrate")  # what lies in the WALs is carried over: a file alone says what a database holds
    shutil.copytree(suite.state, suite.base / "good", ignore=shutil.ignore_patterns("*.sock"))
    yield suite
    shutil.rmtree(suite.state)
    shutil.copytree(suite.base / "good", suite.state)


def content(state: Path) -> dict[bytes, object]:
    return {path: fact.sha256 for path, fact in disk(state).items() if not path.endswith((b"-shm", b"-wal", b".lock", b".guard"))}


def require_storage_error(suite: Suite, database: str, says: str) -> None:
    before = content(suite.state)
    commands = [("up", "--once"), ("start-worker",)] + ([("list",), ("verify",)] if database == "registry" else [("queue-status",)])
    for command in commands:
        answer = suite.run(*command, code=6, config=command[0] in ("up", "start-worker"))
        assert f"{database}.db" in answer.err and says in answer.err and "Traceback" not in answer.err, (command, answer.err)
        assert "hint:" in answer.err, answer.err
    assert content(suite.state) == before


@pytest.mark.parametrize("database", ["queue", "registry"])
def test_a_database_of_a_newer_version_is_refused_and_left_alone(made: Suite, database: str) -> None:
    with sqlite3.connect(made.state / database / f"{database}.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    require_storage_error(made, database, "newer")


@pytest.mark.parametrize("database", ["queue", "registry"])
def test_a_foreign_database_is_refused_and_left_alone(made: Suite, database: str) -> None:
    path = made.state / database / f"{database}.db"
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    require_storage_error(made, database, "not an autoops database")


@pytest.mark.parametrize("database", ["queue", "registry"])
@pytest.mark.parametrize("damage", ["not a database", "cut", "overwritten"])
def test_a_corrupted_database_is_an_error_with_advice(made: Suite, database: str, damage: str) -> None:
    path = made.state / database / f"{database}.db"
    data = path.read_bytes()
    bad = {
        "not a database": b"hello" * 1000,
        "cut": data[: len(data) // 3],
        "overwritten": data[:100] + b"\xa5" * (len(data) - 100),
    }
    path.write_bytes(bad[damage])
    for command in (("up", "--once"), ("start-worker",), ("status",)):
        answer = made.run(*command, code=None, config=command != ("status",))
        if command == ("status",) and damage == "cut" and answer.code == 0:
            continue  # it needed nothing of what is missing
        assert answer.code == 6, (command, answer)
        assert f"{database}.db" in answer.err and "hint:" in answer.err and "Traceback" not in answer.err, (command, answer)


# patches


def patches(entry_id: str, rev: int, digest: str) -> dict[str, str]:
    guard = {"revs": {entry_id: rev}}
    simple = {"changes": {entry_id: {"class": "policy"}}}
    deep = "[" * 100_000 + "]" * 100_000
    documents: dict[str, object] = {
        "it is a list": [],
        "it changes nothing": {},
        "it is both": {**simple, "operations": [], **guard},
        "it has no precondition": simple,
        "it wants another rev": {**simple, "revs": {entry_id: rev + 1}},
        "it wants another digest": {**simple, "digest": "0" * 64},
        "it is about nobody": {"changes": {"2020010100000001": {"class": "x"}}, "revs": {"2020010100000001": 1}},
        "its ID is none": {"changes": {"../../etc": {"class": "x"}}, "revs": {"../../etc": 1}},
        "it moves a file": {"changes": {entry_id: {"path": "/etc/passwd"}}, **guard},
        "it forges a hash": {"changes": {entry_id: {"observation": {"sha256": "0" * 64}}}, **guard},
        "it forges a rev": {"changes": {entry_id: {"rev": 99}}, **guard},
        "it sets an unknown field": {"changes": {entry_id: {"colour": "red"}}, **guard},
        "its value is of the wrong type": {"changes": {entry_id: {"tags": "not a list"}}, **guard},
        "it removes a field": {"operations": [{"op": "remove", "path": f"/{entry_id}/path"}], **guard},
        "it removes the entry": {"operations": [{"op": "remove", "path": f"/{entry_id}"}], **guard},
        "it fails its own test": {"operations": [{"op": "test", "path": f"/{entry_id}/rev", "value": 99}], **guard},
        "it points nowhere": {"operations": [{"op": "replace", "path": f"/{entry_id}/no/where", "value": 1}], **guard},
        "it is no operation": {"operations": [{"op": "exec", "path": f"/{entry_id}/class", "value": "x"}], **guard},
        "it has a float": {"changes": {entry_id: {"descriptor": {"x": 1.5}}}, **guard},
    }
    texts = {name: json.dumps(document) for name, document in documents.items()}
    return texts | {
        "it is empty": "",
        "it is not JSON": "{'a': 1}",
        "it is nested too deeply": deep,
        "it has a NaN": f'{{"changes": {{"{entry_id}": {{"descriptor": {{"x": NaN}}}}}}, "digest": "{digest}"}}',
        "it is huge": '{"reason": "' + "x" * (9 << 20) + '"}',
    }


def test_every_malformed_or_hostile_patch_is_refused_with_a_reason_and_changes_nothing(suite: Suite) -> None:
    (suite.root / "f").write_text("f\n")
    suite.idle()
    entry, digest = suite.entry("f"), suite.digest()
    for name, text in patches(entry["id"], entry["rev"], digest).items():
        path = suite.base / "patch.json"
        path.write_text(text)
        answer = suite.run("submit", path, "--wait", code=4)
        assert "Refused" in answer.err and "Traceback" not in answer.err and len(answer.err) < 1000, (name, answer)
        if name.startswith("it is about"):
            assert suite.run("submit", path, "--dry-run", code=4).err.splitlines()[0] == answer.err.splitlines()[0]
    assert suite.digest() == digest
    suite.require_nothing_left_to_do()
    (suite.base / "latin").write_bytes(b'{"reason": "caf\xe9"}')
    assert suite.run("submit", suite.base / "latin", code=2).err.count("cannot be read") == 1
    assert suite.run("submit", suite.base / "absent", code=2).err.count("cannot be read") == 1


# programs


def test_a_second_worker_is_refused_and_told_who_is_the_first(suite: Suite) -> None:
    answer = suite.run("start-worker", code=4, config=True)
    assert f"process {suite.processes['worker'].pid}" in answer.err and "hint:" in answer.err
    assert suite.run("up", "--once", code=4, config=True).err.count("another worker") >= 1
    assert suite.run("up", code=4, config=True).err.count("another worker") >= 1
    running = suite.run("status", "--json").json["processes"]
    assert {name: running[name]["pid"] for name in running} == {name: one.pid for name, one in suite.processes.items()}
    (suite.root / "f").write_text("the first one is none the worse\n")
    suite.idle()
    suite.require_disk_registered()


def test_waiting_without_services_cannot_tell(make_suite: Make) -> None:
    suite = make_suite()
    suite.once()
    answer = suite.run("wait-idle", code=3)
    assert "autoops-watcher does not run" in answer.err and "hint:" in answer.err
    suite.start("watcher")
    assert "autoops-worker does not run" in suite.run("wait-idle", code=3).err


def test_every_fault_of_a_configuration_is_named_with_its_line_and_what_was_meant(make_suite: Make) -> None:
    suite = make_suite()
    good = suite.config.read_text()
    suite.config.write_text(good + '\n[log]\nlevle = "info"\n[quue]\nlease_s = 1\n[service]\nheartbeat_s = "often"\n')
    at = {
        key: 1 + suite.config.read_text().splitlines().index(key) for key in ('levle = "info"', "[quue]", 'heartbeat_s = "often"')
    }
    for command in ("config check", "up --once", "start-worker", "start-watcher"):
        answer = autoops(*command.split(), "--config", suite.config, "--state", suite.state)
        assert answer.code == 2 and "Traceback" not in answer.err, answer
        assert "did you mean" in answer.err.lower() and "level" in answer.err and "queue" in answer.err
        assert all(str(line) in answer.err for line in at.values()), (at, answer.err)
    assert not suite.state.exists()
    suite.config.write_text(good)
    suite.once()


def test_a_registry_that_one_may_not_read_is_said_to_be_so(make_suite: Make) -> None:
    suite = make_suite()
    suite.once()
    database = suite.state / "registry" / "registry.db"
    for closed in (database, database.parent):
        mode = closed.stat().st_mode
        closed.chmod(0)
        answer = autoops("list", "--state", suite.state, before=unprivileged())
        closed.chmod(mode)
        assert answer.code == 6 and f"may not be read by user {os.geteuid()}" in answer.err and "sudo" in answer.err, answer
