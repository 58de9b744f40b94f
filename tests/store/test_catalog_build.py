"""Catalogs of real registries: whole generations, renewed where a commit touched them, in step with the registry, never half."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_files import NOW_S, WHY, created, opened, seen, updated

from autoops.catalog.build import Outcome, Settings, build
from autoops.catalog.crew import Crew
from autoops.config import CatalogConfig
from autoops.core.canonical import entry_text
from autoops.core.catalog import METADATA, Metadata, Slice
from autoops.core.signing import Signer, new_key
from autoops.errors import AnotherBuilder, CatalogFailed, StorageCorrupt
from autoops.model import UNDESCRIBED, Change, Described, Entry
from autoops.prove import catalog_lines
from autoops.prove import catalogs as proofs
from autoops.state import State
from autoops.store.commit import RegistryWriter
from autoops.store.registry import Registry
from autoops.store.slices import Slices

PART = 10
ALL = ("jsonl", "csv", "html", "hashdeep", "markdown", "bagit")
DOCUMENT = Described(b"\x11" * 32, {"tags": ["in a descriptor"], "n": 1}, "document", "builtin:text", 50, ("a", "b"))
SOURCE = DOCUMENT._replace(class_name="source")


class House:
    """A state directory with a registry that is open for writing."""

    def __init__(self, directory: Path) -> None:
        self.state = State(directory)
        for part in ("registry", "queue"):
            (directory / part).mkdir(parents=True)
        self.writer: RegistryWriter = opened(self.state.registry_db, Signer(new_key()))

    def commit(self, *changes: Change) -> list[Entry]:
        return self.writer.commit(changes, WHY, NOW_S).entries

    def fill(self, count: int, **fields: Any) -> list[Entry]:
        return self.commit(*(created(b"d%d/f%d" % (number % 3, number), **fields) for number in range(count)))

    def build(self, name: str = "all", format: str = "jsonl", **more: Any) -> Outcome:
        how = {key: more.pop(key) for key in ("workers", "verify", "dry_run", "anew", "wait_s") if key in more}
        return build(self.state, self.table(name, format, **more), Settings(PART, **how), lambda _done, _total: None, NOW_S)

    def table(self, name: str = "all", format: str = "jsonl", **more: Any) -> CatalogConfig:
        return CatalogConfig(name, format, **{"status": "", **more})

    def made(self, name: str = "all") -> Metadata:
        found = proofs.present(self.state, name)
        assert found is not None
        return found

    def lines(self, name: str = "all") -> list[str]:
        files = [self.state.catalogs / name / part.file for part in self.made(name).parts]
        return [line for file in files for line in file.read_text().splitlines()]

    def found(self, table: CatalogConfig | None = None) -> list[tuple[str, str, dict[str, Any]]]:
        registry = Registry.open(self.state.registry_db)
        try:
            return list(proofs.check(self.state, registry, [table or self.table()], every_part=True))
        finally:
            registry.close()

    def texts(self, slice_: Slice = Slice()) -> list[str]:  # noqa: B008
        """Return the canonical texts of a slice by the way that shares nothing with a catalog's."""
        return [entry_text(entry) for entry in self.writer.entries() if slice_.holds(entry)]

    def require_right(self, name: str = "all", slice_: Slice = Slice()) -> None:  # noqa: B008
        """The catalog is what the registry says, and its metadata are those of its files."""
        made, directory = self.made(name), self.state.catalogs / name
        assert self.lines(name) == self.texts(slice_)
        assert made.entries == len(self.texts(slice_)) == sum(part.entries for part in made.parts)
        assert {path.name for path in directory.iterdir()} == {*made.files, METADATA}
        for file, said in made.files.items():
            raw = (directory / file).read_bytes()
            assert (said.size_bytes, said.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
        head = self.writer.head()
        assert (made.sequence, made.registry_digest) == (head.sequence, head.digest.hex())
        assert [path.name for path in self.state.catalogs.glob(".*.new")] == []


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "state")
    yield made
    made.writer.close()


def inodes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in directory.iterdir()}


# what a slice reads


