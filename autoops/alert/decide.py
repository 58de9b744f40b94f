"""What becomes of the alerts, and who is told: from what is known, what is seen, and the time. Pure.

An alert fires when it was seen in n of the last m evaluations, and is over when it was in none of them; so what comes and goes is
one alert. `due_s` says when it is told next: by the rhythm of its severity, and after each message by that again, `repeat_s` later.
A look that failed ends no alert: only sources that were looked at count. Guarantee: a critical alert that fires is told to every
channel that takes it, or is acknowledged, silenced, or kept quiet by one that fires and is not.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from autoops.alert.inhibit import KNOWN, Inhibition, inhibitors
from autoops.alert.rhythm import Rhythm, due_s
from autoops.alert.signal import CHANNEL_DEAD, HEALTH, Signal
from autoops.store.alerts import SEVERITIES, Alert, Plan, Silence
from autoops.store.outbox import Item

EVALUATION_S = 30  # what is seen again sooner is the same evaluation


class Receiver(NamedTuple):
    """A channel, as far as deciding goes."""

    name: str
    severities: tuple[str, ...]
    escalation: bool = False  # hears of what nobody acknowledged


class Rules(NamedTuple):
    """How it is decided."""

    receivers: tuple[Receiver, ...] = ()
    rhythm: Rhythm = Rhythm()
    warning_seen: int = 2
    warning_of: int = 3
    repeat_s: int = 4 * 3600
    escalate_after_s: int = 3600
    inhibitions: tuple[Inhibition, ...] = KNOWN


def decide(
    known: Iterable[Alert],
    signals: Iterable[Signal],
    looked_at: Collection[str],
    silences: Sequence[Silence],
    rules: Rules,
    now_s: int,
) -> Plan:
    """Return the alerts that are others now, and what is to be told.

    known: those that stand, or whose end is still to be told; looked_at: the sources that the signals are all of.
    """
    before = {alert.fingerprint: alert for alert in known}
    seen = {signal.fingerprint: signal for signal in signals}
    after = [_advanced(before.get(one), seen.get(one), looked_at, rules, now_s) for one in sorted(before.keys() | seen.keys())]
    above = inhibitors([alert for alert in after if alert.state == "firing"], rules.inhibitions)
    changed, items = [], []
    for alert in after:
        quiet = _quiet(alert, silences, above, now_s)
        told, out = _told(alert, quiet, rules, now_s)
        items += out
        if told != before.get(alert.fingerprint):
            changed.append(told._replace(decided_s=now_s))
    return Plan(changed, items)


def needed(source: str, severity: str, rules: Rules) -> tuple[int, int]:
    """Return (n, m): in how many of how many evaluations it has to be seen. A finding was made sure of by whoever found it."""
    if source != HEALTH:
        return 1, 1
    return (1 if severity == "critical" else rules.warning_seen), rules.warning_of


# does it stand?


def _advanced(old: Alert | None, signal: Signal | None, looked_at: Collection[str], rules: Rules, now_s: int) -> Alert:
    if signal is None:
        assert old is not None
        return _absent(old, rules, now_s) if old.source in looked_at and old.state != "resolved" else old
    if old is None:
        fresh = _facts(_BLANK._replace(since_s=now_s, seen=1), signal)
        return _risen(fresh, fresh.severity, rules, now_s)
    if old.state == "resolved":  # and those who were told do not know yet: it goes on
        due = due_s(signal.severity, now_s + rules.repeat_s, rules.rhythm)
        back = old._replace(state="firing", resolved_s=None, due_s=due, seen=1)
        return _risen(_facts(back, signal), old.severity, rules, now_s)
    bits = _next(old, 1, needed(signal.source, signal.severity, rules)[1], now_s)
    return _risen(_facts(old._replace(seen=bits), signal), old.severity, rules, now_s)


_BLANK = Alert("", "", "", "", "info", "", {}, "", "pending", 0, 0)


def _facts(alert: Alert, signal: Signal) -> Alert:
    alert = alert._replace(**{key: getattr(signal, key) for key in Signal._fields if key != "known_by"})
    if signal.known_by and alert.acked_s is None:
        return alert._replace(acked_s=alert.since_s, acked_by=signal.known_by, acked_severity=signal.severity)
    return alert


def _next(alert: Alert, bit: int, of: int, now_s: int) -> int:
    """Return the bits of the last evaluations. What comes too soon after the last change belongs to the same evaluation."""
    same = of > 1 and 0 <= now_s - alert.decided_s < EVALUATION_S
    return (alert.seen | bit) if same else ((alert.seen << 1) | bit) & ((1 << of) - 1)


def _risen(alert: Alert, was: str, rules: Rules, now_s: int) -> Alert:
    """Have an alert that is seen fire, if it was seen often enough, or be told anew, if it is worse than it was."""
    n, m = needed(alert.source, alert.severity, rules)
    if alert.state == "pending":
        times = alert.seen.bit_count()
        if times < n:
            return alert._replace(reason=f"seen in {times} of the last {m} evaluations; {n} are needed")
        return alert._replace(state="firing", fired_s=now_s, due_s=due_s(alert.severity, now_s, rules.rhythm))
    if _graver(alert.severity, was):
        alert = alert._replace(due_s=due_s(alert.severity, now_s, rules.rhythm))
    if alert.acked_s is not None and _graver(alert.severity, alert.acked_severity):
        alert = alert._replace(acked_s=None, acked_by="", acked_severity="")
    return alert


def _graver(one: str, other: str) -> bool:
    return SEVERITIES.index(one) < SEVERITIES.index(other)


def _absent(alert: Alert, rules: Rules, now_s: int) -> Alert:
    bits = _next(alert, 0, needed(alert.source, alert.severity, rules)[1], now_s)
    if bits:
        return alert._replace(seen=bits)
    over = alert._replace(state="resolved", seen=0, resolved_s=now_s, due_s=None)
    if not alert.told:
        never = "it was over before it fired" if alert.state == "pending" else "it was over before anybody was told"
        return over._replace(reason=never)
    return over._replace(due_s=due_s(alert.severity, now_s, rules.rhythm), reason="it is over; those who were told will hear of it")


# who is told?


def _quiet(alert: Alert, silences: Sequence[Silence], above: Mapping[str, Alert], now_s: int) -> str:
    """Return why a firing alert is not told, "" when nothing keeps it quiet."""
    if alert.acked_s is not None:
        return f"acknowledged by {alert.acked_by}"
    for silence in silences:
        if silence.since_s <= now_s < silence.until_s and matches(silence.pattern, alert):
            return f"silence {silence.id} by {silence.who}: {silence.why}"
    parent = above.get(alert.fingerprint)
    return f"inhibited by {parent.fingerprint} ({parent.name})" if parent else ""


def matches(pattern: str, alert: Alert) -> bool:
    """Tell whether a silence's pattern is meant for an alert."""
    return pattern == alert.fingerprint or fnmatch.fnmatchcase(alert.label, pattern)


