"""What becomes of alerts, and who is told: each rule by itself, then that no sequence of events loses a critical one."""

from __future__ import annotations

import pytest
from alerting import ALL, MONDAY_NOON_S, RULES, World, check, found, told, with_inhibitions
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from autoops.alert.decide import Receiver, Rules
from autoops.alert.inhibit import KNOWN, Inhibition
from autoops.alert.signal import CHANNEL_DEAD, Signal
from autoops.store.alerts import Severity
from autoops.store.outbox import Item

HOUR_S, DAY_S = 3600, 86400


# firing


def test_a_critical_finding_is_told_at_once_to_all_who_take_it_and_then_no_more() -> None:
    world, one = World(), found()
    assert world.look(one) == [Item(name, "critical", one.fingerprint, "firing") for name in "ab"]
    began_s = world.now_s
    assert world.look(one) == []
    alert = world.alert(one)
    assert (alert.since_s, alert.fired_s, alert.first_told_s, alert.due_s) == (*[began_s] * 3, began_s + RULES.repeat_s)
    assert (alert.reason, alert.told) == ("told: it fires", ("a", "b"))


def test_a_warning_of_a_check_fires_when_it_was_seen_in_two_of_three_evaluations() -> None:
    world, one = World(), check()
    world.look(one)
    assert (world.alert(one).state, world.alert(one).reason) == ("pending", "seen in 1 of the last 3 evaluations; 2 are needed")
    world.look()
    world.look(one)
    assert world.alert(one).state == "firing"


def test_seen_once_in_three_it_never_fires() -> None:
    world, one = World(), check()
    for _ in range(5):
        world.look(one)
        world.look()
        world.look()
        assert world.alert(one).state == "pending"


@pytest.mark.parametrize("of", [2, 3])
@pytest.mark.parametrize(("after_s", "state"), [(0, "pending"), (29, "pending"), (30, "firing"), (-1, "firing")])
def test_what_is_seen_again_within_30_seconds_is_the_same_evaluation(of: int, after_s: int, state: str) -> None:
    world, one = World(RULES._replace(warning_of=of)), check()
    world.look(one)
    world.look(one, after_s=after_s)
    assert world.alert(one).state == state


def test_a_finding_that_is_settled_is_over_at_once() -> None:
    world, one = World(), found()
    world.look(one)
    assert world.look(after_s=2) == [Item(name, "critical", one.fingerprint, "resolved") for name in "ab"]
    alert = world.alert(one)
    assert (alert.reason, alert.seen, alert.resolved_s, alert.due_s) == ("told: it is over", 0, world.now_s, None)


def test_two_looks_within_seconds_are_one_evaluation() -> None:
    world, one = World(), check()
    world.look(one)
    for _ in range(5):
        world.look(one, after_s=2)
        assert world.alert(one).state == "pending"
    world.look(check(severity="critical"))
    assert world.look(after_s=2) == []
    assert world.alert(one).state == "firing"


def test_a_critical_check_fires_at_once_and_is_over_when_three_looks_saw_nothing() -> None:
    world, one = World(), check(severity="critical")
    assert told(world.look(one)) == [("a", "firing"), ("b", "firing")]
    assert [world.look() for _ in range(2)] == [[], []]
    assert told(world.look()) == [("a", "resolved"), ("b", "resolved")]
    assert [world.look() for _ in range(3)] == [[], [], []]


def test_what_was_over_before_it_fired_is_never_told() -> None:
    world, one = World(), check()
    world.look(one)
    assert [world.look() for _ in range(3)] == [[], [], []]
    alert = world.alert(one)
    assert (alert.state, alert.reason, alert.due_s) == ("resolved", "it was over before it fired", None)


def test_a_warning_that_came_back_before_its_end_was_told_takes_as_long_to_end_as_the_first_time() -> None:
    world, one = World(), check()
    for after_s in (60, 60, 21 * HOUR_S):
        world.look(one, after_s=after_s)
    for _ in range(2):
        states = []
        for _ in range(3):
            world.look()
            states.append(world.alert(one).state)
        assert states == ["firing", "firing", "resolved"]
        world.look(one)


