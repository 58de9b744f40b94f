"""The registry against its ledger, and the ledger against its checkpoints, as findings. Reads the registry; writes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from autoops.core.drift import REGISTRY_EDITED
from autoops.core.signing import Verifier
from autoops.prove import verify
from autoops.prove.verify import Fault
from autoops.store.findings import Found
from autoops.store.registry import Registry

KINDS = (REGISTRY_EDITED, "ledger_broken", "checkpoint_mismatch")
_KIND_OF = {"entry": REGISTRY_EDITED}  # all else: the ledger, or what hangs on it
_MOST = 10_000


def prove(registry: Registry, checkpoints: Path, verifier: Verifier) -> Iterator[Found]:
    """Yield a finding for each fault: entries that are not what their commits wrote, by ID; the ledger; checkpoints."""
    with registry.snapshot():
        head = registry.head()
        yield from map(_finding, verify.database(registry))
        yield from map(_finding, verify.entries(registry, head))
        yield from map(_finding, verify.notes(registry, verifier.public))
        yield from map(_finding, verify.ledger(registry, verifier))
    faults = list(itertools.islice(verify.checkpoints(checkpoints, registry, verifier), _MOST))
    if faults:  # one finding, as the tailer makes it of the same file
        yield "checkpoint_mismatch", checkpoints.name.encode(), {"fault": faults[0].detail, "faults": len(faults)}


def _finding(fault: Fault) -> Found:
    return _KIND_OF.get(fault.check, "ledger_broken"), (fault.subject or fault.check).encode(), {"said": fault.detail}
