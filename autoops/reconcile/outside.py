"""What was made of the registry, and what should be equal to it: catalogs and replicas, as findings. Writes nothing.

Reads the registry, catalogs/, and where the configured replicas are.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Sequence

from autoops.config import CatalogConfig, ReplicaConfig
from autoops.errors import CannotTell, UsageError
from autoops.model import JSON
from autoops.prove import catalogs as proofs
from autoops.replica.compare import DIFFERS, compare, finding_of
from autoops.replica.place import How, opened
from autoops.replica.side import of_registry
from autoops.state import State
from autoops.store.backlog import Backlog
from autoops.store.findings import Found
from autoops.store.registry import Registry

UNREACHABLE = "replica_unreachable"
KINDS_OF_CATALOGS = (proofs.STALE, proofs.CHECKSUM)
KINDS_OF_REPLICAS = (DIFFERS, UNREACHABLE)
_ENDED = {"dead_letter": "given up", "failed": "failed, and is tried again"}
_PATIENCE_S = 900.0  # a catalog is stale for as long as its builder needs, after each commit


def catalogs(
    state: State, registry: Registry, declared: Sequence[CatalogConfig], backlog: Backlog, now_s: float
) -> Iterator[Found]:
    """Yield a finding for each catalog that is not what it should be; one that is about to be built anew is in order."""
    for kind, name, detail in proofs.check(state, registry, declared):
        job = backlog.job_at("catalog", name.encode())
        waits = kind == proofs.STALE and job is not None and job[0] in ("queued", "running")
        if not (waits and _age_s(detail, now_s) < _PATIENCE_S):
            yield kind, name.encode(), detail | ({"job": f"{_ENDED[job[0]]}: {job[1]}"} if job and job[0] in _ENDED else {})


def _age_s(detail: JSON, now_s: float) -> float:
    """Return for how long a catalog has been stale; 0 when that is not known."""
    since = str(detail.get("since", ""))
    return now_s - datetime.datetime.fromisoformat(since).timestamp() if since else 0.0


def replicas(registry: Registry, configured: Sequence[ReplicaConfig], now_s: float) -> Iterator[Found]:
    """Yield a finding for each replica that is not what this registry is, or that cannot be asked."""
    for one in configured:
        how = How(one.rows, one.ssh, one.timeout_s)
        try:
            with contextlib.ExitStack() as stack:
                there = stack.enter_context(opened(one.where, how))
                here = stack.enter_context(of_registry(registry, rows=one.rows))
                finding = finding_of(one.name, compare(here, there), now_s, one.behind_s)
        except (CannotTell, UsageError) as error:
            yield UNREACHABLE, one.name.encode(), {"said": str(error)}
        else:
            if finding:
                yield finding
