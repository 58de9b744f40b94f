"""Manifests: what our key signed, and anything else is an error with a name."""

from __future__ import annotations

import json

import pytest

from autoops.backup import manifest
from autoops.backup.errors import BackupForeign, BackupNewer, BackupUnsound
from autoops.backup.manifest import Manifest, Packed
from autoops.core.ledger import Head
from autoops.core.signing import Signer, Verifier
from autoops.model import JSON

SIGNER = Signer(bytes(range(32)))
VERIFIER = Verifier(SIGNER.public)
SCHEMAS = {"queue": 1, "registry": 1}
FILES = {"queue.db.zst": Packed(10, "aa", 20, "bb")}
PLAIN = Manifest(
    "NAME",
    "2026-01-31T18:00:00.000Z",
    "full",
    "NAME",
    Head(7, bytes(32), bytes(32)),
    3,
    FILES,
    SCHEMAS,
    "1",
    "host",
    SIGNER.public.hex(),
)


def raw_of(one: Manifest) -> bytes:
    return manifest.text(one, SIGNER.sign(manifest.signed_bytes(one))).encode()


def test_what_was_written_is_read() -> None:
    assert manifest.read(raw_of(PLAIN), "NAME", VERIFIER, SCHEMAS) == PLAIN


def test_of_another_name_key_or_time_to_come_it_says_so() -> None:
    with pytest.raises(BackupUnsound, match="that of NAME"):
        manifest.read(raw_of(PLAIN), "OTHER", VERIFIER, SCHEMAS)
    with pytest.raises(BackupForeign):
        manifest.read(raw_of(PLAIN), "NAME", Verifier(Signer(bytes(32)).public), SCHEMAS)
    with pytest.raises(BackupNewer):
        manifest.read(raw_of(PLAIN._replace(schemas={"queue": 2})), "NAME", VERIFIER, SCHEMAS)


WRONG: list[JSON] = [
    {"host": "\ud800"},  # half of a pair: no bytes stand for it
    {"\udfff": 1},
    {"signature": ""},
    {"signature": 5},
    {"signature": None},
    {"format": [{}]},
    {"schemas": {"queue": "1"}},
    {"schemas": None},
    {"entries": 4},
]


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_what_nobody_signed_is_unsound_whatever_it_is(change: JSON) -> None:
    facts = json.loads(raw_of(PLAIN))
    with pytest.raises(BackupUnsound):
        manifest.read(json.dumps(facts | change).encode(), "NAME", VERIFIER, SCHEMAS)


@pytest.mark.parametrize("raw", [b"", b"[]", b"5", b"{}", b"\xff", b"[" * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900], ids=len)
def test_what_is_no_manifest_is_unsound(raw: bytes) -> None:
    with pytest.raises(BackupUnsound):
        manifest.read(raw, "NAME", VERIFIER, SCHEMAS)
