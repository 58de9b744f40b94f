"""The stored upper hashes of the Merkle tree: of a burst, of a copy, and wrong ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_files import NOW_S, WHY, created, opened, seen, updated

from autoops.core.digest import bucket_of
from autoops.core.signing import Signer, new_key
from autoops.errors import CannotTell
from autoops.model import Entry
from autoops.prove import verify
from autoops.prove.descent import descend
from autoops.replica.side import of_registry
from autoops.store.commit import RegistryWriter
from autoops.store.registry import Registry

SIGNER = Signer(new_key())
BURST = 300


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.db"


@pytest.fixture
def writer(path: Path) -> Iterator[RegistryWriter]:
    writer = opened(path, SIGNER)
    yield writer
    writer.close()


def burst(writer: RegistryWriter, prefix: bytes = b"f") -> list[Entry]:
    return writer.commit([created(prefix + b"%d" % number) for number in range(BURST)], WHY, NOW_S).entries


def faults(registry: Registry) -> list[str]:
    return [fault.detail for fault in verify.entries(registry, registry.head())]


def execute(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as con:
        for statement in statements:
            con.execute(statement)
    con.close()


def differing(one: Registry, other: Registry) -> set[str]:
    """Return the IDs in which two registries differ, by their stored hashes and by their rows, which say the same."""
    found = []
    for rows in (False, True):
        with of_registry(one, rows=rows) as here, of_registry(other, rows=rows) as there:
            found.append({difference.id for difference in descend(here, there, 10_000)})
    assert found[0] == found[1]
    return found[0]


def test_the_leaves_of_a_burst_are_stored_with_it(writer: RegistryWriter, path: Path) -> None:
    entries = burst(writer)
    assert faults(writer) == []
    with of_registry(writer, rows=False) as side:
        assert side.root() == writer.head().digest
    writer.close()  # as after a kill
    again = opened(path, SIGNER)
    again.commit([updated(entries[0], observation=seen(size_bytes=1))], WHY, NOW_S)
    assert faults(again) == []
    again.close()


def test_a_copy_is_compared_with_what_came_after_it(writer: RegistryWriter, tmp_path: Path) -> None:
    entries = burst(writer)
    writer.copy_to(tmp_path / "copy.db")
    copy = Registry.open_still(tmp_path / "copy.db")
    assert differing(writer, copy) == set()
    changed = entries[3], entries[200]
    writer.commit([updated(entry, observation=seen(size_bytes=1)) for entry in changed], WHY, NOW_S)
    added = burst(writer, b"g")
    assert differing(writer, copy) == {entry.id for entry in (*changed, *added)}
    copy.close()


def test_a_wrong_stored_hash_is_no_answer_and_the_rows_give_one(writer: RegistryWriter, path: Path, tmp_path: Path) -> None:
    (entry,) = writer.commit([created(b"a")], WHY, NOW_S).entries
    writer.copy_to(tmp_path / "copy.db")
    execute(tmp_path / "copy.db", f"UPDATE mid SET hash = zeroblob(32) WHERE number = {bucket_of(entry.id) // 256}")
    copy = Registry.open_still(tmp_path / "copy.db")
    with pytest.raises(CannotTell, match="do not give the digest"), of_registry(copy, rows=False):
        pass
    with of_registry(writer, rows=True) as here, of_registry(copy, rows=True) as there:
        assert list(descend(here, there, 1)) == []
    copy.close()
