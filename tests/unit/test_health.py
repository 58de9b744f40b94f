"""What the checks say about values, and how it is told."""

from __future__ import annotations

import contextlib
import datetime
import re
from pathlib import Path

import pytest

from autoops.config import Config, HealthConfig
from autoops.health import outcomes, place, registry, services, verification
from autoops.health.outcomes import Day
from autoops.health.place import Room, Seen
from autoops.health.registry import Verdict, is_due
from autoops.health.report import as_facts, headline, line, problems
from autoops.health.result import Figure, Level, Result, worst
from autoops.health.run import guarded
from autoops.health.sources import Settings, Sources
from autoops.health.verification import Counted
from autoops.runtime.maintenance import Maintenance, parse, time_of
from autoops.state import State
from autoops.store.findings import Finding
from autoops.store.operations import Gap, Heartbeat
from autoops.store.records import Behind

BEAT = Heartbeat("worker", 7, "b", 1, 0, 1000, "running", "idle", {})
COUNTS = {"queued": 0, "running": 0, "completed": 9, "failed": 0, "dead_letter": 0}
LIMITS = HealthConfig()
NOW = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)


# daemons


def daemon(lives: bool | None, silent_s: float | None, heartbeat_s: float = 30.0, *, is_unit: bool = True) -> Result:
    return services.daemon("worker", BEAT, lives, silent_s, heartbeat_s, LIMITS, is_unit=is_unit)


@pytest.mark.parametrize(
    ("lives", "silent_s", "level"),
    [
        (True, 0.0, Level.OK),
        (None, 89.0, Level.OK),  # hidden, but it speaks
        (True, 90.0, Level.WARNING),
        (None, 299.0, Level.WARNING),
        (True, 300.0, Level.CRITICAL),
        (False, 0.0, Level.CRITICAL),
        (True, None, Level.CRITICAL),
    ],
)
def test_a_daemon_is_judged_by_its_process_and_by_how_long_it_is_silent(
    lives: bool | None, silent_s: float | None, level: Level
) -> None:
    assert daemon(lives, silent_s).level == level


def test_a_daemon_that_never_was_is_missed_only_where_there_is_a_root() -> None:
    assert services.daemon("worker", None, None, None, 30.0, LIMITS, is_unit=True).level == Level.CRITICAL


def test_what_to_do_about_a_daemon_is_what_can_be_done_on_this_host() -> None:
    assert "systemctl status autoops-worker" in daemon(False, 1.0).remedy
    bare = daemon(False, 1.0, is_unit=False).remedy
    assert "systemctl" not in bare and "autoops logs worker" in bare and "autoops up" in bare


def test_a_longer_heartbeat_gives_more_time() -> None:
    assert daemon(True, 400.0, 200.0).level == Level.OK
    assert daemon(True, 2000.0, 200.0).level == Level.CRITICAL


# shipping


@pytest.mark.parametrize(
    ("lives", "behind", "level"),
    [
        (True, Behind(0, None), Level.OK),
        (True, Behind(3, 941.0), Level.OK),
        (True, Behind(3, 940.0), Level.WARNING),
        (None, Behind(1, -2599.0), Level.WARNING),
        (True, Behind(1, -2600.0), Level.CRITICAL),
        (True, Behind(-5, None), Level.OK),  # the registry is behind: that is a finding
        (True, Behind(1, 2000.0), Level.OK),  # the clock went back
        (False, Behind(0, None), Level.WARNING),
        (False, Behind(1, -2600.0), Level.CRITICAL),
    ],
)
def test_shipping_is_judged_by_the_age_of_what_is_not_shipped(lives: bool | None, behind: Behind, level: Level) -> None:
    result = services.shipping(BEAT._replace(facts={"shipped": 7}), lives, behind, None, 1000.0, LIMITS, is_unit=True)
    assert result.level == level
    assert bool(result.remedy) == (level != Level.OK)


