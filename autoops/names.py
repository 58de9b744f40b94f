"""How a file name, any bytes but / and NUL, becomes text and comes back.

Two forms, read by one function:

- `text(path)` is what is stored, signed and exported: UTF-8 as it is, a backslash doubled, and each byte that is not UTF-8
  written as `\\xHH`. It does not depend on a Unicode version, so a digest made by one Python is right in another.
- `show(path)` is what a person, a log, a terminal or STATUS= gets: besides the above, everything that does not print (controls,
  escape sequences, bidi overrides, line separators) is written byte by byte as `\\xHH`: a name can neither forge a line nor hide.

`to_bytes` reads both. Neither form contains a newline when shown, and no two paths share a form.
"""

from __future__ import annotations

import codecs
import re

_ESCAPE = re.compile(r"\\(\\|x[0-9a-fA-F]{2})")
_HANDLER = "autoops-hex"


def _hex(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _escaped(error.object[error.start : error.end]), error.end


codecs.register_error(_HANDLER, _hex)


def _escaped(raw: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in raw)


def text(path: bytes) -> str:
    """Return the stored form of a path or name, reversible and the same on every Python."""
    if b"\\" in path:
        path = path.replace(b"\\", b"\\\\")
    return path.decode("utf-8", _HANDLER)


def to_bytes(form: str) -> bytes:
    """Return the bytes of a name given in either form.

    A backslash that begins no escape stands for itself, so a path typed by a person works too.
    """
    if "\\" not in form:
        return form.encode("utf-8", "surrogateescape")
    out = bytearray()
    end = 0
    for match in _ESCAPE.finditer(form):
        out += form[end : match.start()].encode("utf-8", "surrogateescape")
        out += b"\\" if match[1] == "\\" else bytes([int(match[1][1:], 16)])
        end = match.end()
    return bytes(out + form[end:].encode("utf-8", "surrogateescape"))


def show(path: bytes | str) -> str:
    """Return a path, name or message for a person: one line, everything in it prints."""
    form = text(path) if isinstance(path, bytes) else path
    if form.isprintable():
        return form
    return "".join(char if char.isprintable() else _escaped(_raw(char)) for char in form)


def cut(shown: str, most: int) -> str:
    """Return a text for a person, of at most so many characters: of a longer one the beginning."""
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _raw(char: str) -> bytes:
    """Return the bytes of one character; a lone surrogate stands for a byte (PEP 383), or for itself in hostile JSON."""
    return char.encode("utf-8", "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass")
