"""Packed files: what is not what was packed is never given back, whatever it is, and costs no memory."""

from __future__ import annotations

import tracemalloc
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard

from autoops.backup.errors import BackupUnsound
from autoops.backup.manifest import Packed
from autoops.backup.packing import pack, require_whole, unpack

MIB = 1 << 20


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, Packed]:
    plain = tmp_path / "plain"
    plain.write_bytes(b"".join(b"%d\n" % number for number in range(500_000)))
    return tmp_path / "packed", pack(plain, tmp_path / "packed")


def test_what_was_packed_comes_back(packed: tuple[Path, Packed], tmp_path: Path) -> None:
    path, facts = packed
    parts: list[int] = []
    unpack(path, tmp_path / "back", facts, "NAME", parts.append)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "plain").read_bytes() and sum(parts) == facts.plain_bytes
    require_whole(path, facts, "NAME")


def test_a_file_that_unpacks_to_more_than_it_should_fills_no_memory(packed: tuple[Path, Packed], tmp_path: Path) -> None:
    path, facts = packed
    compressor = zstandard.ZstdCompressor().compressobj()
    bomb = b"".join([*(compressor.compress(bytes(MIB)) for _ in range(512)), compressor.flush()])
    path.write_bytes(bomb + bytes(facts.size_bytes - len(bomb)))
    tracemalloc.start()
    try:
        with pytest.raises(BackupUnsound, match="more than what was packed"):
            unpack(path, tmp_path / "back", facts, "NAME")
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 64 * MIB and not (tmp_path / "back").exists()


@pytest.mark.parametrize("how", ["flipped", "cut", "longer", "empty", "another", "two frames", "shorter content"])
def test_what_is_something_else_is_not_given_back(packed: tuple[Path, Packed], tmp_path: Path, how: str) -> None:
    path, facts = packed
    data = path.read_bytes()
    half = len(data) // 2
    other = {
        "flipped": data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :],
        "cut": data[:half],
        "longer": data + b"!",
        "empty": b"",
        "another": zstandard.ZstdCompressor().compress(b"another"),
        "two frames": data + data,
        "shorter content": zstandard.ZstdCompressor().compress((tmp_path / "plain").read_bytes()[:-1]),
    }[how]
    path.write_bytes(other)
    signed = facts._replace(size_bytes=len(other), sha256=sha256(other).hexdigest())
    for told in (facts, facts._replace(size_bytes=len(other)), *([signed] if how != "longer" else [])):
        with pytest.raises(BackupUnsound, match="NAME"):
            unpack(path, tmp_path / "back", told, "NAME")
        assert not (tmp_path / "back").exists()


def test_what_cannot_be_read_is_a_fault_of_the_snapshot(packed: tuple[Path, Packed], tmp_path: Path) -> None:
    _, facts = packed
    link = tmp_path / "link"
    link.symlink_to("packed")
    with pytest.raises(BackupUnsound, match="link cannot be read"):
        unpack(link, tmp_path / "back", facts, "NAME")
    bad = Path("/proc/self/mem")  # its first page fails as a bad sector does
    with pytest.raises(BackupUnsound, match=r"it cannot be read \(Input/output error\)"):
        require_whole(bad, facts._replace(size_bytes=0), "NAME")
