"""The maintenance flag: a file whose existence pauses autoops, and what its author wrote into it.

Guarantee: whatever is there pauses, readable or not, empty or nonsense. Reads the flag; writes nothing.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import NamedTuple

from autoops import names

MAX_BYTES = 65536
KEYS = ("who", "since", "why", "until", "what")


class Maintenance(NamedTuple):
    """What a flag says; "" for what it does not say. All text is fit to be shown."""

    who: str = ""
    since: str = ""
    why: str = ""
    until: str = ""
    what: tuple[str, ...] = ()  # the paths that are going to be edited
    fault: str = ""  # what is wrong with the flag itself

    def __str__(self) -> str:
        said = [self.why]
        said += [f"{word} {value}" for word, value in (("by", self.who), ("since", self.since), ("until", self.until)) if value]
        if self.fault:
            said.append(f"the flag itself is faulty: {self.fault}")
        return ", ".join(part for part in said if part)


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
    except tomllib.TOMLDecodeError as error:
        return Maintenance(fault=f"not TOML: {names.show(str(error))}")
    unknown = [names.show(key) for key in facts if key not in KEYS]
    fault = f"unknown key {', '.join(unknown)}; known: {', '.join(KEYS)}" if unknown else ""
    what = facts.get("what", [])
    paths = tuple(names.show(str(path)) for path in (what if isinstance(what, list) else [what]))
    who, since, why, until = (names.show(str(facts.get(key, ""))) for key in KEYS[:4])
    return Maintenance(who, since, why, until, paths, fault)


def _content(flag: Path) -> bytes:
    descriptor = os.open(flag, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not hold us up
    with open(descriptor, "rb") as file:  # noqa: PTH123
        return file.read(MAX_BYTES)
