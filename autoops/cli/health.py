"""`autoops health`, `doctor` and `note-failure`: is all well, is all as it has to be, and what has failed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

from autoops import journal, log, names
from autoops.cli.options import ConfigOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say
from autoops.core.drift import UNIT_FAILED
from autoops.core.ledger import Head, utc
from autoops.errors import CannotTell
from autoops.health import report
from autoops.health.result import Level
from autoops.health.run import run
from autoops.health.sources import Settings
from autoops.model import JSON
from autoops.prove import verify as proofs
from autoops.store.findings import Findings
from autoops.store.registry import Registry
from autoops.units import systemd

_SUBJECT_CHARACTERS = 255  # systemd's own limit for the name of a unit


def validate(registry: Registry, head: Head) -> Iterator[str]:
    """Yield what validate-registry finds wrong."""
    for fault in (*proofs.database(registry), *proofs.entries(registry, head)):
        yield f"{fault.check}: {fault.detail}"


def health(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also say what is well.")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Check everything. Exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; the first line is a monitoring plugin's."""
    if journal.is_journal(os.environ.get("JOURNAL_STREAM", ""), sys.stderr):  # elsewhere what is printed says it all
        log.configure("info", "journal", "autoops-health")
    ctx = context(state, config)
    results = run(Settings(ctx.state, ctx.running_config, validate))
    if json:
        as_json(report.as_facts(results, utc(time.time())))
    else:
        print(report.headline(results))
        for result in report.problems(results) if not verbose else results:
            print(report.line(result))
    raise typer.Exit(int(report.level_of(results)))


def doctor(state: StateOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Check what autoops stands on: permissions, sandbox, databases, key, clock, limits. 0 good, 1 wrong, 3 cannot tell."""
    from autoops.cli.alerting import check_channels
    from autoops.health import doctor as examination

    ctx = context(state, config)
    results = examination.run(Settings(ctx.state, ctx.running_config, validate))
    results += check_channels(ctx)
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


def note_failure(
    unit: Annotated[str, typer.Argument(help="The unit that failed.")],
    state: StateOption = None,
) -> None:
    """Note that a unit failed: in the log at priority err, and as a finding. systemd calls it (OnFailure=)."""
    name = unit[:_SUBJECT_CHARACTERS]
    detail = failure_of(name, os.environ)
    log.emit("unit_failed", unit=name, **detail)
    with context(state).queue_db() as database:
        Findings(database).open([(UNIT_FAILED, os.fsencode(name), detail)], int(time.time()))
    say(f"noted: {names.show(name)} failed ({detail['result']})")


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
