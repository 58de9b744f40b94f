"""The decision table of identity, one test per row, and that no move ever costs a document its ID."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from entries import SEEN
from hypothesis import given, settings
from hypothesis import strategies as st

from autoops.core.identity import Verdict, decide, is_doubtful, retired
from autoops.core.view import MOST_ASKED, Sighting, View, same_file
from autoops.model import Entry, File, Observation
from autoops.watch.lineage import Lineage

NOW_S = 1_800_000_000
Place = tuple[str, bytes]


class World:
    """A disk and a registry beside it, as small as the decision needs them."""

    def __init__(self) -> None:
        self.disk: dict[Place, Observation] = {}
        self.entries: dict[str, Entry] = {}
        self.on_their_way: set[Place] = set()
        self.numbers = itertools.count(1)

    def file(self, path: bytes, root: str = "docs", **seen: Any) -> Observation:
        """Put a new file on the disk: its own inode, birth time and content."""
        number = next(self.numbers)
        one = SEEN._replace(inode=number, birth_ns=number * 1000, sha256=number.to_bytes(32), mtime_ns=number)._replace(**seen)
        self.disk[root, path] = one
        return one

    def known(self, path: bytes, root: str = "docs", **seen: Any) -> Entry:
        """Put a new file on the disk and register it."""
        observation = self.file(path, root, **seen)
        one = Entry(f"{202601010000_0000 + next(self.numbers):016d}", 1, root, path, observation, "active", 1000)
        self.entries[one.id] = one
        return one

    def move(self, path: bytes, target: bytes, root: str = "docs", to: str = "docs") -> None:
        self.disk[to, target] = self.disk.pop((root, path))

    def swap(self, one: bytes, other: bytes) -> None:
        self.disk["docs", one], self.disk["docs", other] = self.disk["docs", other], self.disk["docs", one]

    def remove(self, path: bytes, root: str = "docs") -> None:
        del self.disk[root, path]

    def edit(self, path: bytes, **seen: Any) -> None:
        number = next(self.numbers)
        fields = {"sha256": number.to_bytes(32), "mtime_ns": number} | seen
        self.disk["docs", path] = self.disk["docs", path]._replace(**fields)

    def sighting(self, path: bytes, root: str = "docs", **more: Any) -> Sighting:
        return Sighting(root, path, self.disk.get((root, path)), **more)

    def look(self, *sightings: bytes | Sighting) -> list[Verdict]:
        """Decide one batch, in the order given back by the decision, and register what came of it."""
        batch = [one if isinstance(one, Sighting) else self.sighting(one) for one in sightings]
        verdicts = decide(batch, self.view(batch), NOW_S)
        assert sorted(verdict.sighting for verdict in verdicts) == sorted(batch) or self.is_bare(batch)
        self.commit(verdicts)
        return verdicts

    def is_bare(self, batch: list[Sighting]) -> bool:
        return self.view(batch).is_bare

    def view(self, batch: list[Sighting]) -> View:
        """Gather what the worker gathers: the same queries, over dictionaries."""
        places = {(one.root, one.path) for one in batch}
        living = [one for one in self.entries.values() if one.status != "retired"]
        here = [one for one in living if (one.root, one.path) in places]
        inodes = {one.seen.inode for one in batch if one.seen}
        claimed = {one.claimed for one in batch}
        contents = {one.seen.sha256 for one in batch if one.seen}
        origins = {(one.root, origin) for one in batch for former in one.moved_from for origin in former}
        others = [
            one
            for one in self.entries.values()
            if one.observation.inode in inodes or one.id in claimed or (one.root, one.path) in origins
        ]
        gone = [one for one in living if one.status == "missing" and one.observation.sha256 in contents]
        held = {(one.root, one.path): self.file_at(one.root, one.path) for one in [*others, *gone]}
        return View(here, others, gone, {place: file for place, file in held.items() if place not in places}, self.on_their_way)

    def file_at(self, root: str, path: bytes) -> File | None:
        return self.disk[root, path].file if (root, path) in self.disk else None

    def commit(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            if change := verdict.change:
                if change.before:
                    assert self.entries[change.after.id] == change.before, "decided on something else than there is"
                after = (
                    change.after if change.before else change.after._replace(id=f"{202601010000_0000 + next(self.numbers):016d}")
                )
                self.entries[after.id] = after
        living = [(one.root, one.path) for one in self.entries.values() if one.status != "retired"]
        assert len(living) == len(set(living)), "two documents at one path"

    def at(self, path: bytes, root: str = "docs") -> str | None:
        """Return the ID at a path."""
        (found,) = [one.id for one in self.entries.values() if (one.root, one.path) == (root, path) and one.status == "active"] or [
            None
        ]
        return found


def evidence(verdicts: list[Verdict], path: bytes) -> dict[str, Any]:
    (found,) = [verdict.change.evidence for verdict in verdicts if verdict.change and verdict.change.after.path == path]
    return found


@pytest.fixture
def world() -> World:
    return World()


# at a known path


def test_a_file_of_an_empty_registry_is_new(world: World) -> None:
    world.file(b"a")
    verdicts = world.look(b"a", b"absent")
    assert evidence(verdicts, b"a") == {"confidence": 100, "kind": "new"}
    assert world.at(b"a")


def test_a_new_document_is_what_was_seen_and_is_there_since_now(world: World) -> None:
    for path, is_copy in ((b"of-a-bare-registry", False), (b"another", False), (b"copy", True)):
        seen = world.file(path)
        claimed = world.at(b"another") if is_copy else None
        (verdict,) = world.look(world.sighting(path, claimed=claimed, ctime_ns=7))
        assert verdict.change and verdict.change.before is None and bool(verdict.finding) is is_copy
        assert (verdict.change.after, verdict.change.ctime_ns) == (Entry("", 1, "docs", path, seen, "active", NOW_S), 7)


def test_an_unchanged_file_changes_nothing(world: World) -> None:
    world.known(b"a")
    (verdict,) = world.look(b"a")
    assert (verdict.change, verdict.deferred, verdict.finding) == (None, False, None)


def test_an_edit_in_place_keeps_the_id(world: World) -> None:
    known = world.known(b"a")
    world.edit(b"a")
    verdicts = world.look(b"a")
    assert evidence(verdicts, b"a") == {"confidence": 100, "kind": "same-file"}
    assert world.entries[known.id] == known._replace(rev=2, observation=world.disk["docs", b"a"])


def test_a_save_by_rename_over_keeps_the_id(world: World) -> None:
    known = world.known(b"a")
    world.file(b"a")  # the temporary file was never seen
    verdicts = world.look(b"a", b".a.tmp")
    assert evidence(verdicts, b"a") == {"confidence": 85, "kind": "known-path"}
    assert world.at(b"a") == known.id


def test_a_save_of_the_same_content_is_more_certain(world: World) -> None:
    known = world.known(b"a")
    world.file(b"a", sha256=known.observation.sha256)
    assert evidence(world.look(b"a"), b"a") == {"confidence": 95, "kind": "known-path"}


def test_a_save_whose_temporary_file_was_registered_waits_then_the_path_wins(world: World) -> None:
    known, temporary = world.known(b"a"), world.known(b".a.tmp")
    world.move(b".a.tmp", b"a")
    (verdict,) = world.look(b"a")
    assert verdict.deferred and not verdict.change
    verdicts = world.look(world.sighting(b"a", asked=MOST_ASKED))
    assert evidence(verdicts, b"a") == {"confidence": 85, "kind": "known-path", "replaced_by": temporary.id}  # who is asked next
    assert world.at(b"a") == known.id
    world.look(b".a.tmp")
    assert world.entries[temporary.id].status == "missing"


def test_an_unreadable_file_that_looks_as_before_stays_as_it_is(world: World) -> None:
    known = world.known(b"a")
    world.edit(b"a", sha256=None, mtime_ns=known.observation.mtime_ns, mime="application/octet-stream")
    assert not world.look(b"a")[0].change


def test_an_unreadable_file_that_looks_otherwise_loses_its_hash(world: World) -> None:
    known = world.known(b"a")
    world.edit(b"a", sha256=None)
    world.look(b"a")
    assert world.entries[known.id].observation.sha256 is None and world.at(b"a") == known.id


def test_a_file_that_became_a_link_keeps_the_id_of_its_path(world: World) -> None:
    known = world.known(b"a")
    world.file(b"a", kind="link", inode=known.observation.inode, birth_ns=known.observation.birth_ns)
    assert evidence(world.look(b"a"), b"a")["kind"] == "known-path"
    assert world.at(b"a") == known.id and world.entries[known.id].observation.kind == "link"


def test_a_document_that_moved_on_leaves_its_path_to_one_that_was_renamed_to_it_and_saved_again(world: World) -> None:
    older, newer = world.known(b"a"), world.known(b"b")
    world.move(b"a", b"c")
    world.remove(b"b")
    world.file(b"a")
    world.look(b"c", world.sighting(b"a", moved_from=((b"b",),)), b"b")  # and nobody said that the one at "a" went away
    assert (world.at(b"c"), world.at(b"a"), world.at(b"b")) == (older.id, newer.id, None)


def test_a_file_renamed_over_a_known_path_and_saved_again_is_another_version_at_once(world: World) -> None:
    known, other = world.known(b"a"), world.known(b"b")
    world.remove(b"b")
    world.file(b"a")
    verdicts = world.look(world.sighting(b"a", moved_from=((b"b",),)), b"b")
    assert evidence(verdicts, b"a") == {"confidence": 85, "kind": "known-path"}
    assert world.at(b"a") == known.id and world.entries[other.id].status == "missing"


def test_while_its_new_path_is_not_free_a_document_is_looked_for_at_its_old_one(world: World) -> None:
    world.known(b"a")
    world.known(b"b")
    world.move(b"a", b"c")
    world.remove(b"b")
    world.file(b"a")
    verdicts = world.look(world.sighting(b"a", moved_from=((b"b",),), vacated=True))
    assert [(one.deferred, one.beside) for one in verdicts] == [(True, ("docs", b"b"))]


# at a new path


def test_a_rename_pair_of_the_kernel_is_certain(world: World) -> None:
    known = world.known(b"a")
    world.move(b"a", b"b")
    verdicts = world.look(world.sighting(b"b", moved_from=((b"a",),)), b"a")
    assert evidence(verdicts, b"b") == {"confidence": 100, "kind": "rename-pair", "from": "a", "from_root": "docs"}
    assert world.at(b"b") == known.id and not world.at(b"a")


def test_a_file_renamed_and_replaced_before_anybody_looked_is_known_by_the_rename_pair(world: World) -> None:
    known = world.known(b"a")
    world.remove(b"a")
    world.file(b"b")  # another inode: saved anew at its new name
    verdicts = world.look(world.sighting(b"b", moved_from=((b"a",),)), b"a")
    assert evidence(verdicts, b"b")["then"] == "replaced" and world.at(b"b") == known.id and not world.at(b"a")


def test_a_rename_pair_whose_old_name_was_looked_at_too_early_is_decided_again(world: World) -> None:
    world.known(b"a")
    world.file(b"b")  # replaced and renamed; but "a" was looked at before that
    (late,) = [one for one in world.look(world.sighting(b"b", moved_from=((b"a",),)), b"a") if one.sighting.path == b"b"]
    assert late.deferred and late.change is None


def test_of_two_names_renamed_to_one_place_the_first_is_the_document(world: World) -> None:
    first, second = world.known(b"a"), world.known(b"t")
    world.remove(b"a")
    world.move(b"t", b"b")
    world.look(world.sighting(b"b", moved_from=((b"a",), (b"t",))), b"a", b"t")
    assert world.at(b"b") == first.id and world.entries[second.id].status == "missing"


def test_a_rename_pair_proves_nothing_when_the_file_itself_was_seen_elsewhere(world: World) -> None:
    known = world.known(b"a")
    world.move(b"a", b"c")
    world.file(b"b")
    world.look(world.sighting(b"b", moved_from=((b"a",),)), b"c", b"a")
    assert world.at(b"c") == known.id != world.at(b"b")


@pytest.mark.parametrize("order", [(b"a", b"b"), (b"b", b"a")])
def test_a_move_keeps_the_id_by_inode_in_one_batch(world: World, order: tuple[bytes, bytes]) -> None:
    known = world.known(b"a")
    world.move(b"a", b"b")
    assert evidence(world.look(*order), b"b") == {"confidence": 98, "kind": "inode", "from": "a", "from_root": "docs"}
    assert world.at(b"b") == known.id and known.since_s == world.entries[known.id].since_s


@pytest.mark.parametrize("order", [(b"a", b"b"), (b"b", b"a")])
def test_a_move_keeps_the_id_by_inode_across_batches(world: World, order: tuple[bytes, bytes]) -> None:
    known = world.known(b"a")
    world.move(b"a", b"b")
    for path in order:
        world.look(path)
    assert world.at(b"b") == known.id and not world.at(b"a")


def test_a_move_with_an_edit_keeps_the_id(world: World) -> None:
    known = world.known(b"a")
    world.move(b"a", b"b")
    world.edit(b"b")
    world.look(b"a", b"b")
    assert world.at(b"b") == known.id


def test_a_move_to_another_root_keeps_the_id(world: World) -> None:
    known = world.known(b"a")
    world.move(b"a", b"a", to="code")
    verdicts = world.look(b"a", world.sighting(b"a", root="code"))
    assert evidence(verdicts, b"a") == {"confidence": 98, "kind": "inode", "from": "a", "from_root": "docs"}
    assert world.at(b"a", "code") == known.id and not world.at(b"a")


def test_the_same_path_in_two_roots_is_two_documents(world: World) -> None:
    known = world.known(b"a")
    world.file(b"a", root="code")
    world.look(b"a", world.sighting(b"a", root="code"))
    assert world.at(b"a") == known.id != world.at(b"a", "code")


@pytest.mark.parametrize("order", list(itertools.permutations([b"a", b"b"])))
def test_a_swap_of_two_files_swaps_their_paths(world: World, order: tuple[bytes, ...]) -> None:
    one, other = world.known(b"a"), world.known(b"b")
    world.swap(b"a", b"b")
    verdicts = world.look(*order)
    assert evidence(verdicts, b"a")["kind"] == evidence(verdicts, b"b")["kind"] == "inode"
    assert (world.at(b"a"), world.at(b"b")) == (other.id, one.id)


def test_a_swap_seen_in_two_batches_waits_for_the_other_half(world: World) -> None:
    one, other = world.known(b"a"), world.known(b"b")
    world.swap(b"a", b"b")
    assert world.look(b"a")[0].deferred and world.look(b"b")[0].deferred
    world.look(world.sighting(b"a", asked=MOST_ASKED), world.sighting(b"b", asked=MOST_ASKED))
    assert (world.at(b"a"), world.at(b"b")) == (other.id, one.id)


@pytest.mark.parametrize("count", [2, 3])
def test_documents_that_changed_places_in_a_ring_are_found_by_looking_at_one_more_place_each_time(world: World, count: int) -> None:
    ring = [b"a", b"b", b"c"][:count]
    ids = [world.known(path).id for path in ring]
    files = [world.disk["docs", path] for path in ring]
    for number, path in enumerate(ring):
        world.disk["docs", path] = files[number - 1]
    waiting = {b"a": 0}
    while waiting:
        verdicts = world.look(*[world.sighting(path, asked=asked) for path, asked in waiting.items()])
        deferred = [verdict for verdict in verdicts if verdict.deferred]
        places = {path for verdict in deferred for _, path in (verdict.sighting.place, verdict.beside or verdict.sighting.place)}
        waiting = dict.fromkeys(places, 1 + max(waiting.values()))
    assert [world.at(path) for path in ring] == [ids[number - 1] for number in range(count)]


@pytest.mark.parametrize("order", list(itertools.permutations([b"log", b"log.1", b"log.2"])))
def test_a_rotation_moves_every_log_and_the_new_one_is_new(world: World, order: tuple[bytes, ...]) -> None:
    newer, older = world.known(b"log"), world.known(b"log.1")
    world.move(b"log.1", b"log.2")
    world.move(b"log", b"log.1")
    world.file(b"log")
    world.look(*order)
    assert (world.at(b"log.1"), world.at(b"log.2")) == (newer.id, older.id)
    assert world.at(b"log") not in (None, newer.id, older.id)


@pytest.mark.parametrize("order", list(itertools.permutations([b"log", b"log.1", b"log.2"])))
def test_a_rotation_that_leaves_no_log_moves_every_log(world: World, order: tuple[bytes, ...]) -> None:
    newer, older = world.known(b"log"), world.known(b"log.1")
    world.move(b"log.1", b"log.2")
    world.move(b"log", b"log.1")
    world.look(*order)
    assert (world.at(b"log"), world.at(b"log.1"), world.at(b"log.2")) == (None, newer.id, older.id)


def test_a_copy_gets_its_own_id(world: World) -> None:
    known = world.known(b"a")
    world.file(b"b", sha256=known.observation.sha256)
    assert evidence(world.look(b"b"), b"b") == {"confidence": 100, "kind": "new"}
    assert world.at(b"a") == known.id != world.at(b"b")


# hard links


def test_a_hard_link_gets_its_own_id(world: World) -> None:
    known = world.known(b"a")
    world.disk["docs", b"b"] = world.disk["docs", b"a"]
    assert evidence(world.look(b"b"), b"b") == {"confidence": 100, "kind": "hard-link", "of": known.id}


def test_a_file_seen_under_two_names_while_it_moved_on_is_one_that_was_missing_and_never_simply_new(world: World) -> None:
    known = world.known(b"a")
    world.move(b"a", b"b")
    world.look(b"a")
    assert world.entries[known.id].status == "missing"
    first = world.sighting(b"b", moved_from=((b"a",),))
    world.move(b"b", b"c")
    verdicts = world.look(first, world.sighting(b"c", moved_from=((b"a", b"b"),)))
    kinds = {verdict.sighting.path: verdict.change.evidence["kind"] for verdict in verdicts if verdict.change}
    assert kinds == {b"b": "rename-pair", b"c": "hard-link"}  # the worker looks twice at what is both


def linked(world: World) -> tuple[str, str]:
    one = world.known(b"a")
    world.disk["docs", b"b"] = world.disk["docs", b"a"]
    world.look(b"b")
    other = world.at(b"b")
    assert other
    return one.id, other


def test_removing_one_of_two_names_leaves_the_other(world: World) -> None:
    one, other = linked(world)
    world.remove(b"a")
    world.look(b"a", b"b")
    assert (world.at(b"a"), world.at(b"b"), world.entries[one].status) == (None, other, "missing")


@pytest.mark.parametrize("order", [(b"b", b"c"), (b"c", b"b"), (b"a", b"b", b"c")])
def test_moving_one_of_two_names_moves_that_document(world: World, order: tuple[bytes, ...]) -> None:
    one, other = linked(world)
    world.move(b"b", b"c")
    world.look(*order)
    assert (world.at(b"a"), world.at(b"b"), world.at(b"c")) == (one, None, other)


def test_moving_both_names_keeps_each_name_with_its_document(world: World) -> None:
    one, other = linked(world)
    world.move(b"a", b"d/a")
    world.move(b"b", b"d/b")
    world.look(b"a", b"b", b"d/b", b"d/a")
    assert (world.at(b"d/a"), world.at(b"d/b")) == (one, other)


# gone, and back


def test_a_deleted_file_is_missing_since_now(world: World) -> None:
    known = world.known(b"a")
    world.remove(b"a")
    verdicts = world.look(b"a")
    assert evidence(verdicts, b"a") == {"confidence": 100, "kind": "absent"}
    assert world.entries[known.id] == known._replace(rev=2, status="missing", since_s=NOW_S)
    assert not world.look(b"a")[0].change


def test_a_file_deleted_and_made_again_keeps_the_id_of_its_path(world: World) -> None:
    known = world.known(b"a")
    world.remove(b"a")
    world.look(b"a")
    world.file(b"a")
    world.look(b"a")
    assert world.at(b"a") == known.id and world.entries[known.id].since_s == NOW_S


def test_a_missing_file_restored_from_the_trash_keeps_its_id(world: World) -> None:
    known = world.known(b"a")
    world.move(b"a", b"a", to="trash")
    world.look(b"a")
    world.move(b"a", b"a", root="trash")
    world.look(b"a")
    assert world.at(b"a") == known.id


@pytest.mark.parametrize("back", [b"a", b"b"])
def test_a_retired_file_restored_from_the_trash_keeps_its_id(world: World, back: bytes) -> None:
    known = world.known(b"a")
    world.move(b"a", b"a", to="trash")
    world.look(b"a")
    world.entries[known.id] = retired(world.entries[known.id], NOW_S).after
    world.move(b"a", back, root="trash")
    assert evidence(world.look(back), back)["kind"] == "inode"
    assert world.at(back) == known.id


def test_a_retired_file_does_not_come_back_by_content_alone(world: World) -> None:
    known = world.known(b"a")
    world.entries[known.id] = known._replace(status="retired")
    world.file(b"a", sha256=known.observation.sha256)
    world.look(b"a")
    assert world.at(b"a") not in (None, known.id)


def test_retiring_says_why(world: World) -> None:
    change = retired(world.known(b"a")._replace(status="missing"), NOW_S)
    assert change.before and change.after == change.before._replace(rev=2, status="retired", since_s=NOW_S)
    assert change.evidence == {"confidence": 100, "kind": "grace-over"}


def test_a_retired_document_is_taken_up_by_its_id_although_another_lives_at_its_path(world: World) -> None:
    known = lost(world, b"a")
    world.entries[known.id] = retired(world.entries[known.id], NOW_S).after
    other = world.known(b"a")
    world.file(b"b")
    (verdict,) = world.look(world.sighting(b"b", claimed=known.id))
    assert not verdict.finding and world.at(b"b") == known.id and world.at(b"a") == other.id


def doubtful(world: World, path: bytes, **more: Any) -> bool:
    one = world.sighting(path, **more)
    return is_doubtful(one, world.view([one]))


def test_what_rests_on_no_word_of_the_kernel_is_beyond_doubt(world: World) -> None:
    known = world.known(b"a")
    world.edit(b"a")
    world.file(b"new")
    world.disk["docs", b"link"] = world.disk["docs", b"a"]
    assert not any(doubtful(world, path) for path in (b"a", b"new", b"absent"))
    assert not doubtful(world, b"link", moved_from=((b"a",),), claimed=known.id)  # its inode says which file it is


def test_what_another_word_of_the_kernel_may_overturn_is_doubtful(world: World) -> None:
    known, gone = world.known(b"a"), lost(world, b"gone")
    world.file(b"a")  # is it another version, or did the document move on?
    world.file(b"same", sha256=gone.observation.sha256)
    world.file(b"new")
    assert doubtful(world, b"a") and doubtful(world, b"same")
    assert doubtful(world, b"new", moved_from=((b"a",),)) and doubtful(world, b"new", claimed=known.id)


# same content


def lost(world: World, path: bytes, **seen: Any) -> Entry:
    known = world.known(path, **seen)
    world.remove(path)
    world.look(path)
    return known


def test_the_content_of_exactly_one_missing_file_brings_it_back(world: World) -> None:
    known = lost(world, b"a")
    world.file(b"b", sha256=known.observation.sha256)
    assert evidence(world.look(b"b"), b"b") == {"confidence": 75, "kind": "content", "from": "a", "from_root": "docs"}
    assert world.at(b"b") == known.id


def test_the_content_of_two_missing_files_is_nobodys(world: World) -> None:
    known = lost(world, b"a")
    lost(world, b"b", sha256=known.observation.sha256)
    world.file(b"c", sha256=known.observation.sha256)
    assert evidence(world.look(b"c"), b"c") == {"confidence": 100, "kind": "new"}


def test_among_missing_files_of_one_content_the_name_decides(world: World) -> None:
    known = lost(world, b"x/a")
    lost(world, b"x/b", sha256=known.observation.sha256)
    world.file(b"y/a", sha256=known.observation.sha256)
    wanted = {"confidence": 90, "kind": "content-and-name", "from": "x/a", "from_root": "docs"}
    assert evidence(world.look(b"y/a"), b"y/a") == wanted
    assert world.at(b"y/a") == known.id


def test_a_file_with_the_content_of_one_that_went_elsewhere_is_another(world: World) -> None:
    known = world.known(b"a")
    world.move(b"a", b"c")
    world.look(b"a")
    world.on_their_way = {("docs", b"a")}
    world.file(b"b", sha256=known.observation.sha256)
    assert evidence(world.look(b"b"), b"b")["kind"] == "new"
    assert evidence(world.look(world.sighting(b"c", moved_from=((b"a",),))), b"c")["kind"] == "rename-pair"
    assert world.at(b"c") == known.id


def test_a_file_with_the_id_of_one_that_went_elsewhere_is_its_copy(world: World) -> None:
    known = world.known(b"a")
    world.move(b"a", b"c")
    world.look(b"a")
    world.on_their_way = {("docs", b"a")}
    world.file(b"b")
    (verdict,) = world.look(world.sighting(b"b", claimed=known.id))
    assert verdict.finding and verdict.change and verdict.change.evidence["kind"] == "copy"


def test_two_files_with_the_content_of_one_missing_do_not_share_its_id(world: World) -> None:
    known = lost(world, b"a")
    world.file(b"b", sha256=known.observation.sha256)
    world.file(b"c", sha256=known.observation.sha256)
    world.look(b"b", b"c")
    assert (world.at(b"b") == known.id) != (world.at(b"c") == known.id)


def test_an_empty_file_proves_nothing(world: World) -> None:
    known = lost(world, b"x/a", size_bytes=0)
    world.file(b"y/a", sha256=known.observation.sha256, size_bytes=0)
    assert evidence(world.look(b"y/a"), b"y/a")["kind"] == "new"


def test_a_link_is_no_file_even_with_the_same_hash(world: World) -> None:
    known = lost(world, b"a")
    world.file(b"b", sha256=known.observation.sha256, kind="link")
    assert evidence(world.look(b"b"), b"b")["kind"] == "new"


# the ID in the name


def test_a_claimed_id_whose_file_is_gone_is_taken_up(world: World) -> None:
    known = lost(world, b"a")
    path = f"{known.id}_a".encode()
    world.file(path)
    verdicts = world.look(world.sighting(path, claimed=known.id))
    assert evidence(verdicts, path) == {"confidence": 95, "kind": "claimed-id", "from": "a", "from_root": "docs"}
    assert world.at(path) == known.id


def test_a_claimed_id_whose_file_is_there_is_a_finding_and_a_new_document(world: World) -> None:
    known = world.known(b"a")
    world.file(b"copy")
    (verdict,) = world.look(world.sighting(b"copy", claimed=known.id))
    assert verdict.finding == ("duplicate_id", {"id": known.id, "first": "a", "root": "docs"})
    assert evidence([verdict], b"copy") == {"confidence": 100, "kind": "copy", "of": known.id}
    assert world.at(b"copy") not in (None, known.id) and world.at(b"a") == known.id


def test_two_files_that_claim_a_gone_id_do_not_both_get_it(world: World) -> None:
    known = lost(world, b"a")
    world.file(b"b")
    world.file(b"c")
    verdicts = world.look(world.sighting(b"b", claimed=known.id), world.sighting(b"c", claimed=known.id))
    assert [verdict.finding.kind for verdict in verdicts if verdict.finding] == ["duplicate_id"]
    assert (world.at(b"b") == known.id) != (world.at(b"c") == known.id)


def test_a_claimed_id_that_was_never_given_is_ignored(world: World) -> None:
    world.known(b"a")
    world.file(b"b")
    (verdict,) = world.look(world.sighting(b"b", claimed="2026010100009999"))
    assert not verdict.finding and evidence([verdict], b"b")["kind"] == "new"


# what an inode proves


def test_an_inode_used_again_with_another_birth_time_is_another_file(world: World) -> None:
    known = world.known(b"a")
    world.remove(b"a")
    world.file(b"b", inode=known.observation.inode)
    world.look(b"a", b"b")
    assert world.entries[known.id].status == "missing" and world.at(b"b") != known.id


def test_without_birth_times_an_unchanged_file_that_moved_keeps_its_id(world: World) -> None:
    known = world.known(b"a", birth_ns=0)
    world.move(b"a", b"b")
    assert evidence(world.look(b"a", b"b"), b"b") == {"confidence": 80, "kind": "inode", "from": "a", "from_root": "docs"}
    assert world.at(b"b") == known.id


def test_without_birth_times_an_inode_of_a_changed_file_proves_nothing(world: World) -> None:
    known = world.known(b"a", birth_ns=0)
    world.move(b"a", b"b")
    world.edit(b"b")
    world.look(b"a", b"b")
    assert world.at(b"b") != known.id


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({}, True),
        ({"sha256": None, "size_bytes": 9}, True),
        ({"inode": 9}, False),
        ({"birth_ns": 9}, False),
        ({"kind": "link"}, False),
    ],
)
def test_one_file_is_told_by_inode_birth_and_kind(fields: dict[str, Any], same: bool) -> None:
    assert same_file(SEEN, SEEN._replace(**fields)) is same


# every order of moves

PATHS = [b"a", b"b", b"c", b"d/a", b"d/b"]
MOVES = st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(PATHS)), min_size=1, max_size=8)


def moved(world: World, moves: list[tuple[bytes, bytes]]) -> None:
    """Do those moves that overwrite nothing."""
    for source, target in moves:
        if ("docs", source) in world.disk and ("docs", target) not in world.disk:
            world.move(source, target)


@settings(max_examples=300, deadline=None)
@given(st.lists(MOVES, min_size=1, max_size=4), st.sampled_from([2, 3, 4]), st.randoms(use_true_random=False))
def test_any_sequence_of_moves_keeps_every_id(rounds: list[list[tuple[bytes, bytes]]], count: int, random: Any) -> None:
    world = World()
    owners = {world.known(path).observation.inode: world.at(path) for path in PATHS[:count]}
    for moves in rounds:
        moved(world, moves)
        batch = random.sample(PATHS, len(PATHS))
        world.look(*batch)
        assert {seen.inode: world.at(path) for (_, path), seen in world.disk.items()} == owners
        assert len(world.entries) == count


@settings(max_examples=300, deadline=None)
@given(MOVES, st.sampled_from([2, 3, 4]), st.integers(1, 4), st.randoms(use_true_random=False))
def test_moves_seen_in_several_batches_keep_every_id(moves: list[tuple[bytes, bytes]], count: int, size: int, random: Any) -> None:
    world = World()
    owners = {world.known(path).observation.inode: world.at(path) for path in PATHS[:count]}
    moved(world, moves)
    order = random.sample(PATHS, len(PATHS))
    waiting = []
    for at in range(0, len(order), size):
        waiting += [verdict.sighting.path for verdict in world.look(*order[at : at + size]) if verdict.deferred]
    if waiting:
        world.look(*[world.sighting(path, asked=MOST_ASKED) for path in waiting])
    assert {seen.inode: world.at(path) for (_, path), seen in world.disk.items()} == owners
    assert len(world.entries) == count


class Storm:
    """Files that are renamed, replaced and removed while they are looked at; the kernel's word on it comes with the looks."""

    def __init__(self, world: World) -> None:
        self.world, self.lineage, self.moved_from, self.vacated = world, Lineage(), dict[bytes, Any](), set[bytes]()

    def do(self, verb: str, path: bytes, target: bytes) -> None:
        """Do one thing, unless there is nothing to do it to."""
        if ("docs", path) not in self.world.disk:
            if verb == "make":
                self.made(path)
        elif verb == "remove":
            self.world.remove(path)
        elif verb == "edit":
            self.world.edit(path)
        elif verb == "save":
            self.made(path)  # by way of a temporary file that nobody saw
            self.came(path, b"temporary")
        elif verb == "rename" and path != target:
            self.world.move(path, target)
            self.moved_from.pop(path, None)
            self.vacated.add(path)
            self.came(target, path)

    def made(self, path: bytes) -> None:
        """Make a file as ext4 does: with the least inode number that is free, so that one just deleted comes again."""
        used = {seen.inode for seen in self.world.disk.values()}
        self.world.file(path, inode=next(number for number in itertools.count(1) if number not in used))

    def came(self, path: bytes, before: bytes) -> None:
        self.moved_from[path] = self.lineage.moved(before, path, 0.0)

    def look(self, path: bytes, final: bool) -> Sighting:
        hints = {"moved_from": self.moved_from.pop(path, ()), "vacated": path in self.vacated, "asked": MOST_ASKED * final}
        self.vacated.discard(path)
        return self.world.sighting(path, **hints)


VERBS = st.sampled_from(["make", "remove", "edit", "save", "rename", "rename", "rename"])
DEEDS = st.tuples(VERBS, st.sampled_from(PATHS), st.sampled_from(PATHS))
STEPS = st.one_of(DEEDS, st.tuples(st.just("look"), st.sampled_from(PATHS), st.booleans()), st.just(("decide", b"", False)))


@settings(max_examples=1000, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_whatever_happens_while_a_batch_is_looked_at_no_two_documents_get_one_path(steps: list[tuple[str, bytes, Any]]) -> None:
    world = World()
    for path in PATHS[:4]:
        world.known(path)
    storm = Storm(world)
    batch: dict[bytes, Sighting] = {}
    for verb, path, more in [*steps, ("decide", b"", False)]:
        if verb == "look":
            batch[path] = storm.look(path, more)
        elif verb == "decide":
            world.look(*batch.values())  # its commit asserts that no two live at one place
            batch.clear()
        else:
            storm.do(verb, path, more)
