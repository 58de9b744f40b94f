"""A page as one HTML file that needs nothing else: no script, no reference, and a policy that lets a browser take none. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence

from autoops import names
from autoops.core.drawing import escaped
from autoops.report.chart import drawn
from autoops.report.page import Page, Section, Table

_CELL_CHARACTERS = 300
# a long cell must not press others until their words fall into letters
_SHORT_CHARACTERS = 20  # a column of such cells is not broken at all
_WORD_CHARACTERS = 25  # one without longer words is broken between words alone
_STYLE = """
body { font: 15px/1.45 sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #1a1a1a; background: #ffffff }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #cccccc }
table { border-collapse: collapse; margin: 0.8em 0; display: block; overflow-x: auto }
th, td { text-align: left; vertical-align: top }
th, td { padding: 0.15em 0.9em 0.15em 0 }
th { border-bottom: 1px solid #999999 } .short { white-space: nowrap } .long { overflow-wrap: anywhere; min-width: 9em }
svg { display: block; margin: 0.8em 0; max-width: 100% }
svg text { font: 12px sans-serif; fill: #1a1a1a } svg .small { font-size: 10px } svg .head { font-weight: bold }
.bar { fill: #0072b2 } .axis { stroke: #888888 } .line { fill: none; stroke: #0072b2; stroke-width: 2 }
.band { fill: #56b4e9; fill-opacity: 0.35 } .limit { stroke: #d55e00; stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) { body { color: #eeeeee; background: #16181c } svg text { fill: #eeeeee } }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"


def html(page: Page) -> str:
    """Return a page as an HTML document."""
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="viewport" content="width=device-width">\n'
        f"<title>{escaped(page.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escaped(page.title)}</h1>"
    )
    body = [f"<p>{escaped(said)}</p>" for said in page.said]
    for section in page.sections:
        body += _section(section)
    return "\n".join([head, *body, "</body>\n</html>\n"])


def _section(section: Section) -> Iterator[str]:
    yield f"<h2>{escaped(section.title)}</h2>"
    for said in section.said:
        yield f"<p>{escaped(said)}</p>"
    for one in section.tables:
        yield from _table(one)
    for picture in section.pictures:
        yield drawn(picture)


def _table(table: Table) -> Iterator[str]:
    yield "<table>\n<tr>" + "".join(f"<th>{escaped(head)}</th>" for head in table.heads) + "</tr>"
    styles = [_style(column) for column in zip(*table.rows, strict=True)]
    for row in table.rows:
        cells = ((escaped(names.cut(cell, _CELL_CHARACTERS)), style) for cell, style in zip(row, styles, strict=True))
        yield "<tr>" + "".join(f"<td{style}>{cell}</td>" for cell, style in cells) + "</tr>"
    yield "</table>"
    if table.more:
        yield f"<p>... and {table.more} more</p>"


def _style(column: Sequence[str]) -> str:
    shown = [names.show(cell) for cell in column]
    if all(len(cell) <= _SHORT_CHARACTERS for cell in shown):
        return ' class="short"'
    return ' class="long"' if any(len(word) > _WORD_CHARACTERS for cell in shown for word in cell.split()) else ""
