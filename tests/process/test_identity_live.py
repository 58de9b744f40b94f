"""Which document is it? What people and editors do to real files, seen through the whole suite, and on what evidence."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import Suite

TWO_ROOTS = [{"name": "tree"}, {"name": "second"}]


@pytest.fixture(scope="module")
def live(make_shared: Callable[..., Suite]) -> Suite:
    suite = make_shared(roots=TWO_ROOTS)
    suite.start()
    return suite


@pytest.fixture
def place(live: Suite, request: pytest.FixtureRequest) -> Path:
    """A directory of its own for each test, with a document in it."""
    path = live.root / request.node.name.removeprefix("test_")[:60]
    path.mkdir()
    (path / "f.txt").write_text(f"what {path.name} is about\n")
    live.idle()
    return path


def only(live: Suite, place: Path) -> dict[str, str]:
    """Return the IDs of a directory's files, by name."""
    live.idle()
    return {name: entry["id"] for name, entry in live.entries(place.name).items()}


def last(live: Suite, entry_id: str) -> dict[str, Any]:
    """Return the evidence of a document's last change."""
    return live.evidence({"id": entry_id})[-1]


def test_an_edit_in_place_keeps_the_id(live: Suite, place: Path) -> None:
    before = only(live, place)
    (place / "f.txt").write_text("edited\n")
    assert only(live, place) == before
    assert last(live, before["f.txt"])["kind"] == "same-file"


def test_a_file_whose_times_are_set_is_known_by_the_new_ones(live: Suite, place: Path) -> None:
    before = only(live, place)
    os.utime(place / "f.txt", ns=(1, 1_000_000_000_123_456_789))
    assert only(live, place) == before
    assert live.entry(f"{place.name}/f.txt")["observation"]["mtime_ns"] == 1_000_000_000_123_456_789


def test_a_save_that_moves_the_old_file_to_a_backup_and_writes_anew_keeps_the_id(live: Suite, place: Path) -> None:
    before = only(live, place)
    (place / "4913").touch()
    (place / "4913").unlink()
    (place / "f.txt").rename(place / "f.txt~")
    (place / "f.txt").write_text("saved by vim\n")
    (place / "f.txt~").unlink()
    assert only(live, place) == before
    assert last(live, before["f.txt"])["kind"] == "known-path"


@pytest.mark.parametrize("temporary", [".f.txt.swp", "f.txt.tmp-1234", "goutputstream-X"])
def test_a_save_that_renames_a_new_file_over_the_old_keeps_the_id(live: Suite, temporary: str) -> None:
    place = live.root / f"over-{temporary.strip('.').replace('.', '-')}"
    place.mkdir()
    (place / "f.txt").write_text("old\n")
    before = only(live, place)
    (place / temporary).write_text("saved\n")
    (place / temporary).replace(place / "f.txt")
    assert only(live, place) == before
    assert last(live, before["f.txt"])["kind"] == "known-path"


def test_a_save_through_a_temporary_file_that_was_registered_meanwhile_keeps_the_id(live: Suite, place: Path) -> None:
    (place / "f.new").write_text("in the making\n")
    before = only(live, place)
    (place / "f.new").replace(place / "f.txt")
    after = only(live, place)
    live.until(lambda: only(live, place) == {"f.txt": before["f.txt"]}, f"one document is left, the old one: {after}")
    live.require_nothing_left_to_do()
    assert last(live, before["f.txt"])["replaced_by"] == before["f.new"]
    (gone,) = [entry for entry in live.export() if entry["id"] == before["f.new"]]
    assert gone["status"] == "missing"


def test_a_rename_keeps_the_id_on_the_kernels_word(live: Suite, place: Path) -> None:
    before = only(live, place)
    (place / "f.txt").rename(place / "g.md")
    assert only(live, place) == {"g.md": before["f.txt"]}
    evidence = last(live, before["f.txt"])
    assert (evidence["kind"], evidence["confidence"], evidence["from"]) == ("rename-pair", 100, f"{place.name}/f.txt")


def test_a_file_renamed_again_and_again_and_saved_anew_before_anybody_looks_keeps_the_id(live: Suite, place: Path) -> None:
    before = only(live, place)
    live.processes["worker"].send_signal(signal.SIGSTOP)
    (place / "f.txt").rename(place / "g.txt")
    (place / "g.txt").rename(place / "h.txt")
    (place / "h.new").write_text("saved\n")
    (place / "h.new").replace(place / "h.txt")
    (place / "f.txt").write_text("another document under the old name\n")
    live.processes["worker"].send_signal(signal.SIGCONT)
    after = only(live, place)
    assert after.keys() == {"f.txt", "h.txt"} and after["h.txt"] == before["f.txt"] != after["f.txt"]
    assert last(live, before["f.txt"])["then"] == "replaced"


