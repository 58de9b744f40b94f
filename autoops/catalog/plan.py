"""What has to be made anew of a catalog: nothing, its metadata, some parts, or all of it. Reads; decides; writes nothing."""

from __future__ import annotations

from typing import NamedTuple

from autoops import names
from autoops.config import CatalogConfig
from autoops.core.catalog import Metadata
from autoops.prove import catalogs as proofs
from autoops.store.registry import Registry

_MANY = 16  # parts


class Plan(NamedTuple):
    """What to do about one catalog."""

    old: Metadata | None  # the present generation, None when it is of no use
    reason: str  # why all of it is made anew, "" when it is not
    parts: tuple[int, ...] = ()  # the numbers of those that are read again
    commits: int = 0  # since the present generation
    is_damaged: bool = False  # a file of it is not what it was

    @property
    def is_fresh(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.reason or self.parts or self.commits or self.is_damaged)


def look(registry: Registry, table: CatalogConfig, fd: int | None, how: proofs.How, *, is_cut: bool) -> Plan:
    """Compare the present generation, an opened directory, with the registry. `how`: how closely to look at its files."""
    if fd is None:
        return Plan(None, "it was never built")
    try:
        old = proofs.read(fd)
    except (OSError, ValueError) as error:
        return Plan(None, f"its metadata.json cannot be read: {names.show(str(error))}")
    behind = proofs.behind(registry, old, table)
    if behind.all:
        return Plan(None, behind.all, commits=behind.commits)
    wrong = {file for file, _ in proofs.faulty_files(fd, old, how)}
    if wrong and not is_cut:
        return Plan(None, "its files are not what they were", commits=behind.commits)
    parts = set(behind.parts) | {number for number, part in enumerate(old.parts) if part.file in wrong}
    if len(parts) > _MANY and 2 * len(parts) > len(old.parts):
        return Plan(None, "most of it was changed", commits=behind.commits)
    return Plan(old, "", tuple(sorted(parts)), behind.commits, bool(wrong))
