"""The asking side of the pool: what a child is told when it starts, and its plain answers as values again.

Apart from tasks.py, because a child would load the configuration and the decisions for nothing: 2 MiB in each.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autoops.config import Config, state_below
from autoops.core.view import Sighting
from autoops.model import Observation
from autoops.pool.pool import Pool
from autoops.pool.tasks import RootSpec, Setup
from autoops.state import State

MOST_CHILDREN = 32  # of each of the worker's three pools, for which its unit has room (TasksMax=, MemoryMax=)


def pool_of(config: Config, state: Path, *, idle_s: float, limit_s: float) -> Pool:
    """Return a pool as a configuration asks for it; without a size, one child for each core that this process may use, to 32."""
    size = config.worker.pool_size or min(MOST_CHILDREN, len(os.sched_getaffinity(0)))
    return Pool(setup_of(config, state), size=size, idle_s=idle_s, limit_s=limit_s)


def setup_of(config: Config, state: Path) -> Setup:
    """Return the setup that a configuration and a state directory ask for."""
    specs = {
        root.name: RootSpec(
            root.path,
            (*config.watch.ignore, *root.ignore),
            tuple(os.fsencode(name) for name in root.ignore_files),
            state_below(root, state),
        )
        for root in config.roots
    }
    watch = config.watch
    return Setup(
        specs,
        watch.settle_s,
        watch.min_age_s,
        config.worker.xattr_id,
        config.describe.max_bytes,
        os.fspath(State(state).registry_db),
        config.class_rules,
    )


def sightings(root: str, prefix: bytes, rows: Iterable[tuple[Any, ...]]) -> list[Sighting]:
    """Return what was read, from the rows that `flat` made."""
    observation = Observation._make
    return [
        Sighting(root, prefix + name, observation(seen), claimed, (), False, 0, ctime_ns) for name, seen, ctime_ns, claimed in rows
    ]


def troubles(root: str, prefix: bytes, rows: Iterable[tuple[Any, ...]]) -> list[Sighting]:
    """Return what could not be read, from the rows that `flat` made."""
    return [
        Sighting(root, prefix + name, Observation(*seen), ctime_ns=ctime_ns, unreadable=reason)
        for name, seen, ctime_ns, reason in rows
    ]
