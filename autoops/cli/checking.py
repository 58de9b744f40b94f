"""One run of the health checks, for `autoops health` and `autoops-health`: who is told of it, and how."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from autoops.cli.context import Context
from autoops.cli.output import as_json, warn
from autoops.core.ledger import Head, utc
from autoops.errors import AutoopsError
from autoops.files import durable
from autoops.health import report
from autoops.health.result import Level, Result
from autoops.health.run import examined
from autoops.health.sources import Settings, Sources
from autoops.store.registry import Registry

if TYPE_CHECKING:
    from autoops.health.heartbeat import Signal  # which loads what talks to networks


class Asked(NamedTuple):
    """What to print."""

    verbose: bool = False  # also what is well
    json: bool = False


def _validate(registry: Registry, head: Head) -> Iterator[str]:
    """Yield what validate-registry finds wrong."""
    from autoops.prove import verify  # needed once a day

    for fault in (*verify.database(registry), *verify.entries(registry, head)):
        yield f"{fault.check}: {fault.detail}"


def looking(ctx: Context) -> Settings:
    """Return the settings of checks that write nothing, and therefore validate nothing either."""
    return Settings(ctx.state, ctx.running_config, lambda _registry, _head: (), may_write=False)


def run(ctx: Context, asked: Asked) -> int:
    """Check everything, tell everybody, and return the exit code: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""
    began_s = time.monotonic()
    with contextlib.ExitStack() as opened:
        sources = Sources(Settings(ctx.state, ctx.running_config, _validate), opened)
        results = examined(sources)
        results += _exported(sources, results, began_s)
    facts = report.as_facts(results, utc(time.time()))
    with contextlib.suppress(OSError):  # no room, or another user: whoever reads it sees how old it is
        durable.write(ctx.state.last_health, json.dumps(facts).encode(), mode=0o640)
    if asked.json:
        as_json(facts)
    else:
        print(report.headline(results))
        for result in report.problems(results) if not asked.verbose else results:
            print(report.line(result))
    return int(report.level_of(results))


def tell(ctx: Context, signal: Signal) -> None:
    """Tell the heartbeat address that a check begins, or how the last one ended. That this fails is said, and changes nothing."""
    from autoops.health import heartbeat

    try:
        limits = ctx.running_config().health
        url = heartbeat.address(limits.heartbeat_url, os.environ)
    except (AutoopsError, OSError, ValueError) as error:
        warn(f"autoops-health: who is to be told of a heartbeat cannot be read: {error}")
        return
    if not url:
        warn("autoops-health: nobody is told: neither [health] heartbeat_url nor the credential heartbeat-url is there")
        return
    ending, said = heartbeat.message(signal, ctx.state.last_health, time.time())
    fault = heartbeat.send(url, ending, said, limits.heartbeat_timeout_s)
    if fault:
        warn(f"autoops-health: {heartbeat.shown(url)} was not told: {fault}")


def _exported(sources: Sources, results: Sequence[Result], began_s: float) -> list[Result]:
    """Write the textfile of Prometheus; return what kept us from it."""
    path = sources.limits.textfile
    if not path:
        return []
    from autoops.health import metrics

    text = metrics.text(results, metrics.counted(sources, time.time()), time.time(), time.monotonic() - began_s)
    try:
        durable.write(Path(path), text.encode(), mode=0o644)  # another user's program reads it
    except OSError as error:
        return [Result("textfile", Level.WARNING, f"{path} cannot be written: {error.strerror}", remedy="RUNBOOK, 'Metrics'")]
    return []
