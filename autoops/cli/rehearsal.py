"""`autoops scan --dry-run`, and the part of `verify --deep` that reads every file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from autoops.cli.context import Context
from autoops.cli.output import as_json, say
from autoops.config import Config
from autoops.pool import asking
from autoops.pool.pool import Pool
from autoops.reconcile.rehearse import Rehearsal, sentence
from autoops.reconcile.rehearse import rehearse as run

_SHOWN = 1000


class Differences(NamedTuple):
    """What a rehearsal found, for people."""

    lines: list[str]
    rehearsal: Rehearsal


def differences(context: Context, config: Config, places: Sequence[tuple[str, bytes]], *, hashes: bool) -> Differences:
    """Compare disk and registry now. Raises StorageError."""
    registry = context.registry()
    size = config.worker.pool_size or os.cpu_count() or 1
    pool = Pool(asking.setup_of(config, context.state.directory), size=size, idle_s=60, limit_s=config.worker.task_timeout_s)
    try:
        found = run(registry, pool, {root.name: root.path for root in config.roots}, places, rehash=hashes)
    finally:
        pool.close()
        registry.close()
    return Differences([sentence(one) for one in found.differences], found)


def rehearse(context: Context, config: Config, places: Sequence[tuple[str, bytes]], *, hashes: bool, json: bool) -> int:
    """Show what a scan would do; return the exit code: 0 nothing, 1 something."""
    found = differences(context, config, places, hashes=hashes)
    counts = {f"{root}: {what}": count for (root, what), count in sorted(found.rehearsal.counts.items())}
    if json:
        as_json({"counts": counts, "differences": found.lines, "files": found.rehearsal.files})
    else:
        for line in found.lines[:_SHOWN]:
            say(line)
        if len(found.lines) > _SHOWN:
            say(f"... and {len(found.lines) - _SHOWN} more (--json shows all)")
        summary = ", ".join(f"{count} to {what.partition(': ')[2]}" for what, count in counts.items())
        say(f"{found.rehearsal.files:,} files: {summary or 'disk and registry agree'}")
    return 1 if found.lines else 0
