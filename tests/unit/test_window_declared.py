"""Which edits a window declares."""

from __future__ import annotations

import pytest
from entries import SEEN

from autoops.model import UNDESCRIBED, Entry
from autoops.window.declared import is_declared

PLACES = {"docs": b"/srv/docs"}
ENTRY = Entry("2026010112000001", 1, "docs", b"a b/c.txt", SEEN, "active", 0, UNDESCRIBED._replace(class_name="report"))


@pytest.mark.parametrize(
    "what",
    ["2026010112000001", "class:report", "/srv/docs/a b/c.txt", "/srv/docs/a b", "/srv/docs", "/srv/docs/", "a b/c.txt", "a b"],
)
def test_an_id_a_class_a_path_and_what_lies_below_it_are_declared(what: str) -> None:
    assert is_declared([what], [ENTRY], PLACES)


@pytest.mark.parametrize("what", ["2026010112000002", "class:rep", "/srv/docs/a", "/srv/doc", "c.txt", "", "/", "class:"])
def test_what_only_resembles_it_is_not(what: str) -> None:
    assert not is_declared([what], [ENTRY], PLACES)


def test_an_edit_is_declared_by_what_it_was_or_by_what_it_became() -> None:
    moved = ENTRY._replace(path=b"d.txt")
    assert is_declared(["/srv/docs/d.txt"], [ENTRY, moved], PLACES)
    assert is_declared(["/srv/docs/a b"], [ENTRY, moved], PLACES)
    assert not is_declared([], [ENTRY, moved], PLACES)
