"""The policies `observe` and `rename`, on real files through the whole suite."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest
from running import Suite, disk

Make = Callable[..., Suite]


@pytest.fixture(scope="module")
def observing(make_shared: Make) -> Suite:
    suite = make_shared(roots=[{"name": "tree", "policy": "observe"}, {"name": "second"}])
    for name in ("a.txt", "b.txt"):
        (suite.root / name).write_text(f"{name}\n")
    suite.start()
    suite.idle()
    return suite


@pytest.fixture(scope="module")
def renaming(make_shared: Make) -> Suite:
    suite = make_shared(roots=[{"name": "tree", "policy": "rename"}])
    suite.start()
    return suite


def would(suite: Suite) -> dict[str, str]:
    return {row["path"]: row["action"] for row in suite.run("report", "dry-run", "--json").json["paths"]}


def test_an_observed_tree_is_reported_and_nothing_of_it_is_registered(observing: Suite) -> None:
    before = disk(observing.root)
    assert would(observing) == {"a.txt": "register", "b.txt": "register"}
    (observing.root / "c.txt").write_text("c\n")
    observing.idle()
    assert would(observing).keys() == {"a.txt", "b.txt", "c.txt"}
    assert observing.run("report", "dry-run", "--json").json["summary"] == [{"action": "register", "paths": 3, "root": "tree"}]
    shown = observing.run("report", "dry-run").out
    assert "register" in shown and "c.txt" in shown
    assert observing.export() == []
    assert observing.run("status", "--json").json["sequence"] == 0
    assert {path: fact for path, fact in disk(observing.root).items() if path != b"c.txt"} == before


def test_a_tree_beside_an_observed_one_is_registered_as_ever(observing: Suite) -> None:
    (observing.roots["second"] / "real.txt").write_text("real\n")
    observing.idle()
    assert [entry["path"] for entry in observing.export()] == ["real.txt"]
    assert "real.txt" not in would(observing)


def test_a_new_file_gets_its_id_as_a_prefix(renaming: Suite) -> None:
    (renaming.root / "sub").mkdir()
    (renaming.root / "sub" / "plan.txt").write_text("the plan\n")
    renaming.idle()
    ((name, entry),) = renaming.entries("sub").items()
    assert name == f"{entry['id']}_plan.txt" and (renaming.root / "sub" / name).read_text() == "the plan\n"
    assert [step["kind"] for step in renaming.evidence(entry)] == ["new", "own-rename"]


def test_an_edit_of_a_renamed_file_keeps_its_name_and_id(renaming: Suite) -> None:
    (renaming.root / "edit").mkdir()
    (renaming.root / "edit" / "f").write_text("f\n")
    renaming.idle()
    ((name, entry),) = renaming.entries("edit").items()
    (renaming.root / "edit" / name).write_text("edited\n")
    beside = renaming.root / "edit" / "new~"
    beside.write_text("replaced\n")
    beside.replace(renaming.root / "edit" / name)
    renaming.idle()
    ((name_after, after),) = renaming.entries("edit").items()
    assert (name_after, after["id"]) == (name, entry["id"])
    assert os.listdir(renaming.root / "edit") == [name]


def test_hidden_files_and_ids_in_foreign_names_are_left_as_they_are(renaming: Suite) -> None:
    place = renaming.root / "skip"
    place.mkdir()
    (place / ".profile").write_text("hidden\n")
    (place / "link").symlink_to(".profile")
    renaming.idle()
    assert sorted(os.listdir(place)) == [".profile", "link"]
    assert renaming.entries("skip").keys() == {".profile", "link"}


def test_a_name_that_would_be_too_long_is_a_finding_and_stays(renaming: Suite) -> None:
    place = renaming.root / "long"
    place.mkdir()
    (place / ("n" * 238)).write_text("just fits\n")
    (place / ("m" * 239)).write_text("one too long\n")
    renaming.idle()
    names = renaming.entries("long")
    assert sorted(len(name) for name in names) == [239, 255]
    (found,) = [one for one in renaming.findings("not_renamed") if "mmmm" in one["subject"]]
    assert "too long" in found["detail"]["reason"]
    (place / ("m" * 239)).rename(place / "short")
    renaming.idle()
    assert [one for one in renaming.findings("not_renamed") if "mmmm" in one["subject"]] == []


def test_a_name_that_is_taken_is_never_overwritten(make_suite: Make) -> None:
    suite = make_suite()
    (suite.root / "f").write_text("the document\n")
    (suite.root / "g").write_text("another\n")
    suite.once()
    ids = {name: suite.entry(name)["id"] for name in ("f", "g")}
    (suite.root / f"{ids['f']}_f").symlink_to("somewhere else")  # links are not renamed: the name stays taken
    (suite.root / f"{ids['g']}_g").write_text("not the document that its name claims\n")
    suite.configure([{"name": "tree", "policy": "rename"}], {})
    for name in ids:
        (suite.root / name).write_text("edited\n")
    suite.once()
    assert os.readlink(suite.root / f"{ids['f']}_f") == "somewhere else"
    assert (suite.root / "f").read_text() == "edited\n" and suite.entry("f")["id"] == ids["f"]
    (found,) = suite.findings("not_renamed")
    assert found["detail"]["id"] == ids["f"] and "another document lives" in found["detail"]["reason"]
    (claim,) = suite.findings("duplicate_id")
    assert claim["detail"]["id"] == ids["g"]
    contents = sorted(path.read_text() for path in suite.root.iterdir() if path.is_file())
    assert contents == ["edited\n", "edited\n", "not the document that its name claims\n"]


def test_a_copy_of_a_renamed_file_is_a_finding_and_a_document_of_its_own(renaming: Suite) -> None:
    place = renaming.root / "copy"
    place.mkdir()
    (place / "f").write_text("to be copied\n")
    renaming.idle()
    ((name, entry),) = renaming.entries("copy").items()
    (place / "sub").mkdir()
    shutil.copy2(place / name, place / "sub" / name)
    renaming.idle()
    after = {one: found["id"] for one, found in renaming.entries("copy").items()}
    assert after[name] == entry["id"] and len(after) == 2 and len(set(after.values())) == 2
    (found,) = [one for one in renaming.findings("duplicate_id") if "copy/sub" in one["subject"]]
    assert found["detail"]["id"] == entry["id"]


def test_a_renamed_file_that_was_away_is_known_by_the_id_in_its_name(renaming: Suite) -> None:
    place = renaming.root / "away"
    place.mkdir()
    (place / "f").write_text("it goes abroad\n")
    renaming.idle()
    ((name, entry),) = renaming.entries("away").items()
    (place / name).unlink()
    renaming.idle()
    (place / "back").mkdir()
    (place / "back" / name).write_text("and comes back changed\n")
    renaming.idle()
    assert {one: found["id"] for one, found in renaming.entries("away").items()} == {f"back/{name}": entry["id"]}
    assert renaming.evidence(entry)[-1]["kind"] == "claimed-id"
