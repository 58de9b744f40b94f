"""Every error that a user can meet, with its exit code and what to do about it.

The docstring of a class is its message, a `str.format` template over the facts it is raised with; so the message, the exit
code and the hint of an error stand in one place. Bugs are not wrapped: they end in a traceback.

Exit codes: 0 good, 1 disagreement or failed check, 2 usage, 3 cannot tell, 4 refused (precondition), 5 paused, 6 storage error.
"""

from __future__ import annotations

import errno
import string
from typing import ClassVar


class AutoopsError(Exception):
    """Something went wrong: {detail}"""

    exit_code: ClassVar[int] = 1
    transient: ClassVar[bool] = False  # the same call may succeed later, with nobody's help
    hint: ClassVar[str] = ""  # what to do, a template like the docstring

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(_fill(type(self).__doc__ or "", facts))

    @property
    def advice(self) -> str:
        """Return the hint with the facts filled in, "" when there is none."""
        return _fill(self.hint, self.facts)


def _fill(template: str, facts: dict[str, object]) -> str:
    """Return a template with its facts; one that ends with a full stop brings that of the template along."""
    filled = ""
    for literal, name, spec, _ in string.Formatter().parse(template):
        is_doubled = filled.endswith(".") and (literal == "." or literal.startswith(". "))
        filled += literal[1:] if is_doubled else literal
        filled += format(facts[name], spec or "") if name is not None else ""
    return filled


class UsageError(AutoopsError):
    """{detail}"""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration has {count} fault(s):
    {faults}"""

    hint = "correct the lines named above; every key is described in etc/autoops.toml"


class RootRefused(UsageError):
    """The root {path} cannot be watched: {reason}."""

    hint = "{remedy}"


class RootAbsent(RootRefused):
    """The root {path} cannot be watched now: {reason}."""


class CannotTell(AutoopsError):
    """Cannot tell: {detail}."""

    exit_code = 3
    hint = "{remedy}"


class NotFound(AutoopsError):
    """Nothing in the registry answers to {what}."""

    hint = "autoops list shows what there is; a path is given as it is on the disk, or as autoops list prints it"


class FindingUnknown(NotFound):
    """No finding that stands has the number {what}."""

    hint = "autoops findings lists those that stand; with --closed, the others"


class AlertUnknown(NotFound):
    """No alert has a fingerprint that begins with {what}, or several have."""

    hint = "autoops alerts list shows those that stand; with --resolved, the others"


class SilenceUnknown(NotFound):
    """No silence in force has the number {what}."""

    hint = "autoops alerts list --silences shows those in force"


class RootUnknown(UsageError):
    """No root answers to {what}."""

    hint = "the roots there are: {known} (autoops root list)"


class CheckFailed(AutoopsError):
    """{detail}"""

    exit_code = 1


class Refused(AutoopsError):
    """Refused: {detail}."""

    exit_code = 4


class NotWritten(Refused):
    """Refused: {file} cannot be written: {why}."""

    hint = "{remedy}"

    @classmethod
    def because(cls, file: object, error: OSError) -> NotWritten:
        """Return the error for what the system said."""
        remedy = _REMEDIES.get(error.errno or 0, "run it as root, or as the owner of that file and its directory")
        return cls(file=file, why=error.strerror, remedy=remedy)


_REMEDIES = {
    errno.ENOENT: "make its directory first, or name another file",
    errno.ENOTDIR: "make its directory first, or name another file",
    errno.EISDIR: "that is a directory: name a file in it",
    errno.ENOSPC: "make room there, or name another file",
    errno.EDQUOT: "make room there, or name another file",
    errno.EROFS: "name a file on a file system that may be written",
}


class HoldsNothing(Refused):
    """Refused: finding {number} ({kind}) holds nothing back, so there is nothing to release."""

    hint = "{holding} do; what mends this one: autoops findings show {number}"


class PreconditionFailed(Refused):
    """Refused: {what} is not as the patch wants it: wanted {wanted}, found {found}. Nothing was changed."""

    hint = "look at it again (autoops show), make the patch anew from what is there now, and submit that"


class EditedPastLedger(Refused):
    """Refused: {said} changed past the ledger. Nothing was changed."""

    hint = "a commit over it would hide the edit; RUNBOOK, 'registry_edited'"


class PatchInvalid(Refused):
    """Refused: the patch is not valid: {detail}. Nothing was changed."""

    hint = "docs/formats.md describes patches"


class AnotherWorker(Refused):
    """Refused: another worker runs on {state} (process {pid})."""

    hint = "one state directory has one worker; stop the other one, or use another --state"


class ChannelUnknown(UsageError):
    """No channel is called {name}."""

    hint = "the channels that are declared: {known}; a [[channel]] table of the configuration declares one"


class NotDelivered(AutoopsError):
    """Nothing was delivered to {channel}: {why}"""

    hint = "autoops doctor looks at the channels; RUNBOOK, 'A channel is dead'"


class NobodyTakesReports(Refused):
    """Refused: no channel takes a report."""

    hint = "a report goes to channels of kind apprise that take infos; RUNBOOK, 'Reports'"


class CatalogUnknown(UsageError):
    """No catalog is called {name}."""

    hint = "the catalogs that are declared: {known}; a [[catalog]] table of the configuration declares one"


class CatalogFailed(AutoopsError):
    """Catalog {name} was not built: {reason}. The one before stays as it is."""

    hint = "{remedy}"


class AnotherBuilder(Refused):
    """Refused: another process builds catalogs in {directory}, for more than {seconds:g} s already."""

    transient = True
    hint = "wait until it has ended: autoops catalog status"


class Paused(AutoopsError):
    """autoops is paused: {flag} exists{why}."""

    exit_code = 5
    hint = "when the maintenance is over: autoops resume"


class Held(AutoopsError):
    """The registry was edited while nobody worked on it, and the edit cannot be taken over: {detail}. Nothing is written to it."""

    exit_code = 5
    hint = "{remedy}"


class CannotGoOn(AutoopsError):
    """The worker is {status}"""

    exit_code = 5
    hint = "autoops maintenance status tells all of it"


class StorageError(AutoopsError):
    """{database}: {detail}"""

    exit_code = 6


class StorageBusy(StorageError):
    """{database} stayed locked for {seconds} s."""

    transient = True
    hint = "find who holds it: fuser -v {database} {database}.guard"


class StorageFull(StorageError):
    """{database}: no room left on the disk."""

    transient = True
    hint = "make room, and start what has ended again; nothing that was acknowledged is lost"


class StorageReadOnly(StorageError):
    """{database} cannot be written: {detail}."""

    hint = "look at who owns the state directory, and whether its file system is mounted read-only (findmnt -T {database})"


def unwritten(place: object, error: OSError) -> StorageFull | StorageReadOnly:
    """Return the error for what the system said when something was written there."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(database=place)
    return StorageReadOnly(database=place, detail=error.strerror or error)