def test_a_slice_is_cut_counted_and_read_by_its_root_class_and_status(house: House) -> None:
    house.fill(7, described=DOCUMENT)
    house.commit(created(b"x", root="other", described=SOURCE), created(b"y", root="other", status="missing"))
    slices = Slices(house.writer.reader)
    for slice_ in (
        Slice(),
        Slice("docs"),
        Slice("other"),
        Slice("", "document"),
        Slice("other", "source", "active"),
        Slice("", "", "missing"),
    ):
        texts = house.texts(slice_)
        assert [line.text for line in slices.lines(slice_)] == texts
        assert slices.count(slice_) == len(texts)
        assert sorted(entry_text(entry) for entry in slices.by_path(slice_)) == sorted(texts)
        assert len(slices.cuts(slice_, 2)) == max(1, -(-len(texts) // 2))


# from nothing


@pytest.mark.parametrize("count", [0, 1, PART, PART + 1, 5 * PART])
def test_a_catalog_from_nothing_is_the_export_cut_into_files(house: House, count: int) -> None:
    if count:
        house.fill(count, described=DOCUMENT)
    outcome = house.build()
    assert (outcome.done, outcome.reason) == ("built", "it was never built")
    house.require_right()
    assert len(house.made().parts) == max(1, -(-count // PART))
    assert house.found() == []
    assert house.build().done == "fresh"


@pytest.mark.parametrize("format", ALL)
def test_every_format_is_built_is_fresh_follows_a_commit_and_is_made_anew_when_damaged(house: House, format: str) -> None:
    entries = house.fill(3 * PART, described=DOCUMENT)
    table = house.table("c", format)
    assert house.build("c", format).done == "built"
    assert house.found(table) == [] and house.build("c", format).done == "fresh"
    house.commit(updated(entries[4], path=b"a new <name>"))
    assert [kind for kind, *_ in house.found(table)] == [proofs.STALE]
    outcome = house.build("c", format)
    assert (outcome.done, outcome.parts_made) == ("updated", 1)
    assert house.found(table) == []
    whole = b"".join(path.read_bytes() for path in sorted((house.state.catalogs / "c").iterdir()) if path.name != METADATA)
    assert b"a new " in whole
    victim = sorted(house.made("c").files)[0]
    (house.state.catalogs / "c" / victim).write_bytes(b"damaged")
    assert {(kind, detail["file"]) for kind, _, detail in house.found(table)} == {(proofs.CHECKSUM, victim)}
    assert house.build("c", format).done != "fresh"
    assert house.found(table) == []


def test_the_csv_of_all_parts_has_every_entry_once_each_with_its_header(house: House) -> None:
    entries = house.fill(2 * PART + 1, described=DOCUMENT)
    house.build("c", "csv")
    ids = []
    for part in house.made("c").parts:
        with (house.state.catalogs / "c" / part.file).open(newline="") as file:
            ids += [row["id"] for row in csv.DictReader(file)]
    assert ids == [entry.id for entry in entries]


def test_the_index_of_markdown_names_each_root_and_its_pages_by_path(house: House) -> None:
    house.commit(*(created(b"b%02d" % number) for number in range(PART + 1)), created(b"a"), created(b"x", root="other|root"))
    house.build("m", "markdown")
    index = (house.state.catalogs / "m" / "index.md").read_text()
    assert f"| docs | {PART + 2} | [1](m-001-00001.md) [2](m-001-00002.md) |" in index
    assert "| other\\|root | 1 |" in index
    page = (house.state.catalogs / "m" / "m-001-00001.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in page[4:6]] == ["| a", "| b00"]


def test_a_bag_has_good_tag_sums_and_a_payload_line_for_every_file(house: House) -> None:
    house.commit(
        created(b"a b"),
        created(b"%", observation=seen(size_bytes=30)),
        created(b"fifo", observation=seen(kind="fifo", sha256=None)),
        created(b"caf\xe9"),
    )
    left_out = {"no plain file": 1, "name is not UTF-8": 1}
    assert house.build("b", "bagit", root="docs").left_out == house.build("b", "bagit", root="docs").left_out == left_out
    assert house.made("b").left_out == left_out
    directory = house.state.catalogs / "b"
    for line in (directory / "tagmanifest-sha256.txt").read_text().splitlines():
        hashed, name = line.split("  ")
        assert hashlib.sha256((directory / name).read_bytes()).hexdigest() == hashed
    assert (directory / "manifest-sha256.txt").read_text() == f"{'11' * 32}  data/a b\n{'11' * 32}  data/%25\n"
    info = (directory / "bag-info.txt").read_text()
    assert "Payload-Oxum: 42.2\nLeft-Out: 1 (name is not UTF-8)\nLeft-Out: 1 (no plain file)\n" in info


def test_a_bag_of_all_roots_has_a_directory_for_each_and_refuses_one_that_leads_out(house: House) -> None:
    house.commit(created(b"a", root="/srv/docs"))
    house.build("b", "bagit")
    assert "  data/srv/docs/a\n" in (house.state.catalogs / "b" / "manifest-sha256.txt").read_text()
    house.commit(created(b"a", root="../x"))
    with pytest.raises(CatalogFailed, match="cannot be a directory in a bag"):
        house.build("b", "bagit")
    assert house.made("b").entries == 1, "the old one stays"


# after commits


def test_a_commit_makes_anew_the_parts_that_it_touched_and_takes_the_others_over_as_they_are(house: House) -> None:
    entries = house.fill(5 * PART)
    house.build()
    before = inodes(house.state.catalogs / "all")
    house.commit(updated(entries[PART], path=b"moved"), updated(entries[4 * PART], status="missing"))
    assert house.build().parts_made == 2
    after = inodes(house.state.catalogs / "all")
    assert {name for name in before if before[name] != after[name]} == {"all-00002.jsonl", "all-00005.jsonl", METADATA}
    house.require_right()


def test_new_entries_go_into_the_last_part_until_it_has_more_than_twice_its_size_and_then_it_is_cut(house: House) -> None:
    house.fill(2 * PART)
    house.build()
    first = (house.state.catalogs / "all" / "all-00001.jsonl").stat().st_ino
    sizes = []
    for number in range(PART + 1):
        house.commit(created(b"one more %d" % number))
        house.build()
        house.require_right()
        sizes.append([part.entries for part in house.made().parts])
    assert sizes[0] == [PART, PART + 1] and sizes[PART - 1] == [PART, 2 * PART]
    assert len(sizes[PART]) == 4 and max(sizes[PART]) <= PART
    assert (house.state.catalogs / "all" / "all-00001.jsonl").stat().st_ino == first


def test_a_catalog_whose_entries_no_commit_touched_gets_new_metadata_and_keeps_its_files(house: House) -> None:
    house.fill(2 * PART)
    house.build("other", root="other")
    house.build("docs", root="docs")
    before = inodes(house.state.catalogs / "docs")
    house.commit(created(b"x", root="other"))
    assert house.found(house.table("docs", root="docs")) == [], "it says what the registry says"
    assert house.build("docs", root="docs").done == "renewed"
    after = inodes(house.state.catalogs / "docs")
    assert {name for name in before if before[name] != after[name]} == {METADATA}
    assert house.made("docs").sequence == 2
    assert house.build("other", root="other").done == "updated"
    house.require_right("other", Slice("other"))


def test_an_entry_that_leaves_a_slice_or_enters_it_is_followed(house: House) -> None:
    entries = house.fill(3 * PART, described=DOCUMENT)
    wanted, slice_ = {"class_name": "document", "status": "active"}, Slice("", "document", "active")
    house.build("c", **wanted)
    (left, *_) = house.commit(updated(entries[15], described=SOURCE), updated(entries[16], status="missing"))
    assert [kind for kind, *_ in house.found(house.table("c", **wanted))] == [proofs.STALE]
    house.build("c", **wanted)
    house.require_right("c", slice_)
    house.commit(updated(left, described=DOCUMENT), created(b"new", described=DOCUMENT))
    house.build("c", **wanted)
    house.require_right("c", slice_)


def test_a_part_of_which_every_entry_left_is_dropped_and_the_last_one_stays_empty(house: House) -> None:
    entries = house.fill(3 * PART)
    house.build("c", status="active")
    gone = house.commit(*(updated(one, status="missing") for one in entries[:PART]))
    house.build("c", status="active")
    assert len(house.made("c").parts) == 2
    house.require_right("c", Slice(status="active"))
    house.commit(*(updated(one, status="missing") for one in entries[PART:]))
    house.build("c", status="active")
    assert [part.entries for part in house.made("c").parts] == [0]
    house.commit(updated(gone[0], status="active"))
    house.build("c", status="active")
    house.require_right("c", Slice(status="active"))


def test_after_any_series_of_commits_the_renewed_catalog_has_the_lines_and_digest_of_one_from_nothing(house: House) -> None:
    pick = random.Random(7)
    tables = [("all", {}), ("docs", {"root": "docs"}), ("active", {"status": "active"}), ("source", {"class_name": "source"})]
    house.fill(30, described=DOCUMENT)
    for step in range(25):
        there = list(house.writer.entries())
        chosen = pick.sample(there, min(len(there), pick.randrange(4)))
        changes = [
            updated(
                one,
                **pick.choice(
                    [
                        {"status": pick.choice(["active", "missing"])},
                        {"described": pick.choice([DOCUMENT, SOURCE, UNDESCRIBED])},
                        {"root": pick.choice(["docs", "other"]), "path": b"step%d/%s" % (step, one.id.encode())},
                    ]
                ),
            )
            for one in chosen
        ]
        changes += [
            created(b"new%d-%d" % (step, number), root=pick.choice(["docs", "other"])) for number in range(pick.randrange(6))
        ]
        if changes:
            house.commit(*changes)
        for name, more in tables:
            if pick.random() < 0.7:
                house.build(name, **more)
    for name, more in tables:
        house.build(name, **more)
        house.require_right(name, proofs.slice_of(house.table(name, **more)))
        assert house.found(house.table(name, **more)) == []
        assert max(part.entries for part in house.made(name).parts) <= 2 * PART


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda house: (house.state.catalogs / "all" / METADATA).write_text("{}"), "metadata.json cannot be read"),
        (lambda house: (house.state.catalogs / "all" / METADATA).unlink(), "metadata.json cannot be read"),
        (lambda house: rewrite(house, generator="jsonl/0"), "made by jsonl/0"),
        (lambda house: rewrite(house, entries=1), "contradicts itself"),
        (lambda house: rewrite(house, sequence=99), "no such commit"),
        (lambda house: rewrite(house, registry_digest="0" * 64), "no such commit"),
        (lambda house: rewrite(house, declared={}), "declared otherwise"),
    ],
)
def test_what_cannot_be_relied_on_is_built_from_nothing_with_the_reason(house: House, damage: Any, reason: str) -> None:
    house.fill(PART)
    house.build()
    damage(house)
    assert house.found() != []
    outcome = house.build()
    assert outcome.done == "built" and reason in outcome.reason
    house.require_right()


def rewrite(house: House, **fields: Any) -> None:
    path = house.state.catalogs / "all" / METADATA
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_a_catalog_that_is_declared_otherwise_is_stale_and_built_from_nothing(house: House) -> None:
    house.fill(PART)
    house.build("c", "jsonl")
    (found,) = house.found(house.table("c", "jsonl", root="docs"))
    assert found[0] == proofs.STALE and "declared otherwise" in found[2]["reason"]
    assert "declared otherwise" in house.build("c", "jsonl", root="docs").reason
    assert "made by jsonl/1" in house.build("c", "csv").reason


def test_hashdeep_is_built_from_nothing_when_a_root_has_moved(house: House) -> None:
    house.fill(1)
    house.writer.place_roots({"docs": b"/srv/docs"})
    house.build("h", "hashdeep")
    house.writer.place_roots({"docs": b"/mnt/docs"})
    assert "declared otherwise" in house.build("h", "hashdeep").reason
    assert "/mnt/docs/d0/f0" in (house.state.catalogs / "h" / "h.hashdeep").read_text()


# files


def test_missing_changed_and_added_files_are_found_and_sizes_alone_see_what_sizes_can(house: House) -> None:
    house.fill(3 * PART)
    house.build()
    directory = house.state.catalogs / "all"
    one, two, _ = (directory / part.file for part in house.made().parts)
    raw = one.read_bytes()
    one.unlink()
    one.write_bytes(raw.replace(b"docs", b"docz"))
    two.unlink()
    (directory / "added").symlink_to("/etc/passwd")
    found = {(kind, detail["file"], detail["reason"]) for kind, _, detail in house.found()}
    assert found == {
        (proofs.CHECKSUM, one.name, "its content is another"),
        (proofs.CHECKSUM, two.name, "it is missing"),
        (proofs.CHECKSUM, "added", "it was added"),
    }
    with proofs.opened(house.state, "all") as fd:
        assert fd is not None
        assert {name for name, _ in proofs.faulty_files(fd, house.made(), "sizes")} == {two.name, "added"}
    assert house.build().parts_made == 1
    assert {detail["file"] for _, _, detail in house.found()} == {one.name}
    assert house.build(verify=True).parts_made == 1
    house.require_right()
    assert house.found() == []


@pytest.mark.parametrize("what", ["link", "file"])
def test_what_is_no_directory_is_told_and_not_followed(house: House, what: str) -> None:
    house.fill(3)
    house.build()
    there = house.state.catalogs / "all"
    there.rename(house.state.directory / "elsewhere")
    if what == "link":
        there.symlink_to(house.state.directory / "elsewhere")
    else:
        there.touch()
    assert house.found() == [(proofs.CHECKSUM, "all", {"file": METADATA, "reason": "it cannot be read: Not a directory"})]
    assert proofs.present(house.state, "all") is None
    assert catalog_lines.line_faults(house.state, "all")


def test_a_record_that_no_commit_wrote_is_damage_and_the_catalog_stays(house: House) -> None:
    house.fill(3)
    house.build()
    house.commit(created(b"x"))
    with contextlib.closing(sqlite3.connect(house.state.registry_db)) as con, con:
        con.execute("UPDATE ledger SET record = replace(record, 'patches', 'catches')")
    for read in (house.found, house.build):
        with pytest.raises(StorageCorrupt, match="the record of commit 2 cannot be read"):
            read()
    assert house.made().sequence == 1


def test_a_file_that_is_a_link_now_is_not_followed(house: House) -> None:
    house.fill(1)
    house.build()
    file = house.state.catalogs / "all" / "all.jsonl"
    file.rename(house.state.directory / "elsewhere")
    file.symlink_to(house.state.directory / "elsewhere")
    assert [(kind, detail["file"]) for kind, _, detail in house.found()] == [(proofs.CHECKSUM, "all.jsonl")]
    house.build()
    assert stat.S_ISREG(file.lstat().st_mode)
    house.require_right()


def test_an_entry_that_was_changed_past_the_ledger_makes_the_catalog_stale(house: House) -> None:
    house.fill(3 * PART)
    house.build()
    with house.writer.reader.transaction() as tx:  # type: ignore[attr-defined]
        tx.execute("UPDATE entry SET size_bytes = 99 WHERE id = (SELECT max(id) FROM entry)")
    ((kind, name, detail),) = house.found()
    assert (kind, name, detail["parts"]) == (proofs.STALE, "all", 1) and "no commit" in detail["reason"]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (b'{"a": 1}\n', "must contain"),
        (b"[]\n", "no object"),
        (b"x\n", "no JSON"),
        (b'{"a":1}', "cut off"),
        (b"\xff\n", "no JSON"),
        (b"[" * 5000 + b"\n", "no JSON"),
    ],
)
def test_a_line_that_is_no_entry_is_told_with_its_reason(line: bytes, wrong: str) -> None:
    assert wrong in (catalog_lines.line_fault(line) or "")


