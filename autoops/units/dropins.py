"""How far the sandbox of the units that look at trees is opened for one root, and why: drop-ins of their units. Pure.

The units see the whole system read-only, but for home directories (ProtectHome=yes) and /tmp (PrivateTmp=yes), which they do not
see at all. Watcher and reconciler only read. The worker reads, and writes in a root whose files it renames or marks. The health
check writes one file of a root that has a canary, and looks at nothing else in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from autoops import names
from autoops.model import CANARY
from autoops.units import quoting

DIRECTORY = Path("/etc/systemd/system")
UNITS = ("autoops-watcher.service", "autoops-worker.service", "autoops-reconciler.service", "autoops-drill.service")
HEALTH = "autoops-health.service"
ALL = (*UNITS, HEALTH)
_HOMES = (b"/home", b"/root", b"/run/user")
_TEMPORARY = (b"/tmp", b"/var/tmp")

_HIDDEN = "Home directories are hidden. With tmpfs they still are, but for what is bound into the empty ones."

Lines = Iterator[tuple[str, str]]  # (reason, setting)


class Opening(NamedTuple):
    """One root, and what the services need for it."""

    name: str
    path: bytes  # absolute, without links
    writes: bool = False  # policy "rename", or worker.xattr_id
    read_all: bool = False  # read what its owners let nobody read
    group: str = ""  # a group that may read it
    canary: bool = False  # the health check rewrites its canary


def place_of(path: bytes) -> str:
    """Return "home" or "tmp" for what the units do not see, else ""."""
    for kind, tops in (("home", _HOMES), ("tmp", _TEMPORARY)):
        if any(path == top or path.startswith(top + b"/") for top in tops):
            return kind
    return ""


def files(opening: Opening) -> dict[Path, str]:
    """Return the drop-ins that a root needs, by file; none for a root that the units can read as they are.

    Raises RootRefused when its path cannot be written into a unit file.
    """
    units = ALL if opening.canary else UNITS
    return {file_of(opening.name, unit): text for unit in units if (text := _text(opening, unit))}


def file_of(name: str, unit: str) -> Path:
    """Return where the drop-in of a root for a unit is."""
    return DIRECTORY / f"{unit}.d" / f"root-{quoting.file_name(name)}.conf"


def _text(opening: Opening, unit: str) -> str:
    if unit == HEALTH:
        lines = [*_canary_lines(opening), *_reading_lines(opening)]
    else:
        writes = opening.writes and unit == "autoops-worker.service"
        lines = [*_lines(opening, writes=writes), *_reading_lines(opening)]
    if not lines:
        return ""
    about = f"Root: {names.show(opening.name)} in {names.show(opening.path)} (real path)."
    by = "Written by `autoops root add`; `autoops root remove` takes it away again."
    return drop_in(f"Opens the sandbox of {unit} for one root, as far as that root needs.", about, by, lines)


def drop_in(what: str, about: str, by: str, lines: Iterable[tuple[str, str]]) -> str:
    """Return the text of a drop-in: what it is, and each setting below its reason."""
    said = "".join(f"\n# {reason}\n{setting}\n" for reason, setting in lines)
    return f"# {what}\n# {about}\n# {by}\n\n[Service]{said}"


def homes_hidden(path: bytes) -> Lines:
    """Yield what the unit needs before a path below a home can be bound into it."""
    if place_of(path) == "home":
        yield _HIDDEN, "ProtectHome=tmpfs"


def _lines(opening: Opening, *, writes: bool) -> Lines:
    yield from homes_hidden(opening.path)
    place = place_of(opening.path)
    if place:
        kind = "BindPaths" if writes else "BindReadOnlyPaths"
        what = "the worker renames or marks files in it" if writes else "read-only: files in it are looked at, never changed"
        reason = f"The root lies where the service sees nothing; {what}."
        yield reason, f"{kind}={quoting.path(opening.path, bind=True, optional=True)}"
    elif writes:
        reason = "Everything but the service's own state is read-only; in this root the worker renames or marks files."
        yield reason, f"ReadWritePaths={quoting.path(opening.path, optional=True)}"


def _canary_lines(opening: Opening) -> Lines:
    yield from homes_hidden(opening.path)
    place, file = place_of(opening.path), opening.path + b"/" + CANARY.encode()
    said = "The check rewrites this one file to see that a change in the root is noticed; nothing else in it is writable."
    kind = "BindPaths" if place else "ReadWritePaths"
    yield said, f"{kind}={quoting.path(file, bind=bool(place), optional=True)}"


def _reading_lines(opening: Opening) -> Lines:
    if opening.group:
        yield (
            "Asked for with --group: its members may read the root, so the service is one.",
            f"SupplementaryGroups={opening.group}",
        )
    if opening.read_all:
        yield (
            "Asked for with --read-all: read every file, whatever its permissions. It cannot write by this.",
            "CapabilityBoundingSet=CAP_DAC_READ_SEARCH",
        )
        yield (
            "The service is not root, so it is given the capability rather than keeping it.",
            "AmbientCapabilities=CAP_DAC_READ_SEARCH",
        )
        yield "In a user namespace of its own the capability would count for nothing.", "PrivateUsers=no"
