"""A run of playbooks killed at each point: what was begun has failed or is told as it ended, and there is never a third try."""

from __future__ import annotations

from pathlib import Path

import pytest
from playing import Played

POINTS = ("playbook:begun", "playbook:carried-out", "playbook:settled", "playbook:held")


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_it_is_held_all_the_same_after_two_failures(tmp_path: Path, point: str) -> None:
    played = Played(tmp_path)
    played.configure(played.shell("broken", "exit 1", at_most=100))
    played.trouble()
    played.play("run", "broken", "--force", code=-9 if point != "playbook:held" else 1, trace=point)
    for _ in range(2):
        played.play("run", "broken", "--force", code=None, trace=point)
    for _ in range(2):
        played.play("run", "broken", "--force", code=None)
        played.by_itself()
    assert played.ran("broken") == (0 if point == "playbook:begun" else 2)
    assert [run.outcome for run in played.runs("broken")] == ["failed", "failed"]
    assert played.actions() == {"broken": "held"}
    (found,) = played.findings()
    assert "it failed 2 times in a row" in found["detail"]["reason"]
    assert sum(" of broken (command), for " in note for note in played.notes()) == 2
    assert sum("broken is held" in note for note in played.notes()) == 1


def test_killed_after_it_has_helped_it_counts_as_failed_and_the_next_one_says_that_all_is_well(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.configure(played.shell("one", "true", verify=["/bin/true"]))
    played.trouble()
    played.by_itself(code=-9, trace="playbook:carried-out")
    played.gone()
    played.by_itself()
    assert [run.outcome for run in played.runs("one")] == ["failed"] and played.actions() == {"one": "idle"}
    assert played.findings() == []