def test_every_line_of_a_catalog_is_an_entry_and_a_line_that_is_not_canonical_is_found(house: House) -> None:
    house.fill(2)
    house.build()
    assert catalog_lines.line_faults(house.state, "all") == []
    file = house.state.catalogs / "all" / "all.jsonl"
    file.write_text(file.read_text().replace('"rev":1', '"rev": 1', 1))
    ((name, detail),) = catalog_lines.line_faults(house.state, "all")
    assert (name, detail["line"], detail["reason"]) == ("all.jsonl", 1, "not canonical")


# generations


def test_whoever_opened_the_generation_before_still_reads_all_of_it(house: House) -> None:
    entries = house.fill(2 * PART)
    house.build()
    with proofs.opened(house.state, "all") as fd:
        assert fd is not None
        before = house.made()
        house.commit(updated(entries[0], path=b"moved"))
        house.build()
        assert proofs.read(fd) == before
        assert list(proofs.faulty_files(fd, before, "hashes")) == []
    house.require_right()


def test_files_and_directories_may_be_read_by_those_who_may_pass_the_state_directory(house: House) -> None:
    before = os.umask(0o077)
    try:
        house.fill(1)
        house.build("h", "html")
        house.build("h", "html")
    finally:
        os.umask(before)
    directory = house.state.catalogs / "h"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o644}