def test_a_copy_is_not_taken_for_the_document_that_is_on_its_way(live: Suite, place: Path) -> None:
    """What it was copied from has the content of a document that left its path, and is seen at its new one only later."""
    shutil.copyfile(place / "f.txt", place / "same.txt")
    (place / "there").mkdir()
    before = only(live, place)
    live.processes["worker"].send_signal(signal.SIGSTOP)
    with (place / "there" / "first").open("wb") as slow:
        slow.truncate(6 << 30)  # of one task with what comes there next: that is seen when all of this has been read
    (place / "f.txt").rename(place / "there" / "f.txt")
    live.until(lambda: live.queue()["queued"] >= 3, "the watcher has told of it")
    live.processes["worker"].send_signal(signal.SIGCONT)
    live.until(lambda: "f.txt" not in live.entries(place.name), "it is gone, and nobody knows where it is")
    shutil.copyfile(place / "same.txt", place / "copy.txt")
    live.until(lambda: "copy.txt" in live.entries(place.name), "the copy is known")
    copy = live.entry(f"{place.name}/copy.txt")["id"]
    (place / "there" / "first").unlink()
    live.idle()
    assert live.entry(f"{place.name}/there/f.txt")["id"] == before["f.txt"] != copy


def test_files_that_change_places_and_are_saved_anew_before_anybody_looks_keep_their_ids(live: Suite, place: Path) -> None:
    (place / "g.txt").write_text("the other one\n")
    before = only(live, place)
    live.processes["worker"].send_signal(signal.SIGSTOP)
    for old, new in (("f.txt", "t.txt"), ("g.txt", "f.txt"), ("t.txt", "g.txt")):
        (place / old).rename(place / new)
    for name in ("f.txt", "g.txt"):
        (place / "new").write_text(f"{name} saved\n")
        (place / "new").replace(place / name)
    live.processes["worker"].send_signal(signal.SIGCONT)
    assert only(live, place) == {"f.txt": before["g.txt"], "g.txt": before["f.txt"]}


def test_a_move_between_directories_and_back_keeps_the_id(live: Suite, place: Path) -> None:
    before = only(live, place)
    (place / "a" / "b").mkdir(parents=True)
    (place / "f.txt").rename(place / "a" / "b" / "f.txt")
    assert only(live, place) == {"a/b/f.txt": before["f.txt"]}
    (place / "a" / "b" / "f.txt").rename(place / "f.txt")
    assert only(live, place) == before


def test_a_move_to_another_root_and_back_keeps_the_id(live: Suite, place: Path) -> None:
    before = only(live, place)
    other = live.roots["second"] / place.name
    (place / "f.txt").rename(other)
    live.idle()
    entry = live.entry(place.name, "second")
    assert entry["id"] == before["f.txt"] and only(live, place) == {}
    evidence = last(live, entry["id"])
    assert (evidence["kind"], evidence["from_root"]) == ("inode", "tree")
    other.rename(place / "f.txt")
    assert only(live, place) == before


def test_two_files_that_change_places_keep_their_ids(live: Suite, place: Path) -> None:
    (place / "g.txt").write_text("the other one\n")
    before = only(live, place)
    (place / "f.txt").rename(place / "t.swp")
    (place / "g.txt").rename(place / "f.txt")
    (place / "t.swp").rename(place / "g.txt")
    live.until(lambda: only(live, place) == {"f.txt": before["g.txt"], "g.txt": before["f.txt"]}, f"the IDs went along: {before}")


def test_rotated_logs_keep_their_ids_and_the_new_log_is_new(live: Suite, place: Path) -> None:
    (place / "log").write_text("today\n")
    (place / "log.1").write_text("yesterday\n")
    before = only(live, place)
    (place / "log.1").rename(place / "log.2")
    (place / "log").rename(place / "log.1")
    (place / "log").write_text("tomorrow\n")

    def is_rotated() -> bool:
        after = only(live, place)
        return (after["log.2"], after["log.1"]) == (before["log.1"], before["log"]) and after["log"] not in before.values()

    live.until(is_rotated, "each log kept its ID")


def test_a_directory_of_300_files_moves_with_all_their_ids(live: Suite, place: Path) -> None:
    (place / "from").mkdir()
    for number in range(300):
        (place / "from" / f"{number}").write_text(f"{place.name} {number}\n")
    before = only(live, place)
    (place / "from").rename(place / "to")
    after = only(live, place)
    assert len(after) == 301 and after == {name.replace("from/", "to/"): entry_id for name, entry_id in before.items()}


def test_a_copy_gets_its_own_id(live: Suite, place: Path) -> None:
    before = only(live, place)
    shutil.copy2(place / "f.txt", place / "copy.txt")
    after = only(live, place)
    assert after["f.txt"] == before["f.txt"] and after["copy.txt"] != before["f.txt"]
    assert last(live, after["copy.txt"])["kind"] == "new"


