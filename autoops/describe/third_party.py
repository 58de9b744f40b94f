"""Find the extractors that other packages bring, in the entry-point group `autoops.extractors` (docs/extractors.md).

Guarantee: they are loaded once, when first asked for; one that cannot be loaded, or is no extractor, is a fault to be told,
never a crash. Reads the metadata of the installed packages.
"""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple, Protocol, cast

from autoops.describe import shape
from autoops.model import JSON

GROUP = "autoops.extractors"

_NAME = re.compile(r"[\w.-]{1,64}\Z", re.ASCII)


class Extractor(Protocol):
    """One kind of file and how to describe it: a module, a class or an object."""

    NAME: str  # unique; with VERSION it is the descriptor's "extractor"
    VERSION: int  # raise it when the descriptors change
    TYPES: tuple[str, ...]  # MIME types, "text/*" allowed

    def extract(self, data: bytes, truncated: bool, /) -> JSON:
        """Return the fields of a descriptor; a fault in the file is a field too."""


class Loaded(NamedTuple):
    """What the installed packages bring."""

    extractors: tuple[Extractor, ...]
    faults: tuple[tuple[str, str], ...]  # (entry point, why it cannot be used)


@functools.cache
def loaded(taken: frozenset[str]) -> Loaded:
    """Return the extractors of other packages, sorted by entry point, whose names are not among those taken."""
    from importlib import metadata  # imported here: it costs 15 ms

    extractors: list[Extractor] = []
    faults: list[tuple[str, str]] = []
    names = set(taken)
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        try:
            extractor = point.load()
            reason = _refusal(extractor, names)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - another package's module may raise anything when it is imported
            reason = f"{type(error).__name__}: {error}"
        if reason:
            faults.append((point.name, shape.line(reason)))
        else:
            extractors.append(cast(Extractor, extractor))
            names.add(extractor.NAME)
    return Loaded(tuple(extractors), tuple(faults))


def _refusal(extractor: Any, names: set[str]) -> str:
    """Return why an object is no extractor, "" when it is one."""
    name = getattr(extractor, "NAME", None)
    if not (isinstance(name, str) and _NAME.match(name)):
        return "NAME must be 1 to 64 letters, digits, '_', '.' or '-'"
    if name in names:
        return f"the name {name} is taken"
    if type(getattr(extractor, "VERSION", None)) is not int:
        return "VERSION must be an integer"
    types = getattr(extractor, "TYPES", None)
    if not (isinstance(types, tuple | list) and types and all(isinstance(glob, str) for glob in types)):
        return "TYPES must be a tuple of MIME types"
    return "" if callable(getattr(extractor, "extract", None)) else "extract is not callable"
