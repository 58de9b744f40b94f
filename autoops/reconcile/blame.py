"""Who or what explains a difference: the hand, the downtime, the gap, the job. Pure, but for the time at which a path changed.

Not a verdict of guilt: the likeliest of what is known, with what it rests on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from autoops.core.drift import Difference
from autoops.core.ledger import utc
from autoops.files import opening
from autoops.model import JSON
from autoops.store.operations import Gap

_NS = 1_000_000_000


class Commit(NamedTuple):
    """The last commit that touched a document."""

    sequence: int
    at: str  # RFC 3339
    actor: str
    reason: str


def changed_s(places: dict[str, bytes], difference: Difference) -> float | None:
    """Return when the disk changed, as far as it says so: the file's change time, or that of the directory it left."""
    told = difference.detail.get("changed_ns", 0)
    if told:
        return float(told) / _NS
    path = difference.path
    while path and difference.root in places:
        path = opening.parts(path)[0]
        try:
            with opening.directory(places[difference.root], path) as fd:
                return os.fstat(fd).st_mtime_ns / _NS
        except OSError:
            continue  # gone too: its directory tells
    return None


def blame(
    difference: Difference,
    at_s: float | None,
    gaps: Sequence[Gap],
    commit: Commit | None,
    job: tuple[str, str] | None,
    *,
    runs: bool,
) -> JSON:
    """Return what explains a difference. at_s: when the disk changed; job: state and reason of its job; runs: does the worker?"""
    when: JSON = {"at": utc(at_s)} if at_s is not None else {}
    if commit and _is_by_hand(commit) and (at_s is None or utc(at_s) <= commit.at):
        said = f"commit {commit.sequence} by {commit.actor}: {commit.reason}"
        return {"by": "hand", "commit": commit.sequence, "said": f"the registry was changed, the disk was not: {said}"}
    if job:
        state, reason = job
        if state == "dead_letter":
            return when | {"by": "job", "said": f"its job was given up: {reason}"}
        return when | {"by": "job", "said": "its job waits" + ("" if runs else ", and no worker runs")}
    gap = next((gap for gap in gaps if at_s is not None and _covers(gap, difference, at_s)), None)
    if gap:
        until = utc(gap.until_s) if gap.until_s is not None else "now"
        return when | {"by": gap.reason, "said": f"not watched then: {gap.reason}, {utc(gap.since_s)} to {until}"}
    if not runs:
        return when | {"by": "downtime", "said": "nobody works on the registry at present"}
    return when | {"by": "unknown", "said": "it was watched then, and nothing was heard of it"}


def _is_by_hand(commit: Commit) -> bool:
    return commit.actor.startswith("operator:")


def _covers(gap: Gap, difference: Difference, at_s: float) -> bool:
    inside = gap.root in ("", difference.root) and opening.within(difference.path, gap.path)
    return inside and gap.since_s <= at_s <= (gap.until_s + 1 if gap.until_s is not None else float("inf"))