class StorageDenied(StorageError):
    """{database} may not be read by user {user}."""

    hint = "run it as root (sudo); or give the file back to its service: ls -l {database}, chown --reference=DIRECTORY FILE"


class StorageCorrupt(StorageError):
    """{database} is damaged: {detail}."""

    hint = (
        "in a maintenance window see autoops maintenance status; else stop autoops, copy the whole state directory aside, and see"
        " RUNBOOK, 'The database is damaged'"
    )


class StorageSuspect(StorageError):
    """{database} is suspect: writing it failed once ({detail}), and what a later check says about it cannot be trusted."""

    hint = "see RUNBOOK, 'The database is suspect'; the flag is {flag}"


class StorageMissing(StorageError):
    """{database} {how}."""

    hint = "{remedy}"


class RegistryLost(Refused):
    """Refused: {database} {how}, but there was a registry: {trace} tells of its commits. No empty one is made in its place."""

    hint = "autoops-backup restore --latest brings it back; to begin anew all the same, move {state} and its backups aside"


class StorageOutdated(StorageError):
    """{database} has schema version {found}, this program needs {wanted}."""

    hint = "run: autoops migrate"


class StorageNewer(StorageError):
    """{database} was written by a newer autoops (schema version {found}, this one knows {wanted})."""

    hint = "install that newer version again; nothing was changed"


class StorageForeign(StorageError):
    """{database} is not an autoops database (application id {found})."""

    hint = "is --state right?"


class StorageInUse(StorageError):
    """{database} has a write-ahead log beside it: it is in use, or was not closed, and is not whole by itself."""

    hint = "give a finished copy (backups/, sqlite3 FILE '.backup COPY'), or the state directory it belongs to"


class StorageRemote(StorageError):
    """{database} is on a network file system ({kind}), where SQLite's WAL mode is not safe."""

    hint = "put the state directory on a local disk (sqlite.org/wal.html: WAL does not work over a network filesystem)"


class LedgerKeyChanged(StorageError):
    """{database} is signed by the key {known}, but the key at hand is {given}."""

    hint = "put the right key back; a ledger signed by two keys proves nothing"


class LedgerKeyMissing(StorageError):
    """The ledger key {path} is missing, and this ledger is signed by a key already ({known})."""

    hint = "put that key back; without it nothing can be added to this ledger (RUNBOOK, 'The ledger key is missing')"


class ServicesRun(Refused):
    """Refused: {who} at work, and would go on with what is replaced."""

    hint = "stop what runs (systemctl stop autoops.target, Ctrl+C), or pause it: autoops pause"


class CommitMisfit(CheckFailed):
    """The ledger cannot be played beyond commit {sequence}: {detail}."""

    hint = "that commit can be restored: --seq {sequence}; autoops-backup verify says what is damaged"
