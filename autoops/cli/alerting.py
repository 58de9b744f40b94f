"""What `autoops-alerts` and `autoops alerts` share: the settings of a run, and a run with its way out when there is no queue.db."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

from autoops import log
from autoops.alert import emergency, letter, mask, relay
from autoops.alert.channels import Channel, channels_of, receivers_of
from autoops.alert.decide import Rules
from autoops.alert.inhibit import KNOWN, Inhibition
from autoops.alert.rhythm import Rhythm
from autoops.alert.run import Settings, run
from autoops.alert.signal import Signal, of_check, of_finding
from autoops.cli.checking import looking
from autoops.cli.context import Context
from autoops.config import Config
from autoops.config.alerts import DAYS
from autoops.core.drift import REPORT_FAILED
from autoops.errors import ConfigError, StorageError
from autoops.health import run as checks
from autoops.health.result import Level, Result
from autoops.runtime.child import Child
from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.outbox import Retry
from autoops.store.queue import SCHEMA as QUEUE

_BUSY_S = 5.0


def settings_of(config: Config) -> Settings:
    """Return the settings that a configuration asks for."""
    alerts = config.alerts
    zone = ZoneInfo(alerts.time_zone) if alerts.time_zone else None
    rules = Rules(
        receivers_of(config.channels),
        Rhythm(alerts.business_hour, DAYS.index(alerts.digest_day), zone),
        alerts.warning_seen,
        alerts.warning_of,
        int(alerts.repeat_s),
        int(alerts.escalate_after_s),
        (*KNOWN, *(Inhibition(one.source, one.target) for one in config.inhibitions)),
    )
    retry = Retry(alerts.retry_first_s, alerts.retry_max_s, alerts.give_up_s)
    return Settings(
        channels_of(config.channels), rules, retry, alerts.dead_after_s, alerts.listed, socket.gethostname(), alerts.runbook
    )


def takers_of_reports(config: Config) -> list[str]:
    """Return the channels that a report is sent to: those of people that take infos."""
    return [one.name for one in config.channels if one.kind == "apprise" and "info" in one.severities and not one.escalation]


def run_once(context: Context) -> int:
    """Gather, decide and deliver once; return 0. Raises ConfigError; StorageError after what is critical was told all the same."""
    config, state = context.running_config(), context.state
    settings = settings_of(config)._replace(letter=lambda: letter.read(state.letter, state.letter_page))
    try:
        with Database.open(state.queue_db, QUEUE, guard=True, busy_s=_BUSY_S) as database:
            writer = _writer(context, database, settings.rules.rhythm)
            with contextlib.closing(writer):
                run(database, settings, lambda: health(context), writer.goes_on if _is_wanted(config) else lambda: False)
    except StorageError as error:
        log.emit("alerts_without_store", reason=str(error), hint=error.advice)
        emergency.deliver(_without_store(context), settings, _stamp(context), time.time())
        raise
    return 0


def _is_wanted(config: Config) -> bool:
    return config.reports.weekly and bool(takers_of_reports(config))


def _writer(context: Context, database: Database, rhythm: Rhythm) -> letter.Writer:
    """Return who has the weekly report written when it is due, by a process of its own."""
    command = [sys.executable, "-m", "autoops", "report", "weekly", "--mail", "--state", os.fspath(context.state.directory)]
    command += ["--config", os.fspath(context.config_file)] if context.config_file else []

    def told(reason: str) -> None:
        findings, now_s = Findings(database), int(time.time())
        if reason:
            findings.open([(REPORT_FAILED, b"weekly", {"reason": reason})], now_s)
        else:
            findings.close([(REPORT_FAILED, b"weekly")], now_s)

    return letter.Writer(context.state.letter_memory, rhythm, lambda: Child(command), told)


def health(context: Context) -> list[Signal]:
    """Return what the health checks have to tell. They look, and write nothing."""
    results = checks.run(looking(context))
    told = (
        of_check(
            one.name,
            one.level.name,
            one.text,
            one.remedy,
            {figure.label: f"{figure.value:g}{figure.unit}" for figure in one.figures},
        )
        for one in results
    )
    return [one for one in told if one]


def _without_store(context: Context) -> list[Signal]:
    """Return the signals as far as they can still be had: queue.db may be readable, though it cannot be written."""
    found = health(context)
    try:
        with Database.open(context.state.queue_db, QUEUE, mode="ro", busy_s=_BUSY_S) as database:
            found += map(of_finding, Findings(database).each())
    except StorageError as error:
        log.emit("look_put_off", service="alerts", reason=str(error))  # the check "database" tells it
    return found


def _stamp(context: Context) -> Path:
    """Return the file with the time of the last delivery without the store: where no full disk reaches, if systemd gave us that."""
    given = os.environ.get("RUNTIME_DIRECTORY")
    return (Path(given.split(":")[0]) if given else context.state.queue_db.parent) / "alerts.emergency"


def check_channels(context: Context) -> list[Result]:
    """Return what is wrong with each channel, as far as that can be told without sending anything."""
    try:
        channels = settings_of(context.running_config()).channels
    except ConfigError:  # which has a check of its own
        return []
    if not channels:
        return [Result("channels", Level.OK, "none: nobody is told of anything ([[channel]])")]
    return [_judged(one) for one in channels]


def _judged(channel: Channel) -> Result:
    name = f"channel {channel.name}"
    fault = channel.fault or (relay.flaw(channel.url) if channel.kind == "apprise" else "") or channel.refusal
    if fault:
        return Result(name, Level.WARNING, mask.masked(fault, channel.secrets), remedy="RUNBOOK, 'Alerts'")
    return Result(name, Level.OK, f"{channel.kind}, {mask.shown(channel.url)}; autoops alerts test {channel.name} tries it")
