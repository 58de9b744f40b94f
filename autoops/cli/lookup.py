"""Which entry a person means: an ID, a path below a root, or a path on the disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from autoops import names
from autoops.cli.context import Context
from autoops.core.ids import is_id
from autoops.errors import NotFound
from autoops.model import Entry
from autoops.window.declared import CLASS


def find_entry(context: Context, what: str) -> Entry:
    """Return the entry that an argument names. Raises NotFound."""
    registry = context.registry()
    if is_id(what):
        found = registry.by_id([what])
        if what in found:
            return found[what]
    places = registry.root_paths()
    for path, absolute in _readings(what):
        for root in registry.roots():
            base = places.get(root, b"").rstrip(b"/") + b"/"
            paths = [path] + ([absolute[len(base) :]] if absolute.startswith(base) else [])
            entries = registry.at(root, paths)
            if entries:
                return entries[0]
    raise NotFound(what=names.show(os.fsencode(what)))


def _readings(what: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield (path, the same from / on) for each way to read an argument: as it is on the disk, which wins, and as it is printed."""
    for path in dict.fromkeys((os.fsencode(what), names.to_bytes(what))):
        yield path, os.fsencode(Path(os.fsdecode(path)).absolute())


def find_declared(context: Context, what: str) -> str:
    """Return what a window declares, an ID, a path or class:NAME, in its stored form. Raises NotFound."""
    with contextlib.closing(context.registry()) as registry:
        if what.startswith(CLASS):
            if what.removeprefix(CLASS) not in registry.counts_by_class():
                raise NotFound(what=f"the class {names.show(what.removeprefix(CLASS))}")
            return what
        if is_id(what):
            if what not in registry.by_id([what]):
                raise NotFound(what=what)
            return what
        for given, absolute in _readings(what):
            for root, place in registry.root_paths().items():
                base = place.rstrip(b"/") + b"/"
                below = [absolute[len(base) :]] if (absolute + b"/").startswith(base) else []
                for path in (given.strip(b"/") or b".", *below):
                    if registry.at(root, [path]) or registry.directory_id(root, path) is not None:
                        return names.text((base + path).rstrip(b"/"))
    raise NotFound(what=names.show(os.fsencode(what)))
