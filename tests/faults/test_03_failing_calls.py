"""The disk fails at any call, once or from there on: no success without the data, a clear message, the right exit code.

Each operation is run once for each of its calls that change something, and this one fails: EIO, ENOSPC, EROFS, a short write.
`./dev test` takes some at random. With the disk good again the same call does it; where SQLite met an I/O error the database is
suspect first, and what RUNBOOK says of that makes it good.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from failing import Call, Ended, FailingDisk
from judge import require_acknowledged, require_whole
from scene import FEW, SEED, Scene

from autoops.store.border import flag_of

JUDGED = 8  # of all calls each 8th, and the first, is judged by everything: else it takes hours more
OPERATIONS: dict[str, Sequence[object]] = {
    "work": (),  # of a writer
    "migrate": ("migrate",),
    "snapshot": ("backup", "snapshot", "--full"),
    "restore": ("backup", "restore", "--latest"),
    "recover": ("backup", "recover"),
    "pause": ("pause",),
    "resume": ("resume",),
    "once": ("up", "--once"),
}
# Whose failure may go untold, for no data is in it: a thing removed that nobody needs, a WAL made for reading only, its owner.
UNTOLD = {"fchown", "fchmod", "chmod", "unlink", "rmdir", "mkdir", "ftruncate64", "open"}


def ready(scene: Scene, operation: str) -> Sequence[object]:
    """Bring the suite to where the operation begins; return its command."""
    suite = scene.suite
    if operation == "resume":
        suite.run("pause")
    if operation == "once":
        (suite.root / "new.txt").write_text("new\n")
    scene.keep()
    return scene.write() if operation == "work" else scene.command(*OPERATIONS[operation])


def sites(calls: Sequence[Call], how: str, every: bool) -> list[Call]:
    """Return the calls that are to fail: without `every`, some of them. A full or a read-only disk has its own tests for -shm."""
    found = [
        call
        for call in calls
        if (how == "EIO" or not call.is_of_shared_memory) and (how != "SHORT" or call.name in ("write", "pwrite", "pwrite64"))
    ]
    return found if every else sorted(random.Random(f"{SEED} {how}").sample(found, min(FEW, len(found))))


def require_told(ended: Ended) -> None:
    """It said what it met, in words for a person, and its exit code says storage; or it met nothing that counts."""
    assert "Traceback" not in ended.err, ended
    if ended.code == 0:
        lost = [call for call in ended.failed if call.name not in UNTOLD and not call.is_of_shared_memory]
        lost = [call for call in lost if (call.name, call.path[-1]) != ("fdatasync", "/")]  # SQLite tells nobody of those
        if "checkpoint_failed" in ended.err:  # the commit stands, and the line is written later
            lost = [call for call in lost if not call.path.endswith("checkpoints.jsonl")]
        assert not lost, f"it says all is well, but {lost}"
    else:
        assert ended.code in (1, 6), ended
        assert ended.err.strip(), ended


def make_good(scene: Scene, operation: str, command: Sequence[object]) -> None:
    """What the operator does when the disk is good again."""
    suite = scene.suite
    suspects = [database for database in (scene.state.queue_db, scene.state.registry_db) if flag_of(database).exists()]
    if suspects:
        assert suite.run("migrate", code=None).code == 6  # nobody writes it any more
        suite.run("status")  # reading goes on
        if scene.state.flag.exists():
            suite.run("resume", code=None)
        suite.run("backup", "recover", config=True, code=None)
        assert not [database for database in suspects if flag_of(database).exists()]
    elif operation in ("migrate", "snapshot", "restore", "recover"):
        suite.run(*OPERATIONS[operation], config=operation != "migrate")
    if scene.state.flag.exists():
        suite.run("resume")


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "sticky"), [("EIO", False), ("EIO", True), ("ENOSPC", True), ("ENOSPC", False), ("EROFS", True), ("SHORT", False)]
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_call_that_fails(library: Path, scene: Scene, operation: str, how: str, sticky: bool) -> None:
    try_out(library, scene, operation, how, sticky=sticky, every=True)


@pytest.mark.parametrize(
    ("operation", "how", "sticky"),
    [
        *[("work", "EIO", False), ("restore", "EIO", False), ("pause", "EIO", True)],
        *[("migrate", "ENOSPC", True), ("snapshot", "ENOSPC", False), ("once", "ENOSPC", True)],
    ],
)
def test_some_calls_that_fail(library: Path, scene: Scene, operation: str, how: str, sticky: bool) -> None:
    try_out(library, scene, operation, how, sticky=sticky, every=False)


def try_out(library: Path, scene: Scene, operation: str, how: str, *, sticky: bool, every: bool) -> None:
    """Run an operation for each of its calls, or for some, and have that one fail."""
    command = ready(scene, operation)
    disk = FailingDisk(library, scene.suite.state, scene.suite.base / "calls")
    print(f"seed {SEED}")
    for number, call in enumerate(sites(disk.calls(command), how, every)):
        scene.renew()
        ended = disk.run(command, call.number, how, sticky=sticky)
        print(call, ended)
        require_told(ended)
        if how == "SHORT":
            assert sticky or ended.code == 0, "a short write is no failure"
        make_good(scene, operation, command)
        if number % JUDGED:
            scene.suite.once()
            require_acknowledged(scene.suite, scene.promised())
            scene.suite.require_proven()
        else:
            require_whole(scene.suite, scene.promised(), services=False)


READING: dict[str, Sequence[object]] = {
    "export": ("export",),
    "ledger": ("export", "--format", "ledger"),
    "verify": ("verify",),
    "backup verify": ("backup", "verify", "--all"),
    "restore": ("backup", "restore", "--latest"),
}


@pytest.mark.parametrize("every", [pytest.param(False, id="few"), pytest.param(True, marks=pytest.mark.long, id="every")])
@pytest.mark.parametrize("sticky", [False, True], ids=["once", "sticky"])
@pytest.mark.parametrize("what", READING)
def test_a_read_that_fails_is_told_and_nothing_is_said_without_it(
    library: Path, scene: Scene, what: str, sticky: bool, every: bool
) -> None:
    command = scene.command(*READING[what])
    scene.keep()
    whole = scene.suite.run("export").out, scene.suite.run("export", "--format", "ledger").out
    disk = FailingDisk(library, scene.suite.state, scene.suite.base / "calls")
    calls = [call for call in disk.calls(command, reads=True) if "read" in call.name]
    restored = scene.suite.run("export").out
    print(f"seed {SEED}")
    chosen = calls if every else random.Random(f"{SEED} {what} {sticky}").sample(calls, FEW)
    for call in chosen:
        scene.renew()
        ended = disk.run(command, call.number, "EIO", sticky=sticky, reads=True)
        print(call, ended.code, ended.err)
        assert "Traceback" not in ended.err and ended.failed, ended
        assert ended.code in (0, 1, 3, 6) and (ended.code == 0 or ended.err.strip() or ended.out.strip()), ended
        if ended.code == 0 and what in ("export", "ledger"):
            assert ended.out == whole[what == "ledger"], "a part was taken for the whole"
        if flag_of(scene.state.registry_db).exists() or flag_of(scene.state.queue_db).exists():
            scene.suite.run("backup", "recover", config=True, code=None)
        is_done = ended.code == 0 or "not all is done" in ended.err
        assert scene.suite.run("export").out == (restored if is_done else whole[0])
        scene.suite.run("verify")


CARELESS = """
import contextlib, os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
os.write(fd, b"new" * 100)
with contextlib.suppress(OSError):
    os.fsync(fd)
"""
CAREFUL = """
import sys
from pathlib import Path
from autoops.files import durable
durable.write(Path(sys.argv[1]), b"new" * 100)
"""


@pytest.mark.parametrize("program", [CARELESS, CAREFUL], ids=["careless", "careful"])
def test_control_a_program_that_heeds_no_result_says_success_without_the_data(library: Path, tmp_path: Path, program: str) -> None:
    document = tmp_path / "disk" / "document"
    document.parent.mkdir()
    disk = FailingDisk(library, document.parent, tmp_path / "calls")
    command = [sys.executable, "-c", program, document]
    caught = set()
    for call in disk.calls(command):
        ended = disk.run(command, call.number, "EIO")
        if ended.code == 0 and "fsync" in {failed.name for failed in ended.failed}:
            caught.add("a sync that failed")
        ended = disk.run(command, call.number, "SHORT")
        if ended.code == 0 and document.read_bytes() != b"new" * 100:
            caught.add("a short write")
        document.unlink(missing_ok=True)
    assert caught == ({"a sync that failed", "a short write"} if program == CARELESS else set())
