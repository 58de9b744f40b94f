"""What the health check says of backups and drills."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoops.config import HealthConfig
from autoops.files import unsound
from autoops.files.last import Last, recall, remember_fault, remember_good
from autoops.files.unsound import Unsound
from autoops.health.backups import DRILL, drills, snapshots
from autoops.health.result import Level

NOW_S = 1_800_000_000.0
HOUR_S, DAY_S = 3600.0, 86400.0


def last(hours: float, fault: str = "") -> Last:
    return Last(NOW_S, fault, NOW_S - 30 * DAY_S, NOW_S - hours * HOUR_S, "x")


@pytest.mark.parametrize(
    ("known", "since_s", "level"),
    [
        (None, None, Level.OK),
        (None, NOW_S - HOUR_S, Level.OK),
        (None, NOW_S - 27 * HOUR_S, Level.WARNING),
        (None, NOW_S - 51 * HOUR_S, Level.CRITICAL),
        (Last(NOW_S, "disk full", 0.0, 0.0, ""), NOW_S - 51 * HOUR_S, Level.CRITICAL),
        (last(1), None, Level.OK),
        (last(1, "disk full"), None, Level.WARNING),
        (last(27), None, Level.WARNING),
        (last(51, "disk full"), None, Level.CRITICAL),
        (last(-5), None, Level.OK),  # a clock that was set back
    ],
)
def test_snapshots_are_judged_by_the_last_good_one(known: Last | None, since_s: float | None, level: Level) -> None:
    found = snapshots(known, since_s, NOW_S, HealthConfig())
    assert found.level == level
    assert bool(found.remedy) == (level != Level.OK)
    assert not (known and known.fault) or "disk full" in found.text


@pytest.mark.parametrize(
    ("known", "snapshot", "level"),
    [
        (None, None, Level.OK),
        (None, Last(NOW_S, "", NOW_S - DAY_S, NOW_S, "x"), Level.OK),
        (None, Last(NOW_S, "", NOW_S - 9 * DAY_S, NOW_S, "x"), Level.CRITICAL),
        (last(24), last(1), Level.OK),
        (last(24, "12 entries differ"), last(1), Level.CRITICAL),
        (last(9 * 24), last(1), Level.CRITICAL),
    ],
)
def test_a_drill_that_is_too_old_or_failed_is_critical(known: Last | None, snapshot: Last | None, level: Level) -> None:
    assert drills(DRILL, known, snapshot, 8, NOW_S).level == level


def test_what_is_remembered_is_the_last_end_and_the_last_good_one(tmp_path: Path) -> None:
    memory = tmp_path / "snapshot.json"
    assert recall(memory) is None
    remember_fault(memory, "disk full", 1.0)
    assert recall(memory) == Last(1.0, "disk full", 0.0, 0.0, "")
    remember_good(memory, "a", 2.0)
    remember_good(memory, "b", 3.0)
    remember_fault(memory, "no key", 4.0)
    assert recall(memory) == Last(4.0, "no key", 2.0, 3.0, "b")
    memory.write_text("{}")
    assert recall(memory) is None


def test_backups_that_cannot_be_used_are_a_warning_however_young_the_last_good_one_is() -> None:
    found = snapshots(last(1), None, NOW_S, HealthConfig(), {"a": "a is damaged", "b": "b is built on a"})
    assert found.level == Level.WARNING and "2 of the backups cannot be used: a is damaged" in found.text and found.remedy
    assert snapshots(last(51), None, NOW_S, HealthConfig(), {"a": "a is damaged"}).level == Level.CRITICAL


def test_what_is_remembered_of_backups_that_cannot_be_used_may_be_lost_and_need_not_be_written(tmp_path: Path) -> None:
    memory, found = tmp_path / "unsound.json", Unsound({"a": "x"}, {"a": "x", "b": "y"})
    assert unsound.recall(memory) == Unsound()
    unsound.remember(memory, found)
    assert unsound.recall(memory) == found
    unsound.remember(tmp_path / "nowhere" / "unsound.json", found)
    for text in ("", "[]", '{"read": 1, "unusable": {}}'):
        memory.write_text(text)
        assert unsound.recall(memory) == Unsound()
