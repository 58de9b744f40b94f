"""What the registry knows about when files were verified, on a real registry.db."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_files import NOW_S, WHY, created, opened, seen, updated

from autoops.core.signing import Signer, new_key
from autoops.model import Change, Entry
from autoops.store.commit import RegistryWriter
from autoops.store.verified import Age, Old, Stock


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RegistryWriter]:
    writer = opened(tmp_path / "registry.db", Signer(new_key()))
    yield writer
    writer.close()


def file(path: bytes, size_bytes: int = 10, root: str = "docs", **fields: object) -> Change:
    made = created(path, observation=seen(size_bytes=size_bytes, **fields))
    return made._replace(after=made.after._replace(root=root))


def commit(writer: RegistryWriter, at_s: float, *changes: Change) -> list[Entry]:
    entries = writer.commit(changes, WHY, at_s).entries
    writer.place_roots({entry.root: b"/srv/" + entry.root.encode() for entry in writer.entries()})
    return entries


def paths(found: list[Old]) -> list[bytes]:
    return [one.path for one in found]


def test_the_oldest_come_first_a_page_after_the_other_and_none_twice(writer: RegistryWriter) -> None:
    entries = commit(writer, 100, *(file(b"d/f%d" % number) for number in range(6)))
    writer.saw_again([(entries[0].id, 1), (entries[3].id, 1)], 300)
    writer.saw_again([(entries[1].id, 1)], 200)
    assert paths(writer.oldest_verified(1000, 10)) == [b"d/f2", b"d/f4", b"d/f5", b"d/f1", b"d/f0", b"d/f3"]
    found: list[Old] = []
    while page := writer.oldest_verified(1000, 2, found[-1] if found else None):
        found += page
    assert found == writer.oldest_verified(1000, 10)
    assert found[3] == Old(entries[1].id, "docs", b"d/f1", 10, 200)
    assert paths(writer.oldest_verified(200, 10)) == [b"d/f2", b"d/f4", b"d/f5"]


def test_only_active_files_of_configured_roots_are_verified(writer: RegistryWriter) -> None:
    kept, gone, *_ = commit(writer, 100, file(b"kept"), file(b"gone"), file(b"link", kind="link"), file(b"other", root="music"))
    commit(writer, 100, updated(gone, status="missing"))
    writer.place_roots({"docs": b"/srv/docs"})
    assert paths(writer.oldest_verified(1000, 10)) == [b"kept"]
    assert writer.stock(1000) == Stock(1, 10, 1, 10)
    assert [(age.root, age.files, age.oldest_id) for age in writer.ages([1000], 0)] == [("docs", 1, kept.id)]
    assert writer.unconfigured() == [{"root": "music", "files": 1}]


def test_the_stock_is_counted_and_what_of_it_is_due(writer: RegistryWriter) -> None:
    assert writer.stock(1000) == Stock(0, 0, 0, 0)
    entries = commit(writer, 100, file(b"a", 1), file(b"b", 20), file(b"c", 300))
    writer.saw_again([(entries[1].id, 1)], 500)
    assert writer.stock(101) == Stock(3, 321, 2, 301)
    assert writer.stock(100) == Stock(3, 321, 0, 0)
    assert writer.verified_since([entry.id for entry in entries], 500) == {entries[1].id}
    assert writer.verified_since([], 0) == set()


def test_files_are_counted_by_root_and_age_with_the_oldest_of_each(writer: RegistryWriter) -> None:
    entries = commit(writer, 100, file(b"a", 1), file(b"b", 2, sha256=None), file(b"c", 4), file(b"m", 8, root="music"))
    writer.saw_again([(entries[2].id, 1)], 900)
    writer.saw_again([(entries[1].id, 1)], 90)
    assert sorted(writer.ages([800, 400, 50], 95)) == [
        Age("docs", 0, 1, 4, 0, 0, 0, 900, entries[2].id),
        Age("docs", 2, 2, 3, 1, 2, 1, 90, entries[1].id),
        Age("music", 2, 1, 8, 0, 0, 0, 100, entries[3].id),
    ]


def test_that_a_file_was_seen_again_is_in_no_commit(writer: RegistryWriter) -> None:
    entries = commit(writer, 100, file(b"a"))
    before = writer.head()
    writer.saw_again([(entries[0].id, 1)], 500)
    assert writer.head() == before and list(writer.entries()) == entries


def test_when_all_began_is_the_time_of_the_first_commit(writer: RegistryWriter) -> None:
    assert writer.began_s() is None
    commit(writer, NOW_S, file(b"a"))
    commit(writer, NOW_S + 60, file(b"b"))
    assert writer.began_s() == NOW_S
