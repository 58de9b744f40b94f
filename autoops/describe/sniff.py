"""Name a file's MIME type from its first bytes, then from its name.

Order: empty, the content's own signature, NUL bytes, then for text the name, the shebang and a few marks of the content.
So a name never overrules a signature, and a binary named `.py` is no Python.

Guarantee: pure; the same bytes and name give the same answer on every host; costs about a microsecond, as a first scan asks
once per file. Reads and writes nothing.
"""

from __future__ import annotations

import re

from autoops.core.shebang import interpreter
from autoops.describe.extensions import EXTENSIONS, NAMES
from autoops.describe.magic import BY_FIRST_BYTE, inner

HEAD_BYTES = 4096  # as many as the caller should give
EMPTY = "inode/x-empty"  # file(1)'s word
BINARY = "application/octet-stream"
TEXT = "text/plain"

# What file(1) takes for text: BEL to CR, ESC, everything that prints, and every byte above ASCII.
_TEXT_BYTES = bytes([*range(7, 14), 27, *range(32, 127), *range(128, 256)])
_BOMS_16 = (b"\xff\xfe", b"\xfe\xff")
_JSON = re.compile(
    rb"""\s*+(?:\{\s*+(?:\}\s*+\Z|"(?:[^"\\]|\\.){0,200}+"\s*+:)"""
    rb"""|\[\s*+(?:\]\s*+\Z|[\[{]\s*+["\[{\]}\d-]|(?:"(?:[^"\\]|\\.){0,200}+"|-?\d[\d.eE+-]*+|true|false|null)\s*+,))"""
)
_MARKS = re.compile(rb"\s*+<(?:(\?xml)|(!doctype\s++html|html[\s>]|head[\s>]|body[\s>])|(svg[\s>]))", re.IGNORECASE)
_INTERPRETERS = {
    "python": "text/x-python",
    "sh": "text/x-shellscript",
    "bash": "text/x-shellscript",
    "dash": "text/x-shellscript",
    "ash": "text/x-shellscript",
    "ksh": "text/x-shellscript",
    "zsh": "text/x-shellscript",
    "perl": "text/x-perl",
    "ruby": "text/x-ruby",
    "node": "text/javascript",
    "lua": "text/x-lua",
    "php": "text/x-php",
    "awk": "text/x-awk",
    "gawk": "text/x-awk",
    "tclsh": "text/x-tcl",
    "make": "text/x-makefile",
    "rscript": "text/x-r",
}


def sniff(head: bytes, name: bytes) -> str:
    """Return the MIME type of a file from its first `HEAD_BYTES` bytes and its name (the last part of its path)."""
    if not head:
        return EMPTY
    rules = BY_FIRST_BYTE.get(head[0])
    if rules:
        for prefix, rule in rules:
            if head.startswith(prefix):
                mime = rule if isinstance(rule, str) else rule(head, name)
                if mime:
                    return mime
    if b"\0" in head:
        return inner(head) or (_by_name(name) or TEXT if head.startswith(_BOMS_16) else BINARY)
    if not head.isascii() and not _is_text(head):
        return BINARY
    return _by_name(name) or _by_content(head)


def _by_name(name: bytes) -> str | None:
    _, dot, extension = name.rpartition(b".")
    return (dot and EXTENSIONS.get(extension)) or _by_odd_name(name) or None


def _by_odd_name(name: bytes) -> str | None:
    lower = name.lower()
    _, dot, extension = lower.rpartition(b".")
    return NAMES.get(lower) or (EXTENSIONS.get(extension) if dot else None)


def _is_text(head: bytes) -> bool:
    """Return whether bytes beyond ASCII are text: UTF-8, perhaps cut in a character, else 8-bit text without controls."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if len(head) < HEAD_BYTES or error.start < len(head) - 3:
            return not head.translate(None, _TEXT_BYTES)
    return True


def _by_content(head: bytes) -> str:
    if head.startswith(b"\xef\xbb\xbf"):
        head = head[3:]
    program = interpreter(head)
    if program:
        return _INTERPRETERS.get(program) or _INTERPRETERS.get(program.rstrip("0123456789.-")) or TEXT
    mark = _MARKS.match(head)
    if mark:
        if mark[1]:
            return "image/svg+xml" if b"<svg" in head[:512] else "application/xml"
        return "text/html" if mark[2] else "image/svg+xml"
    if _JSON.match(head):
        return "application/json"
    return BINARY if head.translate(None, _TEXT_BYTES) else TEXT
