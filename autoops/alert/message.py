"""What is told: a text for people, and the JSON of Alertmanager's webhook. Pure.

Everything in it may have been chosen by a stranger who named a file. Each text is one line that prints, of a bounded length; in the
text for people what chat services take for a mention, a tag or a link is written as \\xHH, as a name that does not print is.
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from autoops import names
from autoops.alert.letter import Letter
from autoops.core.redact import redact
from autoops.model import JSON
from autoops.store.alerts import Alert

_ACTIVE = re.compile(r"[@<>\[\]`]|(?<=:)//|&(?=[#\w])")
_FIELD_CHARACTERS = 600
_TITLE_CHARACTERS = 200
_LETTER_LINES = 1000
_NEVER = "0001-01-01T00:00:00Z"  # Go's zero time: it has not ended


class Told(NamedTuple):
    """One alert in a message."""

    status: str  # "firing", "resolved"
    alert: Alert


class Message(NamedTuple):
    """One message."""

    number: int  # of the outbox; 0: a test, or told without it
    host: str
    channel: str
    severity: str
    listed: tuple[Told, ...]  # the gravest first
    counts: Mapping[tuple[str, str], int]  # (status, name) -> how many in all
    runbook: str  # where the runbook is
    letter: Letter | None = None  # a report that goes with it

    @property
    def total(self) -> int:
        """How many alerts it tells of."""
        return sum(self.counts.values())


def title(message: Message) -> str:
    """Return one line: how many of what, or which one."""
    head = f"[autoops {_inert(message.host)}] {message.severity.upper()}"
    if message.letter:
        more = f"; {message.total} more" if message.total else ""
        return f"[autoops {_inert(message.host)}] {_inert(message.letter.title)}"[: _TITLE_CHARACTERS - len(more)] + more
    if message.total == 1 and message.listed:
        ((status, alert),) = message.listed
        said = f"{_inert(alert.name)} {_inert(_subject(alert))}".strip()
        return f"{head} {status}: {said}"[:_TITLE_CHARACTERS]
    numbers = {status: sum(n for (which, _), n in message.counts.items() if which == status) for status in ("firing", "resolved")}
    return f"{head}: {', '.join(f'{n} {status}' for status, n in numbers.items() if n)}"[:_TITLE_CHARACTERS]


def body(message: Message) -> str:
    """Return the text for people."""
    lines = []
    for status, alert in message.listed:
        at_s = alert.resolved_s if status == "resolved" else alert.fired_s
        lines.append(f"{status.upper()} {_inert(alert.name)}: {_inert(alert.summary)}")
        lines.append(f"  since {_utc(alert.since_s)}" + (f", over {_utc(at_s)}" if status == "resolved" and at_s else ""))
        lines.append(f"  why: autoops alerts why {alert.fingerprint}; runbook: {message.runbook}, '{_inert(alert.runbook)}'")
    if message.total > len(message.listed):
        counts = ", ".join(f"{n} {_inert(name)} {status}" for (status, name), n in sorted(message.counts.items()))
        lines.append(f"and {message.total - len(message.listed)} more; in all: {counts}. autoops alerts list has them.")
    if message.letter:
        lines += [*([""] if lines else []), *map(_inert, message.letter.text.split("\n")[:_LETTER_LINES])]
    return "\n".join(lines)


def mood(message: Message) -> str:
    """Return in which colour it is told: "failure", "warning", "info" or "success", as Apprise calls them."""
    if message.letter and not message.counts:
        return "info"
    if not any(status == "firing" for status, _ in message.counts):
        return "success"
    return {"critical": "failure", "warning": "warning"}.get(message.severity, "info")


def webhook(message: Message) -> JSON:
    """Return the payload of Alertmanager's webhook, version 4."""
    alerts = [_alert(told, message) for told in message.listed]
    firing = any(status == "firing" for status, _ in message.counts)
    return {
        "version": "4",
        "groupKey": f'{{}}:{{severity="{message.severity}"}}',
        "truncatedAlerts": message.total - len(alerts),
        "status": "firing" if firing else "resolved",
        "receiver": message.channel,
        "groupLabels": {"severity": message.severity},
        "commonLabels": {"severity": message.severity, "instance": _line(message.host)},
        "commonAnnotations": {"summary": title(message)},
        "externalURL": "",
        "alerts": alerts,
    }


def _alert(told: Told, message: Message) -> JSON:
    status, alert = told
    ended_s = alert.resolved_s if status == "resolved" else None
    return {
        "status": status,
        "labels": {
            "alertname": _line(alert.name),
            "severity": alert.severity,
            "source": _line(alert.source),
            "subject": _line(_subject(alert)),
            "instance": _line(message.host),
        },
        "annotations": {
            "summary": _line(alert.summary),
            "description": _line(json.dumps(alert.evidence, ensure_ascii=True, sort_keys=True)),
            "runbook": _line(f"{message.runbook}, '{alert.runbook}'"),
        },
        "startsAt": _utc(alert.since_s),
        "endsAt": _utc(ended_s) if ended_s is not None else _NEVER,
        "generatorURL": "",
        "fingerprint": alert.fingerprint,
    }


def _subject(alert: Alert) -> str:
    return redact(alert.subject.replace("\0", "/"))  # as in the summary; the fingerprint tells apart what looks the same now


def _line(text: str) -> str:
    return names.cut(names.show(text), _FIELD_CHARACTERS)


def _inert(text: str) -> str:
    return _ACTIVE.sub(lambda found: "".join(f"\\x{byte:02x}" for byte in found[0].encode()), _line(text))


def _utc(at_s: int) -> str:
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
