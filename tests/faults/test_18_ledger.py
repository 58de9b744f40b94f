"""A ledger that is edited, cut, reordered, rolled back, signed anew or replaced is told from the one that others have seen.

Whoever breaks a rule of the ledger is found by `verify` alone. Whoever keeps all rules (an older copy of everything, a history of
another key, one made with the stolen key) is found by the head that was kept elsewhere: `verify --against`. Without that head these
pass, which is the control.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from judge import living_on, require_whole
from running import Answer, Suite, environment
from scene import Scene

from autoops.core import ledger
from autoops.core.canonical import canonical
from autoops.core.signing import Signer, new_key
from autoops.state import State

EARLY, LATE = 8, 24  # commits of patches: in the older copy, and in all


class Tampering(NamedTuple):
    """What somebody with write access to the state directory did, and how `verify` says it."""

    does: Callable[[Told], None]
    said: str


class Told:
    """A state directory that is not in use, an older copy of it, and the head of its ledger that somebody else has."""

    def __init__(self, suite: Suite) -> None:
        self.suite, self.scene, self.state = suite, Scene(suite), State(suite.state)
        self.older, self.head = suite.base / "older", suite.base / "elsewhere" / "head"
        self.write(EARLY)
        self.older.mkdir()
        copy(suite.state, self.older)
        self.write(LATE)
        self.promised = self.scene.promised()
        self.scene.keep()
        self.head.parent.mkdir()
        self.head.write_bytes(self.state.checkpoints.read_bytes().splitlines(keepends=True)[-1])

    def write(self, until: int) -> None:
        """Commit patches up to that number."""
        subprocess.run([str(one) for one in self.scene.write(until)], env=environment(), check=True)

    def sql(self, *statements: str) -> None:
        with sqlite3.connect(self.state.registry_db) as con:
            for statement in statements:
                con.execute(statement)
        con.close()

    def verify(self, *arguments: object) -> Answer:
        return self.suite.run("verify", *arguments, code=None, config=True)

    def back(self) -> None:
        """Go back to the good copy, as RUNBOOK says."""
        self.scene.renew()
        require_whole(self.suite, self.promised, services=False)
        assert self.verify("--against", self.head).code == 0


def copy(what: Path, where: Path) -> None:
    subprocess.run(["cp", "-a", what, where], check=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    base = tmp_path_factory.mktemp("told")
    with living_on(base, base / "suite") as suite:
        yield Told(suite)


@pytest.fixture
def told(made: Told) -> Told:
    """The same for each test."""
    made.scene.renew()
    return made


def sign_anew(told: Told, signer: Signer, change: Callable[[str], str] = str) -> None:
    """Change records, then hash and sign them and every checkpoint anew, with all that names the key: a whole history."""
    previous, hashes = ledger.GENESIS, {0: ledger.GENESIS}
    with sqlite3.connect(told.state.registry_db) as con:
        for sequence, text in con.execute("SELECT sequence, record FROM ledger ORDER BY sequence").fetchall():
            hashes[sequence] = previous = ledger.record_hash(previous, change(text))
            signature = signer.sign(ledger.signed_bytes(sequence, previous))
            con.execute(
                "UPDATE ledger SET record = ?, hash = ?, signature = ? WHERE sequence = ?",
                (change(text), previous, signature, sequence),
            )
        con.execute("UPDATE meta SET value = ? WHERE key = 'public_key'", (signer.public.hex(),))
    con.close()
    told.state.public_key.write_text(signer.public.hex() + "\n")
    lines = [json.loads(line) for line in told.state.checkpoints.read_text().splitlines()]
    lines = [line | {"hash": hashes[line["sequence"]].hex()} for line in lines]
    signed = [canonical(line | {"signature": signer.sign(ledger.checkpoint_bytes(line)).hex()}) for line in lines]
    told.state.checkpoints.write_text("".join(line + "\n" for line in signed))


def signed_by_another(told: Told) -> None:
    """Sign one record with another key: the hash is right."""
    record = f"SELECT hash FROM ledger WHERE sequence = {LATE}"
    with sqlite3.connect(told.state.registry_db) as con:
        (hashed,) = con.execute(record).fetchone()
        foreign = Signer(new_key()).sign(ledger.signed_bytes(LATE, hashed))
        con.execute("UPDATE ledger SET signature = ? WHERE sequence = ?", (foreign, LATE))
    con.close()


def replace_registry(told: Told) -> None:
    """Put the older registry.db in the place of the newer one."""
    for suffix in ("-wal", "-shm"):
        told.state.registry_db.with_name("registry.db" + suffix).unlink(missing_ok=True)
    shutil.copyfile(State(told.older / "state").registry_db, told.state.registry_db)


def replace_all(told: Told) -> None:
    """Put the whole older state in the place of the newer one, checkpoints too."""
    shutil.rmtree(told.state.directory)
    copy(told.older / "state", told.state.directory.parent)


def replace_all_and_go_on(told: Told) -> None:
    """The same, and have it grow beyond what was there."""
    replace_all(told)
    told.write(LATE + EARLY)


def replace_with_another(told: Told) -> None:
    """Put a registry of the same files in its place, made new by the program itself, which makes a key of its own."""
    shutil.rmtree(told.state.directory)
    told.suite.once()


BREAKS_A_RULE = {
    "edited": Tampering(
        lambda told: told.sql(f"UPDATE ledger SET record = replace(record, 'to see', 'never') WHERE sequence = {LATE}"),
        f"commit {LATE} does not hash to what is stored: it, or its order, was changed",
    ),
    "cut": Tampering(
        lambda told: told.sql("DELETE FROM ledger WHERE sequence = (SELECT max(sequence) FROM ledger)"),
        "it was cut, or replaced by an older copy",
    ),
    "a hole": Tampering(
        lambda told: told.sql(f"DELETE FROM ledger WHERE sequence = {LATE}"),
        f"commit {LATE + 1} follows commit {LATE - 1}: records are missing",
    ),
    "reordered": Tampering(
        lambda told: told.sql(
            f"UPDATE ledger SET sequence = 999 WHERE sequence = {LATE}",
            f"UPDATE ledger SET sequence = {LATE} WHERE sequence = {LATE - 1}",
            f"UPDATE ledger SET sequence = {LATE - 1} WHERE sequence = 999",
        ),
        f"commit {LATE} is not signed by the ledger key",
    ),
    "signed by another key": Tampering(signed_by_another, f"commit {LATE} is not signed by the ledger key"),
    "an older registry": Tampering(replace_registry, "it was cut, or replaced by an older copy"),
}

KEEPS_ALL_RULES = {
    "rolled back": Tampering(replace_all, "it was cut, or replaced by an older copy"),
    "rolled back, and gone on": Tampering(replace_all_and_go_on, "is another one now: the ledger was rewritten"),
    "signed anew with another key": Tampering(lambda told: sign_anew(told, Signer(new_key())), "not signed by the ledger key"),
    "written anew with the stolen key": Tampering(
        lambda told: sign_anew(told, Signer(told.state.private_key.read_bytes()), lambda text: text.replace("to see", "never")),
        "is another one now: the ledger was rewritten",
    ),
    "another registry": Tampering(replace_with_another, "not signed by the ledger key"),
}


@pytest.mark.parametrize("tampering", BREAKS_A_RULE.values(), ids=BREAKS_A_RULE)
def test_what_breaks_a_rule_of_the_ledger_is_found_with_and_without_the_kept_head(told: Told, tampering: Tampering) -> None:
    tampering.does(told)
    for arguments in ([], ["--against", told.head]):
        answer = told.verify(*arguments)
        assert answer.code == 1 and tampering.said in answer.out, answer


@pytest.mark.parametrize("tampering", KEEPS_ALL_RULES.values(), ids=KEEPS_ALL_RULES)
def test_what_keeps_all_rules_is_found_by_the_head_kept_elsewhere(told: Told, tampering: Tampering) -> None:
    tampering.does(told)
    alone = told.verify("--deep")
    assert alone.code == 0, f"the control: {alone}"
    answer = told.verify("--against", told.head)
    assert answer.code == 1 and tampering.said in answer.out.partition("kept elsewhere")[2], answer


def test_what_was_not_touched_agrees_also_when_it_went_on_since_the_head_was_kept(told: Told) -> None:
    assert told.verify("--against", told.head).code == 0
    assert told.verify("--against", State(told.older / "state").checkpoints).code == 0
    replace_all(told)
    assert told.verify("--against", told.head).code == 1
    told.back()


@pytest.mark.parametrize("content", [None, b"", b"\n\n", b'{"at":"2026-01-31T12:04:01.750Z"'])
def test_a_head_that_says_nothing_cannot_tell(told: Told, tmp_path: Path, content: bytes | None) -> None:
    kept = tmp_path / "kept"
    if content is not None:
        kept.write_bytes(content)
    answer = told.verify("--against", kept)
    assert answer.code == 3 and "no whole line is in" in answer.err, answer
