"""Counts, sizes and spans of time as people say them. Pure."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, which is given for one: "1 file", "2,000 files", "0 entries"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun.removesuffix('y') + 'ies' if noun.endswith(('ry', 'ty')) else noun + 's'}"


def listed(names: list[str]) -> str:
    """Return names as a list that is read: "a", "a and b", "a, b and c"."""
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]])


def age(seconds: float) -> str:
    """Return a span of time as people say it: "119 s", "2 min", "47 h", "3 d"."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def sized(size_bytes: float) -> str:
    """Return a size as people say it: "999 B", "1.2 GB", "-3.4 MB"."""
    if abs(size_bytes) < 1000:
        return f"{size_bytes:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        size_bytes /= 1000
        if abs(size_bytes) < 999.95:
            return f"{size_bytes:.1f} {unit}"
    return f"{size_bytes / 1000:,.1f} PB"
