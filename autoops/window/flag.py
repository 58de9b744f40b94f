"""Setting and removing the flag: how a window is opened and closed."""

from __future__ import annotations

import os
from pathlib import Path

from autoops.errors import Refused
from autoops.files import durable
from autoops.runtime import maintenance
from autoops.runtime.maintenance import Maintenance


class WindowOpen(Refused):
    """Refused: a maintenance window is open already{said}."""

    hint = "autoops maintenance status tells more; autoops resume ends it"


def set_flag(flag: Path, said: Maintenance) -> None:
    """Open a window. Raises WindowOpen when there is one, whoever opened it; OSError."""
    temporary = flag.with_name(f"{flag.name}.{os.getpid()}")
    durable.write(temporary, maintenance.text(said).encode(), mode=0o644)
    try:
        os.link(temporary, flag)
    except FileExistsError:
        other = maintenance.read(flag)
        raise WindowOpen(said=f" ({other})" if other and str(other) else "") from None
    finally:
        temporary.unlink()
    durable.sync_directory(flag.parent)


def change_flag(flag: Path, said: Maintenance) -> None:
    """Replace what an open window says. Raises OSError."""
    durable.write(flag, maintenance.text(said).encode(), mode=0o644)


def remove_flag(flag: Path) -> None:
    """Close a window, whatever its flag is. Raises OSError."""
    if flag.is_dir() and not flag.is_symlink():
        flag.rmdir()
    else:
        flag.unlink(missing_ok=True)
    durable.sync_directory(flag.parent)
