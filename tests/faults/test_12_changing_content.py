"""Files are renamed, replaced, overwritten and grow while they are hashed: the registry holds only digests of contents that stood.

A content stood when its writer had closed the file. The disk is slow, so that a file changes while it is read. The control is an
observer that takes what it has read, whatever happened meanwhile.
"""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path
from typing import Any

import pytest
from changing import changed
from judge import records, require_whole
from running import Suite

SIZE_BYTES = 1 << 20
SETTLE_S = 2.0  # much longer than any writer here rests with a file open
SLOW = """
import os, time
_readv = os.readv
def slow(fd, buffers):
    time.sleep(0.01)
    return _readv(fd, buffers)
os.readv = slow
"""
CREDULOUS = """
from autoops.files import observe
def taken(fd, name, before, *_):
    sha256, head = observe.read(fd, before.size_bytes)
    return observe.Seen(name, observe._observation("file", before, sha256, "text/plain"), before.ctime_ns, None)
observe._regular = taken
"""


@pytest.fixture
def suite(suite: Suite) -> Suite:
    suite.configure([{"name": "tree"}], {"watch": {"settle_s": SETTLE_S}})
    return suite


class Writer:
    """Somebody who cannot leave their files alone."""

    def __init__(self, root: Path) -> None:
        self.root, self.stood = root, set[tuple[int, str]]()
        self._count = 0
        for path in root.iterdir():
            self._stands(path.read_bytes())
        for name in ("overwritten", "grown", "saved", "renamed.0", "left", "right"):
            (root / name).write_bytes(self._content())

    def _stands(self, content: bytes) -> bytes:
        self.stood.add((len(content), hashlib.sha256(content).hexdigest()))
        return content

    def _content(self) -> bytes:
        """Return what no file ever held."""
        self._count += 1
        return self._stands(b"%8d" % self._count * (SIZE_BYTES // 8))

    def overwrite(self) -> None:
        """Write something else of the same size into a file, a part at a time."""
        content, part = self._content(), SIZE_BYTES // 8
        with (self.root / "overwritten").open("r+b", buffering=0) as file:
            for at in range(0, SIZE_BYTES, part):
                file.write(content[at : at + part])
                time.sleep(0.01)

    def grow(self) -> None:
        """Make a file longer, with and without closing it meanwhile."""
        with (self.root / "grown").open("ab", buffering=0) as file:
            for _ in range(8):
                file.write(random.randbytes(1000))
                time.sleep(0.01)
        self._stands((self.root / "grown").read_bytes())

    def save(self) -> None:
        """Replace a file by renaming."""
        (self.root / "saved.new").write_bytes(self._content())
        (self.root / "saved.new").replace(self.root / "saved")

    def rename(self) -> None:
        (old,) = self.root.glob("renamed.*")
        self._count += 1
        old.rename(old.with_suffix(f".{self._count}"))

    def swap(self) -> None:
        """Have two files change places."""
        for old, new in (("left", "between"), ("right", "left"), ("between", "right")):
            (self.root / old).rename(self.root / new)

    def work(self, rounds: int) -> None:
        for _ in range(rounds):
            for deed in (self.overwrite, self.grow, self.save, self.rename, self.swap):
                deed()
                time.sleep(0.05)


def observations(suite: Suite) -> set[tuple[int, str]]:
    """Return (size, digest) of every content that was ever registered."""
    patches: list[dict[str, Any]] = [patch for record in records(suite) for patch in record["patches"]]
    seen = [patch.get("entry", patch.get("set", {})).get("observation") for patch in patches]
    return {(one["size_bytes"], one["sha256"]) for one in seen if one and one["sha256"]}


def require_stood(suite: Suite, writer: Writer) -> None:
    never = observations(suite) - writer.stood
    assert not never, f"never stood: {never}"


def ids(suite: Suite) -> dict[str, str]:
    """Return the ID of each document of the writer, which is where it is by now."""
    return {path.decode().partition(".")[0]: entry["id"] for (_, path), entry in suite.active().items() if path[:1].isalpha()}


@pytest.mark.parametrize("rounds", [12, pytest.param(100, marks=pytest.mark.long)])
def test_only_contents_that_stood_are_registered(suite: Suite, rounds: int) -> None:
    writer = Writer(suite.root)
    with changed(suite, SLOW):
        suite.start()
    suite.idle()
    before = ids(suite)
    writer.work(rounds)  # an even number of times: left and right are where they were
    suite.idle()
    require_stood(suite, writer)
    assert ids(suite) == before
    require_whole(suite)


def test_control_whoever_takes_what_was_read_registers_what_never_stood(suite: Suite) -> None:
    writer = Writer(suite.root)
    with changed(suite, SLOW + CREDULOUS):
        suite.start()
    suite.idle()
    writer.work(6)
    suite.idle()
    with pytest.raises(AssertionError, match="never stood"):
        require_stood(suite, writer)
