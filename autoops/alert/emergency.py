"""Delivery without the store: when queue.db cannot be read or written, what is critical goes to every channel directly.

At most once an hour, by the time of a stamp file; when none can be written, each time: rather too often than not at all. Nothing is
acknowledged, silenced or retried here. Writes the stamp; starts processes (send.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from autoops import log
from autoops.alert.channels import Channel
from autoops.alert.deliver import send_now
from autoops.alert.message import Message, Told
from autoops.alert.run import Settings
from autoops.alert.signal import Signal
from autoops.store.alerts import Alert

EACH_S = 3600.0


def deliver(signals: Iterable[Signal], settings: Settings, stamp: Path, now_s: float) -> bool:
    """Tell the channels that take critical alerts of these signals; return whether all heard it (or somebody, within the hour)."""
    grave = [_alert(one, int(now_s)) for one in signals if one.severity == "critical"]
    if not grave or _is_recent(stamp, now_s):
        return True
    takers = {one.name for one in settings.rules.receivers if "critical" in one.severities}
    wrong = {channel.name: _send(channel, grave, settings) for channel in settings.channels if channel.name in takers}
    for name, why in wrong.items():
        if why:
            log.emit("delivery_failed", channel=name, message=0, attempt=1, reason=why)
        else:
            log.emit("message_delivered", channel=name, message=0, severity="critical")
    if not all(wrong.values()):  # somebody heard it
        _stamp(stamp)
    return not any(wrong.values())


def _send(channel: Channel, alerts: Sequence[Alert], settings: Settings) -> str:
    listed = tuple(Told("firing", alert) for alert in alerts[: settings.listed])
    counts: dict[tuple[str, str], int] = {}
    for alert in alerts:
        counts["firing", alert.name] = counts.get(("firing", alert.name), 0) + 1
    return send_now(channel, Message(0, settings.host, channel.name, "critical", listed, counts, settings.runbook))


def _alert(signal: Signal, now_s: int) -> Alert:
    facts = {key: getattr(signal, key) for key in Signal._fields if key != "known_by"}
    return Alert(**facts, state="firing", seen=1, since_s=now_s, fired_s=now_s)


def _is_recent(stamp: Path, now_s: float) -> bool:
    try:
        return 0 <= now_s - stamp.stat().st_mtime < EACH_S
    except OSError:
        return False


def _stamp(stamp: Path) -> None:
    try:
        fd = os.open(stamp, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.utime(fd, (time.time(), time.time()))
        finally:
            os.close(fd)
    except OSError as error:
        log.emit("stamp_failed", file=os.fspath(stamp), reason=error.strerror)
