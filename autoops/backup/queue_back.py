"""A queue in the place of one that is damaged or gone: that of a snapshot, or a new one, and what was acknowledged since.

What is in a queue are hints, which the next scan finds again; but not a patch that somebody submitted, a note, and what people said
about findings. Of these all is carried over that can still be read. Reads backups and a damaged queue.db; writes one new file.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple, cast

from autoops.backup.errors import BackupUnsound
from autoops.backup.making import copy_damaged, unpack_last
from autoops.backup.place import QUEUE, Place
from autoops.backup.proof import queue_fault
from autoops.backup.rebuild import OnFault, cleared
from autoops.core.signing import Verifier
from autoops.errors import CheckFailed, StorageCorrupt, StorageForeign, StorageMissing, StorageOutdated
from autoops.model import JobKind, Work
from autoops.store.backlog import load
from autoops.store.border import flag_of
from autoops.store.database import Database, migrate
from autoops.store.folding import fold
from autoops.store.guard import SUFFIX as GUARD_SUFFIX
from autoops.store.queue import SCHEMA, Queue
from autoops.store.records import UNFIT
from autoops.store.salvage import Salvage, carry_findings
from autoops.store.schema import OBJECTS, strange
from autoops.window.swap import beside

_ACKNOWLEDGED: tuple[JobKind, ...] = ("patch", "note")


class Carried(NamedTuple):
    """Where a queue came from: the snapshot ("": it is a new one), and what was carried over into it."""

    snapshot: str
    jobs: int
    findings: int

    def __str__(self) -> str:
        origin = f"that of snapshot {self.snapshot}" if self.snapshot else "a new one"
        carried = f", with {self.jobs} patches or notes and {self.findings} findings of the old one"
        return origin + (carried if self.jobs or self.findings else "")


def fault_of(queue_db: Path) -> str:
    """Return why a queue cannot be used as it is, "" when it can; an older one can be migrated.

    Raises StorageNewer, StorageDenied and the like: then nobody can tell.
    """
    if flag_of(queue_db).exists():
        return "it is suspect: writing it failed once"
    try:
        with Database.open(queue_db, SCHEMA, mode="ro") as database:
            return next(iter([*database.check(), *strange(database.query(OBJECTS), SCHEMA)]), "")
    except StorageOutdated:
        return ""
    except StorageMissing as error:
        return "it is not there" if not queue_db.exists() else f"it {error.facts['how']}"
    except (StorageCorrupt, StorageForeign) as error:
        return str(error)


def bring_back(target: Path, damaged: Path | None, source: Place, until: int, verifier: Verifier, on_fault: OnFault) -> Carried:
    """Make a queue at `target`, of no later commit than `until`; carry over what `damaged` has. Raises StorageFull, OSError."""
    name = unpack_last(source, QUEUE, until, verifier, target, on_fault)
    if name and (fault := queue_fault(target)):
        on_fault(BackupUnsound(name=name, detail=fault))
        target.unlink()
        name = ""
    migrate(target, SCHEMA)
    with Database.open(target, SCHEMA, guard=True) as database:
        jobs, findings = _carried(database, damaged, target.with_name("damaged.db")) if damaged else (0, 0)
        database.checkpoint(truncate=True)
    beside(target, GUARD_SUFFIX).unlink(missing_ok=True)
    return Carried(name, jobs, findings)


def _carried(database: Database, damaged: Path, copied: Path) -> tuple[int, int]:
    with cleared(copied):
        copy_damaged(damaged, copied)
        with contextlib.suppress(CheckFailed):  # then what can be read of it is little, or nothing
            fold(copied)
        with Salvage(copied) as read:
            works = []
            for kind, key, priority, facts in read.jobs(_ACKNOWLEDGED):
                with contextlib.suppress(*UNFIT):
                    works.append(Work(cast(JobKind, kind), key, priority, load(facts)))
            jobs = Queue(database).enqueue(works)
            with database.transaction() as tx:
                findings = carry_findings(tx, read.findings())
    return jobs, findings
