"""The lines of ledger segments: a record as `autoops export --format ledger` has it, its submission, and a checksum. Pure.

A record's hash covers its text alone, and the signature only that hash: the checksum, of all that follows it in the line, is what
tells a flipped bit in the rest.
"""

from __future__ import annotations

from zlib import crc32

from autoops.core.canonical import canonical, parse
from autoops.model import JSON
from autoops.store.records import Record

_SUM_BYTES = 20  # {"crc32":"01234567",


def line_of(record: Record) -> bytes:
    """Return the line of a record, with its newline."""
    facts: JSON = {"hash": record.hash.hex(), "record": record.text, "signature": record.signature.hex()}
    rest = canonical(facts | {"submission": record.submission})[1:].encode()
    return b"%b%b\n" % (_sum_of(rest), rest)


def record_of(line: bytes) -> Record:
    """Return the record in a line without its newline. Raises ValueError for what `line_of` did not write."""
    if not _is_whole(line):
        raise ValueError("it does not have its checksum")
    facts: JSON = parse(line)
    text, submission = facts["record"], facts["submission"]
    if not isinstance(text, str) or not isinstance(submission, str | None):
        raise ValueError("it is no record")
    text.encode()  # a half of a surrogate pair cannot be hashed: it is a ValueError here
    return Record(sequence_in(text), text, bytes.fromhex(facts["hash"]), bytes.fromhex(facts["signature"]), submission)


def split(content: bytes) -> tuple[list[bytes], int]:
    """Return the complete lines of a file, without newlines, and where they end.

    What a crash left of a line is none of them. All of a line but its newline is one, also with another byte in the newline's
    place: else one flipped bit would hide a record.
    """
    *lines, rest = content.split(b"\n")
    end = len(content) - len(rest)
    for line in (rest, rest[:-1]):
        if _is_whole(line):
            return [*lines, line], end + len(line)
    return lines, end


def sequence_in(record: str) -> int:
    """Return the sequence in a record's text, without parsing megabytes of patches. Raises ValueError."""
    marker = '"sequence":'  # in a string of a record, its quotes would have backslashes
    start = record.rindex(marker) + len(marker)
    return int(record[start : record.index(",", start)])


def _is_whole(line: bytes) -> bool:
    return line[:_SUM_BYTES] == _sum_of(line[_SUM_BYTES:])


def _sum_of(rest: bytes) -> bytes:
    return b'{"crc32":"%08x",' % crc32(rest)
