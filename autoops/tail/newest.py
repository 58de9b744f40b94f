"""The newest digest in a file that somebody else writes. Reads the end of that file; writes nothing.

Guarantee: a plain file only, no link; 64 KiB of it at most; a line that says nothing is passed over and counted.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from autoops.core.canonical import parse
from autoops.files import opening
from autoops.files.following import LIMIT_BYTES
from autoops.tail.own import written_at

_TAIL_BYTES = 1 << 16
DIGEST = re.compile(r"[0-9a-f]{64}")


class Newest(NamedTuple):
    """The newest line that has a digest."""

    digest: str = ""  # "": there is none
    at_s: float = 0.0  # what the line says, else when the file was written last
    trouble: str = ""  # why there is none
    passed: int = 0  # newer lines that say nothing


def newest(path: Path, key: str) -> Newest:
    """Return the newest digest under a key."""
    try:
        with opening.plain(path) as source:
            found = os.fstat(source.fileno())
            start = max(0, found.st_size - _TAIL_BYTES)
            content = os.pread(source.fileno(), _TAIL_BYTES, start)
    except OSError as error:
        return Newest(trouble=f"it cannot be read ({error.strerror})")
    return _last_of(content, key, found.st_mtime, whole=start == 0)


def _last_of(content: bytes, key: str, mtime_s: float, *, whole: bool) -> Newest:
    *lines, _ = content.split(b"\n")  # after the last newline: a line that is still being written
    passed = 0
    for line in reversed(lines if whole else lines[1:]):
        if not line.strip():
            continue
        digest, at_s = _read(line, key)
        if digest:
            return Newest(digest, mtime_s if at_s is None else at_s, "", passed)
        passed += 1
    return Newest(trouble="no line of it has a digest", passed=passed)


def _read(line: bytes, key: str) -> tuple[str, float | None]:
    if len(line) > LIMIT_BYTES:
        return "", None
    try:
        value = parse(line)
    except (ValueError, RecursionError):
        return "", None
    return (digest_of(value.get(key)), written_at(value.get("at"))) if isinstance(value, dict) else ("", None)


def digest_of(said: object) -> str:
    """Return a digest as we write it, "" for what is none."""
    text = said.strip().lower() if isinstance(said, str) else ""
    return text if DIGEST.fullmatch(text) else ""