def test_what_a_killed_builder_left_is_removed_by_the_next_one(house: House) -> None:
    house.fill(1)
    house.build()
    for name in (".all.new", ".other.new"):
        left = house.state.catalogs / name
        left.mkdir()
        (left / "half").write_text("half a")
    house.commit(created(b"x"))
    house.build()
    house.require_right()


def test_a_second_builder_waits_and_is_refused_when_the_first_does_not_end(house: House) -> None:
    house.fill(1)
    from autoops.catalog.generation import locked

    with locked(house.state.catalogs, 0), pytest.raises(AnotherBuilder):
        house.build(wait_s=0.05)
    assert house.build(wait_s=0.05).done == "built"


def test_a_dry_run_says_what_would_be_done_and_does_nothing(house: House) -> None:
    entries = house.fill(3 * PART)
    assert house.build(dry_run=True).done == "built"
    assert not (house.state.catalogs / "all").exists()
    house.build()
    house.commit(updated(entries[0], path=b"x"))
    outcome = house.build(dry_run=True)
    assert (outcome.done, outcome.parts_made) == ("updated", 1)
    assert house.made().sequence == 1


def test_asked_for_it_is_built_from_nothing_though_it_is_fresh(house: House) -> None:
    house.fill(PART)
    house.build()
    before = inodes(house.state.catalogs / "all")
    assert house.build(anew=True).done == "built"
    assert before["all.jsonl"] != inodes(house.state.catalogs / "all")["all.jsonl"]


