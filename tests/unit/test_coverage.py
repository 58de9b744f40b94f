"""Gaps as intervals, and the picture of them."""

from __future__ import annotations

import itertools
import re
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autoops import names
from autoops.core.coverage import AGES, DAY_S, Missed, clipped, length, merged, overdue_before, times_of_ages, unwatched
from autoops.core.ledger import utc
from autoops.core.picture import MOST_ROOTS, WIDTH, svg

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda one: (one[0], one[0] + one[1])), max_size=20)
gaps = st.lists(
    st.builds(
        lambda root, reason, since_s, lasts_s: Missed(root, reason, since_s, None if lasts_s is None else since_s + lasts_s),
        st.sampled_from(["", "docs", "music", "gone"]),
        st.sampled_from(["downtime", "overflow"]),
        st.integers(0, 60),
        st.none() | st.integers(0, 20),
    ),
    max_size=20,
)


def seconds_of(some: Any) -> set[int]:
    return {second for since_s, until_s in some for second in range(since_s, until_s)}


@given(spans)
def test_merged_spans_cover_the_same_seconds_in_order_with_something_between_them(some: list[tuple[int, int]]) -> None:
    union = merged(some)
    assert seconds_of(union) == seconds_of(some)
    assert length(some) == len(seconds_of(some))
    assert all(one[1] < other[0] for one, other in itertools.pairwise(union))


@given(gaps, st.integers(0, 40), st.integers(41, 80))
def test_each_second_of_a_root_counts_once_for_each_reason(some: list[Missed], since_s: int, until_s: int) -> None:
    found = {(one.root, one.reason): one for one in unwatched(some, ["docs", "music"], since_s, until_s)}
    for root in ("docs", "music", "gone"):
        for reason in ("downtime", "overflow"):
            of_it = [gap for gap in some if gap.root in (root, "") and gap.reason == reason and root != "gone"]
            wanted = {
                second
                for gap in of_it
                for second in range(gap.since_s, until_s if gap.until_s is None else max(gap.until_s, gap.since_s + 1))
                if since_s <= second < until_s
            }
            part = found.pop((root, reason), None)
            assert (part.seconds if part else 0) == len(wanted)
            assert seconds_of(part.spans if part else ()) == wanted
            if part:
                assert part.times == sum(1 for gap in of_it if clipped(gap, since_s, until_s))
                assert part.is_open == any(gap.until_s is None and gap.since_s < until_s for gap in of_it)
    assert not found


@pytest.mark.parametrize(("since_s", "until_s"), [(0, 10), (20, 30), (20, None)])
def test_a_gap_that_ends_where_a_time_begins_or_begins_where_it_ends_is_no_part_of_it(since_s: int, until_s: int | None) -> None:
    assert clipped(Missed("docs", "overflow", since_s, until_s), 10, 20) is None


def test_a_gap_that_was_over_at_once_is_still_told() -> None:
    (found,) = unwatched([Missed("docs", "overflow", 50, 50)], ["docs"], 0, 100)
    assert (found.seconds, found.times, found.is_open) == (1, 1, False)


@given(st.integers(0, 200 * DAY_S))
@example(DAY_S - 1)
@example(DAY_S)
def test_ages_part_at_whole_days(age_s: int) -> None:
    now_s = 1000 * DAY_S
    step = sum(now_s - age_s < time_s for time_s in times_of_ages(now_s))
    days = age_s // DAY_S
    assert AGES[step] == next((name for most, name in zip((1, 7, 30, 90), AGES, strict=False) if days < most), AGES[-1])


def test_a_file_is_overdue_after_so_many_whole_days() -> None:
    assert overdue_before(100 * DAY_S, 30) == 70 * DAY_S


# the picture


NOW_S = 1_790_000_000