def test_the_remedy_of_shipping_fits_where_it_runs() -> None:
    beat, behind = BEAT._replace(facts={"shipped": 7}), Behind(1, -2600.0)
    assert "systemctl" in services.shipping(beat, False, behind, None, 1000.0, LIMITS, is_unit=True).remedy
    here = services.shipping(beat, False, behind, None, 1000.0, LIMITS, is_unit=False).remedy
    assert "systemctl" not in here and "autoops up" in here


# queue, coverage, findings


@pytest.mark.parametrize(
    ("change", "oldest_s", "level"),
    [
        ({}, 0, Level.OK),
        ({"queued": 199_999}, 299, Level.OK),
        ({"queued": 1}, 300, Level.WARNING),
        ({"queued": 1}, 3600, Level.CRITICAL),
        ({"queued": 200_000}, 0, Level.WARNING),
        ({"failed": 2_000_000}, 0, Level.CRITICAL),
        ({"dead_letter": 1}, 0, Level.WARNING),
        ({"dead_letter": 100}, 0, Level.CRITICAL),
    ],
)
def test_the_queue_is_judged_by_depth_age_and_dead_letters(change: dict[str, int], oldest_s: float, level: Level) -> None:
    assert services.queue({**COUNTS, **change}, oldest_s, LIMITS, paused=False).level == level  # type: ignore[arg-type]


def test_a_paused_queue_may_wait_but_its_dead_letters_count() -> None:
    assert services.queue({**COUNTS, "queued": 3_000_000}, 1e6, LIMITS, paused=True).level == Level.OK  # type: ignore[arg-type]
    assert services.queue({**COUNTS, "dead_letter": 1}, 0, LIMITS, paused=True).level == Level.WARNING  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("day", "level"),
    [
        (Day(0, 0, 0, 0), Level.OK),
        (Day(100_000, 999, 1000, 49), Level.OK),
        (Day(100_000, 1000, 1000, 0), Level.WARNING),
        (Day(100, 10, 1000, 0), Level.CRITICAL),
        (Day(100_000, 0, 1000, 50), Level.WARNING),
        (Day(100_000, 0, 1000, 100), Level.CRITICAL),
        (Day(4, 4, 4, 4), Level.OK),  # a handful is no share
        (Day(0, 5, 0, 0), Level.CRITICAL),  # failed, and nothing was taken up: what was lost with its worker
    ],
)
def test_a_day_is_judged_by_the_share_of_what_failed_and_of_what_was_taken_back(day: Day, level: Level) -> None:
    assert outcomes.judged(day, LIMITS).level == level


def test_a_whole_root_that_is_not_watched_is_critical_and_an_alias_is_nothing() -> None:
    def gap(path: bytes, reason: str) -> Gap:
        return Gap(1, "docs", path, reason, "", 0, None)

    assert services.coverage([gap(b"x", "alias")]).level == Level.OK
    partial = services.coverage([gap(b"x\n", "watch-limit")])
    assert partial.level == Level.WARNING and r"docs/x\x0a" in partial.text
    found = services.coverage([gap(b"x", "watch-limit"), gap(b"", "unmounted")])
    assert found.level == Level.CRITICAL and "docs" in found.text


def test_findings_are_a_warning_but_for_those_of_a_whole_root_or_service() -> None:
    assert services.findings({}).level == Level.OK
    assert services.findings({"unreadable": 3}).level == Level.WARNING
    assert services.findings({"root_replaced": 1}).level == services.findings({"unit_failed": 1}).level == Level.CRITICAL


# units


def failure(name: str, last_seen_s: int = 500) -> Finding:
    return Finding(1, "unit_failed", name.encode(), {}, 1, last_seen_s, 1, None)


def test_a_failed_unit_is_critical() -> None:
    good = {"Id": "autoops-worker.service", "ActiveState": "active", "Result": "success"}
    bad = {"Id": "autoops-verify.service", "ActiveState": "failed", "Result": "exit-code"}
    assert services.units([good]).level == Level.OK
    found = services.units([good, bad])
    assert found.level == Level.CRITICAL and "autoops-verify.service (exit-code)" in found.text
    assert services.units([{**bad, "Id": "autoops-health.service"}]).level == Level.OK, "or it would fail for ever"


