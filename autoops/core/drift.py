"""What a change means, in words. Pure."""

from __future__ import annotations

from autoops.model import Change


def action(change: Change) -> str:
    """Return what a change does, in a word or two."""
    before, after = change.before, change.after
    if before is None:
        return "register"
    if before.status != after.status:
        return {"active": "return", "missing": "mark missing", "retired": "retire"}[after.status]
    return "move" if (before.root, before.path) != (after.root, after.path) else "update"