def report(roots: list[str], parts: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    since_s = NOW_S - 30 * DAY_S
    ages = [{"age": name, "files": number, "bytes": number} for number, name in enumerate(AGES)]
    return {
        "at": utc(NOW_S),
        "at_s": NOW_S,
        "since": utc(since_s),
        "since_s": since_s,
        "begun_s": since_s + DAY_S,
        "now": [],
        "unwatched": parts,
        "roots": [{"root": root, "files": 10, "overdue_files": 1, "ages": ages} for root in roots],
        "verification": {"files": 10, "overdue_files": 1, "days": 30},
        **more,
    }


def part(root: str, reason: str, *some: tuple[int, int]) -> dict[str, Any]:
    return {"root": root, "reason": reason, "seconds": 5, "times": 2, "still": False, "spans": [list(span) for span in some]}


def drawn(told: dict[str, Any]) -> ElementTree.Element:
    text = svg(told)
    assert text.isprintable() or set(filter(lambda char: not char.isprintable(), text)) == {"\n"}
    return ElementTree.fromstring(text)


def texts(picture: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in picture.iter() if element.tag.endswith(("}text", "}title"))]


def written(picture: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in picture.iter() if element.tag.endswith("}text")]


class Box(NamedTuple):
    """Where something is drawn, what it says, and its colour or style."""

    left: float
    top: float
    right: float
    bottom: float
    said: str
    look: str

    def overlaps(self, other: Box) -> bool:
        return self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom

    def is_beside(self, other: Box) -> bool:
        """Whether both stand in one row."""
        return abs(self.top + self.bottom - other.top - other.bottom) < 8


SIZES = {"": 12, "title": 18, "small": 10}
BEFORE = {"start": 0.0, "middle": 0.5, "end": 1.0}


def bars(picture: ElementTree.Element) -> list[Box]:
    """Return the rectangles; the first is the paper."""
    found = []
    for element in picture.iter("{http://www.w3.org/2000/svg}rect"):
        x, y, width, height = (float(element.get(name, 0)) for name in ("x", "y", "width", "height"))
        said = "".join(element.itertext())
        found.append(Box(x, y, x + width, y + height, said, element.get("class") or element.attrib["fill"]))
    return found


def lines(picture: ElementTree.Element) -> list[Box]:
    """Return the texts; a character is taken to be 7/12 of its height wide."""
    found = []
    for element in picture.iter("{http://www.w3.org/2000/svg}text"):
        style, said = element.attrib["class"], element.text or ""
        wide = len(said) * SIZES[style] * 7 / 12
        left = float(element.attrib["x"]) - wide * BEFORE[element.attrib["text-anchor"]]
        base, size = float(element.attrib["y"]), SIZES[style]
        found.append(Box(left, base - 0.75 * size, left + wide, base + 0.25 * size, said, style))
    return found


def named(some: list[Box], said: str) -> Box:
    (found,) = [box for box in some if box.said == said]
    return found


HOSTILE = [
    '<script>alert("1")</script>',
    "]]><!-- & 'quoted' --> &amp;",
    "\x1b[31mred\x00\n\u202e\udcff\ufffe",
    '" onload="alert(1)',
    "x" * 5000,
]


@given(st.lists(st.text() | st.sampled_from(HOSTILE), max_size=5, unique=True), st.text(), st.text())
def test_whatever_roots_and_reasons_are_called_the_picture_is_well_formed_and_holds_only_shapes_and_text(
    roots: list[str], reason: str, detail: str
) -> None:
    spans = [(NOW_S - 5000, NOW_S - 10)]
    picture = drawn(report(roots, [part(root, reason + detail, *spans) for root in roots]))
    tags = {element.tag.partition("}")[2] for element in picture.iter()}
    assert tags <= {"svg", "title", "style", "rect", "text", "line", "g"}
    attributes = {name for element in picture.iter() for name in element.attrib}
    assert not any(name.startswith("on") or "href" in name for name in attributes)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_as_what_it_is(name: str) -> None:
    picture = drawn(report([name], [part(name, "downtime", (NOW_S - 50, NOW_S))]))
    assert names.show(name) in texts(picture)


def test_gaps_are_where_they_were_each_reason_in_its_colour_and_short_ones_are_seen() -> None:
    since_s = NOW_S - 30 * DAY_S
    half = since_s + 15 * DAY_S
    long, short = (half, NOW_S), (half - 5 * DAY_S, half - 5 * DAY_S + 1)
    picture = drawn(report(["docs"], [part("docs", "downtime", long), part("docs", "overflow", short)]))
    bars = {}
    for element in picture.iter():
        title = next((child.text for child in element if child.tag.endswith("}title")), "") or ""
        if ": 5 s in" in title:
            bars[title.partition(":")[0]] = element.attrib
    line = next(element.attrib for element in picture.iter() if element.get("class") == "line")
    left, width = float(line["x"]), float(line["width"])
    assert float(bars["downtime"]["x"]) == pytest.approx(left + width / 2, abs=0.1)
    assert float(bars["downtime"]["width"]) == pytest.approx(width / 2, abs=0.1)
    assert float(bars["overflow"]["x"]) == pytest.approx(left + width / 3, abs=0.1) and float(bars["overflow"]["width"]) >= 1
    assert bars["downtime"]["fill"] != bars["overflow"]["fill"]


LONG = "abcdefghijklmnopqrstuvwxyz1"
AT, SINCE = utc(NOW_S), utc(NOW_S - 30 * DAY_S)
DATES = ["2026-08-22", "2026-08-30", "2026-09-06", "2026-09-14", "2026-09-21"]


def test_it_says_what_was_watched_and_verified() -> None:
    gaps = [(NOW_S - 5 * DAY_S, NOW_S)]
    told = report(["docs", "new", LONG, LONG[:-1]], [part("docs", "downtime", *gaps), part("docs", "never heard of", *gaps)])
    told["now"] = [{}]
    told["roots"][0] |= {"files": 1, "overdue_files": 0}
    told["roots"][1]["files"] = 0
    labels = ["docs", "new", "...efghijklmnopqrstuvwxyz1", LONG[:-1]]
    counts = ["1 file", "no files", "10 files, 1 overdue", "10 files, 1 overdue"]
    titles = [line.said for line in lines(drawn(told)) if line.look == "title"]
    assert titles == ["autoops coverage", "not watched", "last verified"]
    assert written(drawn(told)) == [
        *("autoops coverage", f"{SINCE} to {AT}; 1 place not watched now", "10 files; 1 not verified within 30 days"),
        *("not watched", *labels, *DATES, "downtime", "never heard of", "nothing registered yet"),
        *("last verified", *itertools.chain(*zip(labels, counts, strict=True)), *AGES),
    ]


def test_where_everything_was_watched_it_says_so_and_nothing_else() -> None:
    for begun_s in (None, NOW_S - 30 * DAY_S):
        picture = drawn(report(["docs"], [], begun_s=begun_s))
        assert written(picture)[3:-8] == ["not watched", "docs", *DATES, "everything was watched"]
        assert named(lines(picture), "everything was watched").left == next(bar.left for bar in bars(picture) if bar.look == "line")
        assert {bar.look for bar in bars(picture) if not bar.look.startswith("#")} == {"paper", "line"}


REASONS = ("alias", "downtime", "overflow", "polling", "unmounted", "unreadable", "watch-limit")
BUSY = report(
    [f"r{number}" for number in range(MOST_ROOTS - 1)] + [LONG, "one more"],
    [part("r1", reason, (NOW_S - 20 * DAY_S, NOW_S)) for reason in REASONS],
    verification={"files": 12_345_678, "overdue_files": 12_345_678, "days": 365},
    now=[{}] * 12_345,
)
for root in BUSY["roots"]:
    root |= {"files": 12_345_678, "overdue_files": 12_345_678}


@pytest.mark.parametrize("told", [BUSY, report(["docs"], [], begun_s=None), report([], [])])
def test_nothing_is_cut_off_or_covers_a_text_and_everything_has_a_look(told: dict[str, Any]) -> None:
    picture = drawn(told)
    styles = set(re.findall(r"\.([a-z]+) \{", next(picture.iter("{http://www.w3.org/2000/svg}style")).text or ""))
    paper, *shapes = bars(picture)
    assert (paper.right, paper.bottom) == (WIDTH, float(picture.attrib["viewBox"].split()[3]))
    said = lines(picture)
    for one in (*shapes, *said):
        assert paper.left <= one.left <= one.right <= paper.right and paper.top <= one.top <= one.bottom <= paper.bottom, one
    for one, other in (*itertools.combinations(said, 2), *itertools.product(said, shapes)):
        assert not one.overlaps(other), (one, other)
    assert all(shape.look in styles or re.fullmatch("#[0-9a-f]{6}", shape.look) for shape in shapes)
    assert {line.look for line in said} <= {"", *styles}
    assert not any((element.tail or "").strip() for element in picture.iter())


def test_what_stands_beside_a_line_or_a_colour_tells_what_it_is() -> None:
    told = report(["docs", "music"], [part("docs", reason, (NOW_S - 50, NOW_S)) for reason in ("downtime", "x")])
    told["roots"][1]["files"] = 0
    picture = drawn(told)
    some, said = bars(picture), lines(picture)
    labels = [line for line in said if line.said in ("docs", "music")]
    counts = named(said, "10 files, 1 overdue"), named(said, "no files")
    for one, label in zip([*(bar for bar in some if bar.look == "line"), *counts], labels, strict=True):
        assert one.is_beside(label)
    assert all(bar.is_beside(counts[0]) for bar in some if " ago: " in bar.said)
    for name in ("downtime", "x", *AGES):
        sample, label = named(some, name), named(said, name)
        assert sample.is_beside(label) and 0 < label.left - sample.right < 10
        assert {sample.look} == {bar.look for bar in some if bar.said.startswith(name)}
    sample, label = [bar for bar in some if bar.said == "nothing registered yet"][-1], named(said, "nothing registered yet")
    assert sample.is_beside(label) and 0 < label.left - sample.right < 10 and sample.look == "before"
    assert label.is_beside(named(said, "downtime"))
    assert {bar.said for bar in some if bar.look != "line"} >= {"downtime: 5 s in 2 times", "x: 5 s in 2 times"}


@pytest.mark.parametrize(
    ("span_s", "dates"),
    [
        (30 * DAY_S, DATES),
        (2 * DAY_S + 4, ["2026-09-19", "2026-09-20", "2026-09-20", "2026-09-21", "2026-09-21"]),
        (2 * DAY_S, ["09-19 14:13", "09-20 02:13", "09-20 14:13", "09-21 02:13", "09-21 14:13"]),
        (1, ["09-21 14:13"] * 5),
    ],
)
def test_the_axis_has_a_tick_for_each_quarter_with_its_time_below(span_s: int, dates: list[str]) -> None:
    picture = drawn(report(["docs"], [], since_s=NOW_S - span_s, begun_s=None))
    line = next(bar for bar in bars(picture) if bar.look == "line")
    ticks = [element.attrib for element in picture.iter() if element.get("class") == "tick"]
    labels = [one for one in lines(picture) if one.look == "small"]
    assert [label.said for label in labels] == dates
    places = [float(tick["x1"]) for tick in ticks]
    assert places == [float(tick["x2"]) for tick in ticks] and (places[0], places[-1]) == (line.left, line.right)
    if span_s > 4:
        assert places == [line.left + (line.right - line.left) * number / 4 for number in range(5)]
        assert [(label.left + label.right) / 2 for label in labels[1:4]] == pytest.approx(places[1:4])
        assert labels[0].left == line.left and labels[-1].right == pytest.approx(line.right)
    assert all(line.bottom < float(tick["y1"]) < float(tick["y2"]) < labels[0].top for tick in ticks)


def test_the_time_before_anything_was_registered_is_marked() -> None:
    some = bars(drawn(report(["docs"], [], begun_s=NOW_S - 20 * DAY_S)))
    line, before = (next(bar for bar in some if bar.look == look) for look in ("line", "before"))
    assert before[:2] == line[:2] and before.bottom == line.bottom and before.said == "nothing registered yet"
    assert before.right - before.left == pytest.approx((line.right - line.left) / 3, abs=0.1)


def test_the_files_of_a_root_are_parted_by_age_in_the_order_of_the_ages() -> None:
    parted = [bar for bar in bars(drawn(report(["docs"], []))) if " ago: " in bar.said]
    assert [bar.said for bar in parted] == [
        *("under 7 days ago: 1 file", "under 30 days ago: 2 files"),
        *("under 90 days ago: 3 files", "90 days and more ago: 4 files"),
    ]
    assert parted[0].left == 200
    assert [bar.left for bar in parted[1:]] == pytest.approx([bar.right for bar in parted[:-1]], abs=0.2)
    whole = parted[-1].right - parted[0].left
    assert [(bar.right - bar.left) / whole for bar in parted] == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.001)