LOOK = """
import os, sys
missing = 0
while not os.path.exists(sys.argv[2]):
    try:
        os.stat(sys.argv[1])
    except FileNotFoundError:
        missing += 1
print(missing)
"""


def test_at_no_moment_is_there_no_catalog(house: House) -> None:
    house.fill(1)
    house.build()
    end = house.state.directory / "end"
    looking = subprocess.Popen([sys.executable, "-c", LOOK, house.state.catalogs / "all", end], stdout=subprocess.PIPE)
    for _ in range(150):
        house.build(anew=True)
    end.touch()
    said, _ = looking.communicate(timeout=60)
    assert said == b"0\n"


# several processes


@pytest.mark.parametrize("format", ["jsonl", "html", "bagit"])
def test_several_processes_make_the_same_bytes_as_one(house: House, format: str) -> None:
    house.fill(20 * PART, described=DOCUMENT)
    house.build("one", format, workers=1)
    house.build("many", format, workers=3)
    one, many = house.made("one"), house.made("many")
    assert (many.digest, many.entries) == (one.digest, one.entries)
    assert [part._replace(file="") for part in many.parts] == [part._replace(file="") for part in one.parts]
    if format == "jsonl":
        assert house.lines("many") == house.lines("one") == house.texts()
    assert house.found(house.table("many", format)) == []