@pytest.mark.parametrize(
    ("shown", "well"),
    [
        ({"ActiveState": "active", "Result": "success"}, True),
        ({"ActiveState": "inactive", "Result": "success", "ExecMainStartTimestampMonotonic": "5"}, True),
        ({"ActiveState": "inactive", "Result": "success", "ExecMainStartTimestampMonotonic": "0"}, False),  # reset, never run
        ({"ActiveState": "failed", "Result": "exit-code", "ExecMainStartTimestampMonotonic": "5"}, False),
        ({"ActiveState": "activating", "Result": "success", "ExecMainStartTimestampMonotonic": "5"}, False),
    ],
)
def test_a_unit_has_recovered_when_it_is_active_or_its_last_run_ended_well(shown: dict[str, str], well: bool) -> None:
    found = services.recovered([failure("a.service")], [{"Id": "a.service", **shown}], [], "")
    assert found == ([b"a.service"] if well else [])


def test_without_systemd_a_daemon_has_recovered_when_it_gave_a_sign_after_it_failed() -> None:
    failures = [failure("autoops-worker.service", 999), failure("autoops-watcher.service", 999)]
    assert services.recovered(failures, [], [(BEAT, None)], "") == [b"autoops-worker.service"]
    assert services.recovered(failures, [], [(BEAT, False)], "") == []
    assert services.recovered([failure("autoops-worker.service", 1000)], [], [(BEAT, True)], "") == []


def test_the_unit_that_we_run_in_and_the_check_itself_have_recovered() -> None:
    assert services.recovered([failure("a.service")], [], [], "a.service")
    assert services.recovered([failure("autoops-health.service")], [], [], "")
    assert not services.recovered([failure("a.service")], [], [], "")


# place


@pytest.mark.parametrize(
    ("used", "inodes", "level"),
    [(79.9, None, Level.OK), (80.0, 1.0, Level.WARNING), (95.0, None, Level.CRITICAL), (1.0, 95.0, Level.CRITICAL)],
)
def test_a_disk_is_judged_by_room_and_by_inodes(used: float, inodes: float | None, level: Level) -> None:
    room = Room(used, 10**9, inodes)
    assert worst((place.disk(room, LIMITS).level, place.inodes(room, LIMITS).level)) == level


def test_the_disk_of_the_backups_counts_where_it_is_another_one() -> None:
    good, bad = Room(1.0, 10**9, 2.0), Room(96.0, 10**6, None)
    found = place.disk(good, LIMITS, bad)
    assert (found.level, found.text) == (Level.CRITICAL, "1 % used, 1.0 GB free; backups: 96 % used, 0.0 GB free")
    assert {figure.label: figure.value for figure in found.figures} == {
        "disk_used": 1.0,
        "disk_free": 10**9,
        "backup_disk_used": 96.0,
        "backup_disk_free": 10**6,
    }
    found = place.inodes(Room(1.0, 1, None), LIMITS, Room(1.0, 1, 85.0))
    assert (found.level, found.text) == (Level.WARNING, "backups: 85 % used")
    assert place.inodes(good, LIMITS, bad).text == "2 % used"


def test_a_file_system_without_inodes_has_no_figure_for_them(tmp_path: Path) -> None:
    assert [figure.label for figure in place.disk(Room(1.0, 1, None), LIMITS).figures] == ["disk_used", "disk_free"]
    found = place.room(tmp_path)
    assert 0 <= found.used <= 100 and found.free_bytes >= 0


@pytest.mark.parametrize(
    ("key_mode", "mode", "uid", "level"),
    [
        (0o600, 0o640, 1, Level.OK),
        (0o640, 0o600, 1, Level.CRITICAL),
        (0o600, 0o660, 1, Level.CRITICAL),
        (0o600, 0o602, 1, Level.CRITICAL),
        (0o600, 0o600, 0, Level.CRITICAL),
    ],
)
def test_permissions_are_those_of_key_and_databases(key_mode: int, mode: int, uid: int, level: Level) -> None:
    found = place.permissions([Seen("/k", key_mode, 0, 0)], [Seen("/q/queue.db", mode, uid, 1)])
    assert found.level == level
    assert bool(found.remedy) == (level != Level.OK)


