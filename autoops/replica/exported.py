"""An export (`autoops export`: one entry a line) as a side of a comparison.

Guarantees: constant memory; a line may be in any form of JSON and in any place, what counts is its canonical text; what is no entry
is named with its line. What cannot be read twice (a pipe) is copied into a temporary file first. Reads the export.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from autoops.core.canonical import canonical, parse
from autoops.core.digest import leaf_of
from autoops.core.ids import has_form
from autoops.errors import CannotTell
from autoops.replica.side import Ledger, Whole, WithTree
from autoops.store.members import DoubleLeaf, Leaf, Members

MAX_LINE_BYTES = 1 << 18  # an entry's canonical text is 65,536 at most; another form of JSON may be longer


class Exported(WithTree):
    """The side of an export."""

    def __init__(self, lines: BinaryIO, name: str, members: Members) -> None:
        """Read the whole export. Raises CannotTell."""
        self._lines, self._name, self._members = lines, name, members
        self.ledger: Ledger | None = None
        try:
            super().__init__(members.fill(self._leaves()))
        except DoubleLeaf as error:
            raise _unfit(name, f"entry {error} is in it twice") from None

    def _leaves(self) -> Iterator[Leaf]:
        place, number = 0, 0
        while line := self._lines.readline(MAX_LINE_BYTES + 1):
            number += 1
            entry_id, text = self._entry(line, f"line {number}")
            yield entry_id, leaf_of(text), place
            place += len(line)
        if not number:  # what an export that failed leaves, too
            raise _unfit(self._name, "nothing; an export of no entries cannot be told from one that failed")

    def _entry(self, line: bytes, where: str) -> tuple[str, str]:
        try:
            if len(line) > MAX_LINE_BYTES:
                raise ValueError("it is too long")
            value = parse(line)
            entry_id, text = value["id"], canonical(value)
            text.encode()
            if not (isinstance(entry_id, str) and has_form(entry_id)):
                raise ValueError("it has no ID")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _unfit(self._name, f"{where} is no entry ({str(error)[:100]})") from None
        return entry_id, text

    def members(self, buckets: Sequence[int]) -> list[bytes]:
        """Return members."""
        return [self._members.of(number) for number in buckets]

    def entries(self, ids: Sequence[str]) -> list[str]:
        """Return canonical texts."""
        texts = []
        for place in self._members.places(ids):
            self._lines.seek(place)
            texts.append(self._entry(self._lines.readline(MAX_LINE_BYTES + 1), f"the line at byte {place}")[1])
        return texts


@contextlib.contextmanager
def of_export(lines: BinaryIO, name: str) -> Iterator[Whole]:
    """Give the side of an export. Raises CannotTell."""
    with contextlib.ExitStack() as opened:
        if not lines.seekable():
            copy = opened.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(lines, copy, 1 << 20)
            copy.seek(0)
            lines = io.BufferedReader(io.FileIO(copy.fileno(), closefd=False))
        yield Exported(lines, name, opened.enter_context(Members()))


def _unfit(name: str, what: str) -> CannotTell:
    remedy = "give what autoops export --format jsonl writes, a registry.db, or a state directory"
    return CannotTell(detail=f"what {name} holds: {what}", remedy=remedy)