def test_a_hard_link_gets_its_own_id_and_is_kept_up_to_date_through_either_name(live: Suite, place: Path) -> None:
    before = only(live, place)
    os.link(place / "f.txt", place / "link.txt")
    after = only(live, place)
    assert after["f.txt"] == before["f.txt"] and after["link.txt"] != before["f.txt"]
    evidence = last(live, after["link.txt"])
    assert (evidence["kind"], evidence["of"]) == ("hard-link", before["f.txt"])
    (place / "f.txt").write_text("edited through one of the names\n")
    assert only(live, place) == after
    both = live.entries(place.name)
    assert both["f.txt"]["observation"] == both["link.txt"]["observation"]
    with (place / "link.txt").open("a") as out:
        out.write("and, before that name went away, through the other\n")
    (place / "link.txt").unlink()
    assert only(live, place) == before
    live.require_disk_registered(lambda path: not path.startswith(os.fsencode(place.name) + b"/f.txt"), names=("tree",))


def test_a_file_that_is_deleted_and_made_again_is_the_same_document(live: Suite, place: Path) -> None:
    before = only(live, place)
    (place / "f.txt").unlink()
    assert only(live, place) == {}
    (entry,) = [entry for entry in live.export() if entry["id"] == before["f.txt"]]
    assert entry["status"] == "missing"
    (place / "f.txt").write_text("made again, quite another text\n")
    assert only(live, place) == before
    assert [step["kind"] for step in live.evidence(entry)] == ["new", "absent", "known-path"]


def test_a_file_that_comes_back_from_a_trash_is_the_same_document(live: Suite, place: Path) -> None:
    before = only(live, place)
    trash = live.base / "trash"
    trash.mkdir(exist_ok=True)
    (place / "f.txt").rename(trash / "f.txt")
    assert only(live, place) == {}
    (trash / "f.txt").rename(place / "restored.txt")
    assert only(live, place) == {"restored.txt": before["f.txt"]}
    assert last(live, before["f.txt"])["kind"] == "inode"


def test_a_file_that_comes_back_from_a_backup_is_the_same_document(live: Suite, place: Path) -> None:
    before = only(live, place)
    backup = live.base / "backup"
    shutil.copy2(place / "f.txt", backup)
    (place / "f.txt").unlink()
    assert only(live, place) == {}
    (place / "elsewhere").mkdir()
    shutil.copy2(backup, place / "elsewhere" / "f.txt")
    assert only(live, place) == {"elsewhere/f.txt": before["f.txt"]}
    kinds = [evidence["kind"] for evidence in live.evidence({"id": before["f.txt"]})]
    assert "content-and-name" in kinds[-2:]  # looked at between the copying and the setting of its times, it is "same-file" then


def test_what_happens_while_nothing_runs_keeps_its_ids_too(make_suite: Callable[..., Suite]) -> None:
    suite = make_suite(roots=TWO_ROOTS)
    tree, second = suite.root, suite.roots["second"]
    names = ("edited", "replaced", "renamed", "moved", "deleted", "away", "swapped", "with", "copied", "linked", "dir/in")
    (tree / "dir").mkdir()
    for name in names:
        (tree / name).write_text(f"this is {name}\n")
    suite.start()
    suite.idle()
    before = {name: suite.entry(name)["id"] for name in names}
    suite.stop()
    (tree / "edited").write_text("another text\n")
    (tree / "new~").write_text("replaced\n")
    (tree / "new~").replace(tree / "replaced")
    (tree / "renamed").rename(tree / "renamed.md")
    (tree / "sub").mkdir()
    (tree / "moved").rename(tree / "sub" / "moved")
    (tree / "deleted").unlink()
    (tree / "away").rename(second / "away")
    (tree / "swapped").rename(tree / "t")
    (tree / "with").rename(tree / "swapped")
    (tree / "t").rename(tree / "with")
    shutil.copy2(tree / "copied", tree / "copy")
    os.link(tree / "linked", tree / "link")
    (tree / "dir").rename(tree / "sub" / "dir")
    suite.start()
    suite.idle()
    suite.require_disk_registered()
    active = {os.fsdecode(path): entry["id"] for (_, path), entry in suite.active().items()}
    assert len(set(active.values())) == len(active)
    assert {active["copy"], active["link"]}.isdisjoint(before.values())
    now = {"renamed": "renamed.md", "moved": "sub/moved", "dir/in": "sub/dir/in", "swapped": "with", "with": "swapped"}
    for name in set(names) - {"deleted"}:
        assert active[now.get(name, name)] == before[name], (name, suite.evidence({"id": active[now.get(name, name)]}))
    (gone,) = [entry for entry in suite.export() if entry["id"] == before["deleted"]]
    assert gone["status"] == "missing"
