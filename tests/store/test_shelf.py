"""The snapshots that there are, while others prune them, and on a disk that fails."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kept import SIGNER, Kept, live_and_keep

from autoops.backup.abandon import keep
from autoops.backup.place import QUEUE, Place
from autoops.backup.shelf import Shelf
from autoops.backup.snapshot import remove
from autoops.core.signing import Verifier


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return live_and_keep(tmp_path_factory.mktemp("lived"), 6, (2, 6), (4,))


@pytest.fixture
def kept(lived: Kept, tmp_path: Path) -> Kept:
    shutil.copytree(lived.place.directory, tmp_path / "backups")
    return lived._replace(place=Place(tmp_path / "backups"))


class Pruning(Verifier):
    """Our key; while it looks at the first signature, others remove snapshots."""

    def __init__(self, place: Place, *names: str) -> None:
        super().__init__(SIGNER.public)
        self._place, self._names = place, list(names)

    def verify(self, signature: bytes, message: bytes) -> bool:
        while self._names:
            remove(self._place, self._names.pop(0))
        return super().verify(signature, message)


def test_what_is_pruned_while_they_are_listed_is_left_out(kept: Kept) -> None:
    first, built_on_it, last = (kept.snapshots[number].name for number in (2, 4, 6))
    shelf = Shelf(kept.place, Pruning(kept.place, last))
    assert [one.name for one in shelf.all()] == [first, built_on_it] and shelf.unusable() == []
    assert not shelf.has(last) and shelf.has(first)


def test_one_that_is_there_and_cannot_be_read_is_no_pruned_one(kept: Kept) -> None:
    first, _, last = (kept.snapshots[number].name for number in (2, 4, 6))
    (kept.place.snapshot(last) / QUEUE).unlink()
    (kept.place.snapshot(last) / QUEUE).symlink_to(kept.place.snapshot(first) / QUEUE)
    shelf = Shelf(kept.place, Verifier(SIGNER.public))
    assert [one.name for one in shelf.unusable()] == [last]
    shutil.rmtree(kept.place.snapshot(last))
    kept.place.snapshot(last).write_text("no directory")
    assert [one.name for one in shelf.unusable()] == [last] and shelf.has(last)


def test_a_link_among_the_snapshots_is_kept_as_a_link_when_a_history_is_left(kept: Kept) -> None:
    (kept.place.snapshots / "round").symlink_to("..")
    (kept.place.snapshots / "away").symlink_to("/proc/self")
    found = keep(kept.place, "STAMP")
    assert (found.snapshots / "round").is_symlink() and (found.snapshots / "away").is_symlink()
    assert {one.name for one in Shelf(found, Verifier(SIGNER.public)).good()} == {one.name for one in kept.snapshots.values()}
