"""What each remedy is: commands, which a person could type as well. Pure.

Remedies of autoops itself are its own commands, so that they do what they always do, with all their guards, and can be ended from
outside. Two are for root alone: restarting a unit, and removing files of the journal.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from autoops import names
from autoops.config import Config, PlaybookConfig

_OURS = (sys.executable, "-m", "autoops")


class Command(NamedTuple):
    """One command."""

    words: tuple[str, ...]
    is_roots: bool = False  # only root can
    is_theirs: bool = False  # the operator's: it gets a bare environment
    may_fail: bool = False  # then what follows tells

    @property
    def shown(self) -> str:
        """What a person would type."""
        words = ("autoops", *self.words[len(_OURS) :]) if self.words[: len(_OURS)] == _OURS else self.words
        return names.show(shlex.join(words))


def commands_of(one: PlaybookConfig, config: Config, state: Path, config_file: Path | None) -> tuple[Command, ...]:
    """Return the commands of a playbook's remedy, in order; each has to end with 0 before the next one."""
    if one.remedy == "command":
        return (Command(one.command, is_theirs=True),)
    if one.remedy in _ROOTS:
        return _ROOTS[one.remedy](one)
    words = _OWN[one.remedy](one, {root.name: os.fsdecode(root.path) for root in config.roots})
    here = ("--state", os.fspath(state), *(("--config", os.fspath(config_file)) if config_file and words.reads_config else ()))
    return (Command((*_OURS, *words.command, *here, *(("--", *words.about) if words.about else ()))),)


class _Words(NamedTuple):
    command: tuple[str, ...]
    about: tuple[str, ...] = ()  # what follows --: it may look like an option
    reads_config: bool = False


_OWN: Mapping[str, Callable[[PlaybookConfig, Mapping[str, str]], _Words]] = {
    "reset-jobs": lambda one, _: _Words(("queue", "rescue", "--older-than", f"{one.older_than_s:.0f}s")),
    "prune-backups": lambda one, _: _Words(("backup", "prune", "--floor", str(one.floor)), reads_config=True),
    "vacuum-logs": lambda one, _: _Words(("logs", "--vacuum", str(one.keep_bytes))),
    "checkpoint": lambda one, _: _Words(("queue", "checkpoint")),
    "rebuild-catalog": lambda one, _: _Words(("catalog", "build", "--verify"), (one.catalog,), reads_config=True),
    "rescan-root": lambda one, places: _Words(("scan",), (places.get(one.root, one.root),), reads_config=True),
}
_ROOTS: Mapping[str, Callable[[PlaybookConfig], tuple[Command, ...]]] = {
    "vacuum-journal": lambda one: (Command(("journalctl", "--rotate", f"--vacuum-size={one.keep_bytes}"), is_roots=True),),
    "restart-unit": lambda one: (
        # one that was started too often is not started before that is forgotten; of one that is not loaded nothing is
        Command(("systemctl", "reset-failed", "--", one.unit), is_roots=True, may_fail=True),
        Command(("systemctl", "restart", "--", one.unit), is_roots=True),
    ),
}


def orders(config: Config) -> dict[str, tuple[Command, ...]]:
    """Return what root may be asked for, by the name of the playbook: nothing but what the configuration says."""
    found = {one.name: commands_of(one, config, Path(), None) for one in config.playbook_tables}
    return {name: commands for name, commands in found.items() if all(command.is_roots for command in commands)}