def test_what_comes_and_goes_each_minute_is_one_alert() -> None:
    world, one = World(), check(severity="critical")
    items = [item for _ in range(20) for item in (*world.look(one), *world.look())]
    assert told(items) == [("a", "firing"), ("b", "firing")]


def test_a_look_that_failed_ends_no_alert() -> None:
    world, one = World(), found()
    world.look(one)
    assert world.look(looked_at=("health",)) == []
    assert world.alert(one).state == "firing"
    assert told(world.look(looked_at=("finding",))) == [("a", "resolved"), ("b", "resolved")]


def test_what_comes_back_after_its_end_was_told_is_told_again() -> None:
    world, one = World(), found()
    for _ in range(3):
        assert told(world.look(one)) == [("a", "firing"), ("b", "firing")]
        assert told(world.look()) == [("a", "resolved"), ("b", "resolved")]


# rhythm


def test_a_warning_waits_for_the_next_business_day_and_is_told_again_on_the_one_after() -> None:
    world, one = World(), found("modified", severity="warning")
    assert world.look(one) == []
    assert world.alert(one).reason == "a warning: told on the next business day"
    assert told(world.look(one, after_s=21 * HOUR_S)) == [("a", "firing")]
    assert world.look(one, after_s=5 * HOUR_S) == []
    assert told(world.look(one, after_s=19 * HOUR_S)) == [("a", "firing")]


def test_a_warning_that_is_over_before_is_never_told() -> None:
    world, one = World(), found("modified", severity="warning")
    world.look(one)
    assert world.look() == []
    assert world.look(after_s=3 * DAY_S) == []
    assert world.alert(one).reason == "it was over before anybody was told"


def test_a_warning_that_turns_critical_is_told_at_once() -> None:
    world = World()
    for severity in ("warning", "warning"):
        world.look(check(severity=severity))  # type: ignore[arg-type]
    assert told(world.look(check(severity="critical"))) == [("a", "firing"), ("b", "firing")]


def test_the_end_of_a_warning_waits_too_and_when_it_is_back_by_then_nothing_is_told() -> None:
    world, one = World(), found("modified", severity="warning")
    world.look(one)
    world.look(one, after_s=21 * HOUR_S)
    assert world.look() == []
    assert world.alert(one).reason == "it is over; those who were told will hear of it"
    assert world.look(one) == []
    assert (world.alert(one).state, world.alert(one).resolved_s) == ("firing", None)
    assert world.alert(one).reason == "told before; it will be again, if nobody acknowledges it"
    assert world.look() == []
    assert told(world.look(after_s=DAY_S)) == [("a", "resolved")]


def test_a_warning_that_comes_back_just_before_its_end_is_told_is_told_another_day() -> None:
    world, one = World(), found("modified", severity="warning")
    world.look(one)
    world.look(one, after_s=21 * HOUR_S)  # Tuesday, 09:02
    assert world.look() == []
    assert [world.look(one, after_s=after_s) for after_s in (DAY_S - 300, 300)] == [[], []]
    assert told(world.look(one, after_s=DAY_S)) == [("a", "firing")]


def test_a_warning_that_was_told_and_turns_critical_is_told_at_once_though_it_was_over_between() -> None:
    for between in ([], [60]):
        world = World()
        for after_s in (60, 21 * HOUR_S):
            world.look(found("modified", severity="warning"), after_s=after_s)
        assert [world.look(after_s=after_s) for after_s in between] == [[]] * len(between)
        assert told(world.look(found("modified", severity="critical"))) == [("a", "firing"), ("b", "firing")]


def test_an_info_its_end_and_its_return_wait_for_the_weekly_digest() -> None:
    world, one = World(), found("modified", severity="info")
    assert [world.look(one, after_s=DAY_S) for _ in range(6)] == [[]] * 6
    assert world.alert(one).reason == "told in the weekly digest"
    assert told(world.look(one, after_s=DAY_S)) == [("a", "firing")]
    assert world.look(after_s=DAY_S) == []
    assert [world.look(one, after_s=DAY_S) for _ in range(5)] == [[]] * 5
    assert told(world.look(one, after_s=DAY_S)) == [("a", "firing")]
    assert [world.look(after_s=DAY_S) for _ in range(6)] == [[]] * 6
    assert told(world.look(after_s=DAY_S)) == [("a", "resolved")]


