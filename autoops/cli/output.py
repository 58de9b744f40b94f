"""How answers are written: JSON for programs, lines for people. Every name goes through `names.show`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from autoops import names


def say(line: str = "") -> None:
    """Write one line for a person."""
    print(names.show(line), flush=True)


def warn(line: str) -> None:
    """Write one line to standard error."""
    print(names.show(line), file=sys.stderr, flush=True)


def as_json(value: Any) -> None:
    """Write a value as one JSON document."""
    print(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None, sort_keys=True))


def stream(lines: Iterable[str]) -> None:
    """Write many lines as they come, in constant memory. Stored forms: reversible, so not shown again."""
    out = sys.stdout.buffer
    try:
        for line in lines:
            out.write(line.encode("utf-8", "surrogateescape") + b"\n")
        out.flush()
    except BrokenPipeError:  # `autoops list | head`: nobody reads any more; here, because typer would make a failure of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def table(rows: Iterable[Sequence[object]]) -> None:
    """Write rows in columns as wide as their widest cell."""
    cells = [[names.show(str(cell)) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))] if cells else []
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
