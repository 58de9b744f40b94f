"""What tests of alerts share: a store in memory that carries plans out, and signals to feed it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from zoneinfo import ZoneInfo

from autoops.alert.decide import Receiver, Rules, decide
from autoops.alert.inhibit import Inhibition
from autoops.alert.rhythm import Rhythm
from autoops.alert.signal import Signal, signal
from autoops.store.alerts import Alert, Plan, Severity, Silence
from autoops.store.outbox import Item

ALL = ("critical", "warning", "info")
MONDAY_NOON_S = 1_795_435_200  # 2026-11-23T12:00:00Z
RULES = Rules((Receiver("a", ALL), Receiver("b", ("critical",))), Rhythm(9, 0, ZoneInfo("UTC")), inhibitions=())
SOURCES = ("health", "finding", "channel")


def found(name: str = "unit_failed", subject: str = "x", severity: Severity = "critical", source: str = "finding") -> Signal:
    return signal(source, name, subject, severity, f"{name} {subject}", {}, "Alerts")


def check(name: str = "queue", severity: Severity = "warning") -> Signal:
    return found(name, "", severity, "health")


def with_inhibitions(*inhibitions: Inhibition) -> Rules:
    return RULES._replace(inhibitions=inhibitions)


class World:
    """The alerts as queue.db would keep them, a minute passing with each look."""

    def __init__(self, rules: Rules = RULES, now_s: int = MONDAY_NOON_S) -> None:
        self.rules, self.now_s = rules, now_s
        self.alerts: dict[str, Alert] = {}
        self.silences: list[Silence] = []
        self.items: list[tuple[int, Item]] = []

    def look(self, *signals: Signal, looked_at: Collection[str] = SOURCES, after_s: int = 60) -> list[Item]:
        """Let time pass and evaluate; return what is to be told."""
        self.now_s += after_s
        known = [one for one in self.alerts.values() if one.state != "resolved" or one.due_s is not None]
        plan = self.decided(known, signals, looked_at)
        self.alerts |= {one.fingerprint: one for one in plan.alerts}
        self.items += [(self.now_s, item) for item in plan.items]
        return plan.items

    def decided(self, known: Sequence[Alert], signals: Sequence[Signal], looked_at: Collection[str]) -> Plan:
        return decide(known, signals, looked_at, self.silences, self.rules, self.now_s)

    def alert(self, one: Signal) -> Alert:
        return self.alerts[one.fingerprint]

    def acknowledge(self, one: Signal) -> None:
        alert = self.alert(one)
        self.alerts[one.fingerprint] = alert._replace(acked_s=self.now_s, acked_by="ann", acked_severity=alert.severity)

    def silence(self, pattern: str, for_s: int) -> None:
        self.silences.append(Silence(len(self.silences) + 1, pattern, self.now_s, self.now_s + for_s, "ann", "upgrade"))


def told(items: Sequence[Item]) -> list[tuple[str, str]]:
    """Return (channel, status) of what is told."""
    return [(item.channel, item.status) for item in items]