def test_a_clock_that_was_put_back_delays_nothing() -> None:
    world, one = World(), found()
    world.look(one)
    world.now_s -= 400 * DAY_S
    world.look(one)
    assert told(world.look(one, after_s=RULES.repeat_s)) == [("a", "firing"), ("b", "firing")]


def test_a_clock_that_was_put_back_while_an_alert_was_silenced_delays_nothing() -> None:
    world, one = World(), found()
    world.silence("*:*:*", HOUR_S)
    world.look(one)
    assert told(world.look(one, after_s=-400 * DAY_S)) == [("a", "firing"), ("b", "firing")]


def test_a_clock_that_was_put_back_does_not_put_off_that_a_warning_is_over() -> None:
    world, one = World(), found("modified", severity="warning")
    world.look(one)
    world.look(one, after_s=21 * HOUR_S)
    assert [world.look(after_s=after_s) for after_s in (60, -400 * DAY_S)] == [[], []]
    assert told(world.look(after_s=4 * DAY_S)) == [("a", "resolved")]


# repeats, escalation, acknowledgement


def escalating() -> Rules:
    return RULES._replace(receivers=(Receiver("a", ALL), Receiver("boss", ("critical",), escalation=True)))


def test_it_is_repeated_until_somebody_acknowledges_it() -> None:
    world, one = World(), found()
    world.look(one)
    began_s = world.now_s
    assert told(world.look(one, after_s=4 * HOUR_S)) == [("a", "firing"), ("b", "firing")]
    alert = world.alert(one)
    assert (alert.reason, alert.first_told_s, alert.escalated_s) == ("told again: nobody acknowledged it", began_s, None)
    world.acknowledge(one)
    assert [world.look(one, after_s=4 * HOUR_S) for _ in range(5)] == [[]] * 5
    assert world.alert(one).reason == "acknowledged by ann"
    assert told(world.look()) == [("a", "resolved"), ("b", "resolved")]


def test_nobody_acknowledged_it_so_it_is_told_to_the_next_in_line_once_and_its_end_too() -> None:
    world, one = World(escalating()), found()
    assert told(world.look(one)) == [("a", "firing")]
    assert world.look(one, after_s=HOUR_S - 1) == []
    assert told(world.look(one, after_s=1)) == [("boss", "firing")]
    assert world.alert(one).reason == "told to the escalation channels: nobody acknowledged it"
    assert world.look(one) == []
    assert told(world.look(one, after_s=3 * HOUR_S - 60)) == [("a", "firing"), ("boss", "firing")]  # as if nothing had been between
    assert told(world.look()) == [("a", "resolved"), ("boss", "resolved")]


def test_a_warning_is_not_escalated() -> None:
    receivers = Receiver("a", ALL), Receiver("boss", ALL, escalation=True)
    world, one = World(RULES._replace(receivers=receivers)), found(severity="warning")
    world.look(one)
    assert told(world.look(one, after_s=21 * HOUR_S)) == [("a", "firing")]
    assert world.look(one, after_s=2 * HOUR_S) == []


def test_acknowledged_in_time_it_is_not_escalated() -> None:
    world, one = World(escalating()), found()
    world.look(one)
    world.acknowledge(one)
    assert world.look(one, after_s=10 * HOUR_S) == []


def test_where_only_an_escalation_channel_takes_it_that_one_is_told_at_once() -> None:
    world, one = World(RULES._replace(receivers=(Receiver("boss", ALL, escalation=True),))), found()
    assert told(world.look(one)) == [("boss", "firing")]


