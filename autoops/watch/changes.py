"""What happened to paths, coalesced, and the jobs that follow from it. Pure.

A change is a hint, never a fact: the worker looks at the disk. So of several changes to one path the last one counts, and only
what cannot be seen on the disk later (where it was moved from, that its writer closed it) is kept from the earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from autoops.core.hints import Former, rename_facts
from autoops.files.inotify import ATTRIB, CLOSE_WRITE, CREATE, MOVED_TO
from autoops.files.opening import within
from autoops.model import JSON, PRIORITY_LIVE, PRIORITY_SCAN, Work, path_key

Kind = Literal["closed", "created", "found", "touched", "moved", "gone"]
UNSETTLED: tuple[Kind, ...] = ("created", "found", "touched")  # somebody may have it open still


class Change(NamedTuple):
    """One path below the root, and the last that is known of it.

    closed: its writer has closed it. created: it appeared, and may still be written; links, FIFOs and hard links say no more.
    found: it was there when its directory was listed. touched: its times, owner or permissions were set. moved: it came by
    rename. gone: deleted, or moved away.
    """

    path: bytes
    kind: Kind
    moved_from: tuple[Former, ...] = ()  # each rename to it, in order: the names the file had, the first one first
    vacated: bool = False  # what was here before was renamed away


def kind_of(mask: int) -> Kind:
    """Return what an inotify mask says about a file."""
    if mask & CLOSE_WRITE:
        return "closed"
    if mask & CREATE:
        return "created"
    if mask & MOVED_TO:
        return "moved"
    return "touched" if mask & ATTRIB else "gone"


def merged(before: Change, after: Change) -> Change:
    """Return one change for two of the same path, in the order they happened."""
    if after.kind in ("found", "touched") and before.kind != "gone":
        return before  # neither adds anything to what was said: look at this file
    if after.vacated:
        return after  # it took with it how it came
    return Change(after.path, after.kind, after.moved_from or before.moved_from, before.vacated)


def to_work(change: Change, root: str, settle_s: float, min_age_s: float) -> Work:
    """Return the job for one change of a root: what may still be written waits `settle_s`, the rest `min_age_s`."""
    key = path_key(root, change.path)
    facts: JSON = {"closed": True} if change.kind == "closed" else {}
    if change.kind == "created":
        facts["closed"] = None  # it is not what was closed before: null takes the hint back (RFC 7396)
    facts |= rename_facts(change.moved_from, change.vacated)
    age_s = 0.0 if change.kind == "gone" else min_age_s
    delay_s = max(settle_s, age_s) if change.kind in UNSETTLED else age_s
    priority = PRIORITY_SCAN if change.kind == "touched" else PRIORITY_LIVE  # a `chown -R` keeps no edit waiting
    return Work("path", key, priority, facts or None, delay_s)


def scan(path: bytes, root: str) -> Work:
    """Return the job that compares a directory (b"": the whole root), and all below it, with the registry."""
    # From the beginning, whatever an interrupted scan has behind it: null takes its cursor away (RFC 7396).
    return Work("scan", path_key(root, path), PRIORITY_SCAN, {"cursor": None})


def outermost(paths: Iterable[bytes]) -> list[bytes]:
    """Return the directories that lie in none of the others."""
    kept: list[bytes] = []
    for path in sorted(set(paths), key=lambda path: path.split(b"/") if path else []):
        if not kept or not within(path, kept[-1]):
            kept.append(path)
    return kept
