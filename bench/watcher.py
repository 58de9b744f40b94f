"""One watcher at work, with its adapter: started, asked what it reported, stopped."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.losses import Report
from bench.setting import Setting

WATCHERS = {
    "raw": "",
    "inotifywait": "program inotifywait",
    "watchman": "program watchman",
    "watchman-fast": "program watchman",
    "watchdog": "own watchdog",
    "watchfiles": "module watchfiles",
    "watchfiles-fast": "module watchfiles",
    "autoops": "autoops",
}
START_S = 120.0
CALM_S = 2.5
LIMIT_S = 90.0


class WatcherFailed(Exception):
    """A watcher did not start."""


class Watcher:
    """A running watcher and its log."""

    def __init__(self, name: str, root: Path, place: Path, setting: Setting) -> None:
        self._log = place / "log"
        self._log.touch()
        self._tools: list[int] = []
        python = setting.peers_python if WATCHERS[name].startswith("module") else sys.executable
        with (place / "errors").open("wb") as said:
            self._adapter = subprocess.Popen(
                [python, "-m", "bench.watchers", name, str(root), str(self._log)],
                env=setting.environment(),
                stdout=subprocess.PIPE,
                stderr=said,
                bufsize=0,
            )
        try:
            self._wait_ready(place / "errors")
        except BaseException:
            self.stop()
            raise

    def _wait_ready(self, errors: Path) -> None:
        stream = self._adapter.stdout
        assert stream
        while select.select([stream], [], [], START_S)[0]:
            words = stream.readline().split()
            if words[:1] == [b"CHILD"]:
                self._tools.append(int(words[1]))
            elif words == [b"READY"]:
                return
            elif not words:
                break
        raise WatcherFailed(errors.read_text(errors="replace")[-400:].strip() or "it did not become ready")

    def tools(self) -> list[int]:
        """Return the processes that are the tool: without the adapter where it has some of its own."""
        return self._tools or [self._adapter.pid]

    def adapters(self) -> list[int]:
        """Return the processes that only read the tool's reports."""
        return [self._adapter.pid] if self._tools else []

    def reports(self) -> list[Report]:
        """Return what was reported so far."""
        lines = (line.split(b" ", 2) for line in self._log.read_bytes().split(b"\n"))
        return [Report(int(words[0]), words[1].decode(), os.fsdecode(words[2])) for words in lines if len(words) == 3]

    def wait_calm(self) -> None:
        """Wait until nothing was reported for a while."""
        deadline = time.monotonic() + LIMIT_S
        size, since = -1, time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - since <= CALM_S:
            time.sleep(0.1)
            if (now := self._log.stat().st_size) != size:
                size, since = now, time.monotonic()

    def stop(self) -> None:
        """End the tool and its adapter, and see them gone."""
        for pid in self._tools:
            _signal(pid)
        self._adapter.terminate()
        try:
            self._adapter.wait(20)
        except subprocess.TimeoutExpired:
            self._adapter.kill()
            self._adapter.wait()
        if self._adapter.stdout:
            self._adapter.stdout.close()


def _signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it ended by itself
