"""What can be wrong with an archive, and which of it restic means by what it says. Pure.

restic 0.14 (Debian 12) ends with 1 whatever happened, 0.18 (Debian 13) with a number of its own for some of it, and tries again for
a quarter of an hour what cannot succeed. So its words are read: of each kind of trouble, those that the program, the C library, ssh
and the object stores use. What nobody knows is told as it was said.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from autoops import names
from autoops.core.redact import redact
from autoops.errors import AutoopsError, UsageError


class ArchiveUnconfigured(UsageError):
    """No archive is configured: [archive] repository is empty."""

    hint = "name one, and give its password: RUNBOOK, 'Archive'"


class ArchiveSecret(UsageError):
    """{what}."""

    hint = "RUNBOOK, 'Archive'"


class ArchiveFailed(AutoopsError):
    """The archive {repository} {did}: {detail}."""

    hint = "the words are restic's; RUNBOOK, 'Finding: archive_failed'"


class ResticMissing(ArchiveFailed):
    """restic cannot be run: {detail}."""

    exit_code = 3
    hint = "apt-get install restic; under systemd the unit has to allow it: systemctl cat autoops-archive"


class ArchivePasswordWrong(ArchiveFailed):
    """The archive {repository} does not open with this password."""

    exit_code = 4
    hint = "put the right one into {source}; nothing can be read from it without"


class ArchiveAbsent(ArchiveFailed):
    """There is no repository at {repository}: {detail}."""

    exit_code = 4
    hint = "is [archive] repository right, and what it is on mounted? To make a new one there: autoops-backup archive --init"


class ArchiveExists(ArchiveFailed):
    """There is a repository at {repository} already. Nothing was changed."""

    exit_code = 4
    hint = "autoops-backup archive uses it"


class ArchiveLocked(ArchiveFailed):
    """The archive {repository} is locked by another: {detail}."""

    exit_code = 4
    transient = True
    hint = "wait for its end; a lock that restic calls stale is removed by itself, after half an hour when it is another host's"


class ArchiveDenied(ArchiveFailed):
    """The archive {repository} does not let us in: {detail}."""

    exit_code = 4
    hint = "are the keys in archive.environment right, and may they (or user {user}) read, write and delete there?"


class ArchiveUnreachable(ArchiveFailed):
    """The archive {repository} cannot be reached: {detail}."""

    exit_code = 3
    transient = True
    hint = "is the network there, and the host's name right? Under systemd: is the sandbox open for it (autoops-archive.service)?"


class ArchiveSlow(ArchiveFailed):
    """The archive {repository} took longer than {seconds:g} s, and restic was stopped: {detail}."""

    exit_code = 3
    transient = True
    hint = (
        "if it was at work, raise [archive] timeout_s: what was uploaded stays, the next run goes on; else look at the other side"
    )


class ArchiveFull(ArchiveFailed):
    """There is no room left at the archive {repository}: {detail}."""

    exit_code = 6
    transient = True
    hint = "make room there; what it holds stays good. Fewer are kept with smaller numbers in [backup]"


class ArchiveDamaged(ArchiveFailed):
    """The archive {repository} is damaged: {detail}."""

    hint = "RUNBOOK, 'The archive is damaged': what is on this host is not touched, and can be archived anew"


class ArchiveIncomplete(ArchiveFailed):
    """The archive was made without files that could not be read: {detail}."""

    hint = "look at who owns them, and at the disk; the rest was archived. RUNBOOK, 'Finding: archive_failed'"


class NoArchive(AutoopsError):
    """Refused: {detail}."""

    exit_code = 4
    hint = "autoops-backup archive --list shows what there is"


class Said(NamedTuple):
    """How a run of restic ended: its exit status, and what it wrote, without what was asked for."""

    status: int
    lines: Sequence[str]  # standard output that is no JSON, and standard error


_LINE_CHARACTERS = 300
_NETWORK = (
    "no such host|could not resolve hostname|name or service not known|temporary failure in name resolution|server misbehaving"
    "|connection refused|connection reset|connection timed out|network is unreachable|no route to host|i/o timeout|broken pipe"
    "|handshake timeout|context deadline exceeded|x509:|tls: |unable to start the sftp session|connection closed by|: EOF$"
)
_DENIED = (
    "permission denied|operation not permitted|read-only file system|accessdenied|access denied|forbidden|unauthorized"
    "|invalidaccesskeyid|access key id you provided|signaturedoesnotmatch|signature we calculated|no credentials found"
    "|host key verification failed"
)
_DAMAGED = (
    "repository contains errors|ciphertext verification failed|does not match|unexpected file size|invalid data returned"
    r"|there were \d+ errors|readfull: unexpected eof|not found in (?:repository|index)|id .* not found"
    r"|(?:pack|blob|tree) [0-9a-f]{8,64}.*(?:damaged|truncated|invalid|not found)"
)
_INCOMPLETE = 3
# exit status (0: none stands for it), words, the error; a status that fits is meant, else the first words that do
_MEANINGS: tuple[tuple[int, str, type[ArchiveFailed]], ...] = (
    (11, "is already locked|already locked by", ArchiveLocked),
    (12, "wrong password or no key found", ArchivePasswordWrong),
    (0, "config file already exists", ArchiveExists),
    (0, "no space left on device|disk quota exceeded|quota ?exceeded|insufficient storage|507 ", ArchiveFull),
    (0, _DENIED, ArchiveDenied),
    (0, _NETWORK, ArchiveUnreachable),
    (10, "is there a repository at the following|repository does not exist|specified (?:bucket|key) does not exist", ArchiveAbsent),
    (0, _DAMAGED, ArchiveDamaged),
    (_INCOMPLETE, "^/.+: ", ArchiveIncomplete),  # both versions end so; the words are for the file
)
_RETRY = re.compile(r"returned error, retrying after ((?:[\d.]+(?:h|ms|m|µs|ns|s))+): (.*)")
_PART = re.compile(r"([\d.]+)(h|ms|m|µs|ns|s)")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}


def meant(said: Said, did: str, repository: str, source: str, user: str) -> ArchiveFailed:
    """Return the error that a run of restic ended with. `did`: what was not done ("could not be read"); the rest is for hints."""
    lines = list(_texts(said.lines))
    whole = "\n".join(lines)
    by_status = [row for row in _MEANINGS if row[0] and row[0] == said.status]
    by_words = (row for row in _MEANINGS if row[0] != _INCOMPLETE and re.search(row[1], whole, re.I | re.M))
    _, words, kind = (by_status or [next(by_words, (0, "", ArchiveFailed))])[0]
    return kind(repository=redact(repository), did=did, detail=_detail(lines, words, said.status), source=source, user=user)


def retry(said: bytes) -> tuple[float, str] | None:
    """Return for how long restic waits before it tries again, seconds, and why; None when its last word was something else."""
    line = said.rstrip(b"\n").rpartition(b"\n")[2].decode(errors="replace")
    found = _RETRY.search(line)
    if not found:
        return None
    return sum(float(number) * _UNIT_S[unit] for number, unit in _PART.findall(found[1])), line


def _texts(lines: Sequence[str]) -> Iterator[str]:
    """Yield what was said, of JSON the message alone."""
    for line in lines:
        yield from _message(line).splitlines() if line.startswith("{") else [line]


def _message(line: str) -> str:
    try:
        facts = json.loads(line)
        error = facts.get("error") or {}
        return str(facts.get("message") or error.get("message") or f"{facts.get('item')}: {os.strerror(error.get('Err', 0))}")
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return line  # it only looked so: whoever answers on the other side may write here too


def _detail(lines: Sequence[str], words: str, status: int) -> str:
    """Return the line that says most: one with the words that were looked for, else the last fatal one, else the last."""
    told = [line for line in lines if line.strip() and "reading repository password" not in line]
    of_words = [line for line in told if words and re.search(words, line, re.I) and not line.endswith("?")]
    fatal = [line for line in told if line.startswith("Fatal:") and "context canceled" not in line]
    best = [*told[-1:], *fatal[-1:], *of_words[:1]]
    how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    said = _RETRY.sub(r"failed: \2", best[-1].removeprefix("Fatal: ")) if best else how  # nobody is retrying any more
    return names.show(redact(said))[:_LINE_CHARACTERS].rstrip(".")
