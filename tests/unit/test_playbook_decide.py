"""When a playbook is carried out: never a third time after two failures, never too soon, never too often, whatever the history."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autoops.config import PlaybookConfig
from autoops.playbook.decide import Limits, Trouble, Verdict, decide, gives_up, is_for
from autoops.store.playbooks import DAY_S, Known, Outcome, Run

NOW_S = 1_800_000_000
WORKER = Trouble("health", "worker", "", "CRITICAL", "it is silent")
ONE = PlaybookConfig("one", "health:worker", remedy="restart-unit", unit="autoops-worker.service", cool_down_s=600, at_most=3)
ROOM = Limits(at_most=20, total=0)


def run(outcome: Outcome, ago_s: int, took_s: int = 1, number: int = 0) -> Run:
    began_s = NOW_S - ago_s
    return Run(number, "one", "command", "c", began_s, None if outcome == "running" else began_s + took_s, outcome, "why it failed")


def verdict(*runs: Run, trouble: Trouble | None = WORKER, limits: Limits = ROOM, force: bool = False, **known: Any) -> Verdict:
    troubles = [trouble] if trouble else []
    (found,) = decide([ONE], troubles, {"one": Known(runs, **known)}, limits, NOW_S, force=force)
    return found


def test_it_runs_when_its_trouble_is_there_and_not_when_all_is_well() -> None:
    assert verdict() == Verdict(ONE, "run", "health:worker", WORKER)
    assert decide([ONE], [WORKER], {}, ROOM, NOW_S) == [verdict()]
    assert decide([ONE], [WORKER], {"one": Known((run("good", 100),))}, ROOM, NOW_S) == [verdict(run("good", 100))]
    assert verdict(trouble=None) == Verdict(ONE, "idle", "health:worker is well")


@pytest.mark.parametrize(
    ("runs", "action"),
    [
        ([run("failed", 700)], "run"),
        ([run("failed", 2 * DAY_S), run("failed", 700)], "escalate"),
        ([run("running", 2000), run("failed", 700)], "escalate"),
        ([run("failed", 2000), run("running", 700)], "escalate"),
        ([run("failed", 5000), run("good", 4000), run("failed", 3000)], "escalate"),  # three within a day
        ([run("failed", 2 * DAY_S), run("good", 4000), run("failed", 3000)], "run"),
        ([run("good", 9000), run("good", 6000), run("good", 3000)], "escalate"),
        ([run("good", DAY_S), run("good", 6000), run("good", 3000)], "run"),
        ([run("good", 599)], "wait"),
        ([run("good", 600)], "wait"),
        ([run("running", 599)], "wait"),  # it died
        ([run("running", 600)], "run"),
        ([run("good", 700, took_s=200)], "wait"),  # the cool-down begins at its end
        ([run("good", 601)], "run"),
        ([run("good", -50_000)], "wait"),  # a clock that was put back
    ],
)
def test_what_was_tried_decides(runs: list[Run], action: str) -> None:
    assert verdict(*runs).action == action


def test_what_it_says_is_why() -> None:
    failed, died, good = run("failed", 700), run("running", 700)._replace(detail=""), [run("good", ago_s) for ago_s in (9, 6, 3)]
    put_back = "50000 s from now (the clock was put back; releasing it forgets that)"
    for found, action, reason in (
        (verdict(failed, failed), "escalate", "it failed 2 times in a row, the last time: why it failed"),
        (verdict(failed, died), "escalate", "it failed 2 times in a row, the last time: whoever carried it out has died"),
        (verdict(*good), "escalate", "health:worker is back after 3 runs within 24 hours: it does not help"),
        (verdict(run("good", 100)), "wait", "it ran 100 s ago: again in 501 s at the earliest"),
        (verdict(run("good", 0)), "wait", "it ran 0 s ago: again in 601 s at the earliest"),
        (verdict(run("good", -50_000)), "wait", f"it ran {put_back}: again in 50601 s at the earliest"),
        (verdict(limits=Limits(5, 5)), "spent", "playbooks ran 5 times within 24 hours, and at_most of [playbooks] is 5"),
        (verdict(held_s=NOW_S, why="for a reason"), "held", "held since 2027-01-15T08:00:00.000Z: for a reason"),
    ):
        assert found == Verdict(ONE, action, reason, WORKER)


def test_a_held_one_stays_held_whatever_else_and_a_person_in_a_hurry_changes_nothing_but_the_cool_down() -> None:
    for runs in ((), (run("good", 90_000),)):
        assert verdict(*runs, held_s=1, why="w", force=True).action == "held"
    assert verdict(run("good", 5), force=True).action == "run"
    assert verdict(run("failed", 5), run("failed", 3), force=True).action == "escalate"
    assert verdict(*[run("good", 9)] * 3, force=True).action == "escalate"
    assert verdict(limits=Limits(1, 1), force=True).action == "spent"


@pytest.mark.parametrize(
    ("when", "severity", "trouble", "expected"),
    [
        ("health:disk", "critical", Trouble("health", "disk", "", "WARNING"), False),
        ("health:disk", "warning", Trouble("health", "disk", "", "WARNING"), True),
        ("health:disk", "warning", Trouble("health", "disk", "", "CRITICAL"), True),
        ("health:disk", "warning", Trouble("health", "disk", "", "UNKNOWN"), False),
        ("health:disk", "warning", Trouble("health", "disk", "", "OK"), False),
        ("health:disk", "warning", Trouble("finding", "disk", "", "CRITICAL"), False),
        ("finding:corrupt", "critical", Trouble("finding", "corrupt", "docs/a:b", "CRITICAL"), True),
        ("finding:corrupt:docs/*", "critical", Trouble("finding", "corrupt", "docs/a:b", "CRITICAL"), True),
        ("finding:corrupt:docs/*", "critical", Trouble("finding", "corrupt", "other/a", "CRITICAL"), False),
        ("finding:corrupt:docs/a:b", "critical", Trouble("finding", "corrupt", "docs/a:b", "CRITICAL"), True),
    ],
)
def test_which_trouble_it_is_for(when: str, severity: str, trouble: Trouble, expected: bool) -> None:
    assert is_for(dataclasses.replace(ONE, when=when, severity=severity), trouble) is expected


@given(st.text(max_size=2000))
@example("a\n\x1b[2J\0\u202e\ud800")
def test_what_a_trouble_is_called_is_one_short_line_that_prints(subject: str) -> None:
    label = Trouble("finding", "corrupt", subject, "CRITICAL").label
    assert label.isprintable() and "\0" not in label and len(label) <= 300
    assert label.startswith("finding:corrupt:" if subject else "finding:corrupt")


steps = st.tuples(
    st.integers(-2 * DAY_S, 2 * DAY_S) | st.integers(0, 2000),  # seconds that the clock goes on, or back
    st.sampled_from(["good", "failed", "killed"]),
    st.sampled_from(["CRITICAL", "CRITICAL", "CRITICAL", "OK", "UNKNOWN"]),
    st.sampled_from(["", "", "", "release", "force"]),
)


@given(st.lists(steps, max_size=60), st.integers(60, 5000), st.integers(1, 6), st.integers(1, 10))
def test_no_history_leads_to_a_run_that_is_out_of_bounds(
    history: list[tuple[int, str, str, str]], cool_down_s: int, at_most: int, in_all: int
) -> None:
    """A plain account of what happened is kept beside, and asked before each run whether it may be."""
    one = dataclasses.replace(ONE, cool_down_s=cool_down_s, at_most=at_most)
    now_s, runs, since, held, escalated = NOW_S, [], 0, None, 0
    for number, (on_s, becomes, level, done) in enumerate(history):
        now_s += on_s
        if done == "release" and held is not None:
            held, since = None, len(runs)
        counted = runs[since:]
        recent = tuple(each for index, each in enumerate(counted) if each.began_s > now_s - DAY_S or index >= len(counted) - 2)
        limits = Limits(in_all, sum(each.began_s > now_s - DAY_S for each in runs))
        known = Known(recent, held, "held" if held is not None else "")
        (found,) = decide([one], [WORKER._replace(level=level)], {"one": known}, limits, now_s, force=done == "force")
        if found.action == "escalate":
            held, escalated = now_s, escalated + 1
        if found.action != "run":
            continue
        assert held is None and level == "CRITICAL"
        assert len(counted) < 2 or "good" in (counted[-1].outcome, counted[-2].outcome), "a third try"
        assert done == "force" or not counted or now_s - (counted[-1].ended_s or counted[-1].began_s) >= cool_down_s, "too soon"
        assert sum(each.began_s > now_s - DAY_S for each in counted) < at_most, "too often"
        assert sum(each.began_s > now_s - DAY_S for each in runs) < in_all, "too many in all"
        outcome: Outcome = "good" if becomes == "good" else "failed" if becomes == "failed" else "running"
        runs.append(Run(number, "one", "command", "c", now_s, None if becomes == "killed" else now_s, outcome))
        if outcome != "running" and gives_up(runs[since:]):
            held = now_s
