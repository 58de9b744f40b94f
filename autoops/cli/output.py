"""How answers are written: JSON for programs, lines for people. A name goes through `names.show`, or JSON's escapes."""

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
    print(json_text(value))


def json_text(value: Any) -> str:
    """Return a value as one JSON document, on lines of their own for a person at a terminal; everything in it prints."""
    whole = json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None, sort_keys=True)
    return "\n".join(map(_printing, whole.split("\n")))


def _printing(line: str) -> str:
    r"""Return a line in which what does not print, C1 controls and bidi overrides above all, is the \u of JSON."""
    return line if line.isprintable() else "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


def stream(lines: Iterable[str]) -> None:
    """Write many lines as they come, in constant memory: stored forms, as they are hashed, but what a terminal would obey."""
    out, shown = sys.stdout.buffer, _printing if sys.stdout.isatty() else str
    try:
        for line in lines:
            out.write(shown(line).encode("utf-8", "surrogateescape") + b"\n")
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
