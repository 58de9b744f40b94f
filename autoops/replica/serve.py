"""`autoops replica serve`: answers questions about one registry on standard input and output.

Guarantees: one read snapshot; nothing is written; a question that is none ends it; it ends when nobody asks for a while, for a
snapshot holds the write-ahead log. Reads the registry.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Sequence

from autoops.core.canonical import canonical
from autoops.core.digest import BUCKETS, FAN
from autoops.core.ids import has_form
from autoops.errors import CannotTell, CheckFailed
from autoops.model import JSON
from autoops.prove.descent import BUCKETS_AT_ONCE, ENTRIES_AT_ONCE, MIDS_AT_ONCE
from autoops.replica import wire
from autoops.replica.side import Whole, of_registry
from autoops.store.registry import Registry

IDLE_S = 600.0


class Ended(Exception):
    """The asking side has closed the pipe."""


def serve(registry: Registry, source: int, sink: int, idle_s: float = IDLE_S) -> None:
    """Answer until the pipe is closed. Raises CheckFailed for what is no question, CannotTell when nobody asks, StorageError."""
    _write(sink, wire.GREETING)
    try:
        ask, facts = _first_question(source, idle_s)
        if ask != "hello":
            raise wire.Garbled(f"{ask[:20]!r} before hello")
        with of_registry(registry, rows=facts.get("rows") is True) as side:
            _write(sink, _good(canonical(_hello(side)).encode()))
            while True:
                _write(sink, _good(answer(side, *_question(source, idle_s))))
    except Ended:
        return
    except wire.Garbled as error:
        _write(sink, wire.frame(wire.BAD + str(error).encode(errors="replace"), wire.MAX_ANSWER_BYTES))
        raise CheckFailed(detail=f"what was asked is no question: {error}") from None


def _hello(side: Whole) -> JSON:
    assert side.ledger is not None
    head = side.ledger.head()
    return {"hash": head.hash.hex(), "ledger_digest": head.digest.hex(), "root": side.root().hex(), "sequence": head.sequence}


def answer(side: Whole, ask: str, facts: JSON) -> bytes:
    """Return the content of an answer. Raises Garbled for what is no question."""
    match ask:
        case "mids":
            return side.mids()
        case "buckets":
            return b"".join(side.buckets(_numbers(facts, FAN, MIDS_AT_ONCE)))
        case "members":
            return wire.packed(side.members(_numbers(facts, BUCKETS, BUCKETS_AT_ONCE)))
        case "entries":
            return wire.packed([text.encode() for text in side.entries(_ids(facts))])
        case "mark":
            return _mark(side, facts.get("sequence"))
    raise wire.Garbled(f"there is no question {ask[:20]!r}")


def _mark(side: Whole, sequence: object) -> bytes:
    if type(sequence) is not int or not 0 <= sequence < 1 << 62:
        raise wire.Garbled("no sequence")
    assert side.ledger is not None
    found = side.ledger.mark(sequence)
    return canonical({"at": found.at, "digest": found.digest.hex(), "hash": found.hash.hex()} if found else {}).encode()


def _numbers(facts: JSON, below: int, most: int) -> list[int]:
    found = facts.get("numbers")
    if not isinstance(found, list) or len(found) > most or not all(type(one) is int and 0 <= one < below for one in found):
        raise wire.Garbled(f"not {most} numbers below {below} at most")
    return found


def _ids(facts: JSON) -> Sequence[str]:
    found = facts.get("ids")
    if not isinstance(found, list) or len(found) > ENTRIES_AT_ONCE:
        raise wire.Garbled(f"not {ENTRIES_AT_ONCE} IDs at most")
    if not all(isinstance(one, str) and has_form(one) for one in found):
        raise wire.Garbled("not all of them are IDs")
    return found


def _good(content: bytes) -> bytes:
    return wire.frame(wire.GOOD + content, wire.MAX_ANSWER_BYTES)


def _first_question(source: int, idle_s: float) -> tuple[str, JSON]:
    try:
        return _question(source, idle_s)
    except Ended:
        remedy = "nothing has to run it by hand: autoops replica verify ssh://HOST/PATH, on the other host, does"
        raise CannotTell(detail="what is asked: standard input ended before any question", remedy=remedy) from None


def _question(source: int, idle_s: float) -> tuple[str, JSON]:
    until_s = time.monotonic() + idle_s
    head = _read(source, wire.LENGTH_BYTES, until_s)
    return wire.read_question(_read(source, wire.length_of(head, wire.MAX_QUESTION_BYTES), until_s))


def _read(source: int, count: int, until_s: float, now_s: Callable[[], float] = time.monotonic) -> bytes:
    """Read so many bytes. Raises Ended, CannotTell when they do not come in time."""
    found = bytearray()
    while len(found) < count:
        if not select.select([source], [], [], max(0.0, until_s - now_s()))[0]:
            raise CannotTell(detail="what the other side wants: it has asked nothing for a while", remedy="compare again")
        part = os.read(source, count - len(found))
        if not part:
            raise Ended
        found += part
    return bytes(found)


def _write(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]
