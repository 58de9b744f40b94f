"""`autoops status`: one screen, and the same as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from running import Suite

from autoops.cli.status import lines
from autoops.core.ledger import utc

Make = Callable[..., Suite]


def test_one_screen_says_what_runs_waits_and_is_wrong(shared: Suite) -> None:
    out = shared.run("status").out.splitlines()
    assert [line.split(":")[0].split(",")[0] for line in out] == [
        "watcher",
        "worker",
        "entries",
        f"commit {shared.run('status', '--json').json['sequence']}",
        "queue",
        "not watched",
        "maintenance",
        "health",
    ]
    assert out[-1].startswith("health: OK (checked now, but for registry: ") and out[-2] == "maintenance: no window is open"


def test_json_keeps_what_it_had_and_has_more(shared: Suite) -> None:
    found = shared.run("status", "--json").json
    before = {"described_total", "digest", "entries", "findings", "gaps", "processes", "queue", "sequence", "to_describe"}
    assert found.keys() == before | {"health", "maintenance", "timers", "units"}
    assert found["processes"]["worker"]["alive"] is True and (found["health"]["level"], found["health"]["problems"]) == ("OK", {})


def test_what_status_does_not_check_itself_is_told_with_its_age(still: Suite) -> None:
    def told() -> str:
        return next(line for line in still.run("status").out.splitlines() if line.startswith("health: "))

    assert told().endswith("(checked now, but for registry: never, verification: never)")
    still.run("health", code=None)
    two_hours_ago = time.time() - 7300
    verdict = json.loads((still.state / "queue/health.json").read_text()) | {"at_s": two_hours_ago}
    (still.state / "queue/health.json").write_text(json.dumps(verdict))
    assert "registry: 2 h ago, verification: " in told() and "never" not in told()
    remembered = still.run("status", "--json").json["health"]["remembered"]
    assert remembered["registry"]["at"] == utc(two_hours_ago) and 7300 <= remembered["registry"]["age_s"] < 7400


def test_a_window_is_told_with_its_reason(make_suite: Make) -> None:
    suite = make_suite()
    suite.once()
    flag = suite.state / ".maintenance"
    flag.write_text('why = "disk\\nswap"\nuntil = 2026-01-01T00:00:00Z\nwhat = ["/a"]\n')
    out = suite.run("status").out
    assert r"maintenance: a window is open: disk\x0aswap, until 2026-01-01" in out
    window = suite.run("status", "--json").json["maintenance"]
    assert (window["open"], window["what"]) == (True, ["/a"])
    assert "maintenance" in suite.run("status", "--json").json["health"]["problems"]
    flag.unlink()


def test_looking_changes_nothing(make_suite: Make) -> None:
    suite = make_suite()
    suite.once()
    suite.run("note-failure", "autoops-worker.service")
    before = {path: path.stat().st_mtime_ns for path in suite.state.rglob("*") if path.is_file() and not path.name.endswith("-shm")}
    for _ in range(2):
        suite.run("status")
    after = {path: path.stat().st_mtime_ns for path in suite.state.rglob("*") if path.is_file() and not path.name.endswith("-shm")}
    assert after == before and suite.findings("unit_failed")


def test_timers_and_units_are_lines_of_their_own() -> None:
    facts = {
        "processes": {},
        "units": {"autoops-worker.service": "active", "autoops.target": "active"},
        "timers": [
            {"unit": "autoops-health.timer", "active": "active", "next": "2026-05-01T12:05:00.000Z", "last": None},
            {"unit": "autoops-verify.timer", "active": "inactive", "next": None, "last": "2026-05-01T03:00:00.000Z"},
        ],
        "entries": {},
        "sequence": 1,
        "digest": "00",
        "to_describe": 0,
        "queue": {},
        "gaps": 0,
        "findings": {"unreadable": 2},
        "maintenance": {"open": False},
        "health": {
            "level": "WARNING",
            "problems": {"findings": "2 unreadable"},
            "remembered": {"registry": {"age_s": 7300.0, "at": "2026-05-01T10:00:00.000Z"}, "verification": None},
        },
    }
    told = lines(facts)
    assert told[:3] == [
        "units: autoops-worker active, autoops.target active",
        "timer: autoops-health next 2026-05-01T12:05:00.000Z, last never",
        "timer: autoops-verify no next run (inactive), last 2026-05-01T03:00:00.000Z",
    ]
    assert told[-2:] == [
        "health: WARNING (checked now, but for registry: 2 h ago, verification: never)",
        "  findings: 2 unreadable",
    ]
    assert any("findings: 2: 2 unreadable" in line for line in told)
