"""Turn bytes into text without ever refusing.

Guarantee: pure; any bytes become text. Reads and writes nothing.
"""

from __future__ import annotations

import codecs

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def decoded(data: bytes) -> tuple[str, str]:
    """Return (text, encoding): "ascii", "utf-8", "utf-8-sig", "utf-16", or "8-bit" for what is none of them.

    Truncated content may end inside a character: that character is left out.
    """
    if data.isascii():
        return data.decode("ascii"), "ascii"
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, "replace"), encoding
    try:
        return data.decode(), "utf-8"
    except UnicodeDecodeError as error:
        if error.start >= len(data) - 3 and error.reason == "unexpected end of data":
            return data[: error.start].decode(), "utf-8"
    return data.decode("latin-1"), "8-bit"
