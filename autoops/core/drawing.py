"""Parts of pictures (SVG 1.1), each text in them escaped. Pure."""

from __future__ import annotations

import html
from typing import Any

from autoops import names

BAR = 16


def escaped(said: Any) -> str:
    """Return a text for XML or HTML: one line that prints, and never markup."""
    return html.escape(names.show(str(said)))


def bar(x: float, y: float, width: float, colour: str, said: str, style: str = "", height: float = BAR) -> str:
    """Return a rectangle that says something when it is pointed at; `style`: a class, instead of a colour."""
    fill = f'class="{style}"' if style else f'fill="{colour}"'
    return f'<rect x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="{height:g}" {fill}><title>{escaped(said)}</title></rect>'


def text(x: float, y: float, said: str, style: str = "", anchor: str = "start") -> str:
    """Return a text."""
    return f'<text x="{x:.1f}" y="{y:g}" class="{style}" text-anchor="{anchor}">{escaped(said)}</text>'
