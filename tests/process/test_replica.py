"""Another registry, as a file, a directory, an export and another host: equal, differing, behind, and talking nonsense."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from running import Answer, Suite, environment, program


@pytest.fixture(scope="module")
def first(make_shared: Callable[..., Suite]) -> Suite:
    """A registry of 40 files; nothing runs."""
    made = make_shared()
    for number in range(40):
        (made.root / f"f{number:02d}.txt").write_text(f"{number}\n")
    made.once()
    return made


@pytest.fixture
def copy(first: Suite, tmp_path: Path) -> Path:
    """A finished copy of it: one file."""
    path = tmp_path / "copy.db"
    backup(first.state / "registry" / "registry.db", path)
    return path


def backup(source: Path, target: Path) -> None:
    with sqlite3.connect(f"file:{source}?mode=ro", uri=True) as here, sqlite3.connect(target) as there:
        here.backup(there)
        there.execute("PRAGMA journal_mode=DELETE")
    here.close()
    there.close()


def take_over(one: Suite, other: Suite) -> None:
    """Give another suite the state and the files of a first one."""
    shutil.copytree(one.state, other.state, ignore=shutil.ignore_patterns("*.sock"))
    shutil.copytree(one.root, other.root, dirs_exist_ok=True)


def edit(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as con:
        for statement in statements:
            con.execute(statement)
    con.close()


def verify(suite: Suite, what: object, *options: object, code: int = 0, stdin: str | None = None) -> dict:  # type: ignore[type-arg]
    return dict(suite.run("replica", "verify", what, "--json", *options, code=code, stdin=stdin).json)


def found(answer: dict) -> set[tuple[str, str, tuple[str, ...]]]:  # type: ignore[type-arg]
    return {(one["kind"], one["path"], tuple(one["fields"])) for one in answer["differences"]}


def way_to(suite: Suite, tmp_path: Path, script: str = "") -> Path:
    """Return a program in ssh's place: it runs the command for the other host here, or a script."""
    path = tmp_path / "ssh"
    body = script or 'for last; do :; done\necho "$@" >> "$0.said"\neval "set -- $last"\nshift\nexec {} -m autoops "$@"\n'
    path.write_text("#!/bin/sh\n" + body.replace("{}", sys.executable))
    path.chmod(0o755)
    return path


def test_a_copy_is_equal(first: Suite, copy: Path) -> None:
    answer = verify(first, copy)
    assert answer["equal"] and answer["differences"] == [] and answer["ledger"]["standing"] == "equal"
    assert verify(first, copy, "--rows")["equal"]
    assert "Replica: EQUAL by what commits stored (--rows" in first.run("replica", "verify", copy).out
    assert first.run("replica", "verify", "--rows", copy).out.endswith("Replica: EQUAL\n")


def test_a_row_that_was_edited_removed_or_added_in_a_copy_is_named(first: Suite, copy: Path) -> None:
    edit(
        copy,
        "UPDATE entry SET size_bytes = size_bytes + 1 WHERE name = CAST('f07.txt' AS BLOB)",
        "DELETE FROM entry WHERE name = CAST('f08.txt' AS BLOB)",
        "UPDATE entry SET id = 9000010100000001, name = CAST('strange' AS BLOB) WHERE name = CAST('f09.txt' AS BLOB)",
    )
    answer = verify(first, copy, "--rows", code=1)
    assert found(answer) == {
        ("different", "f07.txt", ("observation",)),
        ("unexpected", "f08.txt", ()),
        ("unexpected", "f09.txt", ()),
        ("missing", "strange", ()),
    }
    assert answer["counts"] == {"different": 1, "missing": 1, "unexpected": 2}
    assert answer["ledger"]["standing"] == "equal" and not answer["ledger"]["faithful"]
    said = first.run("replica", "verify", copy, "--rows", "--limit", 1, code=1).out
    assert "and 3 more" in said and "DIFFERS (1 only there, 2 only here, 1 different)" in said
    assert verify(first, copy)["equal"], "the stored hashes are those of the commits"


def test_a_copy_that_cannot_be_written_is_read_and_nothing_is_made_beside_it(first: Suite, copy: Path) -> None:
    edit(copy, "PRAGMA journal_mode=WAL")  # as cp of a live one has it
    for left in ("-wal", "-shm"):
        copy.with_name(copy.name + left).unlink(missing_ok=True)
    copy.chmod(0o400)
    copy.parent.chmod(0o500)
    try:
        assert verify(first, copy)["equal"]
        assert [path.name for path in copy.parent.iterdir() if path.name.startswith("copy")] == ["copy.db"]
    finally:
        copy.parent.chmod(0o700)


