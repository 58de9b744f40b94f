"""What `autoops up` runs now and then beside the services: the reconciler and the scrub, programs that end by themselves.

Under systemd, timers do this. When each has ended last is remembered, so that both run too where `up` is started each morning and
stopped at night. While it runs only the time since the boot counts: a clock that is set meanwhile puts nothing off. Reads the
maintenance flag; writes queue/rounds.json (losing that puts off each by one interval).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from autoops.core.ledger import utc
from autoops.files import durable
from autoops.runtime import maintenance
from autoops.state import State

_BEGUN_S = 60.0  # so long after the start the first scans have most to say
PAUSED = 5  # the exit code


class Round(NamedTuple):
    """One program."""

    name: str
    interval_s: float  # from one end to the next beginning; 0: never
    good: tuple[int, ...]  # the exit codes that are no failure of the program
    in_window: bool = False  # also in a maintenance window


def due_s(interval_s: float, last_s: float | None, began_s: float) -> float:
    """Return when a round is due, given when it ended last and when `up` began; all but the interval in seconds since 1970.

    Never right at the beginning. A time to come, of a clock that was set back since, is no memory.
    """
    last_s = began_s if last_s is None or last_s > began_s else last_s
    return max(last_s + interval_s, began_s + min(interval_s, _BEGUN_S))


class Now(NamedTuple):
    """One moment: seconds since the boot, and since 1970."""

    boot_s: float
    wall_s: float


class Rounds:
    """The rounds of one `up`."""

    def __init__(self, state: State, rounds: Sequence[Round], start: Callable[[str], subprocess.Popen[bytes]], began: Now) -> None:
        """`start` starts a program by its name; `began`: now."""
        self._state, self._start = state, start
        self._rounds = [one for one in rounds if one.interval_s]
        self._last_s = recall(state.rounds)
        since_boot_s = began.boot_s - began.wall_s
        self._due_s = {
            one.name: since_boot_s + due_s(one.interval_s, self._last_s.get(one.name), began.wall_s) for one in self._rounds
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def tend(self, now: Now) -> list[tuple[str, int]]:
        """Start what is due, unless a maintenance window is open; return what has failed: names and exit codes."""
        failed = []
        for one in self._rounds:
            child, is_due = self.running.get(one.name), now.boot_s >= self._due_s[one.name]
            if child is None and is_due and (one.in_window or not maintenance.is_set(self._state.flag)):
                self.running[one.name] = self._start(one.name)
            elif child is not None and child.poll() is not None:
                failed += self._ended(one, child.returncode, now)
        return failed

    def _ended(self, one: Round, code: int, now: Now) -> list[tuple[str, int]]:
        del self.running[one.name]
        self._due_s[one.name] = now.boot_s + (min(one.interval_s, _BEGUN_S) if code == PAUSED else one.interval_s)
        if code != PAUSED:
            self._last_s[one.name] = now.wall_s
            remember(self._state.rounds, self._last_s)
        return [] if code in one.good else [(one.name, code)]

    def status(self, now: Now) -> dict[str, str]:
        """Return what each does, or when it is due."""
        due_s = {one.name: now.wall_s + self._due_s[one.name] - now.boot_s for one in self._rounds}
        return {name: "running" if name in self.running else f"next {utc(at_s)}" for name, at_s in due_s.items()}


def recall(memory: Path) -> dict[str, float]:
    """Return when each round ended last, nothing when that cannot be read."""
    try:
        return {str(name): float(at_s) for name, at_s in json.loads(memory.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember(memory: Path, last_s: dict[str, float]) -> None:
    """Keep it; where nothing can be written (a full disk) the next `up` waits a whole interval."""
    try:
        durable.write(memory, json.dumps(last_s).encode())
    except OSError:
        return
