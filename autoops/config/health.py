"""The keys of [health]: where well ends. Why a default is what it is stands in etc/autoops.toml."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

from autoops.config import checks
from autoops.config.field import YEAR_S, key

_DAYS = 36_600


class Pair(NamedTuple):
    """The two limits of one value."""

    warning: str  # key
    critical: str
    less_is_worse: bool


@dataclass(frozen=True)
class HealthConfig:
    """Limits of the health checks, and whom they tell. A limit counts when it is reached."""

    silent_beats_warning: float = key(3.0, low=1, high=1_000_000)
    silent_beats_critical: float = key(10.0, low=1, high=1_000_000)
    queue_depth_warning: int = key(200_000, low=1, high=10**12)
    queue_depth_critical: int = key(2_000_000, low=1, high=10**12)
    queue_age_warning_s: float = key(300.0, low=1, high=YEAR_S)
    queue_age_critical_s: float = key(3600.0, low=1, high=YEAR_S)
    dead_letters_warning: int = key(1, low=1, high=10**12)
    dead_letters_critical: int = key(100, low=1, high=10**12)
    failed_share_warning: float = key(1.0, low=0, high=101)
    failed_share_critical: float = key(10.0, low=0, high=101)
    rollback_share_warning: float = key(5.0, low=0, high=101)
    rollback_share_critical: float = key(10.0, low=0, high=101)
    digest_age_warning_s: float = key(1800.0, low=1, high=YEAR_S)
    digest_age_critical_s: float = key(3600.0, low=1, high=YEAR_S)
    shipping_behind_warning_s: float = key(60.0, low=1, high=YEAR_S)
    shipping_behind_critical_s: float = key(3600.0, low=1, high=YEAR_S)
    backup_age_warning_s: float = key(93_600.0, low=1, high=10 * YEAR_S)
    backup_age_critical_s: float = key(180_000.0, low=1, high=10 * YEAR_S)
    archive_age_warning_s: float = key(172_800.0, low=1, high=10 * YEAR_S)
    archive_age_critical_s: float = key(691_200.0, low=1, high=10 * YEAR_S)
    disk_warning: float = key(80.0, low=0, high=101)
    disk_critical: float = key(95.0, low=0, high=101)
    inodes_warning: float = key(80.0, low=0, high=101)
    inodes_critical: float = key(95.0, low=0, high=101)
    memory_warning: float = key(90.0, low=0, high=101)
    memory_critical: float = key(97.0, low=0, high=101)
    load_warning: float = key(8.0, low=0, high=1_000_000)
    load_critical: float = key(32.0, low=0, high=1_000_000)
    response_warning_s: float = key(0.1, low=0, high=3600)
    response_critical_s: float = key(1.0, low=0, high=3600)
    key_age_warning_days: int = key(3650, low=1, high=_DAYS)
    key_age_critical_days: int = key(7300, low=1, high=_DAYS)
    certificates: tuple[str, ...] = key((), check=checks.absolute)
    certificate_warning_days: int = key(21, low=0, high=_DAYS)
    certificate_critical_days: int = key(7, low=0, high=_DAYS)
    validate_every_s: float = key(86_400.0, low=0, high=YEAR_S)
    canary_every_s: float = key(3600.0, low=1, high=YEAR_S)
    canary_within_s: float = key(300.0, low=1, high=YEAR_S)
    textfile: str = key("", check=checks.textfile)
    heartbeat_url: str = key("", check=checks.url, secret=True)
    heartbeat_timeout_s: float = key(10.0, low=0.1, high=60)


def pairs() -> Iterator[Pair]:
    """Yield which keys are the two limits of one value."""
    for field in fields(HealthConfig):
        if "_warning" in field.name:
            yield Pair(field.name, field.name.replace("_warning", "_critical"), field.name.startswith("certificate"))
