"""What two processes say to each other to compare their registries: frames over a pipe, one question at a time.

The answering side begins with GREETING, so that a shell's banner or another program is told apart from it. A frame is its length
(4 bytes, big-endian) and its content. A question is canonical JSON; an answer is one byte, `+` or `-`, and what was asked for, or,
after `-`, what was wrong. docs/formats.md has all of it. Guarantee: no frame above the limits is read or made. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from autoops.core.canonical import canonical, parse
from autoops.model import JSON

GREETING = b"autoops-replica 1\n"
MAX_QUESTION_BYTES = 64 << 10
MAX_ANSWER_BYTES = 16 << 20
LENGTH_BYTES = 4
GOOD, BAD = b"+", b"-"


class Garbled(ValueError):
    """What came is not what this protocol has."""


def frame(content: bytes, limit_bytes: int) -> bytes:
    """Return a frame. Raises Garbled when it would be too long."""
    if len(content) > limit_bytes:
        raise Garbled(f"a message of {len(content)} bytes, and {limit_bytes} are the limit")
    return len(content).to_bytes(LENGTH_BYTES) + content


def length_of(head: bytes, limit_bytes: int) -> int:
    """Return the length of the content that follows. Raises Garbled."""
    length = int.from_bytes(head)
    if length > limit_bytes:
        raise Garbled(f"a message of {length} bytes, and {limit_bytes} are the limit")
    return length


def question(ask: str, **facts: object) -> bytes:
    """Return the content of a question."""
    return canonical({"ask": ask, **facts}).encode()


def read_question(content: bytes) -> tuple[str, JSON]:
    """Return what is asked, and about what. Raises Garbled."""
    value = read_json(content)
    ask = value.pop("ask", None)
    if not isinstance(ask, str):
        raise Garbled("a question without an ask")
    return ask, value


def read_json(content: bytes) -> JSON:
    """Return the object in a content. Raises Garbled."""
    try:
        value = parse(content)
    except (ValueError, RecursionError) as error:
        raise Garbled(f"no JSON: {str(error)[:100]}") from None
    if not isinstance(value, dict):
        raise Garbled("JSON, but no object")
    return value


def cut(content: bytes, lengths: Sequence[int]) -> list[bytes]:
    """Return a content cut into parts of these lengths. Raises Garbled unless they fit exactly."""
    if sum(lengths) != len(content) or any(length < 0 for length in lengths):
        raise Garbled(f"{len(content)} bytes where {sum(lengths)} belong")
    parts, at = [], 0
    for length in lengths:
        parts.append(content[at : at + length])
        at += length
    return parts


def packed(parts: Sequence[bytes]) -> bytes:
    """Return parts of any length as one content: their number and lengths, 4 bytes each, and then they."""
    return b"".join([len(parts).to_bytes(4), *(len(part).to_bytes(4) for part in parts), *parts])


def unpacked(content: bytes, count: int) -> list[bytes]:
    """Return so many parts of a content. Raises Garbled."""
    if int.from_bytes(content[:4]) != count or len(content) < 4 + 4 * count:
        raise Garbled(f"not the {count} parts that were asked for")
    lengths = [int.from_bytes(content[4 + 4 * at : 8 + 4 * at]) for at in range(count)]
    return cut(content[4 + 4 * count :], lengths)
