"""A page as text for a terminal or a mail: every line prints, and none is endless. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autoops import names
from autoops.report.page import Bars, Page, Section, Table

_CELL_CHARACTERS = 80
_LINE_CHARACTERS = 500
_LEVELS = "▁▂▃▄▅▆▇█"


def lines(page: Page) -> Iterator[str]:
    """Yield the lines of a page."""
    yield _shown(page.title)
    yield from map(_shown, page.said)
    for section in page.sections:
        yield ""
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    yield _shown(section.title)
    yield "-" * min(len(_shown(section.title)), _CELL_CHARACTERS)
    yield from map(_shown, section.said)
    for one in section.tables:
        yield from _rows(one)
    for picture in section.pictures:
        if isinstance(picture, Bars) and any(picture.values):
            yield _shown(f"{picture.title}: {spark(picture.values)}, from {picture.labels[0]} to {picture.labels[-1]}")


def _rows(table: Table) -> Iterator[str]:
    cells = [[_cell(one) for one in row] for row in (table.heads, *table.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(table.heads))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if table.more:
        yield f"... and {table.more} more (--format json has all)"


def spark(values: Sequence[float]) -> str:
    """Return numbers as a line of blocks; nothing is the lowest of them."""
    most = max(values, default=0)
    return "".join(_LEVELS[round((len(_LEVELS) - 1) * max(0.0, value) / most)] if most > 0 else _LEVELS[0] for value in values)


def _cell(said: str) -> str:
    """Return a cell, cut in its middle, where a path says least."""
    shown = names.show(said)
    if len(shown) <= _CELL_CHARACTERS:
        return shown
    half = (_CELL_CHARACTERS - 1) // 2
    return f"{shown[:half]}…{shown[-half:]}"


def _shown(said: str) -> str:
    return names.cut(names.show(said), _LINE_CHARACTERS)
