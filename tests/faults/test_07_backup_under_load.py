"""A backup that is taken under full load is a committed state, no older than when it was begun; a damaged one is refused.

The controls: a copy of the file alone is an older state or none, and a plain copy with one bit flipped passes for good.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from changing import change
from judge import Acknowledged, living_on, records, require_acknowledged, require_whole
from running import Suite, environment
from scene import SEED, Scene
from writer import Promises, source_of

from autoops.backup import check, place
from autoops.backup.shelf import Shelf
from autoops.core.signing import Verifier
from autoops.errors import AutoopsError
from autoops.state import State

LONG = pytest.mark.long
FOREVER = 1_000_000  # jobs


class Taken(NamedTuple):
    """A snapshot, and how many commits had been promised when it was begun."""

    name: str
    sequence: int
    commits: int


def taken_under_load(suite: Suite, count: int) -> list[Taken]:
    """Take snapshots while a writer writes as fast as it can, full ones and such as are built on them; then kill the writer."""
    scene, taken = Scene(suite), []
    writer = subprocess.Popen([str(one) for one in scene.write(FOREVER)], env=environment())
    try:
        for number in range(count):
            least = 16 * (number + 1)
            suite.until(lambda least=least: Promises(scene.promises).read().commits >= least, "it writes")  # type: ignore[misc]
            commits = Promises(scene.promises).read().commits
            made = suite.run("backup", "snapshot", "--json", *(["--full"] if number % 2 == 0 else []), config=True).json
            taken.append(Taken(made["name"], made["sequence"], commits))
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()
    return taken


def require_committed(suite: Suite, taken: Taken, ledger: list[dict[str, Any]]) -> None:
    """Restored, it is what the ledger says of that commit, proves itself, and lacks nothing that was promised before."""
    there, state = suite.base / taken.name, suite.state
    suite.run("backup", "restore", "--snapshot", taken.name, "--to", there, config=True)
    suite.state = there
    try:
        told = suite.run("status", "--json").json
        assert told["sequence"] == taken.sequence and told["digest"] == ledger[taken.sequence - 1]["digest_after"]
        assert records(suite) == ledger[: taken.sequence]
        require_acknowledged(suite, Acknowledged(frozenset(map(source_of, range(1, taken.commits + 1)))))
        suite.require_proven()
    finally:
        suite.state = state


@pytest.mark.parametrize("count", [2, pytest.param(30, marks=LONG)])
def test_each_backup_under_full_load_restores_to_a_committed_point(suite: Suite, count: int) -> None:
    taken = taken_under_load(suite, count)
    ledger = records(suite)
    assert len({one.sequence for one in taken}) == count
    for one in taken:
        require_committed(suite, one, ledger)
    suite.run("backup", "drill", config=True)
    suite.run("backup", "ship", config=True)  # what was committed since the last one
    suite.run("backup", "restore", "--latest", config=True)
    require_whole(suite, Scene(suite).promised())


FILE_ALONE = """
import shutil
from autoops.backup import copying
copying.copy = lambda live, target, snapshot: shutil.copyfile(live, target)
"""


def test_control_a_copy_of_the_file_alone_is_no_such_point(suite: Suite) -> None:
    change(suite, FILE_ALONE)
    with pytest.raises(AssertionError, match=r"lost: |does not prove itself|is not whole"):
        for one in taken_under_load(suite, 5):
            require_committed(suite, one, records(suite))


# damage


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def cut(data: bytes, at: int) -> bytes:
    return data[:at]


def torn(data: bytes, at: int) -> bytes:
    """The sectors from there on were never written."""
    return data[:at] + bytes(len(data) - at)


DAMAGES: tuple[Callable[[bytes, int], bytes], ...] = (flipped, cut, torn)


class Kept:
    """A full snapshot, one that is built on it, and the ledger since."""

    def __init__(self, suite: Suite) -> None:
        self.suite, scene = suite, Scene(suite)
        self.place = place.Place(State(suite.state).directory / "backups")
        for until, kind in ((8, "--full"), (16, "--no-prune")):
            subprocess.run([str(one) for one in scene.write(until)], env=environment(), check=True)
            self.name = str(suite.run("backup", "snapshot", kind, "--json", config=True).json["name"])
        self.files = sorted(path for top in (self.place.snapshots, self.place.ledger) for path in top.rglob("*") if path.is_file())
        self.promised = scene.promised()

    @contextlib.contextmanager
    def damaged(self, path: Path, data: bytes) -> Iterator[None]:
        good = path.read_bytes()
        path.write_bytes(data)
        try:
            yield
        finally:
            path.write_bytes(good)

    def fault(self) -> str:
        """Return what is wrong with these backups, as reading all of them tells."""
        shelf = Shelf(self.place, Verifier(bytes.fromhex(State(self.suite.state).public_key.read_text())))
        try:
            found = [check.fault_of(self.place, shelf.get(name), lambda *_: None) for name in shelf.names()]
            found.append(check.ledger_fault(self.place, shelf.newest().head.sequence, lambda *_: None))
        except AutoopsError as error:
            return str(error)
        return next(filter(None, found), "")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    base = tmp_path_factory.mktemp("kept")
    with living_on(base, base / "suite") as suite:
        yield Kept(suite)


def test_a_damaged_backup_is_named_and_nothing_wrong_is_made_of_it(kept: Kept, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    pick, suite, digest, refused = random.Random(SEED), kept.suite, kept.suite.digest(), 0
    used = [path for path in kept.files if path.name not in ("autoops.toml.zst", "checkpoints.jsonl.zst")]
    assert {path.name for path in used} >= {"manifest.json", "registry.db.zst", "queue.db.zst", "000000000001.jsonl"}, used
    for number, path in enumerate(used):
        data, damage, there = path.read_bytes(), pick.choice(DAMAGES), tmp_path / f"{number}"
        at = pick.randrange(len(data) - 1)
        with kept.damaged(path, damage(data, at)):
            what = (path, damage.__name__, at, len(data))
            assert suite.run("backup", "verify", "--all", "--quick", config=True, code=None).code == 1, what
            answer = suite.run("backup", "restore", "--snapshot", kept.name, "--to", there, config=True, code=None)
        if answer.code:
            refused += 1
            assert not there.exists(), (what, answer)
        else:  # it was not needed: the shipped ledger alone makes the registry too
            assert suite.run("replica", "digest", there).out.strip() == digest, what
    assert refused
    suite.run("backup", "restore", "--snapshot", kept.name, config=True)
    require_whole(suite, kept.promised, services=False)


@LONG
def test_a_backup_is_refused_whichever_bit_is_flipped_and_wherever_it_is_cut_or_torn(kept: Kept) -> None:
    assert kept.fault() == ""
    for path in kept.files:
        data = path.read_bytes()
        for at in range(len(data) - 1):
            for damage in DAMAGES:
                if (spoiled := damage(data, at)) != data:
                    with kept.damaged(path, spoiled):
                        assert kept.fault(), (path, damage.__name__, at, len(data))
    assert kept.fault() == ""


def test_control_a_plain_copy_with_a_flipped_bit_passes_for_good(kept: Kept, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with contextlib.closing(sqlite3.connect(State(kept.suite.state).registry_db)) as con:
        con.execute("VACUUM INTO ?", (str(copy),))
    data = copy.read_bytes()
    copy.write_bytes(flipped(data, data.index(b"to see that it stays")))
    with contextlib.closing(sqlite3.connect(copy)) as con:
        assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
