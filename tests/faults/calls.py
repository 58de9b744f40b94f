"""The system calls with which a command changes something below a directory: listed, and made to kill it, one by one (strace)."""

from __future__ import annotations

import collections
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from disks import need
from running import environment

CALLS = (
    *("write", "writev", "pwrite64", "pwritev", "copy_file_range", "sendfile", "fallocate", "ftruncate", "fsync", "fdatasync"),
    *("openat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat"),
    *("symlink", "symlinkat", "chmod", "fchmod", "chown", "fchown", "utimensat", "setxattr", "fsetxattr", "msync"),
)
_LINE = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)")
_SHARED = re.compile(r"-shm[\"<>]")  # SQLite's index of the WAL, made anew by whoever needs it


class Call(NamedTuple):
    """One of them: the `number`th of its name in its process."""

    name: str
    number: int
    line: str

    @property
    def is_shared_memory(self) -> bool:
        return bool(_SHARED.search(self.line))


def need_strace() -> None:
    """Skip where no process may be traced."""
    need("strace")
    tried = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"nothing can be traced here: {tried.stderr.strip()}")


def changes(command: Sequence[object], below: Path, log: Path) -> list[Call]:
    """Run a command to its end; return its calls that change something below a directory, in order."""
    traced(command, log)
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    found: dict[tuple[str, int], Call] = {}
    for line in log.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        counts[match["pid"], match["call"]] += 1
        is_reading = match["call"] == "openat" and "O_CREAT" not in line and "O_TRUNC" not in line
        if str(below) in line and not is_reading:
            number = counts[match["pid"], match["call"]]
            found.setdefault((match["call"], number), Call(match["call"], number, line))
    return list(found.values())


def killed_at(call: Call, command: Sequence[object], log: Path) -> bool:
    """Run a command, of which a process is killed where it would make that call; tell whether one came there."""
    traced(command, log, "-e", f"inject={call.name}:signal=KILL:when={call.number}", code=None)
    return "killed by SIGKILL" in log.read_text(errors="replace")


def traced(command: Sequence[object], log: Path, *how: str, code: int | None = 0) -> None:
    """Run a command under strace."""
    whole = ["strace", "-f", "-y", "-s", "0", "-o", log, "-e", f"trace={','.join(CALLS)}", *how, "--", *map(str, command)]
    done = subprocess.run(whole, env=environment(), capture_output=True, text=True, timeout=300)
    assert code in (None, done.returncode), (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
