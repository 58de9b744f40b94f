"""`autoops health`, `doctor`, `note-failure` and `note-recovery`: is all well, is all as it has to be, and what has failed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Annotated

import typer

from autoops import log, names
from autoops.acting import as_owner_of
from autoops.cli.checking import Asked, looking, run
from autoops.cli.health_check import configure_log
from autoops.cli.options import ConfigOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say
from autoops.core.drift import UNIT_FAILED
from autoops.core.ledger import utc
from autoops.errors import CannotTell
from autoops.health import report
from autoops.health.result import Level
from autoops.model import JSON
from autoops.state import State
from autoops.store.findings import Findings
from autoops.units import systemd

_SUBJECT_CHARACTERS = 255  # systemd's own limit for the name of a unit


def health(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also say what is well.")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Check everything. Exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; the first line is a monitoring plugin's."""
    configure_log()
    raise typer.Exit(run(context(state, config), Asked(verbose, json)))


def doctor(state: StateOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Check what autoops stands on: permissions, sandbox, databases, key, clock, limits. 0 good, 1 wrong, 3 cannot tell."""
    from autoops.cli.alerting import check_channels
    from autoops.cli.playing import check_playbooks
    from autoops.health import doctor as examination

    ctx = context(state, config)
    results = examination.run(looking(ctx))
    results += [*check_channels(ctx), *check_playbooks(ctx)]
    code = examination.exit_code(results)
    if json:
        as_json({**report.as_facts(results, utc(time.time())), "code": code})
    else:
        for result in results:
            say(f"{_VERDICTS[result.level]:12} {result.name}: {result.text}")
            if result.level != Level.OK and result.remedy:
                say(f"{'':12} remedy: {result.remedy}")
    raise typer.Exit(code)


_VERDICTS = {Level.OK: "good", Level.WARNING: "WRONG", Level.CRITICAL: "WRONG", Level.UNKNOWN: "cannot tell"}


UnitArgument = Annotated[str, typer.Argument(help="The unit.")]


def note_failure(unit: UnitArgument, state: StateOption = None) -> None:
    """Note that a unit failed: in the log at priority err, and as a finding. systemd calls it (OnFailure=)."""
    name = unit[:_SUBJECT_CHARACTERS]
    detail = failure_of(name, os.environ)
    log.emit("unit_failed", unit=name, **detail)
    ctx = context(state)
    with ctx.queue_db() as database:
        Findings(database).open([(UNIT_FAILED, os.fsencode(name), detail)], int(time.time()))
    _mark(ctx.state, name)
    say(f"noted: {names.show(name)} failed ({detail['result']})")


def _mark(state: State, unit: str) -> None:
    """Have systemd see that a failure was noted, so that it says when the unit ran well."""
    if not systemd.is_unit(unit):
        return
    with as_owner_of(state.failed_units.parent):
        state.failed_units.mkdir(mode=0o700, exist_ok=True)
        (state.failed_units / unit).touch(mode=0o600)


def note_recovery(unit: UnitArgument, state: StateOption = None) -> None:
    """Note that a unit that failed ran well: its finding is closed. systemd calls it (OnSuccess=)."""
    name = unit[:_SUBJECT_CHARACTERS]
    ctx = context(state)
    with ctx.queue_db() as database:
        closed = Findings(database).close([(UNIT_FAILED, os.fsencode(name))], int(time.time()))
    if closed:
        log.emit("finding_closed", kind=UNIT_FAILED, path=os.fsencode(name))
    if systemd.is_unit(name):
        with as_owner_of(ctx.state.failed_units.parent):
            (ctx.state.failed_units / name).unlink(missing_ok=True)
    say(f"{names.show(name)} ran well: {'its failure is closed' if closed else 'no failure of it was noted'}")


def failure_of(unit: str, environment: Mapping[str, str]) -> JSON:
    """Return how a unit failed: what systemd passed on to us (systemd.exec(5), MONITOR_*), else what systemctl says."""
    if environment.get("MONITOR_UNIT") == unit:
        return {
            "result": names.show(environment.get("MONITOR_SERVICE_RESULT", "unknown")),
            "status": names.show(environment.get("MONITOR_EXIT_STATUS", "unknown")),
        }
    if systemd.is_unit(unit):
        try:
            for shown in systemd.show([unit], ("Result", "ExecMainStatus")):
                return {"result": shown.get("Result", "unknown"), "status": shown.get("ExecMainStatus", "unknown")}
        except CannotTell as error:
            return {"result": "unknown", "status": "unknown", "why": names.show(str(error))}
    return {"result": "unknown", "status": "unknown"}


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(health)
    app.command()(doctor)
    app.command("note-failure")(note_failure)
    app.command("note-recovery")(note_recovery)
