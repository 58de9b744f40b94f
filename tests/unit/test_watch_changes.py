"""From raw events to jobs: pure decisions."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoops.core.hints import rename_facts, renames_of
from autoops.files import inotify
from autoops.files.opening import within
from autoops.model import PRIORITY_LIVE, PRIORITY_SCAN, Work
from autoops.watch.changes import Change, kind_of, merged, outermost, scan, to_work
from autoops.watch.directories import Directories


def raw(wd: int, mask: int, cookie: int, name: bytes) -> bytes:
    padded = name + b"\0" * (16 - len(name) % 16) if name else b""
    return struct.pack("iIII", wd, mask, cookie, len(padded)) + padded


FROM_B = ((b"b",),)
EVENTS = st.lists(
    st.tuples(
        st.integers(-1, 2**31 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=255).map(lambda name: name.replace(b"\0", b"x").replace(b"/", b"x")),
    )
)


@given(EVENTS)
def test_every_event_of_a_read_is_parsed_as_the_kernel_wrote_it(events: list[tuple[int, int, int, bytes]]) -> None:
    assert list(inotify.parse(b"".join(raw(*event) for event in events))) == events


@pytest.mark.parametrize(
    ("mask", "kind"),
    [
        (inotify.CLOSE_WRITE, "closed"),
        (inotify.CREATE, "created"),
        (inotify.MOVED_TO, "moved"),
        (inotify.MOVED_FROM, "gone"),
        (inotify.DELETE, "gone"),
    ],
)
def test_a_mask_says_what_happened(mask: int, kind: str) -> None:
    assert kind_of(mask) == kind


@pytest.mark.parametrize(
    ("before", "after", "one"),
    [
        (Change(b"a", "created"), Change(b"a", "closed"), Change(b"a", "closed")),
        (Change(b"a", "closed"), Change(b"a", "created"), Change(b"a", "created")),
        (Change(b"a", "closed"), Change(b"a", "found"), Change(b"a", "closed")),
        (Change(b"a", "gone"), Change(b"a", "found"), Change(b"a", "found")),
        (Change(b"a", "moved", FROM_B), Change(b"a", "closed"), Change(b"a", "closed", FROM_B)),
        (Change(b"a", "moved", FROM_B), Change(b"a", "gone"), Change(b"a", "gone", FROM_B)),  # and if it is made again?
        (Change(b"a", "moved", FROM_B), Change(b"a", "gone", (), True), Change(b"a", "gone", (), True)),
        (Change(b"a", "gone", (), True), Change(b"a", "created"), Change(b"a", "created", (), True)),
        (Change(b"a", "gone", (), True), Change(b"a", "moved", FROM_B), Change(b"a", "moved", FROM_B, True)),
        (Change(b"a", "moved", FROM_B), Change(b"a", "moved", ((b"b",), (b"c",))), Change(b"a", "moved", ((b"b",), (b"c",)))),
    ],
)
def test_of_two_changes_the_last_counts_and_hints_are_kept(before: Change, after: Change, one: Change) -> None:
    assert merged(before, after) == one


@pytest.mark.parametrize(
    ("change", "facts", "delay_s"),
    [
        (Change(b"a", "closed"), {"closed": True}, 1.0),
        (Change(b"a", "created"), {"closed": None}, 5.0),
        (Change(b"a", "found"), None, 5.0),
        (Change(b"a", "moved", ((b"z", b"b\xff"), (b"c",))), {"moved_from": [["z", "b\\xff"], ["c"]]}, 1.0),
        (Change(b"a", "moved"), None, 1.0),
        (Change(b"a", "closed", FROM_B), {"closed": True, "moved_from": [["b"]]}, 1.0),
        (Change(b"a", "closed", FROM_B, True), {"closed": True, "moved_from": [["b"]], "vacated": True}, 1.0),
        (Change(b"a", "gone"), None, 0.0),
        (Change(b"a", "gone", (), True), {"moved_from": None, "vacated": True}, 0.0),
    ],
)
def test_each_change_becomes_a_live_job_with_its_delay(change: Change, facts: object, delay_s: float) -> None:
    assert to_work(change, "r", 5.0, 1.0) == Work("path", b"r\0a", PRIORITY_LIVE, facts, delay_s)  # type: ignore[arg-type]


def test_a_settling_time_shorter_than_the_minimum_age_gives_way() -> None:
    assert to_work(Change(b"a", "created"), "r", 1.0, 9.0).delay_s == 9.0


def test_a_scan_has_the_priority_of_scans_and_begins_at_the_beginning() -> None:
    assert scan(b"", "r") == Work("scan", b"r\0", PRIORITY_SCAN, {"cursor": None})


NAMES = st.binary(min_size=1).filter(lambda name: b"\0" not in name)
RENAMES = st.lists(st.lists(NAMES, min_size=1).map(tuple)).map(tuple)


@given(RENAMES, st.booleans())
def test_what_a_job_is_told_of_renames_comes_back_as_it_was(moved_from: tuple[tuple[bytes, ...], ...], vacated: bool) -> None:
    assert renames_of(json.loads(json.dumps(rename_facts(moved_from, vacated)))) == (moved_from, vacated)


PATHS = st.lists(st.sampled_from([b"a", b"b", b"a-b", b"a.c"]), max_size=3).map(b"/".join)


@given(st.lists(PATHS))
def test_the_outermost_directories_hold_all_and_none_holds_another(paths: list[bytes]) -> None:
    kept = outermost(paths)
    assert set(kept) <= set(paths)
    assert all(any(within(path, directory) for directory in kept) for path in paths)
    assert not any(one != other and within(one, other) for one in kept for other in kept)


def test_a_moved_directory_takes_all_below_it_along_and_nothing_beside_it() -> None:
    known = Directories()
    for wd, path in enumerate([b"", b"a", b"a/b", b"a-b", b"c", b"c/d"], 1):
        known.add(wd, path)
    assert sorted(known.move(b"a", b"c")) == [5, 6]
    assert known.wd_of == {b"": 1, b"c": 2, b"c/b": 3, b"a-b": 4}
    assert known.path_of == {1: b"", 2: b"c", 3: b"c/b", 4: b"a-b"}
    assert known.move(b"nowhere", b"c") == []
    assert known.add(9, b"c") == 2
    assert known.forget(2) is None
    assert known.forget(9) == b"c"
