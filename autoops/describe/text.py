"""Describe plain text: lines, words, encoding, first line. Counted by whole-buffer operations, without an object per word."""

from __future__ import annotations

from autoops.describe import shape
from autoops.describe.encoding import decoded
from autoops.model import JSON

NAME = "text"
VERSION = 1
TYPES = (
    *("text/*", "application/xml", "application/jsonl", "application/json5", "image/svg+xml", "message/rfc822"),
    *("application/x-subrip", "application/mbox", "application/x-pem-file"),
)

_BLANKS = b" \t\n\r\v\f"
_SHAPES = bytes(32 if byte in _BLANKS else 120 for byte in range(256))  # a blank becomes a space, everything else an x


def extract(data: bytes, truncated: bool) -> JSON:
    """Return the measures of a text; words are what blanks separate."""
    text, encoding = decoded(data)
    if encoding == "utf-16":
        data = text.encode("utf-8", "replace")
    words = b" " + data.translate(_SHAPES)
    first = next((part for part in text[:4096].split("\n") if part.strip()), "")
    return {
        "lines": data.count(b"\n") + (not data.endswith(b"\n") and bool(data)),
        "words": words.count(b" x"),
        "encoding": encoding,
        "first_line": shape.line(first),
    }
