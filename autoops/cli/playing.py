"""What `autoops-playbooks` and `autoops playbooks` share: what is wrong now, who carries out what, and a run by itself."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from autoops import log, names
from autoops.cli.checking import looking
from autoops.cli.context import Context, require_state
from autoops.config import Config, PlaybookConfig
from autoops.config.playbooks import HEALTH
from autoops.errors import ConfigError, StorageDenied, StorageFull
from autoops.health import run as checks
from autoops.health.result import Level, Result
from autoops.playbook import broker, emergency, lock, remedies, run
from autoops.playbook.decide import Trouble, is_for
from autoops.playbook.errors import AnotherRunner
from autoops.playbook.perform import Settings
from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.queue import Queue


class Ready(NamedTuple):
    """What a run works with, for as long as it holds the lock."""

    database: Database
    queue: Queue
    settings: Settings


def config_of(ctx: Context) -> Config:
    """Load the configuration; for root none that somebody else may have written. Raises ConfigError."""
    return ctx.config() if _is_for_another(ctx) else ctx.running_config()


def settings_of(ctx: Context, config: Config, tell: Callable[[str], None], asker: broker.Asker | None = None) -> Settings:
    """Return the settings of a run."""
    return Settings(config, ctx.state, ctx.config_file, lambda playbooks: look(ctx, playbooks), tell, asker)


def look(ctx: Context, playbooks: Sequence[PlaybookConfig]) -> list[Trouble]:
    """Return what is wrong of what these playbooks are for: their checks, and for each a finding that stands."""
    wanted = {one.trouble[1] for one in playbooks if one.trouble[0] == HEALTH}
    asked = [(name, check) for name, check in checks.CHECKS if name in wanted]
    found = [Trouble(HEALTH, one.name, "", one.level.name, one.text) for one in checks.run(looking(ctx), asked)]
    others = [one for one in playbooks if one.trouble[0] != HEALTH]
    if others:
        with ctx.queue_db(writable=False) as database:
            findings = Findings(database)
            found += filter(None, (_standing(findings, one) for one in others))
    return found


def _standing(findings: Findings, playbook: PlaybookConfig) -> Trouble | None:
    """Return the first finding that a playbook is for. There may be any number, with any subject."""
    with contextlib.closing(findings.each((playbook.trouble[1],))) as standing:
        made = (Trouble("finding", one.kind, names.show(one.subject.replace(b"\0", b"/")), "CRITICAL") for one in standing)
        return next((one for one in made if is_for(playbook, one)), None)


@contextlib.contextmanager
def ready(ctx: Context, config: Config, tell: Callable[[str], None]) -> Iterator[Ready]:
    """Hold the lock with everything opened. Where root works on the state of somebody else, this goes on as that one.

    Raises Paused, AnotherRunner, StorageError.
    """
    with _alone(ctx, config, tell) as settings, _opened(ctx) as (database, queue):
        yield Ready(database, queue, settings)


@contextlib.contextmanager
def _alone(ctx: Context, config: Config, tell: Callable[[str], None]) -> Iterator[Settings]:
    ctx.refuse_window()
    asker = _divided(ctx, config)  # first: root may not even see what is in the state, as a unit
    require_state(ctx.state)
    with lock.held(ctx.state.playbooks_lock):
        yield settings_of(ctx, config, tell, asker)


@contextlib.contextmanager
def _opened(ctx: Context) -> Iterator[tuple[Database, Queue]]:
    with ctx.queue_db() as database:
        yield database, Queue(database)
    ctx.wake_worker()


def run_once(ctx: Context) -> int:
    """Carry out whatever is due; return 0, also when a playbook failed: that is recorded and told. Raises Paused, StorageError."""
    config = config_of(ctx)
    if not config.playbooks.enabled or not config.playbook_tables:
        return 0
    spare = emergency.Spare.open(os.environ)  # before this becomes another user, who may not
    try:
        with _alone(ctx, config, lambda _: None) as settings:
            _run(ctx, settings, spare)
    except AnotherRunner as error:
        log.emit("look_put_off", service="playbooks", reason=str(error))
    return 0


def _run(ctx: Context, settings: Settings, spare: emergency.Spare | None) -> None:
    try:
        with _opened(ctx) as (database, queue):
            if spare and (runs := spare.read()):
                run.take_over(database, queue, runs)
                spare.write([])
            run.carry_out_due(database, queue, settings)
    except StorageFull:
        if spare is None:
            raise
        emergency.carry_out_due(settings, spare)


def _is_for_another(ctx: Context) -> bool:
    try:
        return os.geteuid() == 0 and os.lstat(ctx.state.queue_db.parent).st_uid != 0
    except (FileNotFoundError, NotADirectoryError):  # which is told by who opens the state
        return False
    except PermissionError as error:  # root without rights, in a directory that is closed to others
        raise StorageDenied(database=ctx.state.queue_db, user="root") from error


def _divided(ctx: Context, config: Config) -> broker.Asker | None:
    if not _is_for_another(ctx):
        return None
    limits = {one.name: one.timeout_s for one in config.playbook_tables}
    orders = {name: broker.Order(commands, limits[name]) for name, commands in remedies.orders(config).items()}
    return broker.split(ctx.state.queue_db.parent, orders)


def check_playbooks(ctx: Context) -> list[Result]:
    """Return whether what each playbook runs could be run, as far as that can be told without doing it."""
    try:
        config = config_of(ctx)
    except ConfigError:  # which has a check of its own
        return []
    if not config.playbook_tables:
        return [Result("playbooks", Level.OK, "none: nothing is mended by itself ([[playbook]])")]
    return [_judged(one) for one in config.playbook_tables]


def _judged(one: PlaybookConfig) -> Result:
    name = f"playbook {one.name}"
    faults = [fault for words in (one.command, one.only_if, one.verify) if words and (fault := _flaw(Path(words[0])))]
    if faults:
        return Result(name, Level.WARNING, "; ".join(faults), remedy="RUNBOOK, 'Playbooks'")
    return Result(name, Level.OK, f"{one.remedy}, for {one.when}")


def _flaw(program: Path) -> str:
    """Return why a program should not be run, "" when it may."""
    shown = names.show(os.fspath(program))
    try:
        found = program.stat()
    except OSError as error:
        return f"{shown} cannot be run: {error.strerror}"
    if not stat.S_ISREG(found.st_mode) or not os.access(program, os.X_OK):
        return f"{shown} is no program, or may not be run"
    return f"others may write {shown}" if found.st_mode & 0o022 else ""
