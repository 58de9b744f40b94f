"""Which alert keeps another one quiet: a parent's failure explains its children's. Pure.

A parent has to fire, and to be at least as grave as its child: a warning that is told on Monday silences nothing critical. Nobody
is its own ancestor, so above each silenced alert there is one that is not.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from autoops.store.alerts import SEVERITIES, Alert


class Inhibition(NamedTuple):
    """Globs of source:name:subject. `same_root`: only where both are about the same root."""

    source: str
    target: tuple[str, ...]
    same_root: bool = False


_OF_FILES = ("missing", "unregistered", "modified", "metadata", "moved", "replaced", "wrong_kind", "unreadable", "corrupt")
_BY_DATABASE = (
    "worker", "watcher", "tailer", "shipping", "queue", "registry", "digest", "canary", "coverage", "verification", "backup",
    "drill", "maintenance",
)  # fmt: skip

KNOWN: tuple[Inhibition, ...] = (
    # a check that cannot read queue.db can tell nothing
    Inhibition("health:database:*", tuple(f"health:{name}:*" for name in _BY_DATABASE)),
    Inhibition("health:suspect:*", ("health:database:*",)),
    Inhibition("finding:unit_failed:autoops-worker.service", ("health:worker:*", "health:queue:*", "health:canary:*")),
    Inhibition("finding:unit_failed:autoops-watcher.service", ("health:watcher:*", "health:coverage:*", "health:canary:*")),
    Inhibition("finding:unit_failed:autoops-tailer.service", ("health:tailer:*",)),
    Inhibition("finding:unit_failed:autoops-shipper.service", ("health:shipping:*",)),
    Inhibition("finding:unit_failed:autoops-backup.service", ("health:backup:*",)),
    Inhibition("finding:unit_failed:autoops-drill.service", ("health:drill:*",)),
    Inhibition("finding:unit_failed:*", ("health:units:*",)),
    Inhibition("health:worker:*", ("health:queue:*", "health:shipping:*", "health:canary:*")),
    Inhibition("health:watcher:*", ("health:canary:*",)),
    # a tree that is another one, or is gone, explains what is wrong with each of its files
    Inhibition("finding:root_replaced:*", tuple(f"finding:{kind}:*" for kind in ("mass_missing", *_OF_FILES)), same_root=True),
    Inhibition("finding:mass_missing:*", tuple(f"finding:{kind}:*" for kind in _OF_FILES), same_root=True),
)


def inhibitors(firing: Sequence[Alert], rules: Sequence[Inhibition]) -> dict[str, Alert]:
    """Return by fingerprint which alerts are kept quiet, and by which one."""
    found: dict[str, Alert] = {}
    for rule in rules:
        parents = [alert for alert in firing if fnmatch.fnmatchcase(alert.label, rule.source)]
        if not parents:
            continue
        for child in firing:
            if child.fingerprint not in found and any(fnmatch.fnmatchcase(child.label, glob) for glob in rule.target):
                parent = next((one for one in parents if _may(one, child, rule, found)), None)
                if parent:
                    found[child.fingerprint] = parent
    return found


def _may(parent: Alert, child: Alert, rule: Inhibition, found: Mapping[str, Alert]) -> bool:
    if SEVERITIES.index(parent.severity) > SEVERITIES.index(child.severity):
        return False
    if rule.same_root and _root(parent) != _root(child):
        return False
    above: Alert | None = parent
    while above is not None:  # the chain has no loop, for none was ever closed
        if above.fingerprint == child.fingerprint:
            return False
        above = found.get(above.fingerprint)
    return True


def _root(alert: Alert) -> str:
    return alert.subject.partition("\0")[0]
