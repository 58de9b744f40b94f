"""Counts as people say them. Pure."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, which is given for one: "1 file", "2,000 files", "0 entries"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun.removesuffix('y') + 'ies' if noun.endswith(('ry', 'ty')) else noun + 's'}"
