"""What a scan must not undo: the memory of which paths were looked at on their own."""

from __future__ import annotations

import time

from autoops.work import fresh
from autoops.work.fresh import Fresh


def test_what_was_looked_at_after_the_scan_asked_is_newer_than_the_scan() -> None:
    seen = Fresh()
    seen.wanted = True
    asked_s = time.monotonic()
    seen.note(b"a")
    assert seen.is_stale(b"a", asked_s) and not seen.is_stale(b"b", asked_s)
    assert not seen.is_stale(b"a", time.monotonic() + 1)


def test_nothing_is_kept_while_no_scan_is_on_its_way() -> None:
    seen = Fresh()
    seen.note(b"a")
    assert not seen.is_stale(b"a", 0.5)


def test_what_was_forgotten_for_want_of_room_counts_as_newer() -> None:
    seen = Fresh()
    seen.wanted = True
    asked_s = time.monotonic()
    for number in range(fresh._KEPT + 1):
        seen.note(b"%d" % number)
    assert seen.is_stale(b"never looked at", asked_s)
    seen.forget()
    assert not seen.is_stale(b"never looked at", asked_s)
