"""Registries for the tests: real files, and changes as the decision makes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from autoops.core.signing import Signer
from autoops.model import Change, Entry, Observation
from autoops.store.commit import RegistryWriter, Why
from autoops.store.database import Database
from autoops.store.registry import SCHEMA

NOW_S = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
WHY = Why("worker", "test", "a test wants it")


def opened(path: Path, signer: Signer) -> RegistryWriter:
    """Open a registry for writing; make it when it is not there."""
    return RegistryWriter(Database.open(path, SCHEMA, mode="create", synchronous="NORMAL"), signer)


def seen(**fields: Any) -> Observation:
    return Observation("file", 12, 1_700_000_000_000_000_000, 77, 5, b"\x11" * 32, "text/plain")._replace(**fields)


def created(path: bytes, **fields: Any) -> Change:
    return Change(None, Entry("", 1, "docs", path, seen(), "active", 1000)._replace(**fields), {"kind": "new"}, 1)


def updated(entry: Entry, **fields: Any) -> Change:
    return Change(entry, entry._replace(rev=entry.rev + 1, **fields), {"kind": "t"})


def digest_of(texts: Iterable[str]) -> bytes:
    """Return the digest of entries' canonical texts in order of ID, as the published formula has it."""
    buckets: dict[int, bytes] = {}
    for text in texts:
        entry_id = text.split('"id":"')[1][:16].encode()
        number = int.from_bytes(sha256(entry_id[:-1]).digest()[:2])
        buckets[number] = buckets.get(number, b"") + entry_id + sha256(b"\0" + text.encode()).digest()
    hashes = {number: sha256(b"\1" + members).digest() for number, members in buckets.items()}
    empty = sha256(b"\2" + bytes(256 * 32)).digest()
    full = {number // 256 for number in hashes}
    mids = [
        sha256(b"\2" + b"".join(hashes.get(256 * mid + at, bytes(32)) for at in range(256))).digest() if mid in full else empty
        for mid in range(256)
    ]
    return sha256(b"\3" + b"".join(mids)).digest()
