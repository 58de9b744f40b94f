"""The clock is set while everything runs, to another day or to 2038, and so is the zone: nothing that was promised breaks.

Leases, retries and rounds go by the time since the boot; IDs go on from the last one; what is kept of backups goes by their
commits, and by hours that every zone has. The controls go by the clock instead.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from changing import change
from failing import build
from judge import require_whole
from running import Suite, environment, program

from autoops.backup import retention
from autoops.backup.manifest import Manifest
from autoops.cli.rounds import recall
from autoops.core.ids import is_id
from autoops.core.ledger import Head
from autoops.state import State

HOUR, DAY = 3600, 86400
END_OF_32_BITS = 1 << 31  # 2038-01-19T03:14:08Z
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("clock"), "clock")


class Clock:
    """The wall clock of a suite's programs."""

    def __init__(self, library: Path, suite: Suite) -> None:
        self._file = suite.base / "clock"
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(self._file)}
        suite.environment |= self.environment
        self.set(0)

    def set(self, ahead_s: int) -> None:
        """Set it, so many seconds before the true time."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead_s}\n")
        new.rename(self._file)


@pytest.fixture
def clock(suite: Suite, library: Path) -> Clock:
    return Clock(library, suite)


JUMPS_S = (HOUR, -DAY, END_OF_32_BITS - int(time.time()))


# IDs


def new_ids(suite: Suite, name: str) -> list[str]:
    """Register two more files; return the IDs of all, in the order in which they were given."""
    before = {entry["id"] for entry in suite.export()}
    for number in range(2):
        (suite.root / f"{name}-{number}.txt").write_text(f"{name} {number}\n")
    suite.once()
    return sorted({entry["id"] for entry in suite.export()} - before)


def require_ids_in_order(given: Sequence[Sequence[str]]) -> None:
    flat = [one for ids in given for one in ids]
    assert all(map(is_id, flat)) and flat == sorted(set(flat)), flat


NAIVE = """
import datetime
from autoops.core import ids
def allocate(last, now_s, count):
    minute = datetime.datetime.fromtimestamp(now_s)
    return [f"{minute:%Y%m%d%H%M}{minute.second * 100 + number:04d}" for number in range(1, count + 1)]
ids.allocate = allocate
"""


def set_the_clock(suite: Suite, clock: Clock, *jumps_s: int) -> list[list[str]]:
    given = []
    for jump_s in (0, *jumps_s):
        clock.set(jump_s)
        given.append(new_ids(suite, f"{jump_s}"))
    return given


ZONES = ("Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York")


def set_the_zone(suite: Suite) -> list[list[str]]:
    given = []
    for zone in ZONES:
        suite.environment["TZ"] = zone
        given.append(new_ids(suite, zone.rpartition("/")[2]))
    return given


def test_ids_go_on_whatever_the_clock_does(suite: Suite, clock: Clock) -> None:
    given = set_the_clock(suite, clock, *JUMPS_S, 1)
    require_ids_in_order(given)
    assert all(one.startswith("2038011903") for one in (*given[-2], *given[-1]))
    require_whole(suite, services=False)


def test_ids_and_times_are_the_same_in_every_zone(suite: Suite) -> None:
    require_ids_in_order(set_the_zone(suite))
    told = set()
    for zone in ZONES:
        suite.environment["TZ"] = zone
        told.add(
            (suite.run("export").out, suite.run("export", "--format", "ledger").out, suite.run("explain", "0.txt", config=True).out)
        )
    assert len(told) == 1
    require_whole(suite, services=False)


def test_control_ids_that_are_the_local_time_go_back_with_the_zone(suite: Suite) -> None:
    change(suite, NAIVE)
    with pytest.raises(AssertionError):
        require_ids_in_order(set_the_zone(suite))


def test_control_ids_that_are_the_time_go_back_with_the_clock(suite: Suite, clock: Clock) -> None:
    change(suite, NAIVE)
    with pytest.raises(AssertionError):
        require_ids_in_order(set_the_clock(suite, clock, -DAY))


# leases and retries

TIMERS = """
import json, sys
from pathlib import Path
from autoops.model import Work
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue
db = Database.open(Path(sys.argv[1]), SCHEMA, guard=True)
queue = Queue(db, backoff_first_s=1800.0, uniform=lambda: 1.0)
queue.enqueue([Work("patch", b"held"), Work("note", b"fails"), Work("scan", b"later", delay_s=1800.0)])
(held,), (fails,) = queue.claim(1, 3000.0, ["patch"]), queue.claim(1, 60.0, ["note"])
assert queue.fail(fails, "once") == "failed"
for line in sys.stdin:
    print(json.dumps([queue.rescue(), queue.next_due_s(["note"]), queue.next_due_s(["scan"])]), flush=True)
