"""Names as text: reversible for every byte string, and nothing shown can forge a line or hide."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autoops import names

NASTY = [b"\\", b"x", b"4", b"1", b"\n", b"\x1b[2J", b"\xff", b"\xc3\xa4", b"\xc3", b"\xe2\x80\xae", b"/", b"\xed\xa0\x80", b" "]
BYTES = st.binary(max_size=40) | st.lists(st.sampled_from(NASTY), max_size=12).map(b"".join)


@given(BYTES)
def test_the_stored_form_gives_every_name_back(name: bytes) -> None:
    assert names.to_bytes(names.text(name)) == name
    names.text(name).encode()  # valid UTF-8


@given(BYTES)
def test_the_shown_form_gives_every_name_back_and_prints(name: bytes) -> None:
    shown = names.show(name)
    assert shown.isprintable()
    assert names.to_bytes(shown) == name
    assert len(shown.splitlines()) <= 1


@given(BYTES, BYTES)
@example(b"\xff", rb"\xff")
@example(b"\n", rb"\x0a")
@example(b"\\\\", b"\\")
def test_no_two_names_share_a_form(one: bytes, other: bytes) -> None:
    assert (one == other) == (names.text(one) == names.text(other)) == (names.show(one) == names.show(other))


@given(st.text(max_size=30))
def test_a_message_is_shown_in_one_line_that_prints(message: str) -> None:
    assert names.show(message).isprintable()


@pytest.mark.parametrize(
    ("name", "stored", "shown"),
    [
        (b"plain", "plain", "plain"),
        ("Grüße.txt".encode(), "Grüße.txt", "Grüße.txt"),
        (b"a\\b", "a\\\\b", "a\\\\b"),
        (b"a\xffb", "a\\xffb", "a\\xffb"),
        (b"a\nb", "a\nb", "a\\x0ab"),
        (b"\x1b[31m", "\x1b[31m", "\\x1b[31m"),
        ("a\u202eb".encode(), "a\u202eb", "a\\xe2\\x80\\xaeb"),
    ],
)
def test_the_forms_are_these(name: bytes, stored: str, shown: str) -> None:
    assert (names.text(name), names.show(name)) == (stored, shown)


def test_a_backslash_that_begins_no_escape_stands_for_itself() -> None:
    assert names.to_bytes(r"a\b\x4") == rb"a\b\x4"


def test_a_name_as_python_reads_it_from_the_command_line_is_taken() -> None:
    assert names.to_bytes("a\udcffb") == b"a\xffb"
