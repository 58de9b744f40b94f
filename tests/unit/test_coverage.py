"""Gaps as intervals, and the picture of them."""

from __future__ import annotations

import itertools
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoops import names
from autoops.core.coverage import AGES, DAY_S, Missed, clipped, length, merged, times_of_ages, unwatched
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


def test_a_gap_that_was_over_at_once_is_still_told() -> None:
    (found,) = unwatched([Missed("docs", "overflow", 50, 50)], ["docs"], 0, 100)
    assert (found.seconds, found.times, found.is_open) == (1, 1, False)


@given(st.integers(0, 200 * DAY_S))
def test_ages_part_at_whole_days(age_s: int) -> None:
    now_s = 1000 * DAY_S
    step = sum(now_s - age_s < time_s for time_s in times_of_ages(now_s))
    days = age_s // DAY_S
    assert AGES[step] == next((name for most, name in zip((1, 7, 30, 90), AGES, strict=False) if days < most), AGES[-1])


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
    return {"root": root, "reason": reason, "seconds": 5, "times": 1, "still": False, "spans": [list(span) for span in some]}


def drawn(told: dict[str, Any]) -> ElementTree.Element:
    text = svg(told)
    assert text.isprintable() or set(filter(lambda char: not char.isprintable(), text)) == {"\n"}
    return ElementTree.fromstring(text)


def texts(picture: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in picture.iter() if element.tag.endswith(("}text", "}title"))]


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


def test_ten_thousand_gaps_and_a_hundred_roots_are_a_picture_of_bounded_size() -> None:
    many = [(NOW_S - 200 * number, NOW_S - 200 * number + 50) for number in range(10_000, 0, -1)]
    picture = svg(report([f"r{number}" for number in range(100)], [part("r0", "downtime", *many)]))
    assert picture.count("<rect") < WIDTH + MOST_ROOTS * 10
    assert "70 more roots are not shown" in picture


def test_it_has_a_title_a_legend_and_colours_for_light_and_dark() -> None:
    text = svg(report(["docs"], [part("docs", "watch-limit", (NOW_S - 50, NOW_S))]))
    assert "<title>autoops coverage</title>" in text and "prefers-color-scheme: dark" in text
    assert ">watch-limit</text>" in text and all(f">{name}</text>" in text for name in AGES)
    assert "<script" not in text and not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
