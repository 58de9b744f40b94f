"""What a window declares: which entries its author meant to edit. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoops import names
from autoops.core.ids import is_id
from autoops.model import Entry

CLASS = "class:"


def is_declared(what: Sequence[str], entries: Sequence[Entry], places: Mapping[str, bytes]) -> bool:
    """Tell whether an entry, before or after its edit, is among what was declared; `places` says where the roots are."""
    return any(_covers(one, entry, places) for one in what for entry in entries)


def _covers(declared: str, entry: Entry, places: Mapping[str, bytes]) -> bool:
    if is_id(declared):
        return declared == entry.id
    if declared.startswith(CLASS):
        return declared.removeprefix(CLASS) == entry.described.class_name
    place = places.get(entry.root)
    path = names.to_bytes(declared).rstrip(b"/")
    full = place.rstrip(b"/") + b"/" + entry.path if place else b""
    if not path:
        return False  # "" and "/" would be everything
    return path in (full, entry.path) or any(one.startswith(path + b"/") for one in (full, entry.path))