def test_acknowledged_and_then_worse_it_is_told_again() -> None:
    world = World()
    for _ in range(2):
        world.look(check(severity="warning"))
    world.acknowledge(check())
    assert told(world.look(check(severity="critical"))) == [("a", "firing"), ("b", "firing")]
    alert = world.alert(check())
    assert (alert.acked_s, alert.acked_by, alert.acked_severity) == (None, "", "")


def test_a_finding_that_was_acknowledged_as_a_finding_is_acknowledged() -> None:
    world, one = World(), found()._replace(known_by="bob")
    assert [world.look(one) for _ in range(3)] == [[]] * 3
    assert world.alert(one).reason == "acknowledged by bob"


# silence


def test_a_silence_ends_and_what_still_stands_is_told_then() -> None:
    world, one = World(), found()
    world.silence("finding:unit_failed:*", HOUR_S)
    assert world.look(one, after_s=0) == []
    assert world.alert(one).reason == "silence 1 by ann: upgrade"
    assert world.look(one, after_s=HOUR_S - 1) == []
    assert told(world.look(one, after_s=1)) == [("a", "firing"), ("b", "firing")]


def test_after_a_silence_what_was_told_before_is_told_again_when_it_is_due() -> None:
    world, one = World(), found()
    world.look(one)
    world.silence("*:*:*", 2 * HOUR_S)
    assert [world.look(one, after_s=HOUR_S) for _ in range(3)] == [[]] * 3
    assert world.alert(one).reason == "told before; it will be again, if nobody acknowledges it"
    assert told(world.look(one, after_s=HOUR_S)) == [("a", "firing"), ("b", "firing")]


def test_a_silence_by_fingerprint_is_for_that_alert_alone() -> None:
    world, one, other = World(), found(subject="x"), found(subject="y")
    world.silence(one.fingerprint, HOUR_S)
    assert {item.fingerprint for item in world.look(one, other)} == {other.fingerprint}


def test_who_was_told_hears_of_the_end_though_it_is_silenced() -> None:
    world, one = World(), found()
    world.look(one)
    world.silence("*:*:*", HOUR_S)
    assert told(world.look()) == [("a", "resolved"), ("b", "resolved")]


# inhibition


def test_a_parent_keeps_its_children_quiet_and_when_it_ends_they_are_told() -> None:
    parent, child = found("root_replaced", "docs\0"), found("corrupt", "docs\0a.txt")
    other = found("corrupt", "photos\0a.txt")
    world = World(RULES._replace(inhibitions=KNOWN))
    assert {item.fingerprint for item in world.look(parent, child, other)} == {parent.fingerprint, other.fingerprint}
    assert world.alert(child).reason == f"inhibited by {parent.fingerprint} (root_replaced)"
    assert {(item.fingerprint, item.status) for item in world.look(child, other)} == {
        (parent.fingerprint, "resolved"),
        (child.fingerprint, "firing"),
    }


def test_what_is_less_grave_keeps_nothing_quiet() -> None:
    world = World(with_inhibitions(Inhibition("finding:minor:*", ("finding:grave:*",))))
    grave = found("grave")
    assert grave.fingerprint in {item.fingerprint for item in world.look(found("minor", severity="warning"), grave)}


def test_rules_in_a_circle_keep_one_of_them_loud() -> None:
    circle = [Inhibition(f"finding:{a}:*", (f"finding:{b}:*",)) for a, b in (("x", "y"), ("y", "z"), ("z", "x"))]
    world = World(with_inhibitions(*circle))
    assert len({item.fingerprint for item in world.look(found("x"), found("y"), found("z"))}) == 1


def test_a_rule_for_everything_does_not_keep_itself_quiet() -> None:
    world = World(with_inhibitions(Inhibition("*", ("*",))))
    assert len({item.fingerprint for item in world.look(found("x"), found("y"))}) == 1


# channels


def test_of_an_end_those_are_told_who_are_still_there() -> None:
    world, one = World(), found()
    world.look(one)
    world.rules = RULES._replace(receivers=RULES.receivers[1:])
    assert told(world.look()) == [("b", "resolved")]


