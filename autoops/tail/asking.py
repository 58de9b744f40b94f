"""A digest provider, asked: a child process that prints a digest, polled until it has, or may no longer take.

Guarantees: no call waits; an answer is at most 1 MiB and comes within its time, or is an error in words. Starts child processes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from autoops import names
from autoops.config import CheckpointConfig
from autoops.core.canonical import parse
from autoops.model import JSON
from autoops.runtime.child import Child
from autoops.tail.newest import digest_of

_MAX_BYTES = 1 << 20  # of lists of a hundred entries each; a provider's own digest needs a few
LISTED = 100


class Answer(NamedTuple):
    """What came back."""

    content: bytes = b""
    error: str = ""  # why there is none


class Asking:
    """One child process whose output is wanted."""

    def __init__(self, command: Sequence[str], timeout_s: float, good: tuple[int, ...] = (0,)) -> None:
        self._good, self._timeout_s, self._until_s = good, timeout_s, time.monotonic() + timeout_s
        self._content, self._is_over = b"", False
        self._child: Child | None = None
        self._failed = ""
        try:
            self._child = Child(command)
            self._child.close_input()
        except (OSError, ValueError) as error:  # ValueError: a NUL
            self._failed = f"{command[0]} cannot be run: {getattr(error, 'strerror', error)}"

    def poll(self) -> Answer | None:
        """Return the answer once there is one."""
        if self._child is None:
            return Answer(error=self._failed)
        while part := self._child.read(_MAX_BYTES):
            self._content += part
            if len(self._content) > _MAX_BYTES:
                return self._ended(f"it answered more than {_MAX_BYTES} bytes")
        self._is_over = part == b""
        if part is None or self._child.ended() is None:
            late = time.monotonic() > self._until_s
            return self._ended(f"it did not answer within {self._timeout_s:g} s") if late else None
        status = self._child.ended()
        if status not in self._good:
            return self._ended(self._child.last_words())
        return self._ended("")

    def _ended(self, error: str) -> Answer:
        self.close()
        return Answer(self._content, error)

    def fileno(self) -> int | None:
        """Return the descriptor that tells of output, None when no more will come."""
        return self._child.fileno() if self._child and not self._is_over else None

    def close(self) -> None:
        """End it."""
        if self._child:
            self._failed = self._failed or "it was ended"
            self._child.close()
        self._child = None


def provider_command(one: CheckpointConfig) -> list[str]:
    """Return the command that prints what the digest should be."""
    if one.command:
        return list(one.command)
    if one.export:
        own = ["-m", "autoops", "replica", "digest", "--rows", one.export, "--timeout", f"{one.timeout_s:g}"]
        return [sys.executable, *own]
    return [sys.executable, "-m", "autoops.tail.fetch", one.url, f"{one.timeout_s:g}"]


def lists_command(one: CheckpointConfig, state: Path) -> list[str]:
    """Return the command that lists how the registry in a state directory differs from the provider's, [] when it has none."""
    if not one.export:
        return []
    own = [
        "-m",
        "autoops",
        "replica",
        "verify",
        "--rows",
        one.export,
        "--json",
        "--limit",
        str(LISTED),
        "--state",
        os.fspath(state),
    ]
    return [sys.executable, *own, "--timeout", f"{one.timeout_s:g}"]


def digest_in(content: bytes, key: str) -> str:
    """Return the digest that a provider printed: itself, or JSON that has it under a key; "" when there is none."""
    text = content.decode(errors="replace").strip()
    if found := digest_of(text):
        return found
    try:
        value = parse(text)
    except (ValueError, RecursionError):
        return ""
    return digest_of(value.get(key)) if isinstance(value, dict) else ""


def lists_in(content: bytes) -> JSON:
    """Return the lists of differing entries in what `replica verify --json` printed, for a finding."""
    try:
        value = parse(content)
        found: JSON = {f"{kind}_total": int(count) for kind, count in value["counts"].items()}
        for one in value["differences"]:
            found.setdefault(one["kind"], []).append(names.show(f"{one['id']} {one['root']}:{one['path']}"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {"lists": "the comparison cannot be read"}
    return found
