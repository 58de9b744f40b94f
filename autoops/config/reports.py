"""The keys of [reports]. Reasons stand in etc/autoops.toml."""

from __future__ import annotations

from dataclasses import dataclass

from autoops.config.field import key


@dataclass(frozen=True)
class ReportsConfig:
    """What is reported without being asked for."""

    weekly: bool = key(False)
