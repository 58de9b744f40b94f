"""Catalogs in the pure: slices, cuts, digests, metadata, lines of every format. Hostile names stay names."""

from __future__ import annotations

import csv
import io
import json
import re
from hashlib import sha256

import pytest
from entries import DESCRIBED, ENTRIES, ID, SEEN, entry
from hypothesis import example, given
from hypothesis import strategies as st

from autoops import names
from autoops.catalog import cut, page, whole
from autoops.config import CatalogConfig
from autoops.core import catalog
from autoops.core.canonical import canonical, described_json, entry_text
from autoops.core.catalog import LOWEST, Made, Metadata, Part, Range, Slice, Touch
from autoops.errors import StorageCorrupt
from autoops.model import UNDESCRIBED, Entry
from autoops.store import slices
from autoops.store.directories import directory_key
from autoops.store.registry import entry_of, to_signed

HASH = "a" * 64


def parts(*firsts: int, entries: int = 2) -> list[Part]:
    return [Part(f"{first:016d}", entries, HASH, f"f{first}") for first in firsts]


# slices


@pytest.mark.parametrize(
    ("slice_", "holds"),
    [
        (Slice(), True),
        (Slice("docs", "document", "active"), True),
        (Slice(root="other"), False),
        (Slice(class_name="source"), False),
        (Slice(status="missing"), False),
    ],
)
def test_a_slice_holds_what_is_of_its_root_class_and_status(slice_: Slice, holds: bool) -> None:
    assert slice_.holds(entry()) is holds


def test_an_undescribed_entry_is_in_no_slice_of_a_class() -> None:
    assert not Slice(class_name="document").holds(entry(described=DESCRIBED._replace(class_name=None)))


PATCHES = [
    {"op": "create", "entry": {"id": "1"}},
    {"op": "update", "id": "2", "set": {"root": "x", "path": "y"}},
    {"op": "update", "id": "2", "set": {"status": "missing"}},
    {"op": "update", "id": "1", "set": {"class": "a"}},
]


def test_what_was_touched_is_known_by_its_fields_over_several_patches() -> None:
    known = catalog.touches(zip("1221", PATCHES, strict=True), {})
    assert known == {"1": Touch(True, frozenset({"class"})), "2": Touch(False, frozenset({"root", "path", "status"}))}


OLD_OR_NEW = st.sampled_from(["docs", "other"])


@given(
    slice_=st.builds(Slice, st.sampled_from(["", "docs"]), st.sampled_from(["", "document"]), st.sampled_from(["", "active"])),
    before=st.none() | st.tuples(OLD_OR_NEW, st.sampled_from(["document", "source"]), st.sampled_from(["active", "missing"])),
    after=st.tuples(OLD_OR_NEW, st.sampled_from(["document", "source"]), st.sampled_from(["active", "missing"])),
)
def test_a_touched_entry_that_is_or_was_in_a_slice_always_concerns_it(
    slice_: Slice, before: tuple[str, str, str] | None, after: tuple[str, str, str]
) -> None:
    def made(root: str, class_name: str, status: str) -> object:
        return entry(root=root, status=status, described=DESCRIBED._replace(class_name=class_name))

    names_ = ("root", "class", "status")
    fields = frozenset(name for name, old, new in zip(names_, before or after, after, strict=True) if old != new)
    fields = fields if before else frozenset(names_)  # made, and then moved
    touch = Touch(before is None, fields)
    now = made(*after)
    was_in = before is not None and slice_.holds(made(*before))  # type: ignore[arg-type]
    is_in = slice_.holds(now)  # type: ignore[arg-type]
    concerned = catalog.concerns(slice_, now, touch)  # type: ignore[arg-type]
    assert concerned or not (is_in or was_in)
    if before is None or not fields:
        assert concerned == is_in, "what is new, and what no patch has moved, is judged exactly"


# texts


@given(ENTRIES)
def test_the_text_made_from_a_row_is_the_canonical_text_of_its_entry(one: Entry) -> None:
    parent, _, name = one.path.rpartition(b"/")
    described = None if one.described == UNDESCRIBED else canonical(described_json(one.described))
    seen = one.observation
    row = (
        *(int(one.id), one.rev, one.root, directory_key(parent), name, one.status, one.since_s),
        *(seen.kind, seen.size_bytes, seen.mtime_ns, to_signed(seen.inode), seen.birth_ns, seen.sha256, seen.mime, described),
    )
    assert entry_of(row) == one
    assert slices.text_of(row) == entry_text(one)


