"""How far the sandbox of the units that keep backups is opened for a backup directory elsewhere: drop-ins of their units. Pure."""

from __future__ import annotations

from pathlib import Path

from autoops import names
from autoops.errors import RootRefused, UsageError
from autoops.units import quoting
from autoops.units.dropins import DIRECTORY, Lines, drop_in, homes_hidden, place_of

UNITS = tuple(f"autoops-{name}.service" for name in ("shipper", "backup", "drill", "archive-drill", "playbooks"))
READER = "autoops-archive.service"  # writes none, and sees all but homes and /tmp as it is
_BY = "Written by `autoops backup place`."


def files(directory: bytes) -> dict[Path, str]:
    """Return the drop-ins by file, for an absolute path without links. Raises UsageError when it cannot be written into one."""
    try:
        lines, read = list(_lines(directory)), list(_lines_of_the_reader(directory))
    except RootRefused as error:
        raise UsageError(detail=f"backups cannot be kept in {names.show(directory)}: {error.facts['reason']}") from None
    about = f"Backups: {names.show(directory)} (real path)."
    found = {file_of(unit): drop_in(f"Lets {unit} write the backup directory.", about, _BY, lines) for unit in UNITS}
    return found | ({file_of(READER): drop_in(f"Lets {READER} read the backup directory.", about, _BY, read)} if read else {})


def file_of(unit: str) -> Path:
    """Return where the drop-in of a unit is."""
    return DIRECTORY / f"{unit}.d" / "backups.conf"


def _lines(directory: bytes) -> Lines:
    yield from homes_hidden(directory)
    place = place_of(directory)
    setting = "BindPaths" if place else "ReadWritePaths"
    reason = "All else is read-only. When it is not there, a disk that is not mounted say, the unit starts all the same."
    yield reason, f"{setting}={quoting.path(directory, bind=bool(place), optional=True)}"
    yield "What is kept is never run.", f"NoExecPaths={quoting.path(directory, optional=True)}"


def _lines_of_the_reader(directory: bytes) -> Lines:
    yield from homes_hidden(directory)
    if place_of(directory):
        setting = f"BindReadOnlyPaths={quoting.path(directory, bind=True, optional=True)}"
        yield "It lies where the service sees nothing; it is archived, never changed.", setting
