"""One run: gather signals, decide, put what is to be told into the outbox, and deliver it, until nothing is on its way.

The findings come first, because they are quick to read: what a unit's failure started this run for is on its way before the health
checks have begun. While channels take their time the findings are looked at again and again, so that what is new waits for nobody.
Reads and writes queue.db; when that cannot be done, emergency.py does without. Starts processes.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from autoops import log
from autoops.alert.channels import Channel
from autoops.alert.decide import Rules, decide
from autoops.alert.deliver import Deliverer
from autoops.alert.letter import LOST, REPORT, Letter
from autoops.alert.message import Message, Told
from autoops.alert.signal import CHANNELS, FINDINGS, HEALTH, Signal, of_channel, of_finding
from autoops.store.alerts import Alerts
from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.outbox import Claim, Outbox, Retry

_LOOK_S = 0.05  # between two looks at what is on its way
_AGAIN_S = 0.5  # between two looks at the findings meanwhile
_LONGEST_S = 45.0  # after which new ones are left to the next run, which makes the health checks again


class Settings(NamedTuple):
    """What a run needs to be told."""

    channels: Sequence[Channel]
    rules: Rules
    retry: Retry
    dead_after_s: float
    listed: int  # alerts that a message names one by one
    host: str
    runbook: str
    letter: Callable[[], Letter] = lambda: LOST  # the report that the outbox has an item for


def run(
    database: Database, settings: Settings, check: Callable[[], Iterable[Signal]], beside: Callable[[], bool] = lambda: False
) -> None:
    """Do one run on an open queue.db; `check` makes the health checks. Raises StorageError.

    beside: what else is done, a little with each call, as long as it returns True; what it puts into the outbox is sent.
    """
    outbox = Outbox(database, uniform=_uniform)
    names = [channel.name for channel in settings.channels]
    now_s = int(time.time())
    outbox.rescue(now_s)
    outbox.abandon(names)
    deliverer = Deliverer(outbox, settings.channels, settings.retry, functools.partial(composed, database, outbox, settings))
    with contextlib.closing(deliverer):
        findings, began_s = Findings(database), time.monotonic()
        mark = findings.mark()
        _look(database, outbox, settings)
        deliverer.pump()
        _evaluate(database, list(check()), (HEALTH,), settings)
        looked_s = began_s
        while (is_beside := beside()) or deliverer.pump() or (findings.mark() != mark and looked_s - began_s < _LONGEST_S):
            if is_beside:
                deliverer.pump()
            if time.monotonic() - looked_s >= _AGAIN_S and (newest := findings.mark()) != mark:
                mark, looked_s = newest, time.monotonic()
                _look(database, outbox, settings)
            time.sleep(_LOOK_S)


def gathered(database: Database, outbox: Outbox, dead_after_s: float, names: Collection[str]) -> list[Signal]:
    """Return the signals of the findings, and of channels that take nothing."""
    now_s = time.time()
    dead = [one for one in outbox.failing() if one.channel in names and now_s - one.since_s >= dead_after_s]
    return [*map(of_finding, Findings(database).each()), *map(of_channel, dead)]


def composed(database: Database, outbox: Outbox, settings: Settings, claim: Claim) -> Message:
    """Return the message that was claimed, as its alerts are now."""
    items, counts = outbox.items(claim.id, settings.listed)
    alerts = Alerts(database)
    listed = tuple(Told(status, alert) for one, status in items if (alert := alerts.get(one)))
    letter = settings.letter() if outbox.holds(claim.id, REPORT) else None
    return Message(claim.id, settings.host, claim.channel, claim.severity, listed, counts, settings.runbook, letter)


def _look(database: Database, outbox: Outbox, settings: Settings) -> None:
    found = gathered(database, outbox, settings.dead_after_s, [channel.name for channel in settings.channels])
    _evaluate(database, found, (FINDINGS, CHANNELS), settings)


def _evaluate(database: Database, signals: Sequence[Signal], looked_at: Collection[str], settings: Settings) -> None:
    now_s = int(time.time())
    plan = Alerts(database).evaluate(
        lambda known, silences: decide(known, signals, looked_at, silences, settings.rules, now_s), now_s
    )
    for alert in plan.alerts:
        if alert.state == "firing" and alert.fired_s == now_s:
            log.emit("alert_fired", fingerprint=alert.fingerprint, name=alert.name, path=alert.subject, severity=alert.severity)
        elif alert.state == "resolved" and alert.resolved_s == now_s and alert.told:
            log.emit("alert_resolved", fingerprint=alert.fingerprint, name=alert.name, path=alert.subject)


def _uniform() -> float:
    return int.from_bytes(os.urandom(6), "big") / (1 << 48)  # `random` costs a start-up more than this does
