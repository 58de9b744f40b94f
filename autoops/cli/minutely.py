"""What is run each minute where no timer does that, one run at a time, until the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from autoops.cli.context import Context

EACH_S = 60.0
_END_S = 10.0


class Alerts:
    """Runs of `autoops-alerts`, each in a process of its own."""

    def __init__(self, context: Context, log: Path) -> None:
        self._command = [sys.executable, "-m", "autoops.cli.alerter", "run", "--state", os.fspath(context.state.directory)]
        if context.config_file:
            self._command += ["--config", os.fspath(context.config_file)]
        self._log, self._due_s = log, time.monotonic() + EACH_S
        self._child: subprocess.Popen[bytes] | None = None

    def tick(self) -> None:
        """Begin a run if one is due and none is under way."""
        if time.monotonic() < self._due_s or (self._child is not None and self._child.poll() is None):
            return
        self._due_s = time.monotonic() + EACH_S
        with self._log.open("ab") as out:
            self._child = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)

    def close(self) -> None:
        """End the run that is under way; what it did not deliver is delivered by the next one."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
