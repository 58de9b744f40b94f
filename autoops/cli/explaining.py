"""The whole story of one document, from the ledger."""

from __future__ import annotations

from typing import Any

from autoops.cli.context import Context
from autoops.core.canonical import parse
from autoops.core.ledger import signed_bytes
from autoops.core.signing import Verifier
from autoops.model import JSON, Entry
from autoops.store.records import patch_for


def explain_entry(context: Context, entry: Entry) -> list[JSON]:
    """Return each revision of an entry, oldest first: who, when, why, on what evidence, and what it set."""
    registry = context.registry()
    verifier = Verifier(context.public_key())
    steps: list[JSON] = []
    for rev, sequence in registry.history(entry.id):
        record = registry.record(sequence)
        assert record is not None
        patch: dict[str, Any] = dict(patch_for(record, entry.id))
        head = parse(record.text)
        steps.append(
            {
                "actor": head["actor"],
                "at": head["at"],
                "evidence": patch["evidence"],
                "hash": record.hash.hex(),
                "op": patch["op"],
                "reason": head["reason"],
                "rev": rev,
                "sequence": sequence,
                "set": patch["set"] if patch["op"] == "update" else patch["entry"],
                "signature_good": verifier.verify(record.signature, signed_bytes(sequence, record.hash)),
                "source": head["source"],
            }
        )
    return steps