def test_serving_nobody_ends_with_3(first: Suite) -> None:
    answer = first.run("replica", "serve", code=3, stdin="")
    assert "standard input ended before any question" in answer.err and answer.out == "autoops-replica 1\n"


def test_what_cannot_be_compared_ends_with_3_and_says_why(first: Suite, copy: Path, tmp_path: Path) -> None:
    def said(what: object, stdin: str | None = None) -> str:
        return first.run("replica", "verify", what, code=3, stdin=stdin).err

    copy.with_name("copy.db-wal").write_bytes(b"x")
    assert "has a write-ahead log beside it" in said(copy)
    (tmp_path / "other.db").write_bytes(b"")
    edit(tmp_path / "other.db", "CREATE TABLE t (x)")
    assert "is not an autoops database" in said(tmp_path / "other.db")
    assert "No such file" in said(tmp_path / "nothing")
    assert "does not exist" in said(tmp_path)
    (tmp_path / "no.jsonl").write_text('{"id":"2026010100000001"}\nrubbish\n')
    assert "line 2 is no entry" in said(tmp_path / "no.jsonl")
    assert "holds: nothing; an export of no entries cannot be told from one that failed" in said("-", stdin="")
    (tmp_path / "empty.jsonl").touch()
    assert "empty.jsonl holds: nothing" in said(tmp_path / "empty.jsonl")
    assert "is in it twice" in said("-", stdin='{"id":"2026010100000001"}\n' * 2)
    assert "line 1 is no entry" in said("-", stdin="x" * 300_000)
    os.mkfifo(tmp_path / "fifo")
    torn = tmp_path / "torn.db"
    torn.write_bytes(copy.read_bytes()[:9000])
    assert "damaged" in said(torn)
    viewed = tmp_path / "viewed.db"
    shutil.copyfile(copy, viewed)
    edit(viewed, "ALTER TABLE entry RENAME TO entry2", "CREATE VIEW entry AS SELECT * FROM entry2")
    assert "is another one" in said(viewed) or "is missing" in said(viewed)


def test_an_export_is_compared_by_what_it_says_in_whatever_form_and_order(first: Suite, tmp_path: Path) -> None:
    lines = first.run("export").out.splitlines()
    assert verify(first, "-", stdin="\n".join(lines) + "\n")["equal"]
    entries = [json.loads(line) for line in reversed(lines)]
    gone, changed = entries.pop(3), entries[5]
    changed["tags"] = ["more"]
    (tmp_path / "export.jsonl").write_text("\n".join(json.dumps(entry) for entry in entries))
    answer = verify(first, tmp_path / "export.jsonl", code=1)
    assert found(answer) == {("unexpected", gone["path"], ()), ("different", changed["path"], ("tags",))}
    assert answer["ledger"]["standing"] == "unknown"


def test_a_registry_in_use_is_compared_by_its_directory_and_over_a_pipe(
    first: Suite, make_suite: Callable[..., Suite], tmp_path: Path
) -> None:
    other = make_suite()
    take_over(first, other)
    assert verify(first, other.state)["equal"]
    (other.root / "new.txt").write_text("new\n")
    other.start()
    other.idle()
    here = {(entry["id"], json.dumps(entry, sort_keys=True)) for entry in first.export()}
    there = {(entry["id"], json.dumps(entry, sort_keys=True)) for entry in other.export()}
    differing = {entry_id for entry_id, _ in here ^ there}
    ssh = way_to(first, tmp_path)
    url = f"ssh://somebody@example.org:2222{other.state}"
    for answer in (
        verify(first, other.state, code=1),
        verify(first, url, "--ssh", ssh, code=1),
        verify(first, url, "--ssh", ssh, "--rows", code=1),
        verify(first, other.state, "--rows", code=1),
    ):
        assert {one["id"] for one in answer["differences"]} == differing
        assert answer["ledger"]["standing"] == "ahead" and answer["ledger"]["faithful"]
    assert 0 < answer["sent_bytes"] < answer["received_bytes"] < 1 << 20
    said = ssh.with_name("ssh.said").read_text().splitlines()[0]
    assert "-p 2222 -l somebody -- example.org autoops replica serve --state" in said
    back = verify(other, first.state, code=1)
    assert back["ledger"]["standing"] == "behind" and back["ledger"]["commits"] == answer["ledger"]["commits"]


