"""What the kernel said of a path's renames, as facts of the path's job. Pure.

The newest word on where a path's file came from is the whole of it: as an array it takes the place of an older one when jobs merge.
"""

from __future__ import annotations

from autoops import names
from autoops.model import JSON

Former = tuple[bytes, ...]  # the names a file had before it was renamed to a path, the first one first


def rename_facts(moved_from: tuple[Former, ...], vacated: bool) -> JSON:
    """Return the facts: `moved_from`, each rename to the path in order; `vacated`, what was there before was renamed away."""
    facts: JSON = {"vacated": True} if vacated else {}
    if moved_from or vacated:  # what left took with it how it came: null takes a fact back (RFC 7396)
        facts["moved_from"] = [[*map(names.text, former)] for former in moved_from] or None
    return facts


def renames_of(facts: JSON) -> tuple[tuple[Former, ...], bool]:
    """Return (moved_from, vacated) of a job's facts."""
    moved_from = tuple(tuple(map(names.to_bytes, former)) for former in facts.get("moved_from") or ())
    return moved_from, bool(facts.get("vacated"))
