"""The whole story of one document, from the ledger."""

from __future__ import annotations

from typing import Any

from autoops.cli.context import Context
from autoops.core.canonical import parse
from autoops.core.ledger import signed_bytes
from autoops.core.signing import Verifier
from autoops.model import JSON, Entry
from autoops.store.records import UNFIT, Record, patch_for, unreadable


def explain_entry(context: Context, entry: Entry) -> list[JSON]:
    """Return each revision of an entry, oldest first: who, when, why, on what evidence, and what it set. Raises StorageCorrupt."""
    registry = context.registry()
    verifier = Verifier(context.public_key())
    steps = []
    for rev, sequence in registry.history(entry.id):
        record = registry.record(sequence)
        if record is None:
            raise unreadable(sequence)
        try:
            steps.append({"rev": rev, **_told(record, entry.id, verifier)})
        except UNFIT:
            raise unreadable(sequence) from None
    return steps


def _told(record: Record, entry_id: str, verifier: Verifier) -> JSON:
    patch: dict[str, Any] = dict(patch_for(record, entry_id))
    head = parse(record.text)
    return {
        "actor": head["actor"],
        "at": head["at"],
        "evidence": patch["evidence"],
        "hash": record.hash.hex(),
        "op": patch["op"],
        "reason": head["reason"],
        "sequence": record.sequence,
        "set": patch["set"] if patch["op"] == "update" else patch["entry"],
        "signature_good": verifier.verify(record.signature, signed_bytes(record.sequence, record.hash)),
        "source": head["source"],
    }
