"""`autoops status`: one screen about services, timers, queue, registry, coverage, maintenance, findings and health."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import typer

from autoops.cli.checking import looking
from autoops.cli.context import Context
from autoops.cli.options import JsonOption as Json
from autoops.cli.options import StateOption, context
from autoops.cli.output import as_json, say
from autoops.core.ledger import utc
from autoops.core.spoken import age, counted
from autoops.errors import CannotTell
from autoops.health import registry as validation
from autoops.health import report, verification
from autoops.health.run import examined
from autoops.health.sources import Sources
from autoops.model import JSON
from autoops.runtime.maintenance import Maintenance
from autoops.store.backlog import Backlog
from autoops.store.findings import Findings
from autoops.store.operations import Gaps
from autoops.units import systemd
from autoops.units.systemd import Shown


def status(state: StateOption = None, json: Json = False) -> None:
    """Show what runs, what is registered, what waits, and what is wrong."""
    facts = facts_of(context(state))
    if json:
        as_json(facts)
        return
    for line in lines(facts):
        say(line)


def facts_of(ctx: Context) -> JSON:
    """Return everything that status shows. Raises StorageError."""
    ctx.registry().close()  # without databases there is nothing to show, and why is an error with a hint
    ctx.queue_db(writable=False).close()
    with contextlib.ExitStack() as opened:
        sources = Sources(looking(ctx), opened)
        return _facts(sources)


def _facts(sources: Sources) -> JSON:
    registry, database = sources.registry, sources.queue_db
    backlog, head = Backlog(database), registry.head()
    results = examined(sources)
    units = _units(sources)
    return {
        "described_total": backlog.counter("described"),
        "digest": head.digest.hex(),
        "entries": registry.counts(),
        "findings": Findings(database).counts(),
        "gaps": len(Gaps(database).open_gaps()),
        "health": {
            "level": report.level_of(results).name,
            "problems": {result.name: result.text for result in report.problems(results)},
            "remembered": _remembered(sources, time.time()),
        },
        "maintenance": _window(sources.window),
        "processes": _processes(sources),
        "queue": backlog.counts(),
        "sequence": head.sequence,
        "timers": [_timer(one) for one in units if one["Id"].endswith(".timer")],
        "to_describe": registry.pending_count(),
        "units": {one["Id"]: one.get("ActiveState", "") for one in units if not one["Id"].endswith(".timer")},
    }


def _remembered(sources: Sources, now_s: float) -> JSON:
    """Return when the checks that are too long to be made here were made last, by `autoops health`: by check, null for never."""
    state = sources.state
    last = {"registry": validation.recall(state.verdict), "verification": verification.recall(state.verification)}
    return {name: {"age_s": max(0.0, now_s - one.at_s), "at": utc(one.at_s)} if one else None for name, one in last.items()}


def _processes(sources: Sources) -> JSON:
    return {
        name: {"alive": alive is not False, "pid": beat.pid, "state": beat.state, "status": beat.status}
        for name, (beat, alive) in sources.beats.items()
    }


def _units(sources: Sources) -> Sequence[Shown]:
    with contextlib.suppress(CannotTell):  # not under systemd, or it does not answer: then there is nothing to show
        return sources.units
    return []


def _timer(shown: Shown) -> JSON:
    at = {name: systemd.seconds(shown.get(name, "")) for name in ("NextElapseUSecRealtime", "LastTriggerUSec")}
    following, last = at["NextElapseUSecRealtime"], at["LastTriggerUSec"]
    return {
        "active": shown.get("ActiveState", ""),
        "last": utc(last) if last else None,
        "next": utc(following) if following else None,
        "unit": shown["Id"],
    }


def _window(found: Maintenance | None) -> JSON:
    if found is None:
        return {"open": False}
    facts = found._asdict()
    return {"open": True, "said": str(found), **facts, "what": list(facts["what"])}


def lines(facts: JSON) -> list[str]:
    """Return the screen, line by line."""
    told = [
        f"{name}: {'running' if process['alive'] else 'not running'} (process {process['pid']}); {process['status']}"
        for name, process in facts["processes"].items()
    ]
    if facts["units"]:
        told.append("units: " + ", ".join(f"{name.removesuffix('.service')} {active}" for name, active in facts["units"].items()))
    told += [_timer_line(timer) for timer in facts["timers"]]
    told += [
        "entries: " + ", ".join(f"{count} {name}" for name, count in facts["entries"].items()),
        f"commit {facts['sequence']}, registry hash {str(facts['digest'])[:16]}..., {facts['to_describe']} to describe",
        "queue: " + ", ".join(f"{count} {name}" for name, count in facts["queue"].items()),
        f"not watched: {counted(facts['gaps'], 'place')} (autoops coverage);"
        f" findings: {_findings(facts['findings'])} (autoops findings)",
        f"maintenance: {_maintenance_line(facts['maintenance'])}",
    ]
    health = facts["health"]
    when = ", ".join(f"{name}: {_ago(last)}" for name, last in health["remembered"].items())
    problems = "".join(f"\n  {name}: {text}" for name, text in health["problems"].items())
    return [*told, *f"health: {health['level']} (checked now, but for {when}){problems}".split("\n")]


def _ago(last: JSON | None) -> str:
    return f"{age(last['age_s'])} ago" if last else "never"


def _timer_line(timer: JSON) -> str:
    following = f"next {timer['next']}" if timer["next"] else f"no next run ({timer['active']})"
    return f"timer: {timer['unit'].removesuffix('.timer')} {following}, last {timer['last'] or 'never'}"


def _findings(counts: dict[str, int]) -> str:
    named = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return f"{sum(counts.values())}: {named}" if counts else "0"


def _maintenance_line(window: JSON) -> str:
    if not window["open"]:
        return "no window is open"
    return f"a window is open{': ' + window['said'] if window['said'] else ''}"


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(status)
