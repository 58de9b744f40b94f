"""Describe CSV: delimiter, columns, rows. A cell is text, whatever it begins with: formulas are neither evaluated nor hidden.

The standard library's Sniffer is not used: its regular expressions are quadratic in hostile input.
"""

from __future__ import annotations

import csv
import io

from autoops.describe import shape
from autoops.describe.encoding import decoded
from autoops.model import JSON

NAME = "csv"
VERSION = 1
TYPES = ("text/csv", "text/tab-separated-values")

_DELIMITERS = ",;\t|"
_SAMPLE_ROWS = 20
_SAMPLE_CHARACTERS = 16 * 1024


def extract(data: bytes, truncated: bool) -> JSON:
    """Return the shape of a table: its columns are named by the first row unless that holds a number or an empty cell."""
    text = decoded(data)[0].removeprefix("\ufeff")
    delimiter = _delimiter(text)
    first: list[str] = []
    rows = 0
    uneven: int | None = None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            if not row:
                continue  # a blank line
            first = first or row
            rows += 1
            if uneven is None and len(row) != len(first):
                uneven = reader.line_num
    except csv.Error as error:  # a field of more than 128 KiB
        return {"delimiter": delimiter, **shape.fault(error, reader.line_num)}
    header = _is_header(first)
    return {
        "delimiter": {"\t": "tab"}.get(delimiter, delimiter),
        "header": header,
        "columns": first[: shape.MAX_ITEMS] if header else [],
        "columns_total": len(first),
        "rows": rows - header,
        **({"uneven_at_line": uneven} if uneven else {}),
    }


def _delimiter(text: str) -> str:
    """Return the delimiter that gives most sample rows the same number of columns, more than one."""
    sample = text[:_SAMPLE_CHARACTERS]
    best, delimiter = (0, 0), ","
    for candidate in _DELIMITERS:
        widths: list[int] = []
        try:
            for row in csv.reader(io.StringIO(sample, newline=""), delimiter=candidate):
                widths.append(len(row))
                if len(widths) == _SAMPLE_ROWS:
                    break
        except csv.Error:
            continue  # not this one; extract reports what is wrong with the one chosen
        wide = [width for width in widths if width > 1]
        usual = max(set(wide), key=wide.count, default=0)
        best, delimiter = max((best, delimiter), ((wide.count(usual), usual), candidate), key=lambda pair: pair[0])
    return delimiter


def _is_header(row: list[str]) -> bool:
    return bool(row) and all(cell.strip() and not _is_number(cell) for cell in row)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