@pytest.mark.parametrize(
    ("window", "level"),
    [
        (None, Level.OK),
        (Maintenance(), Level.OK),
        (Maintenance(until="2026-05-01T12:00:01Z"), Level.OK),
        (Maintenance(until="2026-05-01 11:59:00+00:00"), Level.CRITICAL),
        (Maintenance(until="2026-04-01"), Level.CRITICAL),
        (parse('until = "noon"'), Level.WARNING),
        (Maintenance(until="2026-05-01T12:00:01Z", failed="ended with 3"), Level.CRITICAL),
        (Maintenance(fault="not TOML"), Level.WARNING),
    ],
)
def test_a_window_is_well_until_its_end(window: Maintenance | None, level: Level) -> None:
    assert place.maintenance(window, NOW.timestamp()).level == level


def test_a_daemon_that_does_not_work_without_a_flag_is_told() -> None:
    assert place.maintenance(None, NOW.timestamp(), ("held", "the edit broke it")).level == Level.CRITICAL
    assert place.maintenance(None, NOW.timestamp(), ("paused", "paused; idle")).level == Level.WARNING


@pytest.mark.parametrize("text", ["", "noon", "99:99", "2026-13-01", "1e9", "0001-01-01T00:00:00"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert time_of(text) is None


# registry


def test_validation_is_due_daily_and_at_once_after_a_failure_or_a_change_without_a_commit() -> None:
    last = Verdict(1000.0, 2.0, 5, (1, 2), 0, "")
    assert is_due(None, 0.0, 5, (1, 2), 86_400)
    assert not is_due(last, 87_399.0, 5, (1, 2), 86_400)
    assert is_due(last, 87_400.0, 5, (1, 2), 86_400), "each day"
    assert is_due(last, 1001.0, 5, (1, 3), 86_400), "written to without a commit"
    assert not is_due(last, 87_399.0, 6, (1, 3), 86_400), "commits alone are no reason"
    assert is_due(last._replace(faults=1), 1001.0, 5, (1, 2), 86_400)
    assert is_due(last, 999.0, 5, (1, 2), 86_400), "the clock was set back"


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", '{"at_s": "x"}', '{"at_s": 1, "took_s": 1, "sequence": 1, "files": 3}'])
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, content: str | None) -> None:
    memory = tmp_path / "health.json"
    if content is not None:
        memory.write_text(content)
    assert registry.recall(memory) is None


def test_a_verdict_is_remembered_and_where_nothing_can_be_written_forgotten(tmp_path: Path) -> None:
    verdict = Verdict(1.5, 0.5, 3, (1, 2, 3, 4), 1, "entry: x")
    registry.remember(tmp_path / "health.json", verdict)
    assert registry.recall(tmp_path / "health.json") == verdict
    registry.remember(tmp_path / "no directory" / "health.json", verdict)
    assert registry.recall(tmp_path / "no directory" / "health.json") is None


# how it is told


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError(13, "Permission denied", "/x"), "Permission denied: /x"),
        (TimeoutError("too slow"), "too slow"),
    ],
)
def test_what_kept_a_check_from_its_answer_is_told_with_its_file_if_it_has_one(error: OSError, said: str, tmp_path: Path) -> None:
    def fails(_: Sources) -> Result:
        raise error

    with contextlib.ExitStack() as opened:
        found = guarded("canary", fails, Sources(Settings(State(tmp_path), Config, lambda *_: ()), opened))
    assert found == Result("canary", Level.UNKNOWN, said)


def test_the_gravest_level_is_critical_then_unknown_then_warning() -> None:
    assert worst([]) == Level.OK
    assert worst([Level.OK, Level.WARNING]) == Level.WARNING
    assert worst([Level.WARNING, Level.UNKNOWN]) == Level.UNKNOWN
    assert worst([Level.UNKNOWN, Level.CRITICAL, Level.OK]) == Level.CRITICAL