@pytest.mark.parametrize("described", ["x", "[]", '{"class":null}', ""])
def test_what_no_commit_wrote_is_refused_or_absent(described: str) -> None:
    row = (1, 1, "docs", b"", b"a", "active", 0, "file", 1, 1, 1, 0, None, "text/plain", described)
    if described:
        with pytest.raises(StorageCorrupt):
            slices.text_of(row)
    else:
        assert slices.text_of(row) == entry_text(entry_of(row))


# cuts


def test_an_id_belongs_to_the_part_that_begins_at_or_before_it_and_the_first_takes_what_is_before_all() -> None:
    cuts = parts(10, 20, 30)
    assert catalog.parts_of(cuts, [f"{number:016d}" for number in (5, 10, 19, 20, 99)]) == [0, 1, 2]
    assert catalog.range_of(cuts, 0) == Range(LOWEST, f"{20:016d}")
    assert catalog.range_of(cuts, 2) == Range(f"{30:016d}", "")


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20, unique=True).map(sorted), st.integers(0, 1100))
def test_every_id_is_in_the_range_of_its_part_and_of_no_other(firsts: list[int], wanted: int) -> None:
    cuts, text = parts(*firsts), f"{wanted:016d}"
    (number,) = catalog.parts_of(cuts, [text])
    inside = [
        at for at in range(len(cuts)) if (where := catalog.range_of(cuts, at)).first <= text and (not where.end or text < where.end)
    ]
    assert inside == [number]


@given(st.integers(0, 10**6), st.integers(1, 5000))
@example(1, 1)
@example(4, 2)
def test_a_part_is_cut_only_when_it_grew_to_twice_its_size_and_evenly(entries: int, wanted: int) -> None:
    size = catalog.piece_entries(entries, wanted)
    if entries <= 2 * wanted:
        assert size == max(1, entries)
    else:
        pieces = -(-entries // size)
        assert size <= wanted and entries - size * (pieces - 1) > size // 2 - pieces


def test_file_names_are_numbered_only_when_there_are_several() -> None:
    assert catalog.file_name("a", ".csv", 0, 1) == "a.csv"
    assert [catalog.file_name("a", ".csv", number, 2) for number in (0, 1)] == ["a-00001.csv", "a-00002.csv"]


def test_the_digest_of_a_slice_is_that_of_the_published_formula() -> None:
    leaf = sha256(b"\0{}").digest()
    part = sha256(b"\4" + ID.encode() + leaf).digest()
    assert catalog.part_digest(ID.encode() + leaf) == part.hex()
    one = Part(ID, 1, part.hex())
    assert catalog.slice_digest([one, one]) == sha256(b"\5" + part + part).hexdigest()


# metadata


MADE = Metadata(
    "a",
    "jsonl/1",
    {"root": ""},
    "2026-01-31T12:00:00.000Z",
    7,
    HASH,
    HASH,
    4,
    tuple(parts(10, 20)),
    {"f10": Made(3, HASH)},
    {"never read": 2},
)


def test_what_is_left_out_is_said_in_order() -> None:
    assert catalog.spoken({"no plain file": 1, "never read": 2}) == "left out: 2 (never read), 1 (no plain file)"
    assert catalog.spoken({}) == ""


def test_metadata_comes_back_as_it_was_written() -> None:
    for made in (MADE, MADE._replace(entries=0)):
        assert catalog.metadata_of(catalog.metadata_text(made).encode()) == made


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": 2}, "version"),
        ({"sequence": -1}, "count"),
        ({"sequence": True}, "count"),
        ({"digest": "zz"}, "digest"),
        ({"parts": []}, "order"),
        ({"parts": [part._asdict() for part in parts(20, 10)]}, "order"),
        ({"parts": [{**parts(1)[0]._asdict(), "first": "x"}]}, "ID"),
        *[
            ({"parts": [{**parts(1)[0]._asdict(), field: value}]}, "a part")
            for field, value in (("entries", -1), ("digest", "x"), ("file", 1))
        ],
        *[
            ({"files": {name: {"size_bytes": 1, "sha256": HASH}}}, "name")
            for name in ("", "../x", "a\0b", ".", "..", "metadata.json")
        ],
        ({"files": {"x": {"size_bytes": "1", "sha256": HASH}}}, "file"),
        ({"files": []}, "no metadata"),
        ({"more": 1}, "no metadata"),
        ({"left_out": {"never read": -1}}, "leaves out"),
        ({"left_out": []}, "leaves out"),
        ({"declared": []}, "no text"),
    ],
)
def test_metadata_that_is_none_is_refused_with_a_reason(change: dict[str, object], why: str) -> None:
    value = {**json.loads(catalog.metadata_text(MADE)), **change}
    with pytest.raises(ValueError, match=why):
        catalog.metadata_of(json.dumps(value).encode())


