"""Pages as text and as HTML: whatever things are called, lines print, markup is ours alone, and pictures are well-formed."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re
import time
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoops import names
from autoops.cli.report import asked_of
from autoops.errors import UsageError
from autoops.report import capacity, text, weekly
from autoops.report.capacity import forecast_said
from autoops.report.chart import drawn
from autoops.report.errors import Asked, change
from autoops.report.page import Bars, Curve, Page, Section, table
from autoops.report.performance import lasted
from autoops.report.web import POLICY
from autoops.report.web import html as as_html

HOSTILE = (
    '<script>alert("1")</script>',
    "</style><script>alert(1)</script>",
    "</title></svg><img src=x onerror=alert(1)>",
    "]]><!-- & 'quoted' --> &amp;",
    "\x1b[31mred\x00\r\n\u202e\udcff\ufffe\u2028",
    '" onload="alert(1)',
    "x" * 20_000,
    "=cmd|' /C calc'!A0",
)
nasty = st.sampled_from(HOSTILE) | st.text(alphabet=st.characters(), max_size=30)
number = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e18, max_value=1e18)


class Read(html.parser.HTMLParser):
    """What a browser would find in a document."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.values: set[str] = set()
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(document)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attributes}
        self.values |= {value or "" for _, value in attributes}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attributes}
        self.values |= {value or "" for _, value in attributes}

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page_of(said: str, values: list[float]) -> Page:
    """Return a page with a text wherever one can be."""
    pictures = [
        Bars(said, [said] * len(values), values, [said] * len(values)),
        Curve(said, [(float(n), value) for n, value in enumerate(values)], [(9.0, 1.0, 2.0)], [(3.0, said)]),
    ]
    return Page(said, (said,), [Section(said, (said,), table((said, "b"), [(said, said)] * 3, 2), pictures)])


ALLOWED = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "tr", "th", "td"}
DRAWN = {"svg", "title", "text", "rect", "line", "polyline", "polygon"}


@settings(deadline=None)
@given(nasty, st.lists(number, max_size=8))
def test_html_holds_our_markup_alone_and_refers_to_nothing(said: str, values: list[float]) -> None:
    document = as_html(page_of(said, values))
    document.encode()
    found = Read(document)
    assert set(found.tags) <= ALLOWED | DRAWN
    assert not any(name.startswith("on") or name in ("href", "src", "style", "action") for name in found.attributes)
    assert {value for value in found.values if ":" in value} <= {POLICY, "http://www.w3.org/2000/svg"}
    assert "url(" not in document.partition("</style>")[0] and "@import" not in document.partition("</style>")[0]
    assert "".join(found.text).replace("\n", "").isprintable()


def test_a_long_name_is_broken_and_what_stands_beside_it_is_not() -> None:
    rows = [("critical", "finding checkpoint_mismatch", "y" * 500), ("warning", "finding corrupt", "a b")]
    document = as_html(Page("t", (), [Section("s", (), table(("a", "b", "c"), rows))]))
    assert '<td class="short">critical</td><td>finding checkpoint_mismatch</td><td class="long">yyy' in document
    assert f">{'y' * 299}…</td>" in document and '<td class="long">a b</td>' in document


def test_a_long_title_ends_where_its_picture_does_and_a_forecast_where_the_disk_does() -> None:
    picture = drawn(Bars("x" * 500, ["a"], [1.0], ["1"]))
    assert f">{'x' * 89}…</text>" in picture and f"<title>{'x' * 500}</title>" in picture
    disk = {"what": "disk", "subject": "d", "bytes": 60, "limit_bytes": 100, "used_percent": 60.0, "measured": "m", "days": 9}
    grows = disk | {"series": [[0, 50], [9, 60]], "band": [[9, 60, 60], [99, 90, 4000]], "forecast": []}
    facts = {"things": [grows], "total": {}, "record": []}
    (curve,) = next(capacity.sections(facts)).pictures
    assert isinstance(curve, Curve) and list(curve.band) == [(9, 60, 60), (99, 90, 100)]


@settings(deadline=None)
@given(nasty, st.lists(number, max_size=8))
def test_every_picture_is_well_formed_by_itself(said: str, values: list[float]) -> None:
    for picture in page_of(said, values).sections[0].pictures:
        root = ElementTree.fromstring(drawn(picture))
        assert {element.tag.partition("}")[2] for element in root.iter()} <= DRAWN
        assert "nan" not in "".join(str(element.attrib) for element in root.iter())


@settings(deadline=None)
@given(nasty, st.lists(number, max_size=8))
def test_text_is_lines_that_print_and_end(said: str, values: list[float]) -> None:
    for line in text.lines(page_of(said, values)):
        assert line.isprintable() and len(line) <= 600


