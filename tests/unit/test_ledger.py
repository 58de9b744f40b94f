"""Ledger records: their canonical text, the chain, and what is signed."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoops.core import ledger
from autoops.core.canonical import canonical, parse
from autoops.core.ledger import GENESIS, Head
from autoops.core.signing import Signer, Verifier, new_key
from autoops.store.records import digest_after

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ['","digest_after":"' + "0" * 64, '"at":', "\\", '"', "\n", "\x00"]
)
HASHES = st.binary(min_size=32, max_size=32)
PATCH = '{"evidence":{},"id":"2026010100000001","op":"update","rev":1,"set":{"digest_after":"x"}}'


@given(TEXT, TEXT, TEXT, HASHES, HASHES, st.integers(1, 2**40), st.integers(0, 3))
def test_a_record_is_canonical_and_its_digest_is_found_without_parsing(
    actor: str, source: str, reason: str, before: bytes, after: bytes, sequence: int, count: int
) -> None:
    text = ledger.record_text(sequence, ledger.utc(0), actor, source, reason, before, after, [PATCH] * count)
    assert canonical(parse(text)) == text
    assert digest_after(text) == after
    assert parse(text) == {
        "actor": actor,
        "at": "1970-01-01T00:00:00.000Z",
        "digest_after": after.hex(),
        "digest_before": before.hex(),
        "format": 1,
        "patches": [json.loads(PATCH)] * count,
        "reason": reason,
        "sequence": sequence,
        "source": source,
    }


def test_a_record_hashes_onto_the_one_before_it() -> None:
    assert ledger.record_hash(GENESIS, "ä") == sha256(bytes(32) + b"\xc3\xa4").digest()
    first, second = ledger.record_hash(GENESIS, "a"), ledger.record_hash(GENESIS, "b")
    assert ledger.record_hash(first, "c") != ledger.record_hash(second, "c")


def test_the_signature_covers_format_sequence_and_hash() -> None:
    assert ledger.signed_bytes(258, b"h" * 32) == b"autoops-ledger-v1" + bytes([0, 0, 0, 0, 0, 0, 1, 2]) + b"h" * 32
    signer = Signer(new_key())
    verifier = Verifier(signer.public)
    assert verifier.public == signer.public
    signature = signer.sign(ledger.signed_bytes(2, b"h" * 32))
    assert verifier.verify(signature, ledger.signed_bytes(2, b"h" * 32))
    assert not verifier.verify(signature, ledger.signed_bytes(3, b"h" * 32))
    assert not verifier.verify(signature, ledger.signed_bytes(2, b"i" * 32))
    assert not verifier.verify(signature[:-1] + bytes([signature[-1] ^ 1]), ledger.signed_bytes(2, b"h" * 32))
    assert not verifier.verify(b"", ledger.signed_bytes(2, b"h" * 32))
    assert not Verifier(Signer(new_key()).public).verify(signature, ledger.signed_bytes(2, b"h" * 32))


def test_a_checkpoint_is_signed_without_its_signature() -> None:
    line = ledger.checkpoint("2026-01-01T00:00:00.000Z", Head(7, b"h" * 32, b"d" * 32), 12)
    message = ledger.checkpoint_bytes(line)
    assert message == (
        b'autoops-checkpoint-v1{"at":"2026-01-01T00:00:00.000Z","digest":"' + b"64" * 32 + b'","entries":12,"hash":"'
        b"" + b"68" * 32 + b'","sequence":7}'
    )
    assert ledger.checkpoint_bytes({**line, "signature": "00"}) == message
    assert ledger.checkpoint_bytes({**line, "entries": 13}) != message


def test_times_are_utc_in_milliseconds_wherever_the_machine_stands(in_tokyo: None) -> None:
    assert ledger.utc(1_767_225_599.9996) == "2025-12-31T23:59:59.999Z"


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError):
        Signer(bytes(length))
    with pytest.raises(ValueError):
        Verifier(bytes(length))


@pytest.mark.parametrize("text", ["", "x", '"at":', '{"at":"","digest_after":"zz"}'])
def test_what_is_no_record_has_no_digest(text: str) -> None:
    with pytest.raises(ValueError):
        digest_after(text)
