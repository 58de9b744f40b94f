"""What takes how much room, and what stands below a root: while others delete, and whatever links lead elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoops.files import roots, sizes


def test_a_file_that_disappears_while_files_are_counted_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"xx")
    listed = os.scandir

    @contextmanager
    def while_somebody_deletes(path: bytes) -> Iterator[Iterator[os.DirEntry[bytes]]]:
        with listed(path) as entries:
            found = list(entries)
        os.unlink(found[0].path)
        yield iter(found)

    monkeypatch.setattr(os, "scandir", while_somebody_deletes)
    assert sizes.directory(tmp_path) == (4, 2)


def test_what_lies_behind_a_link_is_not_below_a_root(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    root.mkdir()
    other.mkdir()
    (other / "f").write_bytes(b"")
    (root / "d").symlink_to(other)
    assert not roots.holds_any(os.fsencode(root), [b"d/f", b"none", b"none/f"])
    assert roots.holds_any(os.fsencode(root), [b"none", b"d"])
