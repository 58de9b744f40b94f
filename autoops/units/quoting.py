"""How a path or a name is written into a unit file (systemd.syntax(7), systemd.unit(5) for specifiers). Pure."""

from __future__ import annotations

import hashlib

from autoops import names
from autoops.errors import RootRefused

_NAME_CHARACTERS = 200  # of a file name; 255 bytes with what stands before and after it
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-+@,=~^")


def path(raw: bytes, *, bind: bool = False, optional: bool = False) -> str:
    """Return an absolute path as a value of ReadWritePaths= and the like, or of BindPaths= and BindReadOnlyPaths= (`bind`).

    optional: without what is there no more, a disk that is not mounted say, the unit starts all the same.

    A backslash makes nothing of the character after it but that character; %% is one %.
    Raises RootRefused for what systemd cannot carry. A unit file is UTF-8, and a newline, a carriage return or NUL ends its lines.
    And a unit that binds a path with a quotation mark or a control character does not start ("Failed to deserialize": seen with
    systemd 257, where every other character went through).
    """
    shown = names.show(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise _refused(shown, "its name is not UTF-8, and a unit file is") from None
    if any(char in text for char in "\n\r\0"):
        raise _refused(shown, "its name holds the end of a line, and a unit file cannot")
    if bind and any(char in "\"'" or ord(char) < 32 or ord(char) == 127 for char in text):
        raise _refused(shown, "its name holds a quotation mark or a control character, and systemd cannot bind that")
    text = ("-" if optional else "") + text.replace("%", "%%")
    if _PLAIN.issuperset(text.replace("%%", "")):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _refused(shown: str, why: str) -> RootRefused:
    remedy = (
        "rename the directory, or reach it by another name: a bind mount (mount --bind) outside /home, /root, /run/user and /tmp"
    )
    return RootRefused(path=shown, reason=f"its sandbox cannot be opened: {why}", remedy=remedy)


def file_name(name: str) -> str:
    """Return a name as a part of a file name, as systemd-escape(1) does; a long one is cut, and told apart by its hash."""
    raw = name.encode("utf-8", "surrogateescape")
    escaped = "".join(_escaped(byte, first=at == 0) for at, byte in enumerate(raw))
    if len(escaped) <= _NAME_CHARACTERS:
        return escaped
    return f"{escaped[: _NAME_CHARACTERS - 17]}-{hashlib.sha256(raw).hexdigest()[:16]}"


def _escaped(byte: int, *, first: bool) -> str:
    char = chr(byte)
    if char == "/":
        return "-"
    plain = char.isascii() and (char.isalnum() or char in ":_" or (char == "." and not first))
    return char if plain else f"\\x{byte:02x}"
