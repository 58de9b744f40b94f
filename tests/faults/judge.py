"""The one judge that every fault ends with: fresh processes, and what they find.

What was acknowledged is there, each piece of work once in its effect; the registry is the disk and proves itself (`verify --deep`);
reconcile finds nothing; no temporary file is left; and when all is run once more, nothing changes.
"""

from __future__ import annotations

import collections
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from running import Suite


class Acknowledged(NamedTuple):
    """What somebody was told is done, before the fault."""

    sources: frozenset[str] = frozenset()  # of ledger records: those of commits, and of notes and patches that were taken
    checkpoint: int = 0  # the last sequence that checkpoints.jsonl was said to have


NOTHING = Acknowledged()


@contextlib.contextmanager
def living_on(disk: Path, base: Path) -> Iterator[Suite]:
    """Give a suite with a few files registered, whose state directory is on a disk and the rest of it below `base`."""
    suite = Suite(base)
    suite.state = disk / "state"
    for number in range(5):
        (suite.root / f"{number}.txt").write_text(f"{number}\n")
    suite.once()
    try:
        yield suite
    finally:
        suite.close()


def require_whole(suite: Suite, acknowledged: Acknowledged = NOTHING, *, services: bool = True) -> None:
    """Start again what died (without `services`: have `up --once` do the rest); then everything is as if nothing had happened."""
    if services:
        for name in {"worker", "watcher"} - suite.processes.keys():
            suite.start(name)
        suite.idle()
    else:
        suite.once()
    suite.require_disk_registered()
    suite.require_nothing_left_to_do()
    digest = suite.digest()
    suite.stop()
    require_acknowledged(suite, acknowledged)
    suite.require_proven()
    suite.require_tidy()
    hidden = [path for path in suite.state.rglob(".*") if (path.is_file() or path.is_symlink()) and path.name != ".lock"]
    assert not hidden, f"unfinished: {hidden}"
    suite.run("reconcile", "--report", config=True)
    suite.once()
    assert suite.digest() == digest, "run once more, it changed"


def require_acknowledged(suite: Suite, acknowledged: Acknowledged) -> None:
    """Everything acknowledged is in the ledger once, and nothing twice."""
    said = collections.Counter(record["source"] for record in records(suite))
    lost = sorted(acknowledged.sources - said.keys())
    assert not lost, f"lost: {len(lost)} of {len(acknowledged.sources)}, {lost[0]} for one"
    doubled = [source for source in said if said[source] > 1 and source.startswith(("patch:", *acknowledged.sources))]
    assert not doubled, f"done twice: {doubled[:10]}"
    kept = max((line["sequence"] for line in checkpoints(suite)), default=0)
    assert kept >= acknowledged.checkpoint, f"checkpoints.jsonl ends with {kept}, {acknowledged.checkpoint} was written"


def require_there(suite: Suite, acknowledged: Acknowledged, sequence: int = 0) -> None:
    """Before anybody has helped: everything acknowledged is in the ledger or still in the queue, and commits up to `sequence`."""
    there = records(suite)
    known = {record["source"] for record in there}
    known |= {job["key"] for job in suite.run("queue", "list", "--limit", 1_000_000, "--json").json}
    lost = sorted(acknowledged.sources - known)
    assert not lost, f"lost: {len(lost)} of {len(acknowledged.sources)}, {lost[0]} for one"
    assert len(there) >= sequence, f"lost: commits {len(there) + 1} to {sequence}"


def records(suite: Suite) -> list[dict[str, Any]]:
    """Return the records of the ledger."""
    lines = suite.run("export", "--format", "ledger").out.split(
        "\n"
    )  # (a name may hold U+2028, which splitlines() takes for an end)
    return [json.loads(json.loads(line)["record"]) for line in lines if line]


def checkpoints(suite: Suite) -> list[dict[str, Any]]:
    """Return the whole lines of checkpoints.jsonl; the one that a power cut tore is ended by the next."""
    path = suite.state / "registry" / "checkpoints.jsonl"
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith(b"}\n")]
