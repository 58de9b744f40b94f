"""Pictures of a page as SVG, to stand in HTML: no script, no reference, no style of their own. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from autoops import names
from autoops.core.drawing import bar, escaped, text
from autoops.core.ledger import utc
from autoops.core.spoken import sized
from autoops.report.page import Bars, Curve

WIDTH, HEIGHT = 720, 160
_LEFT, _TOP, _BOTTOM = 70, 26, 24
_TALL = HEIGHT - _TOP - _BOTTOM
_WIDE = WIDTH - _LEFT - 10
_MOST_POINTS = 400
_TITLE_CHARACTERS = 90  # about as wide as the picture
_AXIS = f'<line class="axis" x1="{_LEFT}" x2="{_LEFT + _WIDE}" y1="{_TOP + _TALL}" y2="{_TOP + _TALL}"/>'


def drawn(picture: Bars | Curve) -> str:
    """Return a picture as an SVG element."""
    body = list(_bars(picture) if isinstance(picture, Bars) else _curve(picture))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">'
    title = names.cut(names.show(picture.title), _TITLE_CHARACTERS)
    return "\n".join([head, f"<title>{escaped(picture.title)}</title>", text(0, 14, title, "head"), *body, "</svg>"])


def _bars(picture: Bars) -> Iterator[str]:
    most = max([value for value in picture.values if math.isfinite(value)], default=0.0)
    step = _WIDE / max(1, len(picture.values))
    for number, (label, value, said) in enumerate(zip(picture.labels, picture.values, picture.said, strict=True)):
        tall = _TALL * max(0.0, value) / most if most > 0 and math.isfinite(value) else 0.0
        if tall:
            height = max(1.0, tall)
            x, y = _LEFT + number * step, _TOP + _TALL - height
            yield bar(x, round(y, 1), max(0.5, step - 1), "", f"{label}: {said}", "bar", round(height, 1))
    yield _AXIS
    yield text(_LEFT - 6, _TOP + 10, f"{most:,.0f}" if most >= 10 else f"{most:.3g}", "small", "end")
    if picture.labels:
        yield text(_LEFT, HEIGHT - 8, picture.labels[0], "small")
        yield text(_LEFT + _WIDE, HEIGHT - 8, picture.labels[-1], "small", "end")


def _curve(picture: Curve) -> Iterator[str]:
    points = _thinned(picture.points)
    times = [at_s for at_s, *_ in (*points, *picture.band)]
    values = [value for _, *some in (*points, *picture.band) for value in some] + [limit for limit, _ in picture.limits]
    if not times:
        yield text(_LEFT, _TOP + 20, "nothing is known yet", "small")
        return
    begin, end, most = min(times), max(times), max([*values, 1.0])

    def place(at_s: float, value: float) -> str:
        x = _LEFT + _WIDE * (at_s - begin) / (end - begin or 1)
        return f"{x:.1f},{_TOP + _TALL * (1 - max(0.0, value) / most):.1f}"

    yield _AXIS
    if picture.band:
        there = [place(at_s, high) for at_s, _, high in picture.band]
        back = [place(at_s, low) for at_s, low, _ in reversed(picture.band)]
        yield f'<polygon class="band" points="{" ".join([*there, *back])}"/>'
    yield f'<polyline class="line" points="{" ".join(place(*point) for point in points)}"/>'
    for limit, said in picture.limits:
        y = float(place(begin, limit).split(",")[1])
        yield f'<line class="limit" x1="{_LEFT}" x2="{_LEFT + _WIDE}" y1="{y}" y2="{y}"/>'
        yield text(_LEFT + _WIDE, y - 3, said, "small", "end")
    yield text(_LEFT - 6, _TOP + 10, sized(most), "small", "end")
    yield text(_LEFT, HEIGHT - 8, utc(begin)[:10], "small")
    yield text(_LEFT + _WIDE, HEIGHT - 8, utc(end)[:10], "small", "end")


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Return at most so many points, the last among them."""
    step = -(-len(points) // _MOST_POINTS) or 1
    return points[::-1][::step][::-1]
