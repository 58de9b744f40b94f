"""Shipping from a real registry: what is new, in parts, and where two ledgers part."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from registry_files import WHY, created, opened

from autoops.backup import segment_files, shipping
from autoops.backup.errors import LedgerForked
from autoops.backup.place import Place
from autoops.backup.segments import Segments
from autoops.core.signing import Signer
from autoops.errors import StorageCorrupt
from autoops.store.commit import RegistryWriter
from autoops.store.registry import Registry

SIGNER = Signer(bytes(range(32)))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_files, "MOST_RECORDS", 4)
    monkeypatch.setattr(shipping, "_BATCH_RECORDS", 3)


def committed(path: Path, first: int, count: int, salt: str = "") -> None:
    """Make commits of one entry each."""
    writer: RegistryWriter = opened(path, SIGNER)
    for number in range(first, first + count):
        writer.commit([created(f"{salt}{number}".encode())], WHY, 1_770_000_000 + number)
    writer.close()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "backups")
    made.directory.mkdir()
    return made


def reading(path: Path) -> Iterator[Registry]:
    registry = Registry.open(path)
    yield registry
    registry.close()


@pytest.mark.usefixtures("small")
def test_what_is_new_is_shipped_in_parts_and_only_once(tmp_path: Path, place: Place) -> None:
    path = tmp_path / "registry.db"
    committed(path, 1, 10)
    for registry in reading(path):
        assert shipping.pending(registry, place) == (0, 10)
        assert shipping.ship(registry, place) == (0, 10)
        assert shipping.ship(registry, place) == shipping.pending(registry, place) == (10, 10)
        assert list(Segments(place.ledger).records()) == list(registry.records())
    committed(path, 11, 3)
    for registry in reading(path):
        assert shipping.ship(registry, place) == (10, 13)
        assert list(Segments(place.ledger).records()) == list(registry.records())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("common", [0, 1, 3, 4, 5, 11])
@pytest.mark.parametrize("more", [0, 1, 12])
def test_a_fork_is_found_with_the_last_commit_that_both_have(tmp_path: Path, place: Place, common: int, more: int) -> None:
    shipped, other = tmp_path / "registry.db", tmp_path / "other.db"
    committed(shipped, 1, common)
    committed(other, 1, common)
    committed(shipped, common + 1, 12 - common)
    committed(other, common + 1, more, "other")
    for registry in reading(shipped):
        shipping.ship(registry, place)
    before = list(Segments(place.ledger).records())
    for registry in reading(other):
        with pytest.raises(LedgerForked):
            shipping.ship(registry, place)
        evidence = shipping.fork_evidence(registry, Segments(place.ledger))
        assert (evidence["shipped"], evidence["same_until"]) == (12, common)
        assert (evidence["registry_hash"] is None) == (common + more < 12)
        assert registry.behind(12).commits == common + more - 12
    assert list(Segments(place.ledger).records()) == before


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("left", [b"", b'{"crc32":"01234'], ids=["nothing", "a torn line"])
@pytest.mark.parametrize("common", [0, 3, 6, 7])
def test_a_fork_is_found_where_a_power_cut_left_a_segment_without_a_record(
    tmp_path: Path, place: Place, common: int, left: bytes
) -> None:
    shipped, other = tmp_path / "registry.db", tmp_path / "other.db"
    for path, salt in ((shipped, ""), (other, "other")):
        committed(path, 1, common)
        committed(path, common + 1, 8 - common, salt)
    for registry in reading(shipped):
        shipping.ship(registry, place)
    (place.ledger / "000000000009.jsonl").write_bytes(left)
    for registry in reading(other):
        with pytest.raises(LedgerForked):
            shipping.ship(registry, place)
        assert shipping.fork_evidence(registry, Segments(place.ledger))["same_until"] == common


@pytest.mark.parametrize("record", ["x", '{"at":"2026-99-01"}', "[" * 5000])
def test_a_record_that_no_commit_wrote_is_damage(tmp_path: Path, record: str) -> None:
    path = tmp_path / "registry.db"
    committed(path, 1, 5)
    with contextlib.closing(sqlite3.connect(path)) as con, con:
        con.execute("UPDATE ledger SET record = ? WHERE sequence IN (1, 4)", (record,))
    for registry in reading(path):
        for ask in (partial(registry.behind, 3), registry.began_s):
            with pytest.raises(StorageCorrupt, match=r"the record of commit [14] cannot be read"):
                ask()


def test_how_far_behind_is_told_in_commits_and_since_when(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    committed(path, 1, 5)
    for registry in reading(path):
        assert registry.behind(5) == (0, None)
        assert registry.behind(3) == (2, 1_770_000_004)
        assert registry.behind(9) == (-4, None)
