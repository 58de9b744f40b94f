"""The report of coverage as a picture (SVG 1.1): a line of time for each root, and how long ago its files were verified.

Guarantee: one file that needs nothing else, without scripts; whatever a root is called, it is text. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autoops import names
from autoops.core.coverage import AGES, DAY_S
from autoops.core.drawing import BAR, bar, escaped, text
from autoops.core.ledger import utc
from autoops.core.spoken import age, counted
from autoops.model import JSON

WIDTH = 960
MOST_ROOTS = 30
_LEFT, _RIGHT, _ROW = 200, 20, 30
_SPAN = WIDTH - _LEFT - _RIGHT
_LABEL = 26  # characters that fit into the margin
_COUNTS = 250  # for what is said behind a bar: eight digits twice

# Told apart by people who see few colours too (Okabe and Ito's palette); each is readable on white and on black.
_REASONS = {
    "downtime": "#0072b2",
    "overflow": "#d55e00",
    "watch-limit": "#e69f00",
    "unreadable": "#cc79a7",
    "unmounted": "#56b4e9",
    "polling": "#f0e442",
    "alias": "#999999",
}
_OTHER = "#7f3c8d"
_BEFORE = "nothing registered yet"
_AGES = ("#009e73", "#4db392", "#e6b800", "#e07b00", "#c1272d")
_STYLE = """
    text { font: 12px sans-serif; fill: #1a1a1a } .title { font-size: 18px; font-weight: bold } .small { font-size: 10px }
    .paper { fill: #ffffff } .line { fill: #dfe8df } .before { fill: #bbbbbb; fill-opacity: 0.4 } .tick { stroke: #888888 }
    @media (prefers-color-scheme: dark) { text { fill: #eeeeee } .paper { fill: #16181c } .line { fill: #2c3a30 } }"""


def svg(report: JSON) -> str:
    """Return a report (reconcile/coverage.py) as an SVG document."""
    roots = report["roots"][:MOST_ROOTS]
    more = len(report["roots"]) - len(roots)
    body: list[str] = []
    y = 92
    body += _heading(report, more)
    body += [text(10, y, "not watched", "title")]
    y += 14
    for root in roots:
        body += _timeline(report, root["root"], y)
        y += _ROW
    body += _axis(report["since_s"], report["at_s"], y)
    y += 52
    reasons = sorted({part["reason"] for part in report["unwatched"]})
    body += _legend([(_colour(reason), reason) for reason in reasons] or [("", "everything was watched")], y - 12)
    if (report["begun_s"] or 0) > report["since_s"]:
        body += [bar(10, y - 22, 12, "", _BEFORE, "before", height=12), text(28, y - 12, _BEFORE)]
    y += 34
    body += [text(10, y, "last verified", "title")]
    y += 14
    for root in roots:
        body += _ages(root, y)
        y += _ROW
    body += _legend(list(zip(_AGES, AGES, strict=True)), y + 14)
    return _document(body, y + 44)


def _document(body: Sequence[str], height: int) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
        f"\n  <title>autoops coverage</title>\n  <style>{_STYLE}\n  </style>"
    )
    paper = f'<rect class="paper" width="{WIDTH}" height="{height}"/>'
    return "\n  ".join([head, paper, *body]) + "\n</svg>\n"


def _heading(report: JSON, more: int) -> list[str]:
    told = report["verification"]
    files = f"{counted(told['files'], 'file')}; {told['overdue_files']:,} not verified within {told['days']} days"
    last = f"; {counted(more, 'more root')} not shown" if more else ""
    return [
        text(10, 26, "autoops coverage", "title"),
        text(10, 46, f"{report['since']} to {report['at']}; {counted(len(report['now']), 'place')} not watched now"),
        text(10, 62, f"{files}{last}"),
    ]


def _timeline(report: JSON, root: str, y: int) -> Iterator[str]:
    since_s, at_s = report["since_s"], report["at_s"]
    yield _label(root, y)
    yield f'<rect class="line" x="{_LEFT}" y="{y}" width="{_SPAN}" height="{BAR}"/>'
    if report["begun_s"] is not None and report["begun_s"] > since_s:
        width = _x(min(report["begun_s"], at_s), since_s, at_s) - _LEFT
        yield bar(_LEFT, y, width, "", _BEFORE, "before")
    for part in report["unwatched"]:
        if part["root"] == root:
            said = f"{part['reason']}: {age(part['seconds'])} in {counted(part['times'], 'time')}"
            for begin, end in _pixels(part["spans"], since_s, at_s):
                yield bar(begin, y, end - begin, _colour(part["reason"]), said)


def _pixels(spans: Sequence[Sequence[int]], since_s: int, at_s: int) -> list[list[float]]:
    """Return spans as places on the line, each wide enough to be seen, those that would touch as one: as many as pixels at most."""
    drawn: list[list[float]] = []
    for begin_s, end_s in spans:
        begin = _x(begin_s, since_s, at_s)
        end = max(begin + 1.5, _x(end_s, since_s, at_s))
        if drawn and begin <= drawn[-1][1] + 0.5:
            drawn[-1][1] = max(drawn[-1][1], end)
        else:
            drawn.append([begin, end])
    return drawn


def _axis(since_s: int, at_s: int, y: int) -> Iterator[str]:
    for number in range(5):
        moment_s = since_s + (at_s - since_s) * number // 4
        x = _x(moment_s, since_s, at_s)
        yield f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 8}" y2="{y - 2}"/>'
        shown = utc(moment_s)[:10] if at_s - since_s > 2 * DAY_S else utc(moment_s)[5:16].replace("T", " ")
        yield text(x, y + 10, shown, "small", "end" if number == 4 else "middle" if number else "start")


def _ages(root: JSON, y: int) -> Iterator[str]:
    yield _label(root["root"], y)
    total = root["files"]
    if not total:
        yield text(_LEFT, y + 12, "no files")
        return
    x = float(_LEFT)
    for colour, part in zip(_AGES, root["ages"], strict=True):
        width = (_SPAN - _COUNTS - 10) * part["files"] / total
        if width:
            yield bar(x, y, width, colour, f"{part['age']} ago: {counted(part['files'], 'file')}")
        x += width
    overdue = f", {root['overdue_files']:,} overdue" if root["overdue_files"] else ""
    yield text(_LEFT + _SPAN - _COUNTS, y + 12, f"{counted(total, 'file')}{overdue}")


def _legend(items: Sequence[tuple[str, str]], y: int) -> Iterator[str]:
    x = _LEFT
    for colour, name in items:
        if colour:
            yield bar(x, y - 10, 12, colour, name, height=12)
        yield text(x + (18 if colour else 0), y, name)
        x += 36 + 7 * len(name[:_LABEL])


def _label(root: str, y: int) -> str:
    shown = names.show(root)
    short = shown if len(shown) <= _LABEL else "..." + shown[3 - _LABEL :]
    return f"<g><title>{escaped(root)}</title>{text(10, y + 12, short)}</g>"


def _x(moment_s: int, since_s: int, at_s: int) -> float:
    return _LEFT + _SPAN * (moment_s - since_s) / max(1, at_s - since_s)


def _colour(reason: str) -> str:
    return _REASONS.get(reason, _OTHER)
