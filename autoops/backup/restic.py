"""One run of restic, shut in by a time limit, its password on standard input, and its troubles named (trouble.py).

The password is in no argument, environment or file of ours; location and keys are in restic's environment, which only its own user
can read. It keeps no cache: what it would save is little, for a backup directory has few files. A stale lock (of a dead process, or
not renewed for half an hour) is restic's own to recognise: `unlock` removes no other. Writes nothing on this host.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from autoops.backup.trouble import ArchiveFailed, ArchiveLocked, ArchiveSlow, ResticMissing, Said, meant, retry
from autoops.core.redact import redact
from autoops.model import JSON
from autoops.runtime.child import Child

PROGRAM = "restic"
GRACE_S = 5.0  # for one that is told to end: it has a lock to remove
_PATIENCE_S = 8.0  # when it would wait longer than that before it tries again, it has failed seven times or so
_KEPT_BYTES = 1 << 16
_TEXTS = 200  # lines that are no JSON, the newest
_OURS = ("RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND", "RESTIC_REPOSITORY_FILE", "RESTIC_CACHE_DIR")
Answer = JSON | list[JSON]
Hear = Callable[[JSON], None]  # is told what restic says of its progress


class Repository(NamedTuple):
    """Where an archive is and how one gets in. `until_s`: the time of time.monotonic at which whatever runs is stopped."""

    location: str
    password: bytes
    source: str  # where the password came from, for hints
    options: tuple[str, ...]
    environment: Mapping[str, str]  # more of it: keys of an object store
    until_s: float
    timeout_s: float  # what `until_s` was made of, for messages

    @property
    def shown(self) -> str:
        """Where it is, without a password."""
        return redact(self.location)


def ask(repository: Repository, did: str, *words: str, directory: Path | None = None, hear: Hear = lambda _: None) -> list[Answer]:
    """Run restic with words, and return the JSON it answers with, but for its progress. A stale lock in its way is removed.

    `did`: what has failed if it does, "could not be checked" say. Raises ArchiveFailed, which has a class for each trouble.
    """
    try:
        return _ask(repository, did, words, directory, hear)
    except ArchiveLocked:
        _ask(repository, "could not be unlocked", ("unlock",), None, hear)
        return _ask(repository, did, words, directory, hear)


def _ask(repository: Repository, did: str, words: Sequence[str], directory: Path | None, hear: Hear) -> list[Answer]:
    command = [PROGRAM, words[0], "--no-cache", "--json", *repository.options, *words[1:]]
    try:
        child = Child(command, environment=_environment(repository), directory=directory, kept_bytes=_KEPT_BYTES)
    except OSError as error:
        raise ResticMissing(repository=repository.shown, did=did, detail=error.strerror) from None
    answers = _Answers(hear)
    try:
        _give(child, repository)
        for part in child.output(repository.until_s):
            answers.take(part)
            if (waits := retry(child.said())) and waits[0] > _PATIENCE_S:
                child.interrupt(GRACE_S)
                raise _meant(repository, did, 1, [waits[1]])
        status = child.ended() or 0
    except TimeoutError:
        last = (child.said().splitlines() or [b"it said nothing"])[-1].decode(errors="replace")
        child.interrupt(GRACE_S)
        said = f"{did}; the last that it said: {redact(last)[:300]}"
        raise ArchiveSlow(repository=repository.shown, did=did, seconds=repository.timeout_s, detail=said) from None
    except KeyboardInterrupt:
        child.interrupt(GRACE_S)
        raise
    finally:
        child.close()
    if status:
        raise _meant(repository, did, status, [*answers.texts, *child.said().decode(errors="replace").splitlines()])
    return answers.found


def _give(child: Child, repository: Repository) -> None:
    try:
        child.write(repository.password + b"\n", repository.until_s)
    except BrokenPipeError:
        pass  # it has ended already: how, is asked next
    child.close_input()


def _meant(repository: Repository, did: str, status: int, lines: Sequence[str]) -> ArchiveFailed:
    return meant(Said(status, lines), did, repository.location, repository.source, str(os.geteuid()))


def _environment(repository: Repository) -> dict[str, str]:
    ours = {"RESTIC_REPOSITORY": repository.location, "RESTIC_PROGRESS_FPS": "1"}
    given = {**os.environ, **repository.environment}
    return {key: value for key, value in given.items() if key not in _OURS} | ours


class _Answers:
    """What restic writes to standard output: lines of JSON, and others."""

    def __init__(self, hear: Hear) -> None:
        self.found: list[Answer] = []
        self.texts: list[str] = []
        self._hear, self._rest = hear, b""

    def take(self, part: bytes) -> None:
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace"))

    def _line(self, line: str) -> None:
        try:
            value: Any = json.loads(line) if line.startswith(("{", "[")) else None
        except ValueError:
            value = None
        kind = value.get("message_type") if isinstance(value, dict) else ""
        if kind == "status":
            self._hear(value)
        elif value is None or kind in ("error", "exit_error"):
            self.texts = [*self.texts[1 - _TEXTS :], line]
        else:
            self.found.append(value)


def deadline(timeout_s: float) -> float:
    """Return the time of time.monotonic at which a run that begins now is stopped."""
    return time.monotonic() + timeout_s
