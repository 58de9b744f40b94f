"""A growing file, read line by line: each line once, whatever is done to the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoops.files.following import LIMIT_BYTES, Follower, Position


def drained(follower: Follower) -> list[bytes]:
    """Return all lines that have come."""
    lines = []
    while True:
        batch = follower.read()
        lines += [line for _, line in batch.lines]
        if not batch.more:
            return lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lines"


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as out:
        out.write(data)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=12), st.data())
def test_every_complete_line_comes_once_however_it_was_written_and_however_often_we_begin_again(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("f") / "lines"
    content = b"\n".join(lines)
    path.write_bytes(b"")
    position, found, at = Position(), list[bytes](), 0
    while at < len(content):
        size = data.draw(st.integers(1, len(content) - at))
        append(path, content[at : at + size])
        at += size
        follower = Follower(path, position)
        found += drained(follower)
        follower.close()
        position = Position.of(follower.position._asdict())
    assert found == content.split(b"\n")[:-1]


def test_a_line_without_its_end_is_waited_for(path: Path) -> None:
    follower = Follower(path, Position())
    append(path, b"one\ntw")
    assert drained(follower) == [b"one"]
    append(path, b"o\n")
    assert drained(follower) == [b"two"]


def test_what_is_too_long_comes_once_and_cut_and_does_not_hide_what_follows(path: Path) -> None:
    follower = Follower(path, Position())
    append(path, b"x" * 3_000_000)
    assert [len(line) for line in drained(follower)] == [LIMIT_BYTES + 1]
    append(path, b"y" * 100_000)
    assert drained(follower) == []
    append(path, b"\nnext\n" + b"z" * (LIMIT_BYTES + 5) + b"\nlast\n")
    assert [(number, len(line)) for number, line in follower.read().lines] == [(2, 4), (3, LIMIT_BYTES + 1), (4, 4)]
    assert follower.position.lines == 4


def test_the_rest_of_a_rotated_file_is_read_before_the_new_one(path: Path) -> None:
    follower = Follower(path, Position())
    append(path, b"1\n")
    assert drained(follower) == [b"1"]
    append(path, b"2\n")
    path.rename(path.with_name("old"))
    append(path.with_name("old"), b"3\n")
    append(path, b"4\n")
    assert drained(follower) == [b"2", b"3", b"4"]
    assert follower.position.lines == 1


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "truncated"), (b"n\n", "truncated"), (b"new\n", "written over"), (b"a\nB\nc\n" * 50, "written over")]
)
def test_a_file_that_was_cut_or_written_over_is_begun_again(path: Path, content: bytes, why: str) -> None:
    follower = Follower(path, Position())
    append(path, b"a\nb\n")
    assert drained(follower) == [b"a", b"b"]
    path.write_bytes(content)
    batch = follower.read()
    assert [line for _, line in batch.lines] == content.splitlines() and batch.anew == why


def test_another_file_after_a_restart_is_begun_from_its_beginning(path: Path) -> None:
    follower = Follower(path, Position())
    append(path, b"a\nb\n")
    drained(follower)
    follower.close()
    path.rename(path.with_name("kept"))
    append(path, b"a\nb\nc\n")
    again = Follower(path, follower.position)
    batch = again.read()
    assert batch.lines == [(1, b"a"), (2, b"b"), (3, b"c")] and batch.anew == "another file"


def test_nothing_a_link_a_directory_and_a_fifo_are_trouble_and_no_more(path: Path) -> None:
    follower = Follower(path, Position())
    assert follower.read().trouble == "it is not there"
    append(path, b"a\n")
    assert drained(follower) == [b"a"]
    secret = path.with_name("secret")
    secret.write_bytes(b"secret\n")
    path.unlink()
    path.symlink_to(secret)
    batch = follower.read()
    assert (batch.lines, batch.trouble) == ([], "it is no plain file")
    path.unlink()
    os.mkfifo(path)
    assert follower.read().trouble == "it is no plain file"
    path.unlink()
    path.mkdir()
    assert follower.read().trouble == "it is no plain file"
    path.rmdir()
    append(path, b"b\n")
    assert drained(follower) == [b"b"]


@pytest.mark.parametrize("facts", [None, 3, {"inode": "x"}, {"offset": -1}, {"last_bytes": 9}, {"strange": 1}, {"inside": 1}])
def test_a_stored_position_that_is_none_is_the_beginning(facts: object) -> None:
    assert Position.of(facts) == Position()
