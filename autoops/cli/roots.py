"""`autoops root ...`: which trees are watched; under systemd also how far the services' sandbox is opened for them.

Reads and writes the configuration file and, for the one in /etc/autoops, drop-ins of the daemons' units; then restarts what runs.
"""

from __future__ import annotations

import dataclasses
import grp
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from autoops import config as configuration
from autoops import names
from autoops.cli.config_file import File, changed_config, is_of_units, open_file, take_effect, unlink, write
from autoops.cli.context import Context
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context, one_of
from autoops.cli.output import as_json, say, table, warn
from autoops.config import Config, RootConfig, edit
from autoops.config.schema import POLICIES
from autoops.errors import Refused, RootRefused, RootUnknown, UsageError
from autoops.files import opening
from autoops.model import CANARY
from autoops.units import access, dropins
from autoops.units.dropins import Opening

root_app = typer.Typer(help="The watched trees: list, add, remove.", no_args_is_help=True)

ChangedOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", readable=False, help="The file to change. Default: /etc/autoops/autoops.toml."),
]
_KEPT = "what is registered of it stays registered; its files are looked at no more"


# list


@root_app.command("list")
def list_roots(state: StateOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the watched trees, and whether the services can read them."""
    ctx = context(state, config)
    settings, is_system = ctx.running_config(), ctx.file.exists() and is_of_units(ctx.file)
    found = [_about(root, settings, is_system) for root in settings.roots]
    if json:
        as_json(found)
        return
    if not found:
        say("no root is configured: autoops root add DIR")
        return
    rows = [(one["name"], one["path"], one["policy"], one["trouble"] or "good") for one in found]
    table([("name", "path", "policy", "state"), *rows])


def _about(root: RootConfig, settings: Config, is_system: bool) -> dict[str, object]:
    there = [str(path) for path in _dropins_of(root.name)] if is_system else []
    trouble = "" if os.path.isdir(root.path) else "is not there"
    if not trouble and is_system:
        text = "".join(Path(path).read_text(errors="replace") for path in there)
        opening = _opening(root, settings, read_all="CAP_DAC_READ_SEARCH" in text, group=_group_in(text))
        trouble = _trouble(opening)
    return {
        "drop_ins": there,
        "name": root.name,
        "path": names.text(root.path),
        "policy": root.policy,
        "trouble": trouble,
    }


def _dropins_of(name: str) -> list[Path]:
    return [path for unit in dropins.ALL if (path := dropins.file_of(name, unit)).exists()]


def _group_in(text: str) -> str:
    return next((line.partition("=")[2] for line in text.splitlines() if line.startswith("SupplementaryGroups=")), "")


# add


@root_app.command()
def add(
    directory: Annotated[Path, typer.Argument(metavar="DIR", readable=False, help="The tree to watch.")],
    name: Annotated[str, typer.Option("--name", help="What the registry calls it. Default: the path.")] = "",
    policy: Annotated[
        str, typer.Option("--policy", help="observe: write nothing; register; rename: put IDs into names.")
    ] = "register",
    read_all: Annotated[
        bool, typer.Option("--read-all", help="Let the services read every file, whatever its permissions (a capability).")
    ] = False,
    canary: Annotated[
        bool, typer.Option("--canary", help="Let the health check rewrite .autoops-canary in it, to see that changes are noticed.")
    ] = False,
    group: Annotated[str, typer.Option("--group", metavar="G", help="Make the services a member of this group.")] = "",
    config: ChangedOption = None,
    state: StateOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Watch one more tree: add it to the configuration, open the services' sandbox for it, and restart them."""
    ctx = context(state, config)
    file = open_file(ctx)
    root = dataclasses.replace(_new_root(directory, name, policy, file.config), canary=canary)
    text = edit.with_root(file.text, root)
    changed = changed_config(file, text, dataclasses.replace(file.config, roots=(*file.config.roots, root)))
    _refuse_bad_place(ctx, file.config, changed)
    opening = _opening(root, changed, read_all=read_all, group=_known_group(group))
    if not file.is_system and (read_all or group):
        raise UsageError(detail="--read-all and --group open the sandbox of the units, which use the configuration in /etc/autoops")
    planned = dropins.files(opening) if file.is_system else {}
    if dry_run:
        _show_plan(file, text[len(file.text) :].lstrip("\n"), planned)
    else:
        if canary and file.is_system:
            _make_canary(root.path)
        write(planned)
        write({file.path: text})
        say(f"watched from now on: {names.show(root.path)} as {root.name!r}, policy {root.policy}")
        for path in planned:
            say(f"written: {path}")
    trouble = _trouble(opening) if file.is_system else ""
    if trouble:
        warn(f"autoops: the services cannot use it yet: {trouble}")
        warn(f"  hint: {access.ways_out(opening, trouble)}")
    if not dry_run:
        take_effect(file)


def _new_root(directory: Path, name: str, policy: str, config: Config) -> RootConfig:
    path = os.path.abspath(os.fsencode(directory))
    shown = names.show(path)
    if path == b"/":
        raise RootRefused(
            path="/", reason="it is the whole system, with all that changes by itself", remedy="name the trees that count"
        )
    if name and not (name.isprintable() and name.strip()):
        raise UsageError(detail=f"--name must be a word or sentence of one line; got {names.show(name)}")
    root = RootConfig(path, name, one_of(policy, POLICIES, "--policy"))
    for other in config.roots:
        if other.path == path:
            raise RootRefused(path=shown, reason="it is a root already", remedy=f"autoops root remove {shown}, to add it anew")
        if other.name == root.name:
            taken = f"the name {root.name!r} is taken by {names.show(other.path)}"
            raise RootRefused(path=shown, reason=taken, remedy="give it another --name")
    return root


def _refuse_bad_place(ctx: Context, before: Config, after: Config) -> None:
    """Raise what is wrong with the new root, the last one; what is wrong with another one (a disk not mounted) is no reason."""
    known = {str(fault) for fault in configuration.check_roots(before, ctx.state.directory)}
    for fault in configuration.check_roots(after, ctx.state.directory):
        if str(fault) not in known:
            raise fault
    path = after.roots[-1].path
    try:
        with opening.directory(path, b"") as fd:
            opening.require_documents(fd)
    except opening.Pseudo:
        remedy = "name a tree that holds documents"
        raise RootRefused(path=names.show(path), reason="what is in it is the kernel talking", remedy=remedy) from None


def _known_group(group: str) -> str:
    if group:
        try:
            grp.getgrnam(group)
        except KeyError:
            raise UsageError(detail=f"there is no group {names.show(group)}") from None
    return group


def _opening(root: RootConfig, config: Config, *, read_all: bool, group: str) -> Opening:
    writes = root.policy == "rename" or (config.worker.xattr_id and root.policy != "observe")
    return Opening(root.name, os.path.realpath(root.path), writes, read_all, group, root.canary)


def _make_canary(root: bytes) -> None:
    """Make the one file of a root that the health check's unit may write, and give it to the services. Raises RootRefused."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with opening.directory(root, b"") as directory:
            fd = os.open(CANARY, flags, 0o640, dir_fd=directory)
    except OSError as error:
        raise RootRefused(path=names.show(root), reason=f"{CANARY} cannot be made in it: {error.strerror}", remedy="") from None
    try:
        found, who = os.fstat(fd), access.service_user()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            reason = f"what is called {CANARY} in it is no file of its own"
            raise RootRefused(path=names.show(root), reason=reason, remedy="remove it")
        if who and os.geteuid() == 0:
            os.fchown(fd, who.uid, -1)
    finally:
        os.close(fd)


def _trouble(opening: Opening) -> str:
    """Return why the services cannot read a root, "" when they can or nobody knows."""
    try:
        who = access.service_user([grp.getgrnam(opening.group).gr_gid] if opening.group else [])
    except KeyError:
        return f"there is no group {opening.group} any more: no service starts that is to be in it"
    if who is None:
        return ""
    try:
        return access.why_closed(opening, access.steps(opening.path), who)
    except OSError as error:
        return f"{names.show(opening.path)}: {error.strerror}"


# remove


@root_app.command()
def remove(
    what: Annotated[str, typer.Argument(metavar="NAME|DIR", help="Its name, or its path.")],
    config: ChangedOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Watch a tree no more: take it out of the configuration, and close the services' sandbox again."""
    file = open_file(context(None, config))
    number = _find(what, file.config)
    root = file.config.roots[number]
    try:
        text = edit.without_root(file.text, number)
    except KeyError:
        raise Refused(detail=f"{file.path} does not write its roots as [[root]] tables; edit it by hand") from None
    others = (*file.config.roots[:number], *file.config.roots[number + 1 :])
    changed_config(file, text, dataclasses.replace(file.config, roots=others))
    opened = _dropins_of(root.name) if file.is_system else []
    if dry_run:
        say(f"would take out of {file.path}: the root {root.name!r} ({names.show(root.path)})")
        for path in opened:
            say(f"would remove {path}")
        return
    for path in opened:  # first: what was killed in between can be removed again
        unlink(path)
    write({file.path: text})
    say(f"watched no more: {names.show(root.path)}; {_KEPT}")
    take_effect(file)


def _find(what: str, config: Config) -> int:
    paths = [root.path for root in config.roots]
    for number, root in enumerate(config.roots):
        if root.name == what:
            return number
    for path in (os.path.abspath(os.fsencode(what)), names.to_bytes(what)):  # as it is on the disk, which wins; as it is printed
        if path in paths:
            return paths.index(path)
    raise RootUnknown(what=names.show(os.fsencode(what)), known=", ".join(names.show(root.name) for root in config.roots) or "none")


# what both do


def _show_plan(file: File, addition: str, planned: Mapping[Path, str]) -> None:
    say(f"would append to {file.path}:")
    print(addition)
    for path, text in planned.items():
        say(f"would write {path}:")
        print(text)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(root_app, name="root")
