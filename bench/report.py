"""What every adapter in watchers.py uses to tell the harness what it saw."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

IGNORED = ".git"
START_S = 60.0


class Log:
    """The report, in the order in which it was seen."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=1 << 20)

    def write(self, kind: str, path: str | bytes, at_ns: int) -> None:
        """Note one report."""
        self._file.write(b"%d %s %s\n" % (at_ns, kind.encode(), os.fsencode(path)))

    def flush(self) -> None:
        """Let the harness see it."""
        self._file.flush()


def ready() -> None:
    """Tell the harness that it may begin."""
    print("READY", flush=True)


def child(process: subprocess.Popen[bytes]) -> None:
    """Tell the harness which process is the tool."""
    print("CHILD", process.pid, flush=True)
