"""The keys of [backup], [archive] and [drill]: what is kept, where, and how it is tried out. Reasons stand in etc/autoops.toml."""

from __future__ import annotations

from dataclasses import dataclass

from autoops.config import checks
from autoops.config.field import YEAR_S, key


@dataclass(frozen=True)
class BackupConfig:
    """Where snapshots go, and how many are kept."""

    directory: str = key("", check=checks.directory)  # "": backups/ of the state directory
    interval_s: float = key(3600.0, low=0, high=YEAR_S)
    full_days: int = key(7, low=1, high=366)
    keep_last: int = key(3, low=1, high=10_000)
    keep_hourly: int = key(24, low=0, high=10_000)
    keep_daily: int = key(7, low=0, high=10_000)
    keep_weekly: int = key(5, low=0, high=10_000)
    keep_monthly: int = key(12, low=0, high=10_000)
    hooks: str = key("/etc/autoops", check=checks.directory)
    hook_timeout_s: float = key(300.0, low=0.1, high=86400)


@dataclass(frozen=True)
class ArchiveConfig:
    """The copy of the backups off this host, made by restic; without a repository there is none."""

    repository: str = key("")
    password_file: str = key("", check=checks.directory)
    options: tuple[str, ...] = key((), check=checks.not_empty)
    timeout_s: float = key(3600.0, low=1, high=7 * 86400)


@dataclass(frozen=True)
class DrillConfig:
    """How a restore is tried out."""

    interval_s: float = key(7 * 86400.0, low=0, high=YEAR_S)
    files: int = key(200, low=0, high=1_000_000)
    days: int = key(8, low=1, high=366)  # a good drill that is older than this is a reason for concern
    archive_days: int = key(40, low=1, high=3660)