def test_a_ledger_that_took_another_way_is_told_where(first: Suite, make_suite: Callable[..., Suite]) -> None:
    one, other = make_suite(), make_suite()
    (one.root / "a").write_text("a")
    one.once()
    take_over(one, other)
    commits = one.run("status", "--json").json["sequence"]
    for suite, text in ((one, "b"), (other, "c")):
        (suite.root / text).write_text(text)
        suite.once()
    answer = verify(one, other.state, code=1)
    assert answer["ledger"]["standing"] == "diverged" and answer["ledger"]["at"] == commits + 1


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'Welcome to example.org'", "it does not speak like autoops replica serve"),
        ("echo no route to host >&2; exit 255", "exit status 255: no route to host"),
        ("exec sleep 1000", "no answer within 0.5 s"),
        ("printf 'autoops-replica 1\\n'; exec cat /dev/zero", "it says"),
        ("printf 'autoops-replica 1\\n'; exec yes", "16777216 are the limit"),
        ("printf 'autoops-replica 1\\n\\000\\000\\000\\004+{ }'; exec sleep 1000", "its hello is none"),
        ("printf 'autoops-replica 1\\n\\000\\000\\000\\005-nope'; exec sleep 1000", "it says nope"),
        ("printf 'autoops-replica 1\\n'; (sleep 1000 &) ; exec sleep 1000", "no answer within 0.5 s"),
    ],
)
def test_another_host_that_answers_nonsense_or_nothing_cannot_tell(first: Suite, tmp_path: Path, script: str, said: str) -> None:
    answer = first.run(
        "replica", "verify", "ssh://example.org/x", "--ssh", way_to(first, tmp_path, script + "\n"), "--timeout", 0.5, code=3
    )
    assert said in answer.err, answer.err


def test_a_lying_host_is_found_out(first: Suite, tmp_path: Path) -> None:
    """It promises another digest than its mids give."""
    liar = (
        "import sys, json\n"
        "out = sys.stdout.buffer\n"
        "def frame(content): out.write(len(content).to_bytes(4, 'big') + content); out.flush()\n"
        "out.write(b'autoops-replica 1\\n'); out.flush()\n"
        "h = '11' * 32\n"
        "frame(b'+' + json.dumps({'hash': h, 'ledger_digest': h, 'root': h, 'sequence': 9}).encode())\n"
        "frame(b'+' + bytes(8192))\n"
        "sys.stdin.read()\n"
    )
    (tmp_path / "liar.py").write_text(liar)
    ssh = way_to(first, tmp_path, f"exec {{}} {tmp_path / 'liar.py'}\n")
    assert "contradicts itself" in first.run("replica", "verify", "ssh://example.org/x", "--ssh", ssh, code=3).err


@pytest.mark.parametrize(
    "url",
    [
        "ssh://-oProxyCommand=x/y",
        "ssh://a b/y",
        "ssh://-l@h/y",
        "ssh://h",
        "ssh://u:p@h/y",
        "ssh://h:x/y",
        "ssh://h/y?z",
        "ssh:///y",
    ],
)
def test_an_address_that_could_become_an_option_is_refused(first: Suite, tmp_path: Path, url: str) -> None:
    answer = first.run("replica", "verify", url, "--ssh", "/bin/false", code=2)
    assert "no address" in answer.err


def ask(suite: Suite, *frames: bytes) -> Answer:
    import subprocess

    run = subprocess.run(
        [*program(), "replica", "serve", "--state", str(suite.state), "--idle", "5"],
        input=b"".join(len(one).to_bytes(4) + one for one in frames),
        capture_output=True,
        env=environment(),
        timeout=60,
    )
    return Answer(run.returncode, run.stdout.decode("latin-1"), run.stderr.decode())


def test_what_serves_answers_questions_only_and_writes_nothing(first: Suite) -> None:
    before = {path: stat.S_IMODE(path.stat().st_mode) for path in first.state.rglob("*")}
    hello = b'{"ask":"hello"}'
    assert ask(first, hello).code == 0, "who has asked something may go when he likes"
    for wrong in (
        b"rubbish",
        b"[]",
        b'{"ask":"rm"}',
        b'{"ask":"buckets","numbers":[256]}',
        b'{"ask":"members","numbers":[-1]}',
        b'{"ask":"members","numbers":' + json.dumps(list(range(65))).encode() + b"}",
        b'{"ask":"entries","ids":["x"]}',
        b'{"ask":"mark","sequence":true}',
        b"[" * 60_000,
    ):
        answer = ask(first, hello, wrong)
        assert answer.code == 1 and "no question" in answer.err, (wrong, answer)
    assert ask(first, b'{"ask":"mids"}').code == 1
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in first.state.rglob("*")} == before


def test_the_digest_of_another_registry_is_told(first: Suite, copy: Path) -> None:
    assert first.run("replica", "digest", copy).out.strip() == first.digest()
    assert first.run("replica", "digest", copy, "--json").json == {"digest": first.digest()}
