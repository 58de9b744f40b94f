"""Which entry a person means: an ID, a path below a root, or a path on the disk."""

from __future__ import annotations

import contextlib
import os

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
    for form, absolute in _readings(what):
        for root in registry.roots():
            base = places.get(root, b"").rstrip(b"/") + b"/"
            paths = [form] + ([absolute[len(base) :]] if absolute.startswith(base) else [])
            entries = registry.at(root, paths)
            if entries:
                return entries[0]
    raise NotFound(what=names.show(what))


def _readings(what: str) -> list[tuple[bytes, bytes]]:
    """Return what a typed path can mean, as it is and made absolute: the name on the disk, and then what is shown of one.

    A file can be called what is shown of another: each is found by its own name.
    """
    return [(form, os.path.abspath(form)) for form in (os.fsencode(what), names.to_bytes(what))]


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
        places = registry.root_paths()
        for form, absolute in _readings(what):
            for root, place in places.items():
                base = place.rstrip(b"/") + b"/"
                below = [absolute[len(base) :]] if (absolute + b"/").startswith(base) else []
                for path in (form.strip(b"/") or b".", *below):
                    if registry.at(root, [path]) or registry.directory_id(root, path) is not None:
                        return names.text((base + path).rstrip(b"/"))
    raise NotFound(what=names.show(what))
