"""What runs out by itself: the ledger's key grows old, certificates end.

The functions that judge are pure; the others read ledger.pub's times, and the certificates that are configured. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from autoops import names
from autoops.config import HealthConfig
from autoops.core.signing import certificates_end
from autoops.health.result import Figure, Level, Result, entry, judge, worst

_DAY_S = 86400.0
_MOST_BYTES = 1 << 20


def key_age(made_s: float, now_s: float, limits: HealthConfig) -> Result:
    """Judge how old the ledger's key is."""
    days = max(0.0, now_s - made_s) / _DAY_S
    pair = float(limits.key_age_warning_days), float(limits.key_age_critical_days)
    level = judge(days, *pair)
    figures = (Figure("key_age", days * _DAY_S, "s", pair[0] * _DAY_S, pair[1] * _DAY_S),)
    remedy = entry("key") if level else ""
    return Result("key", level, f"the ledger's key is {days:.0f} days old", figures, remedy)


def ends(paths: Sequence[str]) -> dict[str, float | str]:
    """Return when the certificates of each file end, in seconds since 1970, or why that cannot be told."""
    return {path: _end(Path(path)) for path in paths}


def _end(path: Path) -> float | str:
    try:
        with path.open("rb") as file:
            return certificates_end(file.read(_MOST_BYTES))
    except OSError as error:
        return str(error.strerror)
    except ValueError:
        return "there is no certificate in it (PEM)"


def certificates(found: Mapping[str, float | str], now_s: float, limits: HealthConfig) -> Result:
    """Judge how long they are good for."""
    if not found:
        return Result("certificates", Level.OK, "none is configured, and autoops has none itself")
    pair = limits.certificate_warning_days, limits.certificate_critical_days
    said, levels = [], []
    left_days = {path: (end - now_s) / _DAY_S for path, end in found.items() if not isinstance(end, str)}
    for path, end in found.items():
        if isinstance(end, str):
            levels.append(Level.UNKNOWN)
            said.append(f"{names.show(path)}: {end}")
            continue
        level = judge(-left_days[path], -pair[0], -pair[1])  # fewer is worse
        levels.append(level)
        if level:
            said.append(f"{names.show(path)} {f'ends in {left_days[path]:.0f} days' if left_days[path] >= 0 else 'has ended'}")
    figures = (Figure("certificate_left", min(left_days.values()) * _DAY_S, "s"),) if left_days else ()
    remedy = entry("certificates") if said else ""
    good = f"{len(found)}, the first ends in {min(left_days.values(), default=0):.0f} days"
    return Result("certificates", worst(levels), "; ".join(said) or good, figures, remedy)
