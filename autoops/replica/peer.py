"""A registry on another host as a side of a comparison: a program (ssh) that runs `autoops replica serve` there.

Guarantees: each answer within its time and its size, or CannotTell with what the other side said; the program and its children are
gone at the end. What is answered is checked by the descent, not here. Starts one child process; reads and writes its pipes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from autoops import names
from autoops.core.digest import FAN, HASH_BYTES
from autoops.core.ledger import Head
from autoops.errors import CannotTell
from autoops.model import JSON
from autoops.replica import wire
from autoops.replica.side import Ledger, Mark, Whole
from autoops.runtime.child import Child

T = TypeVar("T")
_MID_BYTES = FAN * HASH_BYTES
_SHOWN_BYTES = 60


class Peer:
    """The other side of a pipe, as side and as ledger."""

    def __init__(self, child: Child, name: str, timeout_s: float, *, rows: bool) -> None:
        """Ask for its digest; the answer is not waited for, so that it reads while this side does. Raises CannotTell."""
        self._child, self._name, self._timeout_s = child, name, timeout_s
        self._sent = self._received = 0
        self._until_s = self._deadline()
        self._hello: tuple[bytes, Head] | None = None
        with contextlib.suppress(BrokenPipeError):  # it has ended: what it said before is read, and told
            self._send("hello", self._until_s, rows=rows)

    def _said_hello(self) -> tuple[bytes, Head]:
        """Return its digest and its ledger's head, when it has told them. Raises CannotTell."""
        if self._hello is None:
            heard = self._read(len(wire.GREETING), self._until_s)
            if heard != wire.GREETING:
                raise self._lost(f"it does not speak like autoops replica serve, but says {names.show(heard[:_SHOWN_BYTES])}")
            said = self._object(self._answer(self._until_s))
            try:
                head = Head(_count(said["sequence"]), _hash(said["hash"]), _hash(said["ledger_digest"]))
                self._hello = _hash(said["root"]), head
            except (KeyError, ValueError, TypeError):
                raise self._lost("its hello is none") from None
        return self._hello

    @property
    def moved_bytes(self) -> tuple[int, int]:
        """Bytes sent to it, and received from it."""
        return self._sent, self._received

    @property
    def ledger(self) -> Ledger | None:
        """Its ledger."""
        return self

    def root(self) -> bytes:
        """Return the digest."""
        return self._said_hello()[0]

    def mids(self) -> bytes:
        """Return the mids."""
        return self._ask("mids")

    def buckets(self, mids: Sequence[int]) -> list[bytes]:
        """Return bucket hashes."""
        return self._parts(self._ask("buckets", numbers=list(mids)), lambda content: wire.cut(content, [_MID_BYTES] * len(mids)))

    def members(self, buckets: Sequence[int]) -> list[bytes]:
        """Return members."""
        return self._parts(self._ask("members", numbers=list(buckets)), lambda content: wire.unpacked(content, len(buckets)))

    def entries(self, ids: Sequence[str]) -> list[str]:
        """Return canonical texts."""
        content = self._ask("entries", ids=list(ids))
        return self._parts(content, lambda content: [part.decode() for part in wire.unpacked(content, len(ids))])

    def head(self) -> Head:
        """Return where its ledger stands."""
        return self._said_hello()[1]

    def mark(self, sequence: int) -> Mark | None:
        """Return one commit of its ledger."""
        said = self._object(self._ask("mark", sequence=sequence))
        try:
            return Mark(sequence, _hash(said["hash"]), _hash(said["digest"]), _plain(said["at"])) if said else None
        except (KeyError, ValueError, TypeError):
            raise self._lost(f"its commit {sequence} is none") from None

    # the pipe

    def _ask(self, ask: str, **facts: object) -> bytes:
        """Send a question and return the content of the answer. Raises CannotTell."""
        until_s = self._deadline()
        try:
            self._send(ask, until_s, **facts)
        except BrokenPipeError:
            raise self._lost("it does not listen") from None
        return self._answer(until_s)

    def _send(self, ask: str, until_s: float, **facts: object) -> None:
        data = wire.frame(wire.question(ask, **facts), wire.MAX_QUESTION_BYTES)
        try:
            self._child.write(data, until_s)
        except TimeoutError:
            raise self._lost("it does not listen") from None
        self._sent += len(data)

    def _answer(self, until_s: float) -> bytes:
        try:
            length = wire.length_of(self._read(wire.LENGTH_BYTES, until_s), wire.MAX_ANSWER_BYTES)
        except wire.Garbled as error:
            raise self._lost(str(error)) from None
        content = self._read(length, until_s)
        if content[:1] != wire.GOOD:
            raise self._lost(f"it says {names.show(content[1:200])}")
        return content[1:]

    def _read(self, count: int, until_s: float) -> bytes:
        found = bytearray()
        while len(found) < count:
            part = self._child.read(count - len(found)) if self._child.wait_for_output(until_s) else None
            if part == b"":
                raise self._lost("it ended" if not found else f"it ended after {names.show(bytes(found[:_SHOWN_BYTES]))}")
            if part is None and time.monotonic() >= until_s:
                raise self._lost(f"no answer within {self._timeout_s:g} s")
            found += part or b""
            self._received += len(part or b"")
        return bytes(found)

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout_s

    def _object(self, content: bytes) -> JSON:
        try:
            return wire.read_json(content)
        except wire.Garbled as error:
            raise self._lost(str(error)) from None

    def _parts(self, content: bytes, cut: Callable[[bytes], list[T]]) -> list[T]:
        try:
            return cut(content)
        except ValueError as error:  # Garbled, and what is not UTF-8
            raise self._lost(str(error)) from None

    def _lost(self, what: str) -> CannotTell:
        self._child.await_end()
        said = self._child.last_words()
        remedy = "try by hand what it runs: ssh HOST autoops replica serve --state DIR; it has to print autoops-replica 1"
        return CannotTell(detail=f"what {self._name} has: {what}" + (f" ({said})" if said else ""), remedy=remedy)


@contextlib.contextmanager
def of_command(command: Sequence[str], name: str, timeout_s: float, *, rows: bool) -> Iterator[Whole]:
    """Give the side that a command serves on its standard input and output. Raises CannotTell."""
    try:
        child = Child(command)
    except OSError as error:
        raise CannotTell(
            detail=f"what {name} has: {command[0]} cannot be run ({error.strerror})", remedy="install it, or name another"
        ) from None
    with contextlib.closing(child):
        yield Peer(child, name, timeout_s, rows=rows)


def _hash(text: object) -> bytes:
    if not isinstance(text, str) or len(text) != 2 * HASH_BYTES:
        raise ValueError("no hash")
    return bytes.fromhex(text)


def _plain(value: object) -> str:
    return str(value)[:24].encode("ascii", "replace").decode()


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError("no sequence")
    return value
