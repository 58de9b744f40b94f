"""One run of every check. Each is on its own: what one of them meets never keeps another from its answer.

Reads and writes what the checks do: checks.py, surroundings.py.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable

from autoops.errors import AutoopsError, StorageBusy, StorageError
from autoops.health import backups, checks, surroundings
from autoops.health.result import Level, Result
from autoops.health.sources import Settings, Sources

Check = Callable[[Sources], Result]
CHECKS: tuple[tuple[str, Check], ...] = (
    ("database", checks.check_database),
    *((name, functools.partial(checks.check_daemon, name)) for name in ("watcher", "worker")),
    ("tailer", checks.check_tailer),
    ("shipping", checks.check_shipping),
    ("queue", checks.check_queue),
    ("outcomes", checks.check_outcomes),
    ("registry", checks.check_registry),
    ("digest", checks.check_digest),
    ("canary", checks.check_canary),
    ("coverage", checks.check_coverage),
    ("verification", checks.check_verification),
    ("backup", surroundings.check_backup),
    (backups.DRILL, surroundings.check_drill),
    (backups.ARCHIVE_DRILL, surroundings.check_archive_drill),
    ("archive", surroundings.check_archive),
    ("findings", surroundings.check_findings),
    ("units", surroundings.check_units),
    ("configuration", surroundings.check_configuration),
    ("maintenance", surroundings.check_maintenance),
    ("disk", surroundings.check_disk),
    ("inodes", surroundings.check_inodes),
    ("memory", surroundings.check_memory),
    ("load", surroundings.check_load),
    ("response", surroundings.check_response),
    ("clock", surroundings.check_clock),
    ("key", surroundings.check_key),
    ("certificates", surroundings.check_certificates),
    ("permissions", surroundings.check_permissions),
    ("suspect", surroundings.check_suspect),
)


def run(settings: Settings, wanted: Iterable[tuple[str, Check]] = CHECKS) -> list[Result]:
    """Return what every check found."""
    with contextlib.ExitStack() as opened:
        return examined(Sources(settings, opened), wanted)


def examined(sources: Sources, wanted: Iterable[tuple[str, Check]] = CHECKS) -> list[Result]:
    """Return what every check found, of sources that the caller opened and may ask more of."""
    return [guarded(name, check, sources) for name, check in wanted]


def guarded(name: str, check: Check, sources: Sources) -> Result:
    """Return what a check found, or what kept it from finding anything."""
    try:
        return check(sources)
    except StorageBusy as error:
        return Result(name, Level.UNKNOWN, str(error), remedy=error.advice)
    except StorageError as error:
        return Result(name, Level.CRITICAL, str(error), remedy=error.advice)
    except AutoopsError as error:
        return Result(name, Level.UNKNOWN, str(error), remedy=error.advice)
    except OSError as error:
        said = error.strerror or str(error)
        return Result(name, Level.UNKNOWN, f"{said}: {error.filename}" if error.filename else said)  # a write names no file
    except Exception as error:  # noqa: BLE001  # a bug in one check must not silence the others; it is told as what it is
        return Result(name, Level.UNKNOWN, f"the check itself failed: {type(error).__name__}: {error}")