PERFDATA = re.compile(r"'[^'=]+'=-?[\d.]+(?:s|%|B|c)?(?:;[\d.]*){0,4}")
RESULTS = [
    Result("disk", Level.OK, "fine", (Figure("disk_used", 12.3456, "%", 80, 95), Figure("free", 5, "B"))),
    Result("findings", Level.WARNING, "a|b\nAUTOOPS OK", (Figure("findings", 1, "", 1, None),), "look"),
    Result("worker", Level.CRITICAL, "dead", (Figure("x", 1, "", None, 1),)),
]


def test_the_headline_is_a_monitoring_plugins() -> None:
    said, bar, figures = headline(RESULTS).partition(" | ")
    assert bar and "|" not in said and "\n" not in said
    assert said == r"AUTOOPS CRITICAL: worker: dead; findings: a\x7cb\x0aAUTOOPS OK"
    assert figures.split(" ") == ["'disk_used'=12.3456%;80;95", "'free'=5B", "'findings'=1;1", "'x'=1;;1"]
    assert all(PERFDATA.fullmatch(figure) for figure in figures.split(" "))
    assert headline(RESULTS[:1]).startswith("AUTOOPS OK: 1 checks | ")
    assert headline([Result("x", Level.OK, "y")]) == "AUTOOPS OK: 1 checks"


def test_problems_are_told_gravest_first_one_line_each() -> None:
    assert [result.name for result in problems(RESULTS)] == ["worker", "findings"]
    assert line(RESULTS[1]) == r"WARNING findings: a\x7cb\x0aAUTOOPS OK (look)"


def test_json_has_every_check() -> None:
    facts = as_facts(RESULTS, "2026-05-01T12:00:00.000Z")
    assert (facts["level"], facts["code"], len(facts["checks"])) == ("CRITICAL", 2, 3)
    assert facts["checks"][0]["figures"][0] == {
        "label": "disk_used",
        "value": 12.3456,
        "unit": "%",
        "warning": 80,
        "critical": 95,
    }


# verification


def test_a_file_that_is_overdue_is_a_warning() -> None:
    assert verification.judged(Counted(1000, 0.1, 30, 500, 0), 2000).level == Level.OK
    found = verification.judged(Counted(1000, 0.1, 30, 500, 3), 2000)
    assert found.level == Level.WARNING and found.text == "3 of 500 files not verified within 30 days; counted 17 min ago"
    assert verification.judged(None, 0).level == Level.OK


@pytest.mark.parametrize(
    ("last", "now_s", "days", "due"),
    [
        (None, 1000, 30, True),
        (Counted(1000, 0.5, 30, 9, 1), 1499, 30, False),  # half a second is done again after 500
        (Counted(1000, 0.5, 30, 9, 1), 1500, 30, True),
        (Counted(1000, 0.5, 30, 9, 0), 1500, 30, False),
        (Counted(1000, 60.0, 30, 9, 0), 4599, 30, False),
        (Counted(1000, 60.0, 30, 9, 0), 4600, 30, True),
        (Counted(1000, 0.5, 30, 9, 0), 1001, 29, True),
        (Counted(1000, 0.5, 30, 9, 0), 999, 30, True),
    ],
)
def test_overdue_files_are_counted_as_often_as_their_number_allows(
    last: Counted | None, now_s: float, days: int, due: bool
) -> None:
    assert verification.is_due(last, now_s, days) == due


def test_a_count_is_remembered_and_nonsense_is_none(tmp_path: Path) -> None:
    memory, counted = tmp_path / "verification.json", Counted(1000.5, 0.25, 30, 9, 1)
    assert verification.recall(memory) is None
    verification.remember(memory, counted)
    assert verification.recall(memory) == counted
    for nonsense in ("", "[]", "{}", '{"at_s": "x"}'):
        memory.write_text(nonsense)
        assert verification.recall(memory) is None
    verification.remember(tmp_path / "no" / "such", counted)  # the next run counts again
