"""`autoops backup place`: which directory backups go to; under systemd also how far the sandbox is opened for it."""

from __future__ import annotations

import dataclasses
import os
import pwd
from pathlib import Path
from typing import Annotated

import typer

from autoops import names
from autoops.backup.place import Place
from autoops.cli.checking import looking
from autoops.cli.config_file import File, changed_config, open_file, take_effect, unlink, write
from autoops.cli.context import Context
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say, warn
from autoops.config import Config, edit, root_around
from autoops.errors import NotWritten, UsageError
from autoops.files import opening
from autoops.health import doctor
from autoops.health.result import Level
from autoops.units import access, backups

_SHIPPER = ("autoops-shipper.service",)  # the others are started when it is their time


def place(
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", readable=False, help="The directory; nothing: show the present one.")
    ] = None,
    own: Annotated[bool, typer.Option("--own", help="The one of the state directory, which is the default.")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Say where backups go; or from now on elsewhere: make the directory, open the sandbox, change the configuration."""
    ctx = context(state, config)
    if directory is None and not own:
        return _show(ctx, json=json)
    if directory is not None and own:
        raise UsageError(detail="give a directory or --own, not both")
    file = open_file(ctx)
    path = _refused_or_real(ctx, file.config, directory) if directory else ""
    wanted = dataclasses.replace(file.config, backup=dataclasses.replace(file.config.backup, directory=path))
    text = edit.with_backup_directory(file.text, path)
    changed_config(file, text, wanted)
    planned = backups.files(os.fsencode(path)) if file.is_system and path else {}
    known = [backups.file_of(unit) for unit in (*backups.UNITS, backups.READER)] if file.is_system else []
    gone = [one for one in known if one not in planned and one.exists()]
    if dry_run:
        return _show_plan(file, path, planned, gone)
    if path:
        _make(ctx, Path(path), file)
    write({**planned, file.path: text})
    for left in gone:
        unlink(left)
    before = Place.of(ctx.state, file.config.backup.directory).directory
    say(f"backups go to {path or ctx.state.backups} from now on; what is in {before} stays there")
    take_effect(file, _SHIPPER)
    return None


def _show(ctx: Context, *, json: bool) -> None:
    """Show where backups go. 1: something is wrong with it."""
    settings = ctx.running_config()
    found = doctor.check_one("backup directory", looking(ctx))
    where = Place.of(ctx.state, settings.backup.directory).directory
    if json:
        as_json({"directory": str(where), "own": not settings.backup.directory, "trouble": found.text if found.level else ""})
    else:
        say(f"{where}: {'good' if found.level == Level.OK else found.text}")
        if found.level and found.remedy:
            warn(f"  hint: {found.remedy}")
    raise typer.Exit(1 if found.level else 0)


def _refused_or_real(ctx: Context, config: Config, directory: Path) -> str:
    """Return the path of a directory without links. Raises UsageError when backups cannot be kept there."""
    path = os.path.realpath(os.fsencode(directory))
    root = root_around(config, ctx.state.directory, directory)
    if root is not None:
        raise _refused(path, f"it lies in the watched root {names.show(root.name)}")
    if path.startswith(os.path.realpath(os.fsencode(ctx.state.directory)) + b"/"):
        raise _refused(path, "it lies in the state directory (--own: the one that is meant for backups there)")
    if os.path.ismount(path):
        raise _refused(
            path, "it is a mount point, and while its disk is not mounted backups would go elsewhere; name a directory in it"
        )
    if os.path.lexists(path) and not os.path.isdir(path):
        raise _refused(path, "it is no directory")
    there = Place(Path(os.fsdecode(path)))
    if os.path.isdir(path) and os.listdir(path) and not there.ledger.is_dir() and not there.snapshots.is_dir():
        raise _refused(path, "it holds other things; name a new directory, or an empty one")
    return os.fsdecode(path)


def _refused(path: bytes, why: str) -> UsageError:
    return UsageError(detail=f"backups cannot be kept in {names.show(path)}: {why}")


def _make(ctx: Context, path: Path, file: File) -> None:
    """Make the directory, for its owner alone. Raises UsageError, NotWritten."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        with opening.directory(b"/", os.fsencode(path).strip(b"/")) as fd:  # no link that was put there meanwhile
            os.fchmod(fd, 0o700)
            if os.geteuid() == 0:
                os.fchown(fd, *_writer(ctx, file))
    except FileNotFoundError:
        raise _refused(os.fsencode(path), f"{path.parent} is not there; is its disk mounted?") from None
    except OSError as error:
        raise NotWritten.because(path, error) from None
    who = access.service_user() if file.is_system else None
    trouble = access.why_no_way(access.steps(os.fsencode(path)), who) if who else ""
    if trouble:
        warn(f"autoops: the services cannot use it yet: {trouble}")


def _writer(ctx: Context, file: File) -> tuple[int, int]:
    """Return user and group of who writes backups."""
    if file.is_system:
        try:
            found = pwd.getpwnam(access.USER)
            return found.pw_uid, found.pw_gid
        except KeyError:
            pass  # the package is not installed: then who has the state directory runs the suite
    there = ctx.state.directory.stat()
    return there.st_uid, there.st_gid


def _show_plan(file: File, path: str, planned: dict[Path, str], gone: list[Path]) -> None:
    if path:
        say(f"would make {path}, mode 700, if it is not there")
    say(f"would set in {file.path}: [backup] directory = {edit.quoted(path)}")
    for one, text in planned.items():
        say(f"would write {one}:")
        print(text)
    for one in gone:
        say(f"would remove {one}")


def register(app: typer.Typer) -> None:
    """Add this command to the group."""
    app.command()(place)
