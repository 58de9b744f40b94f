"""What has been edited by hand so far, for a person."""

from __future__ import annotations

import contextlib
import time

from autoops import names
from autoops.cli.context import Context
from autoops.cli.output import say
from autoops.core.canonical import canonical, changed_fields
from autoops.core.signing import Verifier
from autoops.model import Change
from autoops.runtime.maintenance import Maintenance
from autoops.window import seal
from autoops.window.admit import changes_by_hand, way_back
from autoops.window.inspect import Inspection, inspect

SHOWN = 20


def inspected(ctx: Context, *, is_held: bool = False) -> Inspection:
    """Look at what was edited; untouched since the worker let go of it, there is nothing to look at, unless that is held."""
    left = seal.read(ctx.state)
    if not is_held and left and left.files == seal.stamp(ctx.state.registry_db):
        return Inspection([], [])
    return inspect(ctx.state, Verifier(ctx.public_key()))


def changes_of(ctx: Context, inspection: Inspection, window: Maintenance) -> list[Change]:
    """Return the changes that would be made of what was edited."""
    if not inspection.edits:
        return []
    with contextlib.closing(ctx.registry()) as registry:
        return changes_by_hand(inspection.edits, window, registry.root_paths(), int(time.time()))


def say_edits(ctx: Context, inspection: Inspection, window: Maintenance) -> None:
    """Say what is broken, or what was edited, entry by entry."""
    for fault in inspection.faults[:SHOWN]:
        say(f"BROKEN: {fault}")
    if inspection.faults:
        say(way_back(ctx.state))
    for change in changes_of(ctx, inspection, window)[:SHOWN]:
        what = ", ".join(f"{key} = {canonical(value)}" for key, value in changed_fields(change).items())
        how = "edited" if change.evidence["declared"] else "edited, not declared"
        say(f"{how}: {change.after.id} {names.text(change.after.path)}: {what}")
    if not inspection.faults and not inspection.edits:
        say("nothing was edited")
    elif len(inspection.edits) > SHOWN:
        say(f"... {len(inspection.edits)} entries in all")
