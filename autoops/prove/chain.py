"""Does a ledger record follow from the one before it, and did our key sign it? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from autoops.core.ledger import Head, record_hash, signed_bytes
from autoops.core.signing import Verifier
from autoops.errors import CommitMisfit
from autoops.store.records import Record, digest_after

NO_RECORD = "is not a record"


def faults(record: Record, before: Head, verifier: Verifier) -> Iterator[str]:
    """Yield what is wrong with a record, without its subject; NO_RECORD comes last, and means that nothing can follow it."""
    if record.sequence != before.sequence + 1:
        yield f"follows commit {before.sequence}: records are missing"
    if record_hash(before.hash, record.text) != record.hash:
        yield "does not hash to what is stored: it, or its order, was changed"
    if not verifier.verify(record.signature, signed_bytes(record.sequence, record.hash)):
        yield "is not signed by the ledger key"
    try:
        digest_now = digest_after(record.text)
    except ValueError:
        yield NO_RECORD
        return
    if f'"digest_after":"{digest_now.hex()}","digest_before":"{before.digest.hex()}"' not in record.text:
        yield "does not begin at the digest where the one before ended"


def sound(records: Iterable[Record], before: Head, verifier: Verifier) -> Iterator[Record]:
    """Yield records, each of which follows from the one before it and is signed. Raises CommitMisfit for the first that is not."""
    for record in records:
        for fault in faults(record, before, verifier):
            raise CommitMisfit(sequence=before.sequence, detail=f"the record of commit {record.sequence} {fault}")
        before = head_after(record)
        yield record


def head_after(record: Record) -> Head:
    """Return where the ledger stands after a record. Raises ValueError when it is none."""
    return Head(record.sequence, record.hash, digest_after(record.text))