def test_gaps_that_would_touch_are_drawn_as_one() -> None:
    pixel_s = 30 * DAY_S // (WIDTH - 220)
    spans = [(NOW_S - number * pixel_s, NOW_S - number * pixel_s + 1) for number in (300, 298, 297, 200, 197)]
    some = bars(drawn(report(["docs"], [part("docs", "downtime", *spans)])))
    assert [round(bar.right - bar.left, 1) for bar in some if bar.said.startswith("downtime:")] == [4.5, 1.5, 1.5]


def test_ten_thousand_gaps_and_a_hundred_roots_are_a_picture_of_bounded_size() -> None:
    many = [(NOW_S - 200 * number, NOW_S - 200 * number + 50) for number in range(10_000, 0, -1)]
    picture = svg(report([f"r{number}" for number in range(100)], [part("r0", "downtime", *many)]))
    assert picture.count("<rect") < WIDTH + MOST_ROOTS * 10
    assert "70 more roots not shown" in picture


def test_it_has_a_title_a_legend_and_colours_for_light_and_dark() -> None:
    text = svg(report(["docs"], [part("docs", "watch-limit", (NOW_S - 50, NOW_S))]))
    assert "<title>autoops coverage</title>" in text and "prefers-color-scheme: dark" in text
    assert ">watch-limit</text>" in text and all(f">{name}</text>" in text for name in AGES)
    assert "<script" not in text and not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