def test_several_processes_agree_on_one_commit_while_others_come(house: House) -> None:
    house.fill(20 * PART)
    ended = threading.Event()
    path, failures = house.state.directory, []

    def commits() -> None:
        number = 0
        writer = opened(State(path).registry_db, Signer(KEY))
        while not ended.is_set():
            number += 1
            try:
                writer.commit([created(b"while/%d" % number)], WHY, NOW_S)
            except Exception as error:  # noqa: BLE001  # told by the test
                failures.append(error)
                break
            ended.wait(0.02)
        writer.close()

    house.writer.close()
    thread = threading.Thread(target=commits)
    thread.start()
    try:
        outcome = house.build(workers=2)
    finally:
        ended.set()
        thread.join()
    house.writer = opened(house.state.registry_db, Signer(KEY))
    assert not failures and 1 < outcome.sequence <= house.writer.head().sequence
    made = house.made()
    assert made.entries == 20 * PART + made.sequence - 1, "each commit after the first made one entry"
    house.build()
    house.require_right()


KEY = new_key()


def test_of_a_crew_that_cannot_begin_nobody_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first_ends = tmp_path / "first-ends"
    first_ends.write_text(f"#!/bin/sh\nmkdir {tmp_path}/first 2>/dev/null && exit 3\nexec cat >/dev/null\n")
    first_ends.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(first_ends))
    others = children()
    with pytest.raises(CatalogFailed, match="ended with status 3"):
        Crew(3, "all", {"more than fits into a pipe": "x" * 200_000})
    assert children() <= others  # of tests before this one


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
