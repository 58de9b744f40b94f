"""What can be wrong with backups. (With an archive: trouble.py.)"""

from __future__ import annotations

from autoops.errors import AutoopsError, CheckFailed, Refused, StorageError


class BackupUnsound(CheckFailed):
    """The snapshot {name} cannot be trusted: {detail}."""

    hint = "take another one (autoops-backup list), and look at the disk that it is on; RUNBOOK, 'Restore'"


class FoundUnsound(BackupUnsound):
    """{fault}"""

    hint = "autoops-backup verify {name} reads it again; RUNBOOK, 'the snapshot ... cannot be trusted'"


class BackupForeign(Refused):
    """Refused: the snapshot {name} is signed by the key {found}..., not by {wanted}...."""

    hint = "if it is your own from before, give that key: --public-key FILE"


class BackupNewer(Refused):
    """Refused: the snapshot {name} was written by a later program, autoops {version}."""

    hint = "upgrade autoops, then try again"


class NoBackup(Refused):
    """Refused: {detail}."""

    hint = "autoops-backup list shows what there is; autoops-backup snapshot takes one"


class NoSuchCommit(NoBackup):
    """Refused: {detail}."""

    hint = "{remedy}"


class NoBackupDirectory(NoBackup):
    """Refused: the backup directory {directory} does not exist."""

    hint = "is its disk mounted, and --from right?"


class BackupBusy(Refused):
    """Refused: another process (pid {pid}) is at work in {directory}."""

    transient = True
    hint = "wait for its end, or look at it: ps -o pid,etime,cmd -p {pid}"


class SegmentUnsound(BackupUnsound):
    """The shipped ledger cannot be trusted: {name}: {detail}."""

    hint = "look at the disk that it is on; RUNBOOK, 'The shipped ledger is damaged'"


class LedgerForked(CheckFailed):
    """The registry's ledger is not the one that was shipped to {directory}: {detail}."""

    hint = "nothing that was shipped is written over; RUNBOOK, 'ledger_forked'"


class BackupUnwritable(StorageError):
    """The backup directory {directory} cannot be written: {why}."""

    transient = True
    hint = "is its disk mounted, has it room, whose is it? findmnt -T {directory}; df -h {directory}; ls -ld {directory}"


class HookFailed(AutoopsError):
    """The hook {hook} failed: {reason}."""

    hint = "mend it, or move it out of that directory; by hand: env AUTOOPS_HOOK=... {hook}; RUNBOOK, 'Hooks'"
