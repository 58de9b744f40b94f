"""The ledger as it was committed, in files that only grow: `000000000001.jsonl.zst` and so on, the newest `000000000457.jsonl`.

A name is the first sequence in a file. Guarantees: what `append` returned from is on the disk; a record stands after the one that
it is chained to, or not at all; a crash at any moment leaves a whole ledger up to some record, from which the next writer goes on;
what was damaged is found by whoever reads it. Reads and writes one directory. A writer holds the lock of the backup directory;
readers hold nothing, and may read while somebody writes. Each method raises OSError when the disk does not do what it is told; a
segment that it does not give back is SegmentUnsound.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from autoops.backup import frame
from autoops.backup.errors import LedgerForked, SegmentUnsound
from autoops.backup.segment_files import (
    MOST_RECORDS,
    PACKED,
    Open,
    Segment,
    content_of,
    end_of,
    packed,
    superfluous,
    truncate,
    valid,
)
from autoops.backup.segment_lines import line_of, record_of, split
from autoops.core.ledger import GENESIS, record_hash
from autoops.files import durable
from autoops.store.records import Record
from autoops.trace import trace

_NAME = re.compile(r"([0-9]{12,18})\.jsonl(?:\.zst)?")


class Segments:
    """The segments in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._is_synced = False  # whether what an earlier writer left is on the disk: it may have died before it was

    def files(self) -> list[Segment]:
        """Return what there is, in order."""
        firsts = {match[1] for match in map(_NAME.fullmatch, self._names()) if match}
        return [Segment(int(first), valid(self.directory / f"{first}.jsonl")) for first in sorted(firsts, key=int)]

    def _names(self) -> set[str]:
        """Return the names there are. One look may miss a segment that changes its name meanwhile; two do not."""
        try:
            return {*os.listdir(self.directory), *os.listdir(self.directory)}
        except FileNotFoundError:
            return set()

    def first(self) -> int:
        """Return the sequence of the oldest record there, 0 when there is none. Raises SegmentUnsound."""
        return self.files()[0].first if self.last()[0] else 0

    def last(self) -> tuple[int, bytes]:
        """Return (sequence, hash) of the newest complete record, (0, GENESIS) when there is none. Raises SegmentUnsound."""
        for segment in reversed(self.files()):
            lines, _ = split(end_of(segment))
            if lines:
                newest = _record_in(lines[-1], segment, "the last line")
                return newest.sequence, newest.hash
        return 0, GENESIS

    def records(self, after: int = 0, until: int | None = None) -> Iterator[Record]:
        """Yield the records after a sequence, in order, up to and with another one, which then must be there.

        Raises SegmentUnsound (a BackupUnsound) for a gap, damage, and a hash that does not chain, when what comes before it was
        yielded. What is damaged up to `after`, or behind `until`, is passed over. Signatures are not looked at.
        """
        files = self.files()
        begin = max((number for number, segment in enumerate(files) if segment.first <= after + 1), default=0)
        sequence, hashed = (0, GENESIS) if not files or files[begin].first == 1 else (files[begin].first - 1, None)
        if sequence > after:
            raise SegmentUnsound(name=files[0].path.name, detail=f"it begins with commit {sequence + 1}, after commit {after + 1}")
        for segment in files[begin:]:
            if segment.first != sequence + 1:
                detail = f"it does not follow commit {sequence}, with which the segment before it ends"
                raise SegmentUnsound(name=segment.path.name, detail=detail)
            for record in _read(segment, hashed, after):
                sequence, hashed = record.sequence, record.hash
                if until is not None and sequence > until:
                    return
                if sequence > after:
                    yield record
                if sequence == until:
                    return
        if until is not None and max(sequence, after) < until:
            raise SegmentUnsound(name=str(self.directory), detail=f"it ends with commit {sequence}, before commit {until}")

    def readable(self, after: int) -> Iterator[Record]:
        """Yield every record after a sequence that can be read: each alone is what was written, no more."""
        files = self._listed()
        begin = max((number for number, segment in enumerate(files) if segment.first <= after + 1), default=0)
        for segment in files[begin:]:
            for line in _lines_of(segment):
                with contextlib.suppress(SegmentUnsound):
                    record = _record_in(line, segment, "a line")
                    if record.sequence > after:
                        yield record

    def claimed(self) -> int:
        """Return the last commit for which there is a line, whatever became of that line; 0 for none.

        Of the others the name of the last segment tells, if the one before it can lead to it: anybody can make up a number.
        """
        newest: Segment | None = None
        for segment in self._listed():
            if newest is None or segment.first <= newest.first + MOST_RECORDS:
                newest = segment
        return newest.first - 1 + len(_lines_of(newest)) if newest else 0

    def _listed(self) -> list[Segment]:
        """Return what there is as far as anybody can tell."""
        try:
            return self.files()
        except OSError:
            return []

    def within(self, segment: Segment) -> list[Record]:
        """Return the records of one segment. Raises SegmentUnsound."""
        return list(_read(segment, None))

    def append(self, records: Iterable[Record]) -> int:
        """Add records, durably, and return how many. Raises LedgerForked for one that does not continue the last, SegmentUnsound.

        On any error nothing of what is not yet synced stays.
        """
        self.directory.mkdir(mode=0o700, exist_ok=True)
        self._mend()
        begun, hashed = self.last()
        sequence, out = begun, None
        with contextlib.ExitStack() as opened:
            for record in records:
                if record.sequence != sequence + 1 or record_hash(hashed, record.text) != record.hash:
                    detail = f"its commit {record.sequence} does not follow commit {sequence} there"
                    raise LedgerForked(directory=self.directory, detail=detail)
                if out is None or out.is_full(sequence):
                    if out:
                        out.sync()
                    out = opened.enter_context(contextlib.closing(self._open(sequence)))
                out.write(line_of(record))
                trace("segment:written")
                sequence, hashed = record.sequence, record.hash
            if out:
                out.sync()
                trace("segment:synced")
        return sequence - begun

    def _open(self, sequence: int) -> Open:
        """Return the segment for what comes after a sequence; close one that is full."""
        for newest in self.files()[-1:]:
            if newest.is_closed:
                break
            opened = Open(newest)
            if not opened.is_full(sequence):
                return opened
            opened.close()
            self._close(newest.path)
        return Open(Segment(sequence + 1, self.directory / f"{sequence + 1:012d}.jsonl"))

    def _close(self, plain: Path) -> None:
        durable.write(packed(plain), frame.pack(plain.read_bytes()))
        trace("segment:packed")
        self._drop(plain)

    def _drop(self, path: Path) -> None:
        path.unlink()
        durable.sync_directory(self.directory)

    def cut(self, after: int) -> None:
        """Drop the records with a greater sequence; killed in the middle, it has dropped some of them, from the end.

        Raises SegmentUnsound when the segment that they begin in is damaged.
        """
        self._mend()
        for segment in reversed(self.files()):
            if segment.first <= after:
                return self._shorten(segment, after)
            self._drop(segment.path)
            trace("segment:dropped")
        return None

    def _shorten(self, segment: Segment, after: int) -> None:
        content = content_of(segment)
        kept = split(content)[0][: after - segment.first + 1]
        if not kept or _record_in(kept[-1], segment, f"line {len(kept)}").sequence != segment.first + len(kept) - 1:
            raise SegmentUnsound(name=segment.path.name, detail=f"line {len(kept)} of it is not commit {after}")
        end = sum(len(line) + 1 for line in kept)
        if end >= len(content):
            return
        if not segment.is_closed:
            return truncate(segment.path, end)
        durable.write(segment.path.with_suffix(""), content[:end])
        trace("segment:unpacked")
        self._drop(segment.path)

    def _mend(self) -> None:
        """Tidy up what a writer left that was killed."""
        names = self._names()
        for name in names:
            if name.startswith(".") and name.endswith(".tmp"):
                self._drop(self.directory / name)
            elif name + PACKED in names and _NAME.fullmatch(name):
                self._drop(superfluous(self.directory / name))
        for newest in self.files()[-1:]:
            if not newest.is_closed:
                self._mend_end(newest)
        self._is_synced = True

    def _mend_end(self, newest: Segment) -> None:
        size_bytes, tail = newest.path.stat().st_size, end_of(newest)
        end = split(tail)[1]
        if size_bytes - len(tail) + end == 0:
            return self._drop(newest.path)
        if end < len(tail):
            truncate(newest.path, size_bytes - len(tail) + end)
        torn = tail[end - 1 : end] != b"\n"
        if torn or not self._is_synced:
            with contextlib.closing(Open(newest)) as out:
                out.write(b"\n" if torn else b"")
                out.sync()
        return None