@given(st.binary(max_size=200))
def test_whatever_lies_there_is_metadata_or_a_value_error(raw: bytes) -> None:
    try:
        catalog.metadata_of(raw)
    except ValueError:
        return
    raise AssertionError("random bytes are metadata")


# lines


HOSTILE = [
    b"=1+1", b"+x", b"-x", b"@x", b"\tx", b"\rx", b"'x", b"a,b", b'a"b', b"a\nb", b"\xff", b"a|b", b"<script>", b"</script>",
    b"a\\b", b"`x`", b"[x](http://y)", "\u202ea".encode(), "\u2028".encode(), b"%41", b"*x*", b"www.x.y", b"&amp;",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_csv_row_comes_back_as_the_name_and_is_no_formula(name: bytes) -> None:
    (row,) = csv.reader(io.StringIO(cut.csv_line(entry(path=name)), newline=""))
    cell = row[3]
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert names.to_bytes(cell.removeprefix("'")) == name


@given(ENTRIES)
def test_every_entry_is_one_csv_row_of_all_columns(one: object) -> None:
    line = cut.csv_line(one)  # type: ignore[arg-type]
    (row,) = csv.reader(io.StringIO(line, newline=""))
    assert len(row) == len(next(csv.reader([cut.csv_row(cut._CSV_COLUMNS)])))
    assert line.endswith("\r\n") and line.count("\n") == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_data_of_the_page_are_ascii_lines_that_end_no_script(name: bytes) -> None:
    line = cut.page_line(entry(path=name))
    assert line.isascii() and line.count("\n") == 1 and "<" not in line
    assert names.to_bytes(json.loads(line.removesuffix(",\n"))[2]) == name


def test_the_page_loads_nothing_from_elsewhere_and_escapes_its_name() -> None:
    text = page.text("a<b>&", ["data-00001.js"], 7)
    assert "<b>" not in text and "a&lt;b&gt;&amp;" in text
    assert re.findall(r'src="([^"]*)"', text) == ["data-00001.js"]
    assert "http" not in text and "@" not in text and "innerHTML" not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_in_markdown_is_one_line_in_which_nothing_means_anything(name: bytes) -> None:
    text = whole.escaped(names.show(name))
    assert "\n" not in text and "\r" not in text
    bare = re.sub(r"\\.", "", text)
    assert not set(bare) & set(r"`*_{}[]<>()#+!|~&@\:") and "www." not in bare
    assert names.to_bytes(re.sub(r"\\([^\w\s])", r"\1", text)) == name


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("a b", "a b"),
        ("a%b", "a%25b"),
        ("a\nb\rc", "a%0Ab%0Dc"),
        ("gr\u00fc\u00df", "gr\u00fc\u00df"),
        ("=x", "=x"),
    ],
)
def test_a_path_of_a_bag_is_percent_encoded_where_the_rfc_says_and_nowhere_else(path: str, written: str) -> None:
    assert whole.percent(path) == written


@given(st.text(min_size=1, max_size=20))
def test_a_path_of_a_bag_comes_back_and_is_one_line(path: str) -> None:
    text = whole.percent(path)
    assert "\n" not in text and "\r" not in text
    assert re.sub("%([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), text) == path


def test_what_no_manifest_of_a_bag_can_have_is_left_out_with_a_reason() -> None:
    assert whole.why_left_out(entry(path=b"a\nb")) == ""
    assert whole.why_left_out(entry(path=b"caf\xe9")) == "name is not UTF-8"
    assert whole.why_left_out(entry(observation=SEEN._replace(kind="link"))) == "no plain file"
    assert whole.why_left_out(entry(observation=SEEN._replace(sha256=None))) == "never read"


def test_hashdeep_has_what_has_content_at_its_absolute_path_and_nothing_else() -> None:
    places = {"docs": b"/srv/docs"}
    assert cut.hashdeep_line(entry(path=b"a,b"), places) == f"12,{'11' * 32},/srv/docs/a,b\n"
    assert cut.hashdeep_line(entry(path=b"a\nb"), places).endswith("/srv/docs/a\\x0ab\n")
    assert cut.hashdeep_line(entry(observation=SEEN._replace(kind="fifo", sha256=None)), places) == ""


@pytest.mark.parametrize("at_s", [0, -1, 10**10, 2**62, -(2**62)])
def test_a_time_is_a_time_or_nothing(at_s: int) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|", cut.when(at_s))


def test_each_format_is_cut_or_whole() -> None:
    cuts = {name for name in ("jsonl", "csv", "html", "hashdeep") if cut.cut_of(CatalogConfig("a", name), {}) is not None}
    assert cuts == {"jsonl", "csv", "html", "hashdeep"}
    for name in ("markdown", "bagit", "command"):
        assert cut.cut_of(CatalogConfig("a", name), {}) is None
