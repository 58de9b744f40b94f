"""The disk fills up while services, a restore or a snapshot work: the old state is whole, and with room the same call does it.

The disk is a small tmpfs; the room on it is made a little larger from one try to the next, so each step meets the end of it once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from judge import living_on, require_there, require_whole
from running import Answer, Suite, environment, program
from scene import WRITER, acknowledged, now
from suites import tmpfs
from writer import Promises

Make = Callable[..., Suite]
STEP_BYTES = 160 << 10
ENOUGH = 3  # tries that failed: else the end of the disk was met nowhere
PLENTY_BYTES = 64 << 20

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


class Disk:
    """A small disk with a copy of a state directory."""

    def __init__(self, path: Path) -> None:
        self.path, self.state = path, path / "state"

    def give(self, size_bytes: int) -> None:
        """Make it so large. (It works in pages; 0 would be no limit.)"""
        subprocess.run(["mount", "-o", f"remount,size={max(4096, size_bytes)}", self.path], check=True)

    def used_bytes(self) -> int:
        usage = os.statvfs(self.path)
        return (usage.f_blocks - usage.f_bfree) * usage.f_frsize

    def renew(self, kept: Path) -> None:
        """Have the state directory as it was."""
        self.give(PLENTY_BYTES)
        if self.state.exists():
            shutil.rmtree(self.state)
        shutil.copytree(kept, self.state)


@pytest.fixture(scope="module")
def lived(make_shared: Make) -> Suite:
    """A suite that is not running; what it was is in `kept`."""
    suite = make_shared()
    for number in range(200):
        (suite.root / f"{number}.txt").write_text(f"{number}\n" * 30)
    suite.once()
    suite.run("backup", "snapshot")
    (suite.root / "0.txt").write_text("again\n")
    suite.once()
    suite.run("backup", "snapshot")
    shutil.copytree(suite.state, suite.base / "kept", ignore=shutil.ignore_patterns("*.sock"))
    return suite


@pytest.fixture
def disk(tmp_path: Path, lived: Suite) -> Iterator[Disk]:
    with tmpfs(tmp_path / "small", str(PLENTY_BYTES)) as path:
        small = Disk(path)
        small.renew(lived.base / "kept")
        yield small


def call(disk: Disk, lived: Suite, *arguments: object, temporary: Path | None = None, stdin: Path | None = None) -> Answer:
    command = [*program(), *map(str, arguments), "--state", str(disk.state)]
    command += ["--config", str(lived.config)] if arguments[0] == "backup" else []
    env = environment(**({"TMPDIR": str(temporary), "SQLITE_TMPDIR": str(temporary)} if temporary else {}))
    given = stdin.read_text() if stdin else ""  # by a pipe
    done = subprocess.run(command, env=env, input=given, capture_output=True, text=True, timeout=120)
    return Answer(done.returncode, done.stdout, done.stderr)


def with_room(disk: Disk, lived: Suite, room_bytes: int, *arguments: object) -> Answer:
    """Call a command while there is no more room than that."""
    disk.give(disk.used_bytes() + room_bytes)
    answer = call(disk, lived, *arguments)
    disk.give(PLENTY_BYTES)
    return answer


def rooms() -> Iterator[int]:
    """Yield how much room there is to be at each try: none, then more and more, until it was enough."""
    yield from (number * STEP_BYTES for number in range(PLENTY_BYTES // STEP_BYTES // 4))
    pytest.fail("it is never enough")


def require_no_scratch(disk: Disk) -> None:
    left = [path for path in disk.path.rglob("*") if path.name.startswith(".") and not path.name.endswith("lock")]
    assert left == []


def test_a_restore_in_place_leaves_the_old_registry_or_puts_the_older_one_there(disk: Disk, lived: Suite) -> None:
    restore = ("backup", "restore", "--seq", 1, "--no-report")
    last = now(disk.state)
    for tries, room in enumerate(rooms()):
        answer = with_room(disk, lived, room, *restore)
        if answer.code == 6:
            assert "no room" in answer.err.lower() and now(disk.state) == last, (room, answer)
        else:
            assert answer.code in (0, 1) and now(disk.state).sequence == 1, (room, answer)
        require_no_scratch(disk)
        assert call(disk, lived, "verify").code == 0
        assert call(disk, lived, *restore).code == 0 and now(disk.state).sequence == 1
        assert call(disk, lived, "verify").code == 0
        if answer.code == 0:
            assert tries >= ENOUGH
            return
        disk.renew(lived.base / "kept")


def test_a_restore_elsewhere_leaves_a_whole_state_or_nothing(disk: Disk, lived: Suite) -> None:
    target, last = disk.path / "there", now(disk.state)
    for tries, room in enumerate(rooms()):
        answer = with_room(disk, lived, room, "backup", "restore", "--latest", "--to", target)
        require_no_scratch(disk)
        if answer.code == 0:
            assert tries >= ENOUGH and now(target) == last
            return
        assert answer.code == 6 and not target.exists() and "no room" in answer.err.lower(), (room, answer)


def test_a_recovery_leaves_what_was_damaged_or_puts_a_whole_one_there(disk: Disk, lived: Suite) -> None:
    registry, last = disk.state / "registry" / "registry.db", now(disk.state)
    size = registry.stat().st_size
    for tries, room in enumerate(rooms()):
        with registry.open("r+b") as file:
            file.seek(size // 3)
            file.write(bytes(size // 3))  # zeros, as a disk leaves them
        before = registry.read_bytes()
        answer = with_room(disk, lived, room, "backup", "recover")
        if answer.code == 6:
            assert "no room" in answer.err.lower() and registry.read_bytes() == before, (room, answer)
        else:
            assert answer.code in (0, 1) and now(disk.state) == last, (room, answer)
        require_no_scratch(disk)
        assert call(disk, lived, "backup", "recover").code == 0 and now(disk.state) == last
        assert call(disk, lived, "verify").code == 0
        if answer.code == 0:
            assert tries >= ENOUGH
            return
        disk.renew(lived.base / "kept")


def test_a_snapshot_is_whole_or_it_is_not_there(disk: Disk, lived: Suite) -> None:
    snapshot = ("backup", "snapshot", "--full")
    before = call(disk, lived, "backup", "list", "--json").out
    for tries, room in enumerate(rooms()):
        answer = with_room(disk, lived, room, *snapshot)
        listed = call(disk, lived, "backup", "list", "--json").out
        require_no_scratch(disk)
        assert call(disk, lived, "backup", "verify", "--all").code == 0
        if answer.code == 0:
            assert tries >= ENOUGH and listed != before
            return
        assert answer.code == 6 and listed == before, (room, answer)
        assert call(disk, lived, *snapshot).code == 0
        disk.renew(lived.base / "kept")


def test_services_on_a_full_disk_end_and_what_was_acknowledged_is_done_when_there_is_room(disk: Disk, tmp_path: Path) -> None:
    with living_on(disk.path / "own", tmp_path / "suite") as suite:
        before = suite.export()
        promises = tmp_path / "promises"
        suite.start()
        command = [sys.executable, WRITER, suite.state, promises, "--jobs-only"]
        writer = subprocess.Popen(list(map(str, command)), env=environment(), stderr=subprocess.PIPE, text=True)
        disk.give(disk.used_bytes() + STEP_BYTES)
        said = writer.communicate(timeout=120)[1]
        assert writer.returncode == 6 and "no room left" in said, said
        (suite.root / "late.txt").write_text("what makes them write\n")
        ended = [suite.died(name) for name in ("worker", "watcher")]
        assert ended == [6, 6], (suite.log("worker")[-2000:], suite.log("watcher")[-2000:])
        assert not list(suite.state.glob("*/*.suspect")), "a full disk is no reason to doubt what is on it"
        there = {entry["id"] for entry in suite.export()}
        assert there >= {entry["id"] for entry in before}  # reading goes on
        suite.run("verify")
        suite.run("status")
        promised = Promises(promises).read()
        disk.give(PLENTY_BYTES)
        assert promised.jobs
        require_there(suite, acknowledged(promised))
        require_whole(suite, acknowledged(promised))


@pytest.mark.parametrize("what", ["export", "time"])
def test_a_full_temporary_directory_is_told_and_costs_nothing(disk: Disk, lived: Suite, tmp_path: Path, what: str) -> None:
    temporary, target, exported = disk.path / "temporary", disk.path / "there", tmp_path / "export.jsonl"
    temporary.mkdir()
    exported.write_text(call(disk, lived, "export").out)
    at = call(disk, lived, "backup", "list", "--json").json[0]["at"]
    commands: dict[str, tuple[object, ...]] = {
        "export": ("replica", "verify", "-"),
        "time": ("backup", "restore", "--at", at, "--to", target),
    }
    last = now(disk.state)
    disk.give(disk.used_bytes() + 8192)  # a file can be made there, as tempfile tries
    failed = call(disk, lived, *commands[what], temporary=temporary, stdin=exported)
    assert failed.code == 6 and "no room" in failed.err.lower() and "Traceback" not in failed.err, failed
    assert list(temporary.iterdir()) == [] and not target.exists()
    disk.give(PLENTY_BYTES)
    assert now(disk.state) == last
    assert call(disk, lived, *commands[what], temporary=temporary, stdin=exported).code == 0
    assert list(temporary.iterdir()) == []


CARELESS = """
import sys
from pathlib import Path
Path(sys.argv[1]).write_bytes(b"backup" * int(sys.argv[2]))
"""


def test_control_a_backup_written_over_the_last_one_takes_it_along(disk: Disk) -> None:
    good = disk.path / "careless"
    subprocess.run([sys.executable, "-c", CARELESS, good, "100000"], check=True)
    before = good.read_bytes()
    disk.give(disk.used_bytes())
    assert subprocess.run([sys.executable, "-c", CARELESS, good, "200000"], stderr=subprocess.DEVNULL).returncode != 0
    assert good.read_bytes() not in (before, before * 2)
