"""Counts and sizes as people say them. Pure."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, which is given for one: "1 file", "2,000 files", "0 entries"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun.removesuffix('y') + 'ies' if noun.endswith(('ry', 'ty')) else noun + 's'}"


def listed(names: list[str]) -> str:
    """Return names as a list that is read: "a", "a and b", "a, b and c"."""
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]])


def sized(size_bytes: float) -> str:
    """Return a size as people say it: "999 B", "1.2 GB", "-3.4 MB"."""
    if abs(size_bytes) < 1000:
        return f"{size_bytes:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        size_bytes /= 1000
        if abs(size_bytes) < 999.95:
            return f"{size_bytes:.1f} {unit}"
    return f"{size_bytes / 1000:,.1f} PB"