def test_a_dead_channel_is_told_to_the_others() -> None:
    world, dead = World(), found(CHANNEL_DEAD, "a", source="channel")
    assert told(world.look(dead)) == [("b", "firing")]


def test_what_no_channel_takes_is_told_when_there_is_one() -> None:
    world, one = World(RULES._replace(receivers=())), found()
    assert world.look(one) == []
    assert world.alert(one).reason == "no channel takes it (critical)"
    world.rules = RULES
    assert told(world.look(one)) == [("a", "firing"), ("b", "firing")]


def test_nothing_changes_when_nothing_happens() -> None:
    world, signals = World(), [found(), check(), found("modified", severity="warning")]
    for _ in range(5):
        world.look(*signals)
    world.now_s += 60
    known = list(world.alerts.values())
    assert world.decided(known, signals, ("health", "finding", "channel")).alerts == []


# whatever happens

NAMES = ("root_replaced", "corrupt", "unit_failed", "x", "y")
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
SIGNALS = st.lists(
    st.builds(found, st.sampled_from(NAMES), st.sampled_from(["r\0", "r\0f", "s"]), st.sampled_from(SEVERITIES))
    | st.builds(check, st.sampled_from(["database", "worker", "queue"]), st.sampled_from(SEVERITIES)),
    max_size=6,
    unique_by=lambda one: one.fingerprint,
)


def silenced_by(parent: str, child: str) -> Inhibition:
    return Inhibition(f"*:{parent}:*", (f"*:{child}:*",))


class NothingIsLost(RuleBasedStateMachine):
    """Every critical alert that is seen was told to all who take it; or a person wanted it quiet; or its cause fires."""

    @initialize(rules=st.lists(st.builds(silenced_by, st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=4))
    def begin(self, rules: list[Inhibition]) -> None:
        self.world = World(RULES._replace(inhibitions=(*KNOWN, *rules), receivers=escalating().receivers))
        self.seen: list[Signal] = []

    @rule(signals=SIGNALS, after_s=st.sampled_from([1, 20, 60, 300, 4 * HOUR_S, 3 * DAY_S, -7200]))
    def look(self, signals: list[Signal], after_s: int) -> None:
        self.seen = signals
        self.world.look(*signals, after_s=after_s)

    @rule(after_s=st.sampled_from([60, DAY_S]))
    def look_in_vain(self, after_s: int) -> None:
        self.world.look(looked_at=(), after_s=after_s)

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        if self.seen:
            self.world.acknowledge(data.draw(st.sampled_from(self.seen)))

    @rule(name=st.sampled_from(NAMES), for_s=st.sampled_from([120, DAY_S]))
    def silence(self, name: str, for_s: int) -> None:
        self.world.silence(f"*:{name}:*", for_s)

    @invariant()
    def every_critical_alert_is_told_or_has_a_reason(self) -> None:
        for one in getattr(self, "seen", ()):
            alert = self.world.alert(one)
            if one.severity != "critical":
                continue
            assert alert.state == "firing"
            if "a" not in alert.told:
                assert alert.reason.startswith(("acknowledged", "silence", "inhibited by"))
            if alert.reason.startswith("inhibited by"):
                parent = self.world.alerts[alert.reason.split()[2]]
                assert parent.state == "firing" and parent.severity == "critical" and parent.fingerprint != alert.fingerprint

    @invariant()
    def an_end_is_told_once_to_whom_its_beginning_was(self) -> None:
        heard: dict[tuple[str, str], str] = {}
        for _, item in getattr(self, "world", World()).items:
            key = (item.channel, item.fingerprint)
            if item.status == "resolved":
                assert heard.get(key) == "firing", item
            heard[key] = item.status


NothingIsLost.TestCase.settings = settings(max_examples=100, stateful_step_count=15, deadline=None)
TestNothingIsLost = NothingIsLost.TestCase


@pytest.mark.parametrize("when_s", [0, 3, 59])
def test_the_noon_of_the_tests_is_a_monday(when_s: int) -> None:
    assert (MONDAY_NOON_S + when_s) // DAY_S % 7 == 4  # 1970 began on a Thursday
