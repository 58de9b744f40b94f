"""Does a change in a tree get into the registry? One file of the tree is rewritten, and looked for there.

End to end: file, watcher, queue, worker, registry. Nobody waits: one run writes the file, the next ones ask whether the registry
has what was written. It is one entry for ever. What else stands at its name, a link say, is never written through.

Reads the registry; writes `.autoops-canary` in roots whose configuration has `canary = true`, and queue/canary.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from autoops import names
from autoops.config import HealthConfig, RootConfig
from autoops.core.ledger import utc
from autoops.core.spoken import age, counted
from autoops.files import durable, roots
from autoops.health.result import Figure, Level, Result, worst
from autoops.model import CANARY
from autoops.store.registry import Registry

PATH = os.fsencode(CANARY)
_HEAD = "autoops writes this file now and then, to see that a change in this tree is noticed. RUNBOOK, 'Canary'.\n"


class Flown(NamedTuple):
    """One write of a canary."""

    at_s: float
    sha256: str  # of what was written
    seen_s: float  # how long it took until the registry had it, as far as was looked; 0.0: not yet
    fault: str = ""  # why it could not be written
    missed: bool = False  # the one before was never seen, so this one has to be, before all is well


def next_of(last: Flown | None, there: str | None, now_s: float) -> Flown | None:
    """Return what is known of a canary, now that the registry says `there` (the SHA-256 of its entry)."""
    if last is None or last.seen_s or last.fault or there != last.sha256:
        return last
    return last._replace(seen_s=max(0.001, now_s - last.at_s))


def is_due(last: Flown | None, now_s: float, limits: HealthConfig) -> bool:
    """Tell whether to write it again: when it was time since it was seen, could not be written, or is given up."""
    if last is None or last.fault or now_s < last.at_s:
        return True
    return now_s - last.at_s >= (limits.canary_every_s if last.seen_s else max(limits.canary_every_s, limits.canary_within_s))


def write(root: bytes, identity: str | None, now_s: float) -> Flown:
    """Write the canary of a root anew; why that cannot be done is in what is returned.

    identity: what the registry knows of the root's directory. Only there a file is made: not in what an unmounted one left behind.
    """
    text = f"{_HEAD}{utc(now_s)} {os.urandom(8).hex()}\n".encode()
    try:
        _overwrite(root, identity, text)
    except OSError as error:
        return Flown(now_s, "", 0.0, str(error.strerror))
    return Flown(now_s, hashlib.sha256(text).hexdigest(), 0.0)


def _overwrite(root: bytes, identity: str | None, text: bytes) -> None:
    """Write the file in place: it keeps its inode, and whoever may write nothing but this file can do it."""
    path, flags = os.path.join(root, PATH), os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        if roots.identity(root) != identity:
            raise OSError(0, "this is not the directory that the registry knows as this root") from None
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o640)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise OSError(0, "something else is in its place: a special file, or one with another name")
        if not _HEAD.encode().startswith(os.pread(fd, len(_HEAD), 0)):
            raise OSError(0, "something else is in its place: a file that another program wrote")
        os.ftruncate(fd, 0)
        os.pwrite(fd, text, 0)
    finally:
        os.close(fd)


def judged(flown: Mapping[str, Flown], now_s: float, limits: HealthConfig) -> Result:
    """Judge the canaries, by the name of their root."""
    if not flown:
        return Result("canary", Level.OK, "no root has one ([[root]] canary)")
    said, levels = [], []
    for root, one in sorted(flown.items()):
        level, why = _judged(one, now_s, limits)
        levels.append(level)
        if why:
            said.append(f"{names.show(root)}: {why}")
    took_s = [one.seen_s or max(0.0, now_s - one.at_s) for one in flown.values() if not one.fault]
    figures = (Figure("canary", max(took_s), "s", None, limits.canary_within_s),) if took_s else ()
    seen_s = [one.seen_s for one in flown.values() if one.seen_s]
    good = f"{counted(len(flown), 'root')}" + (f", up to {age(max(seen_s))} into the registry" if seen_s else ", on its way")
    return Result("canary", worst(levels), "; ".join(said) or good, figures, "RUNBOOK, 'Canary'" if any(levels) else "")


def _judged(one: Flown, now_s: float, limits: HealthConfig) -> tuple[Level, str]:
    if one.fault:
        return Level.WARNING, f"{CANARY} cannot be written: {one.fault}"
    if one.seen_s or (now_s - one.at_s < limits.canary_within_s and not one.missed):
        return Level.OK, ""
    return Level.CRITICAL, f"what was written {age(now_s - one.at_s)} ago is not in the registry{_ALSO if one.missed else ''}"


_ALSO = ", and neither was the one before"


def recall(memory: Path, roots: Iterable[RootConfig]) -> dict[str, Flown]:
    """Return what is remembered of the canaries of these roots."""
    try:
        facts = json.loads(memory.read_text())
        kept = {
            str(name): Flown(float(at), str(sha), float(seen), str(fault), bool(missed))
            for name, (at, sha, seen, fault, missed) in facts.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        kept = {}
    return {root.name: kept[root.name] for root in roots if root.name in kept}


def remember(memory: Path, flown: Mapping[str, Flown]) -> None:
    """Keep it. Raises OSError: a canary that nobody remembers must not be written."""
    durable.write(memory, json.dumps(flown).encode(), mode=0o640)


def fly(
    trees: Sequence[RootConfig], registry: Registry, memory: Path, now_s: float, limits: HealthConfig, *, may_write: bool
) -> dict[str, Flown]:
    """See which canaries the registry has, write those that are due, and return all. Raises OSError, StorageError."""
    before = recall(memory, trees)
    flown = {root.name: found for root in trees if (found := next_of(before.get(root.name), _there(registry, root.name), now_s))}
    due = [root for root in trees if is_due(flown.get(root.name), now_s, limits)] if may_write else []
    identities = registry.roots() if due else {}
    if may_write and (due or flown != before):
        remember(memory, flown)  # first: where this fails nothing is written
    for root in due:
        last = flown.get(root.name)
        missed = last is not None and not last.seen_s and (last.missed or not last.fault)
        flown[root.name] = write(root.path, identities.get(root.name), now_s)._replace(missed=missed)
    if due:
        remember(memory, flown)
    return flown


def _there(registry: Registry, root: str) -> str | None:
    """Return the SHA-256 that the registry has of a canary."""
    shas = (entry.observation.sha256 for entry in registry.at(root, [PATH]) if entry.status == "active")
    return next((sha.hex() for sha in shas if sha), None)
