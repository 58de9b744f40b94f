"""Ledger records: what one commit says, how it is hashed onto the one before it, and what is signed.

    record hash = SHA-256(hash of the record before | canonical(record)); before the first one: 32 zero bytes
    signed      = "autoops-ledger-v1" | sequence, 8 bytes big-endian | record hash              (Ed25519)

A checkpoint line is signed as "autoops-checkpoint-v1" | canonical(the line without its signature).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from autoops.core.canonical import canonical
from autoops.model import JSON

FORMAT = 1
GENESIS = bytes(32)


class Head(NamedTuple):
    """Where the ledger stands: the last record."""

    sequence: int
    hash: bytes
    digest: bytes  # of the registry after it


def record_text(
    sequence: int, at: str, actor: str, source: str, reason: str, before: bytes, after: bytes, patches: Iterable[str]
) -> str:
    """Return canonical(record) from patches that are canonical texts already, so that they are not encoded twice."""
    return (
        f'{{"actor":{canonical(actor)},"at":"{at}","digest_after":"{after.hex()}","digest_before":"{before.hex()}",'
        f'"format":{FORMAT},"patches":[{",".join(patches)}],"reason":{canonical(reason)},"sequence":{sequence},'
        f'"source":{canonical(source)}}}'
    )


def record_hash(previous: bytes, text: str) -> bytes:
    """Return the hash that chains a record onto the one before it."""
    hashed = sha256(previous)
    hashed.update(text.encode())  # not joined: a record of a scan is megabytes
    return hashed.digest()


def signed_bytes(sequence: int, hashed: bytes) -> bytes:
    """Return what the ledger key signs for one record."""
    return b"autoops-ledger-v1" + sequence.to_bytes(8) + hashed


def checkpoint(at: str, head: Head, entries: int) -> JSON:
    """Return a checkpoint line, not yet signed."""
    return {"at": at, "digest": head.digest.hex(), "entries": entries, "hash": head.hash.hex(), "sequence": head.sequence}


def checkpoint_bytes(line: JSON) -> bytes:
    """Return what the ledger key signs for one checkpoint line."""
    return b"autoops-checkpoint-v1" + canonical({key: value for key, value in line.items() if key != "signature"}).encode()


def utc(now_s: float) -> str:
    """Return a time as people and the ledger write it: 2026-01-31T23:59:59.123Z."""
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def stamp(now_s: float) -> str:
    """Return a time as names of files have it: 20260131T235959123Z."""
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%S%f")[:-3] + "Z"
