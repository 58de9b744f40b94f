"""The maintenance flag: a file whose existence pauses autoops, and what its author wrote into it.

Guarantee: whatever is there pauses, readable or not, empty or nonsense. Reads the flag; writes nothing.
"""

from __future__ import annotations

import datetime
import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from autoops import clock, names

MAX_BYTES = 65536
KEYS = ("who", "since", "why", "until", "what", "snapshot", "holder", "failed")


class Maintenance(NamedTuple):
    """What a flag says; "" for what it does not say. Raw, as its author wrote it: shown through `str` or names.show only."""

    who: str = ""
    since: str = ""
    why: str = ""
    until: str = ""  # RFC 3339
    what: tuple[str, ...] = ()  # what is going to be edited: paths, IDs, class:NAME
    snapshot: str = ""  # name of the copy of the registry that was taken before
    holder: str = ""  # boot, process and its start time: whoever holds the window open while a command runs
    failed: str = ""  # how that command ended, when it did not end well
    fault: str = ""  # what is wrong with the flag itself

    def __str__(self) -> str:
        said = [self.why]
        said += [f"{word} {value}" for word, value in (("by", self.who), ("since", self.since), ("until", self.until)) if value]
        if self.failed:
            said.append(f"its command {self.failed}")
        if self.fault:
            said.append(f"the flag itself is faulty: {self.fault}")
        return names.show(", ".join(part for part in said if part))

    def is_held(self, is_alive: Callable[[str, int, int], bool] = clock.is_alive) -> bool:
        """Tell whether a command that runs now holds this window open."""
        return bool(self.holder) and _lives(self.holder, is_alive)

    def alarm(self, now_s: float, is_alive: Callable[[str, int, int], bool] = clock.is_alive) -> str:
        """Return why somebody should look after this window, "" when all is as it should be."""
        end_s = time_of(self.until)
        if self.failed:
            return f"the command that held the window {names.show(self.failed)}"
        if self.holder and not self.is_held(is_alive):
            return "the command that held the window has died"
        return f"the window was to end at {names.show(self.until)}" if end_s is not None and now_s > end_s else ""


def _lives(holder: str, is_alive: Callable[[str, int, int], bool]) -> bool:
    boot, _, rest = holder.partition(":")
    pid, _, start = rest.partition(":")
    try:
        return is_alive(boot, int(pid), int(start))
    except ValueError:
        return False


def this_process() -> str:
    """Return the calling process as `holder` names it."""
    pid = os.getpid()
    return f"{clock.boot_id()}:{pid}:{clock.process_start(pid)}"


def time_of(moment: str, zone: datetime.tzinfo | None = None) -> float | None:
    """Return an RFC 3339 time as seconds since 1970, None when it is none; without a zone it is in this one (None: local time)."""
    try:
        found = datetime.datetime.fromisoformat(moment)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError, OSError):  # the year 1 has no local time
        return None


def is_set(flag: Path) -> bool:
    """Say whether the flag is there: a file, a dangling link, a directory, anything. Costs about 1 µs."""
    try:
        os.lstat(flag)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def read(flag: Path) -> Maintenance | None:
    """Return what the flag says, None when there is none."""
    if not is_set(flag):
        return None
    try:
        return parse(_content(flag).decode())
    except OSError as error:
        return None if isinstance(error, FileNotFoundError) and not is_set(flag) else Maintenance(fault=str(error.strerror))
    except UnicodeDecodeError:
        return Maintenance(fault="not UTF-8")


def parse(content: str) -> Maintenance:
    """Return what a flag with this content says: nothing at all, or TOML with any of KEYS."""
    try:
        facts = tomllib.loads(content)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError; a number of more than 4,300 digits; nested too deeply
        return Maintenance(fault=f"not TOML: {error}")
    faults = [f"unknown key {key}; known: {', '.join(KEYS)}" for key in facts if key not in KEYS]
    until = facts.get("until", "")
    until = until.isoformat() if isinstance(until, datetime.datetime) else str(until)
    if until and time_of(until) is None:
        faults.append(f"until = {until} is no time; write it as 2026-01-31T18:00:00+01:00")
    what = facts.get("what", [])
    paths = tuple(str(path) for path in (what if isinstance(what, list) else [what]))
    who, since, why, snapshot, holder, failed = (str(facts.get(key, "")) for key in KEYS if key not in ("until", "what"))
    return Maintenance(who, since, why, until, paths, snapshot, holder, failed, "; ".join(faults))


def text(said: Maintenance) -> str:
    """Return the content of a flag that says this."""
    facts = {key: value for key, value in said._asdict().items() if key in KEYS and value}
    # A JSON string without surrogates, DEL escaped, is a TOML basic string, and a list of them a TOML array (toml.io/en/v1.0.0).
    lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in facts.items())
    return "".join(lines).replace("\x7f", "\\u007f")


def _content(flag: Path) -> bytes:
    descriptor = os.open(flag, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not hold us up
    try:
        return os.read(descriptor, MAX_BYTES)
    finally:
        os.close(descriptor)