def _told(alert: Alert, quiet: str, rules: Rules, now_s: int) -> tuple[Alert, list[Item]]:
    if alert.state == "pending":
        return alert, []
    if alert.state == "resolved":
        return _told_its_end(alert, rules, now_s)
    assert alert.due_s is not None
    # a clock that was put back must not put it off
    due = min(alert.due_s, due_s(alert.severity, now_s + (rules.repeat_s if alert.told else 0), rules.rhythm))
    alert = alert._replace(due_s=due)
    if quiet:
        return alert._replace(reason=quiet), []
    takers = [one for one in rules.receivers if _takes(one, alert)]
    ordinary = [one.name for one in takers if not one.escalation] or [one.name for one in takers]
    escalates = _escalates(alert, rules, now_s)
    is_due = now_s >= due
    to = ordinary if is_due else []
    if escalates or (is_due and alert.escalated_s is not None):
        to = sorted({*to, *(one.name for one in takers if one.escalation)})
    if not takers:
        return alert._replace(reason=f"no channel takes it ({alert.severity})"), []
    if escalates:
        alert = alert._replace(escalated_s=now_s)
    if not to:
        return alert._replace(reason=_why_not_now(alert)), []
    reason = "told: it fires" if not alert.told else "told again: nobody acknowledged it"
    alert = alert._replace(
        told=tuple(sorted({*alert.told, *to})),
        first_told_s=alert.first_told_s if alert.first_told_s is not None else now_s,
        due_s=due_s(alert.severity, now_s + rules.repeat_s, rules.rhythm) if is_due else due,
        reason="told to the escalation channels: nobody acknowledged it" if escalates else reason,
    )
    return alert, [Item(name, alert.severity, alert.fingerprint, "firing") for name in to]


def _why_not_now(alert: Alert) -> str:
    if not alert.told:
        return _WAITS[alert.severity]
    return alert.reason if alert.reason.startswith("told") else "told before; it will be again, if nobody acknowledges it"


_WAITS = {
    "critical": "waits for its turn",
    "warning": "a warning: told on the next business day",
    "info": "told in the weekly digest",
}


def _takes(receiver: Receiver, alert: Alert) -> bool:
    is_own = alert.name == CHANNEL_DEAD and alert.subject == receiver.name  # who is dead hears nothing
    return alert.severity in receiver.severities and not is_own


def _escalates(alert: Alert, rules: Rules, now_s: int) -> bool:
    if alert.severity != "critical" or alert.escalated_s is not None or alert.first_told_s is None:
        return False
    waited_s = now_s - alert.first_told_s
    return waited_s >= rules.escalate_after_s and any(one.escalation and _takes(one, alert) for one in rules.receivers)


def _told_its_end(alert: Alert, rules: Rules, now_s: int) -> tuple[Alert, list[Item]]:
    if alert.due_s is None:
        return alert, []
    due = min(alert.due_s, due_s(alert.severity, now_s, rules.rhythm))
    if now_s < due:
        return alert._replace(due_s=due), []
    there = {one.name for one in rules.receivers}
    items = [Item(name, alert.severity, alert.fingerprint, "resolved") for name in alert.told if name in there]
    return alert._replace(due_s=None, reason="told: it is over"), items
