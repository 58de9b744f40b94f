"""Which entry a person means: an ID, a path below a root, or a path on the disk."""

from __future__ import annotations

import os
from pathlib import Path

from autoops import names
from autoops.cli.context import Context
from autoops.core.ids import is_id
from autoops.errors import NotFound
from autoops.model import Entry


def find_entry(context: Context, what: str) -> Entry:
    """Return the entry that an argument names. Raises NotFound."""
    registry = context.registry()
    if is_id(what):
        found = registry.by_id([what])
        if what in found:
            return found[what]
    places = registry.root_paths()
    for form in (names.to_bytes(what), os.fsencode(what)):
        absolute = os.fsencode(Path(os.fsdecode(form)).absolute())
        for root in registry.roots():
            base = places.get(root, b"").rstrip(b"/") + b"/"
            paths = [form] + ([absolute[len(base) :]] if absolute.startswith(base) else [])
            entries = registry.at(root, paths)
            if entries:
                return entries[0]
    raise NotFound(what=names.show(what))
