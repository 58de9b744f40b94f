"""What the health check says of the archive."""

from __future__ import annotations

import pytest

from autoops.config import HealthConfig
from autoops.files.last import Last
from autoops.health import backups
from autoops.health.result import Level

LIMITS = HealthConfig()
DAY_S = 86400.0
NOW_S = 1_800_000_000.0


def last(days: float, fault: str = "") -> Last:
    at_s = NOW_S - days * DAY_S
    return Last(at_s, fault, at_s, at_s, "S1")


@pytest.mark.parametrize(
    ("days", "level"),
    [(0, Level.OK), (1.9, Level.OK), (2, Level.WARNING), (7.9, Level.WARNING), (8, Level.CRITICAL), (-1, Level.OK)],
)
def test_it_may_be_two_days_old_and_not_eight(days: float, level: Level) -> None:
    found = backups.archives("s3:x", last(days), None, NOW_S, LIMITS, is_unit=True)
    assert found.level == level
    assert "of snapshot S1; never checked" in found.text
    assert bool(found.remedy) == (level != Level.OK)


def test_one_that_was_never_made_is_a_warning_when_one_is_wanted() -> None:
    failed = Last(NOW_S, "no network", 0.0, 0.0, "")
    assert backups.archives("s3:x", None, None, NOW_S, LIMITS, is_unit=True).level == Level.WARNING
    assert backups.archives("s3:x", failed, None, NOW_S, LIMITS, is_unit=True).level == Level.WARNING
    assert backups.archives("", None, None, NOW_S, LIMITS, is_unit=True).level == Level.OK


def test_a_run_that_failed_is_a_warning_however_new_the_last_good_one_is() -> None:
    found = backups.archives("s3:x", last(0.5, "no network"), last(3), NOW_S, LIMITS, is_unit=True)
    assert found.level == Level.WARNING
    assert "checked 3 d ago; the last run failed: no network" in found.text


def test_the_remedy_fits_where_it_runs() -> None:
    assert "systemctl" in backups.archives("s3:x", None, None, NOW_S, LIMITS, is_unit=True).remedy
    here = backups.archives("s3:x", None, None, NOW_S, LIMITS, is_unit=False).remedy
    assert "systemctl" not in here and "autoops-backup archive" in here