@pytest.mark.parametrize("said", HOSTILE[:6])
def test_a_hostile_name_is_shown_as_what_it_is(said: str) -> None:
    assert names.show(said) in "".join(Read(as_html(page_of(said, []))).text)


def test_the_policy_lets_a_browser_take_nothing_but_this_style() -> None:
    document = as_html(page_of("x", [1.0]))
    (style,) = re.findall(r"<style>(.*?)</style>", document, flags=re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in POLICY
    assert POLICY.startswith("default-src 'none'; ") and f'content="{POLICY}"' in document and "unsafe" not in document


def test_a_picture_of_ten_thousand_points_is_of_bounded_size_and_ends_with_the_last() -> None:
    points = [(float(n), float(n)) for n in range(10_000)]
    picture = drawn(Curve("disk", points))
    assert len(picture) < 12_000
    assert picture.count(",") < 450


def test_a_table_says_how_many_rows_it_leaves_out() -> None:
    said = list(text.lines(Page("t", (), [Section("s", (), table(("a",), [(str(n),) for n in range(20)], 5))])))
    assert "... and 15 more (--format json has all)" in said and "5" not in said


def test_bars_are_a_line_of_blocks_in_text() -> None:
    assert text.spark([0, 1, 7]) == "▁▂█"
    assert text.spark([]) == "" and text.spark([0, 0]) == "▁▁"


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (
            {"percent": 80, "why": "too little history: 3 days, 7 are needed"},
            "80 %: no forecast, too little history: 3 days, 7 are needed",
        ),
        ({"percent": 80, "is_met": True, "earliest": "a", "likely": "a", "latest": "a"}, "80 %: reached"),
        ({"percent": 95, "is_met": False, "earliest": None, "likely": None, "latest": None}, "95 %: not within 5 years"),
        (
            {"percent": 95, "is_met": False, "earliest": "2027-01-01", "likely": None, "latest": None},
            "95 %: not before 2027-01-01, maybe not within 5 years",
        ),
        (
            {"percent": 95, "is_met": False, "earliest": "2027-01-01", "likely": "2027-02-01", "latest": "2027-03-01"},
            "95 %: between 2027-01-01 and 2027-03-01, most likely 2027-02-01",
        ),
        ({"percent": 95, "is_met": False, "earliest": "d", "likely": "d", "latest": "d"}, "95 %: d"),
    ],
)
def test_a_forecast_is_said_with_its_uncertainty(one: dict[str, object], said: str) -> None:
    assert forecast_said(one) == said


@pytest.mark.parametrize(
    ("now", "before", "said"), [(3, 3, "as before"), (5, 0, "5 more: there were none before"), (15, 10, "+50 %"), (0, 4, "-100 %")]
)
def test_a_change_is_said_without_dividing_by_nothing(now: int, before: int, said: str) -> None:
    assert change(now, before) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (0.0, "0 µs"), (0.0125, "12.5 ms"), (1.25, "1.2 s"), (119.0, "119.0 s"), (600, "10 min"), (9000, "2.5 h")],
)
def test_times_are_spoken(seconds: float | None, said: str) -> None:
    assert lasted(seconds) == said


def test_the_time_before_is_as_long() -> None:
    assert Asked(700, 1000).before == Asked(400, 700)
    assert Asked(100, 1000).before == Asked(0, 100)


@pytest.mark.parametrize("last", ["0s", "5x", "-1d", "99999d", "", "1e9d", "9" * 400 + "d"])
def test_a_time_that_is_none_is_refused(last: str) -> None:
    with pytest.raises(UsageError):
        asked_of(last)


def test_a_time_ends_now() -> None:
    asked = asked_of("24h")
    assert asked.until_s - asked.since_s == 86400 and abs(asked.until_s - time.time()) < 60


def test_a_weekly_page_of_parts_that_cannot_be_told_says_so_in_each_place() -> None:
    parts = ("changes", "errors", "findings", "coverage", "capacity", "performance", "security")
    facts = {part: {"cannot": "queue.db is damaged: <b>", "hint": "look"} for part in parts}
    facts |= {"host": "h", "since": "2026-11-16", "at": "2026-11-23", "paused": "upgrade", "backups": []}  # type: ignore[dict-item]
    whole = weekly.page(facts)
    said = list(text.lines(whole))
    assert said.count("cannot be told: queue.db is damaged: <b>") == len(parts) - 1
    assert "a maintenance window is open: upgrade" in said and "security: not known" in said
    assert weekly.missing(facts) == ["queue.db is damaged: <b>"]
    Read(as_html(whole))