queue.complete([held])
queue.purge(state="failed")
queue.purge([job.id for job in queue.list() if job.kind == "scan"])
"""
BY_THE_CLOCK = """
import time
from autoops import clock
clock.boottime_ns = time.time_ns
"""


def timers(suite: Suite, clock: Clock) -> list[list[float]]:
    """Return what a queue rescues, and in how many seconds a retry and a delayed job are due, before the clock is set and after."""
    command = [sys.executable, "-c", TIMERS, str(suite.state / "queue" / "queue.db")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(**suite.environment), text=True, bufsize=1, **pipes) as process:  # type: ignore[call-overload]
        told = []
        for ahead_s in (0, *JUMPS_S):
            clock.set(ahead_s)
            process.stdin.write("\n")
            told.append(json.loads(process.stdout.readline()))
    assert process.returncode == 0
    return told


def is_kept(told: Sequence[float]) -> bool:
    rescued, retry_s, delayed_s = told
    return rescued == 0 and 0 < retry_s <= 1800 and 0 < delayed_s <= 1800


def test_no_lease_and_no_timer_of_the_queue_goes_by_the_clock(suite: Suite, clock: Clock) -> None:
    told = timers(suite, clock)
    assert all(map(is_kept, told)), told
    require_whole(suite, services=False)


def test_control_a_queue_that_goes_by_the_clock_breaks_them_each_time(suite: Suite, clock: Clock) -> None:
    change(suite, BY_THE_CLOCK)
    before, *after = timers(suite, clock)
    assert is_kept(before) and not any(map(is_kept, after)), after


# the services


def test_services_go_on_and_health_says_when_the_clock_is_set_back(suite: Suite, clock: Clock) -> None:
    suite.start()
    for ahead_s in (HOUR, -DAY, END_OF_32_BITS - int(time.time()) - 2):
        clock.set(ahead_s)
        for name, mtime_s in {"old": -1, "last": END_OF_32_BITS - 1, "first": END_OF_32_BITS, "late": 1 << 32}.items():
            (suite.root / f"{name}.txt").write_text(f"{ahead_s}\n")
            os.utime(suite.root / f"{name}.txt", (mtime_s, mtime_s))
        suite.idle()
        suite.require_disk_registered()
    clock.set(0)
    assert suite.check("clock")["level"] == "CRITICAL"
    require_whole(suite)


def test_what_up_runs_now_and_then_goes_on_when_the_clock_is_set_back(suite: Suite, clock: Clock) -> None:
    suite.configure([{"name": "tree"}], {"reconcile": {"interval_s": 4.0}})
    log, memory = suite.state / "log" / "reconciler.log", State(suite.state).rounds
    command = [*program(), "up", "--state", str(suite.state), "--config", str(suite.config)]
    with subprocess.Popen(command, env=environment(**suite.environment), stdout=subprocess.DEVNULL) as up:
        try:
            suite.until(lambda: "reconciler" in recall(memory), "it has run, and waits for the next time")
            clock.set(-DAY)
            before = log.read_text().count('"reconciled"')
            suite.until(lambda: log.read_text().count('"reconciled"') > before, "it runs again")
        finally:
            up.terminate()
    assert up.returncode == 0
    require_whole(suite)


def test_what_was_verified_in_a_time_to_come_is_verified_again(suite: Suite, clock: Clock) -> None:
    suite.configure([{"name": "tree"}], {"scrub": {"max_load": 1000.0}})
    clock.set(JUMPS_S[-1])
    (suite.root / "new.txt").write_text("seen in 2038\n")
    suite.once()
    clock.set(0)
    suite.start("worker")
    done = suite.run("scrub", "--until-done", "--json", config=True).json
    assert done["verified"] == done["files"] == len(suite.active())
    require_whole(suite)


# backups


def commit(suite: Suite, text: str) -> str:
    (suite.root / "0.txt").write_text(text)
    suite.once()
    return text


def is_newest_kept(suite: Suite, clock: Clock) -> bool:
    """Take a snapshot, set the clock back, take one of a later commit, prune all but one; tell whether the later one is left."""
    least = {"keep_last": 1} | {f"keep_{span}": 0 for span in ("hourly", "daily", "weekly", "monthly")}
    suite.configure([{"name": "tree"}], {"backup": least})
    for ahead_s in (HOUR, -DAY):
        clock.set(ahead_s)
        commit(suite, f"{ahead_s}\n")
        suite.run("backup", "snapshot", "--full", config=True)
    (kept,) = suite.run("backup", "list", "--json", config=True).json
    return bool(kept["sequence"] == suite.run("status", "--json").json["sequence"])


def test_the_newest_snapshot_and_the_latest_commit_are_found_when_the_clock_was_set_back(suite: Suite, clock: Clock) -> None:
    assert is_newest_kept(suite, clock)
    commit(suite, "after the snapshot\n")
    suite.run("backup", "ship", config=True)
    digest = suite.digest()
    suite.run("backup", "restore", "--latest", config=True)
    assert suite.digest() == digest
    require_whole(suite, services=False)


BY_TIME = """
from autoops.backup import retention
kept = retention.kept
retention.kept = lambda there, keep: kept([one._replace(head=one.head._replace(sequence=0)) for one in there], keep)
"""


def test_control_by_its_time_the_newest_snapshot_would_go(suite: Suite, clock: Clock) -> None:
    change(suite, BY_TIME)
    assert not is_newest_kept(suite, clock)


def snapshots_of_each_hour(first: datetime.datetime, hours: int) -> list[Manifest]:
    def one(number: int) -> Manifest:
        at = (first + datetime.timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Manifest(at, at, "full", at, Head(number + 1, b"", b""), 1, {}, {}, "", "", "")

    return [one(number) for number in range(hours)]


NIGHTS = {"to summer time": datetime.datetime(2026, 3, 28, 12), "and back": datetime.datetime(2026, 10, 24, 12)}


@pytest.mark.parametrize("first", NIGHTS.values(), ids=NIGHTS)
def test_each_hour_and_each_day_keeps_its_snapshot_over_a_change_of_clocks(first: datetime.datetime) -> None:
    there = snapshots_of_each_hour(first, 49)
    why = retention.kept(there, retention.Keep(1, 48, 3, 0, 0))
    assert [one.name for one in there if "hourly" in why.get(one.name, ())] == [one.name for one in there[1:]]
    assert len([one for one in there if "daily" in why.get(one.name, ())]) == 3


def test_control_hours_of_a_zone_lose_the_one_that_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "UTC", BERLIN)
    there = snapshots_of_each_hour(NIGHTS["and back"], 49)
    why = retention.kept(there, retention.Keep(1, 48, 0, 0, 0))
    assert len([one for one in there if "hourly" in why.get(one.name, ())]) == 48 and there[0].name in why
