"""`registry/checkpoints.jsonl`: one signed line for each burst of commits, for those who watch the registry from outside."""

from __future__ import annotations

from pathlib import Path

from autoops.core import ledger
from autoops.core.canonical import canonical
from autoops.files import durable
from autoops.log import emit
from autoops.store.commit import RegistryWriter, Signing

_AGAIN_S = 30.0


class Checkpoints:
    """The worker's pen for checkpoints.jsonl."""

    def __init__(self, path: Path, registry: RegistryWriter, signer: Signing) -> None:
        self._path, self._registry, self._signer = path, registry, signer
        self.due, self._not_before_s = False, 0.0

    def write(self, now_s: float) -> None:
        """Append a line about the registry as it is now, if there was a commit since the last one.

        Where that cannot be done (no room, something else at that name) it is told, and tried again later: the commit stands.
        """
        if not self.due or now_s < self._not_before_s:
            return
        head = self._registry.ledger_head
        line = ledger.checkpoint(ledger.utc(now_s), head, self._registry.total)
        line["signature"] = self._signer.sign(ledger.checkpoint_bytes(line)).hex()
        try:
            durable.append_line(self._path, canonical(line).encode())
        except OSError as error:
            self._not_before_s = now_s + _AGAIN_S
            emit("checkpoint_failed", reason=str(error.strerror))
            return
        self.due = False
        emit("checkpoint_written", sequence=head.sequence, digest=head.digest.hex()[:16])
