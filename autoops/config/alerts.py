"""The keys of [alerts], [[channel]] and [[inhibit]]: who is told, of what, and when. Reasons stand in etc/autoops.toml."""

from __future__ import annotations

from dataclasses import dataclass

from autoops.config import checks
from autoops.config.field import YEAR_S, key

SEVERITIES = ("critical", "warning", "info")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class AlertsConfig:
    """When somebody is told of what."""

    warning_seen: int = key(2, low=1, high=60)
    warning_of: int = key(3, low=1, high=60)
    business_hour: int = key(9, low=0, high=23)
    digest_day: str = key("monday", choices=DAYS)
    time_zone: str = key("", check=checks.time_zone)  # "": the machine's
    repeat_s: float = key(14400.0, low=60, high=YEAR_S)
    escalate_after_s: float = key(3600.0, low=60, high=YEAR_S)
    listed: int = key(20, low=1, high=1000)
    retry_first_s: float = key(5.0, low=0, high=86400)
    retry_max_s: float = key(600.0, low=0, high=86400)
    dead_after_s: float = key(900.0, low=0, high=YEAR_S)
    give_up_s: float = key(86400.0, low=60, high=YEAR_S)
    runbook: str = key("/usr/share/doc/autoops/RUNBOOK.md", check=checks.not_empty)


@dataclass(frozen=True)
class ChannelConfig:
    """One way to tell somebody."""

    name: str = key("", check=checks.catalog_name, required=True)
    kind: str = key("apprise", choices=("apprise", "alertmanager"))
    url: str = key("", check=checks.channel_url, secret=True)
    url_credential: str = key("", check=checks.credential)
    severities: tuple[str, ...] = key(SEVERITIES, choices=SEVERITIES)
    escalation: bool = key(False)
    allow_private: bool = key(False)
    timeout_s: float = key(20.0, low=0.1, high=300)


@dataclass(frozen=True)
class InhibitConfig:
    """Alerts that keep others quiet."""

    source: str = key("", check=checks.alert_pattern, required=True)
    target: tuple[str, ...] = key((), check=checks.alert_pattern, required=True)
