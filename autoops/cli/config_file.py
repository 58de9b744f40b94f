"""The configuration file, and the drop-ins of units, as commands change them: whole, and so that what runs takes them over."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from autoops import config as configuration
from autoops.cli.context import Context
from autoops.cli.output import say, warn
from autoops.config import Config
from autoops.errors import CannotTell, NotWritten, Refused, UsageError
from autoops.files import durable
from autoops.units import systemd


class File(NamedTuple):
    """The configuration file that is to be changed."""

    path: Path  # without links, so that a link stays one
    text: str
    config: Config
    is_system: bool  # the one that the units use


def open_file(ctx: Context) -> File:
    """Return the configuration file that a command is about. Raises UsageError, ConfigError."""
    if not ctx.config_file and not ctx.file.exists():
        raise UsageError(detail=f"which configuration? There is no {ctx.file}; name one with --config FILE")
    config = configuration.load(ctx.file)
    path = ctx.file.resolve()
    return File(path, path.read_text(), config, is_of_units(ctx.file))


def is_of_units(file: Path) -> bool:
    """Tell whether a configuration file is the one that the units use, or what that is a link to."""
    return configuration.DEFAULT_FILE.parent in (file.parent, file.resolve().parent)


def changed_config(file: File, text: str, wanted: Config) -> Config:
    """Return what the file will say with this text. Raises ConfigError, Refused when that is not what is wanted."""
    changed = configuration.parse_file(text.encode(), file.path)
    if changed != wanted:
        raise Refused(detail=f"{file.path} is written in a way that this program does not change safely; edit it by hand")
    return changed


def write(files: Mapping[Path, str]) -> None:
    """Write files whole, with the modes they have or 0644; root leaves them to their owners. Raises NotWritten."""
    for path, text in files.items():
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            before = path.stat() if path.exists() else None
            durable.write(path, text.encode(), mode=stat.S_IMODE(before.st_mode) if before else 0o644)
            if before and os.geteuid() == 0:
                os.chown(path, before.st_uid, before.st_gid)
        except OSError as error:
            raise NotWritten.because(path, error) from None


def unlink(path: Path) -> None:
    """Remove a file, and its directory when that is empty then. Raises NotWritten."""
    try:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        raise NotWritten.because(path, error) from None


def take_effect(file: File, units: tuple[str, ...] = systemd.DAEMONS) -> None:
    """Have these services take it over, if they run, or say how."""
    if not file.is_system:
        say("what runs with this file takes it over when it is restarted, or at kill -HUP (autoops status tells the processes)")
        return
    try:
        systemd.act("daemon-reload")
        shown = systemd.show([systemd.TARGET, *units], ("ActiveState",))
        running = [one["Id"] for one in shown if one.get("ActiveState") in ("active", "activating", "reloading")]
        restarted = units if systemd.TARGET in running else tuple(unit for unit in units if unit in running)
        if restarted:
            systemd.act("reset-failed", *restarted)  # one that has failed too often may try again: its reason may be gone
            systemd.act("restart", *restarted)
    except CannotTell as error:
        how = f"for it to take effect: systemctl daemon-reload; systemctl restart {' '.join(units)}"
        warn(f"autoops: {error.facts['detail']}; {how}")
        return
    say(f"systemd: reloaded; restarted: {', '.join(restarted) or 'nothing, for nothing runs (systemctl start autoops.target)'}")