def _lines_of(segment: Segment) -> list[bytes]:
    """Return the lines of a segment, whatever became of them; none of one that cannot be read."""
    try:
        return split(content_of(segment))[0]
    except SegmentUnsound:
        return []


def _read(segment: Segment, hashed: bytes | None, passed: int = 0) -> Iterator[Record]:
    """Yield the records of a segment that follows a hash (None: not known); those up to `passed` may be damaged, and are left out.

    Raises SegmentUnsound, after those before another damage.
    """
    content = content_of(segment)
    records, fault = _chained(segment, content, hashed, passed)
    if fault and (again := content_of(segment)) != content:  # a writer took back a part of a line, and wrote on, while it was read
        records, fault = _chained(segment, again, hashed, passed)
    yield from records
    if fault:
        raise fault


def _chained(segment: Segment, content: bytes, hashed: bytes | None, passed: int) -> tuple[list[Record], SegmentUnsound | None]:
    """Return the records of a segment up to the first that is damaged, and what is wrong with that."""
    records = list[Record]()
    for sequence, line in enumerate(split(content)[0], segment.first):
        which = f"line {sequence - segment.first + 1}"
        try:
            record = _record_in(line, segment, which)
            if record.sequence != sequence or (hashed and record_hash(hashed, record.text) != record.hash):
                detail = f"{which}: it does not follow commit {sequence - 1}"
                raise SegmentUnsound(name=segment.path.name, detail=detail)
        except SegmentUnsound as error:
            if sequence > passed:
                return records, error
            hashed = None
            continue
        records.append(record)
        hashed = record.hash
    return records, None


def _record_in(line: bytes, segment: Segment, which: str) -> Record:
    try:
        return record_of(line)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise SegmentUnsound(name=segment.path.name, detail=f"{which}: {error}") from error
