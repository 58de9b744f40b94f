"""Taking secrets out of text that leaves the house: values of keys that name one, passwords in URLs, private keys. Pure.

What it does not know it cannot find: a secret in a file's name or under a harmless key stays. It removes rather too much. Its time
grows with the length of the text, whatever is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

REMOVED = "(removed)"

_WORDS = (
    "password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|credential|authorization|private[_-]?key|webhook"
    "|heartbeat[_-]?url"
)
_KEY = rf"""(?<![\w.-])(?P<key>[\w.-]{{0,64}}(?:{_WORDS})[\w.-]{{0,64}}\\?["']?\s*[:=]\s*)"""
_VALUES = (
    r'"""(?s:.*?)"""',
    r"'''(?s:.*?)'''",
    r'"(?:[^"\\\n]|\\.)*"',
    r"'(?:[^'\\\n]|\\.)*'",
    r'\\".*?\\"',  # inside of a quoted text
    r"[\[{]",  # up to its end, which is looked for below
    r"(?:bearer|basic)\s+[^\s\"']+",
    r"[^\s,;}\]\"']+",
)
_NAMED = re.compile(f"{_KEY}(?P<value>{'|'.join(_VALUES)})", re.IGNORECASE)
_CLOSING = {"[": "]", "{": "}"}
_UNCLOSED = 4096  # characters that go when nothing closes a list or table
_IN_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]{0,20}://)[^\s/@\"'<>]{1,500}@", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL)


def redact(text: str) -> str:
    """Return text with whatever looks like a secret replaced by "(removed)"."""
    text = _PEM.sub(REMOVED, text)
    text = _IN_URL.sub(rf"\g<scheme>{REMOVED}@", text)
    return "".join(_without_named(text))


def _without_named(text: str) -> Iterator[str]:
    at, never = 0, set[str]()  # never: what nothing closes from here on, and so from nowhere behind it; looked for once
    while found := _NAMED.search(text, at):
        value = found["value"]
        yield text[at : found.start("value")] + _in_place_of(value)
        at = found.end()
        if value in _CLOSING:
            end = -1 if value in never else text.find(_CLOSING[value], at)
            never |= {value} if end < 0 else set()
            at = end + 1 if end >= 0 else at + _UNCLOSED
    yield text[at:]


def _in_place_of(value: str) -> str:
    quote = {'"': '"', "'": "'", "[": '"', "{": '"', "\\": r"\""}.get(value[0], "")
    return f"{quote}{REMOVED}{quote}"
