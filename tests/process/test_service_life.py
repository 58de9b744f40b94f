"""A service's life, in a real process with real signals, as systemd sees it.

The tiny service reports each call it gets to the same socket that systemd's notifications go to, so one stream of datagrams
shows what came before what.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from running import Suite

DEADLINE_S = 20.0

TINY = """
import json, os, socket, sys, time
from pathlib import Path
from autoops import log
from autoops.errors import AutoopsError, ConfigError, Held, StorageBusy, StorageCorrupt
from autoops.files.inotify import NameWatch
from autoops.runtime import service
from autoops.runtime.service import run
from autoops.runtime.wake import Sleeper

plan = json.loads(sys.argv[1])
here = Path(sys.argv[2])
out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def say(what):
    out.sendto(f"CALL={what}".encode(), str(here / "notify"))

class Tiny:
    name = "tiny"
    facts = {}
    steps = 0
    def open(self):
        self.sleeper = Sleeper(here / "wake")
        say("open")
    def step(self, now_s):
        self.sleeper.drain()
        self.steps += 1
        say("step begins")
        if "raise" in plan:
            if plan["raise"] == "bug":
                raise ValueError("a\\nREADY=1")
            raise StorageCorrupt(database="queue.db", detail="torn")
        time.sleep(plan.get("step_s", 0))
        say("step ends")
        return plan.get("sleep_s", 3600)
    def status(self):
        return plan.get("status", "{steps} steps").format(steps=self.steps)
    def reload(self):
        say("reload")
        if (here / "bad").exists():
            raise ConfigError(count=1, faults="a.toml:1: x: unknown key")
    def pause(self, window):
        say(f"pause {window}".strip())
    def entered(self, window):
        say(f"entered {window}".strip())
    def resume(self, alive, was):
        alive()
        if (here / "broken").exists():
            raise Held(detail=(here / "broken").read_text(), remedy="mend it")
        say(f"resume {was}" if was else "resume")
    def close(self):
        say("close")
    def wake_fds(self):
        return [self.sleeper.fileno()]

def beat(state, status, facts):
    say(f"beat {state}")
    if "beat" in plan and state == "running":
        raise {"busy": StorageBusy, "corrupt": StorageCorrupt}[plan["beat"]](database="queue.db", seconds=10, detail="torn")

assert os.environ.get("NOTIFY_SOCKET") or "deaf" in plan
bell = NameWatch(os.fsencode(here)) if "bell" in plan else None
service.FLAG_NET_S = 3600
try:
    code = run(Tiny(), flag=here / ".maintenance", heartbeat_s=plan.get("heartbeat_s", 3600), beat=beat, bell=bell)
except AutoopsError as error:
    sys.exit(error.exit_code)
say(f"inherits {sorted(name for name in os.environ if name.startswith(('NOTIFY', 'WATCHDOG')))}")
sys.exit(code)
"""


class Life:
    """One tiny service, and everything that it told."""

    def __init__(self, here: Path, plan: str, **environment: str) -> None:
        self.here, self.seen = here, list[str]()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(here / "notify"))
        (here / "tiny.py").write_text(TINY)
        told = {"NOTIFY_SOCKET": str(here / "notify"), "PYTHONPATH": ":".join(sys.path)} | environment
        self.process = subprocess.Popen(
            [sys.executable, str(here / "tiny.py"), plan, str(here)], stderr=subprocess.PIPE, env=os.environ | told
        )

    def until(self, wanted: str, times: int = 1) -> list[str]:
        """Wait until a message with `wanted` in it has come so often from now on; return all that came with it."""
        came: list[str] = []
        deadline = time.monotonic() + DEADLINE_S
        while sum(wanted in message for message in came) < times:
            try:
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                came.append(self._socket.recv(65536).decode())
            except TimeoutError:
                pytest.fail(f"waited for {wanted!r}, got {came} after {self.seen}")
        self.seen += came
        return came

    def rest(self) -> list[str]:
        """Return what has come and was not waited for."""
        came: list[str] = []
        self._socket.setblocking(False)
        try:
            while True:
                came.append(self._socket.recv(65536).decode())
        except BlockingIOError:
            self.seen += came
            return came

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wake(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"1", str(self.here / "wake"))

    def end(self) -> tuple[int, str]:
        """Wait for the end; return (exit code, standard error)."""
        _, errors = self.process.communicate(timeout=DEADLINE_S)
        self.rest()
        return self.process.returncode, errors.decode()

    def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()
        self._socket.close()


Start = Callable[..., Life]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    lives: list[Life] = []

    def started(plan: str = "{}", **environment: str) -> Life:
        lives.append(Life(tmp_path, plan, **environment))
        return lives[-1]

    yield started
    for life in lives:
        life.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_systemd_hears_ready_after_open_and_stopping_before_close(start: Start, number: signal.Signals) -> None:
    life = start()
    life.until("CALL=step ends")
    life.send(number)
    code, errors = life.end()
    assert code == 0, errors
    order = [
        "CALL=open", "READY=1\nSTATUS=0 steps", "CALL=beat running", "CALL=step begins", "CALL=step ends",
        "CALL=beat stopping", "STOPPING=1", "CALL=close", "CALL=inherits []",
    ]  # fmt: skip
    assert [message for message in life.seen if message in order] == order
    assert f'"reason": "{number.name}"' in errors


def test_a_signal_during_a_step_lets_it_end(start: Start) -> None:
    life = start('{"step_s": 0.5}')
    life.until("CALL=step begins")
    life.send(signal.SIGTERM)
    assert life.until("CALL=close")[0] == "CALL=step ends"
    assert life.end()[0] == 0


def test_a_wake_up_is_a_step_and_without_one_it_sleeps(start: Start) -> None:
    life = start()
    life.until("CALL=step ends")
    assert "CALL=step begins" not in life.rest()
    life.wake()
    life.until("CALL=step ends")


def test_steps_follow_each_other_as_the_service_asks(start: Start) -> None:
    life = start('{"sleep_s": 0.01}')
    life.until("CALL=step ends", times=20)
    life.until("STATUS=")


def test_a_reload_is_announced_with_its_time_and_ends_ready(start: Start) -> None:
    life = start()
    life.until("CALL=step ends")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    life.send(signal.SIGHUP)
    reloading, call, beat, ready, *_ = life.until("CALL=step ends")
    first, _, usec = reloading.partition("\nMONOTONIC_USEC=")
    assert (first, call, beat) == ("RELOADING=1", "CALL=reload", "CALL=beat running"), (
        "the heartbeat tells what is new before READY"
    )
    assert before <= int(usec) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert ready.startswith("READY=1\n")


def test_a_bad_configuration_is_reported_and_the_old_one_goes_on(start: Start, tmp_path: Path) -> None:
    life = start()
    life.until("CALL=step ends")
    (tmp_path / "bad").touch()
    life.send(signal.SIGHUP)
    assert "the new configuration was refused" in life.until("READY=1")[-1]
    life.until("CALL=step ends")
    (tmp_path / "bad").unlink()
    life.send(signal.SIGHUP)
    assert "refused" not in life.until("READY=1")[-1]
    life.send(signal.SIGTERM)
    code, errors = life.end()
    assert code == 0
    assert errors.count("configuration_refused") == errors.count("configuration_reloaded") == 1
    assert "a.toml:1: x: unknown key" in errors


def test_the_watchdog_is_fed_while_idle_and_starves_when_a_step_hangs(start: Start, tmp_path: Path) -> None:
    life = start('{"step_s": 0}', WATCHDOG_USEC="200000")
    life.until("WATCHDOG=1", times=5)
    life.close()
    (tmp_path / "notify").unlink()
    hangs = start('{"step_s": 3600}', WATCHDOG_USEC="200000")
    hangs.until("CALL=step begins")
    time.sleep(0.6)  # three times the limit: what must not come cannot be waited for
    assert hangs.rest() == []


def test_a_watchdog_meant_for_another_process_is_not_ours(start: Start) -> None:
    life = start('{"sleep_s": 0.01}', WATCHDOG_USEC="20000", WATCHDOG_PID="1")
    life.until("CALL=step ends", times=30)
    assert "WATCHDOG=1" not in life.seen


def test_the_watchdog_is_fed_during_maintenance(start: Start, tmp_path: Path) -> None:
    (tmp_path / ".maintenance").touch()
    life = start(WATCHDOG_USEC="200000")
    life.until("CALL=entered")
    life.until("WATCHDOG=1", times=3)


def test_no_step_begins_while_the_flag_exists(start: Start, tmp_path: Path) -> None:
    flag = tmp_path / ".maintenance"
    flag.write_text('who = "ann"\nwhy = "new\\ndisk"\n')
    life = start('{"sleep_s": 0}')
    came = life.until("CALL=beat paused")
    assert came[:2] == ["CALL=open", r"CALL=entered new\x0adisk, by ann"]
    assert r"STATUS=paused (new\x0adisk, by ann); 0 steps" in came[2]
    life.wake()
    flag.unlink()
    came = life.until("CALL=step begins")
    assert came[:2] == ["EXTEND_TIMEOUT_USEC=60000000", r"CALL=resume new\x0adisk, by ann"]
    assert any(message.startswith("STATUS=0 steps") for message in came) or any(
        "beat running" in m for m in life.until("beat running")
    )


def test_a_bell_tells_a_sleeping_service_that_the_flag_came_and_went(start: Start, tmp_path: Path) -> None:
    life = start('{"bell": true}')
    life.until("CALL=step ends")
    (tmp_path / ".maintenance").touch()
    life.until("CALL=pause")
    (tmp_path / ".maintenance").unlink()
    life.until("CALL=resume")


def test_a_flag_that_appears_pauses_once_before_the_next_step(start: Start, tmp_path: Path) -> None:
    life = start()
    life.until("CALL=step ends")
    (tmp_path / ".maintenance").write_bytes(b"\xff nonsense")
    life.wake()
    came = life.until("CALL=beat paused")
    assert "CALL=step begins" not in came
    assert any("the flag itself is faulty: not UTF-8" in message for message in came)
    life.send(signal.SIGTERM)
    code, _ = life.end()
    assert code == 0
    assert sum(message.startswith("CALL=pause") for message in life.seen) == 1
    assert [message for message in life.seen if message.startswith("CALL=resume")] == ["CALL=resume"], "the one at the start"


def test_what_was_edited_and_is_broken_holds_the_service_until_it_is_mended(start: Start, tmp_path: Path) -> None:
    life = start('{"bell": true, "sleep_s": 0.01}')
    life.until("CALL=step ends")
    (tmp_path / "written").write_text('why = "x"')
    (tmp_path / "written").rename(tmp_path / ".maintenance")  # empty for a moment, it would be one that says nothing
    life.until("CALL=beat paused")
    (tmp_path / "broken").write_text("a row\npoints nowhere")
    (tmp_path / ".maintenance").unlink()
    came = life.until("CALL=beat held")
    assert any("STATUS=held" in message and r"a row\x0apoints nowhere" in message for message in came)
    (tmp_path / "broken").unlink()
    came = life.until("CALL=step ends")
    assert "CALL=resume x" in came and "CALL=step begins" in came


def test_a_service_that_finds_its_registry_broken_at_the_start_is_held_too(start: Start, tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("x")
    life = start()
    came = life.until("CALL=beat held")
    assert not any("step" in message for message in came) and any(message.startswith("READY=1") for message in came)


def test_a_service_that_is_idle_notices_the_flag_by_itself(start: Start, tmp_path: Path) -> None:
    life = start()
    life.until("CALL=step ends")
    (tmp_path / ".maintenance").touch()
    life.until("CALL=beat paused")


def test_a_bug_in_a_step_closes_and_ends_with_a_traceback(start: Start) -> None:
    life = start('{"raise": "bug"}')
    code, errors = life.end()
    assert code == 1
    assert life.seen[-3:] == ["STOPPING=1", "CALL=close", r"STATUS=ValueError: a\x0aREADY=1"]
    assert '"event": "service_failed"' in errors
    assert "Traceback" in errors


def test_an_error_of_ours_in_a_step_keeps_its_exit_code_and_hint(start: Start) -> None:
    life = start('{"raise": "corrupt"}')
    code, errors = life.end()
    assert code == 6
    assert "CALL=close" in life.seen
    assert "The database is damaged" in errors
    assert "Traceback" not in errors


def test_heartbeats_go_on_when_nothing_else_does(start: Start) -> None:
    start('{"heartbeat_s": 0.05}').until("CALL=beat running", times=10)


def test_a_heartbeat_that_finds_its_database_busy_is_missed_and_no_more(start: Start) -> None:
    life = start('{"heartbeat_s": 0.05, "beat": "busy"}')
    life.until("CALL=beat running", times=3)
    life.send(signal.SIGTERM)
    code, errors = life.end()
    assert code == 0
    assert "heartbeat_missed" in errors


def test_a_heartbeat_that_finds_its_database_damaged_ends_the_service(start: Start) -> None:
    life = start('{"beat": "corrupt"}')
    assert life.end()[0] == 6
    assert "CALL=close" in life.seen


def test_a_status_cannot_give_orders_and_keeps_its_letters(start: Start) -> None:
    life = start('{"status": "caf\\u00e9 \\u4e2d\\nSTOPPING=1\\u202e"}')
    assert life.until("READY=1")[-1] == "READY=1\nSTATUS=café 中\\x0aSTOPPING=1\\xe2\\x80\\xae"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_a_service_lives_without_systemd(start: Start, address: str) -> None:
    life = start('{"deaf": true}', NOTIFY_SOCKET=address)
    life.until("CALL=step ends")
    life.send(signal.SIGTERM)
    code, errors = life.end()
    assert code == 0
    assert ("notification_failed" in errors) == bool(address)


def test_the_log_names_the_documents_of_a_small_commit_and_counts_those_of_a_large_one(suite: Suite) -> None:
    def told() -> list[tuple[str, str]]:
        return [(event["event"], event["id"]) for event in suite.events("worker") if event["event"].startswith("entry_")]

    suite.stop("watcher")
    for number in range(30):
        (suite.root / f"many-{number}.txt").write_text(f"{number}\n")
    suite.run("scan", config=True)
    suite.until(lambda: len(suite.active()) == 30, "all are registered, by one commit of a scan")
    assert told() == []
    suite.start("watcher")
    suite.idle()
    (suite.root / "one.txt").write_text("one\n")
    suite.idle()
    assert told() == [("entry_created", suite.entry("one.txt")["id"])]


def test_a_reload_takes_over_how_often_a_job_is_tried(make_suite: Callable[..., Suite]) -> None:
    suite = make_suite()
    suite.start()
    suite.config.write_text(suite.config.read_text().replace("[queue]\n", "[queue]\nmax_attempts = 1\n"))
    suite.processes["worker"].send_signal(signal.SIGHUP)
    suite.until(lambda: [one for one in suite.events("worker") if one["event"] == "configuration_reloaded"], "it is reloaded")
    with closing(sqlite3.connect(suite.state / "registry" / "registry.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entry").fetchone()
        (suite.root / "f").write_text("what the reader does not see\n")
        suite.idle()
        suite.run("queue", "checkpoint", code=1)
    (job,) = suite.run("queue", "list", "--json").json
    assert (job["kind"], job["state"], job["attempts"]) == ("checkpoint", "dead_letter", 1)
    suite.run("queue", "purge", job["id"])


def test_a_root_that_is_gone_is_a_gap_and_the_others_go_on(make_suite: Callable[..., Suite]) -> None:
    gone = {"name": "gone"}
    suite = make_suite(roots=[{"name": "tree"}, gone])
    (suite.roots["gone"] / "f").write_text("on a disk of its own\n")
    suite.once()
    suite.roots["gone"].rename(suite.base / "unmounted")
    suite.start()
    (suite.root / "a").write_text("the other root\n")
    suite.idle()  # which waits for no root that is not there
    assert ("tree", b"a") in suite.active()
    assert ("gone", b"f") in suite.active()
    assert "cannot be watched" in suite.run("coverage").out
    assert [event["hint"] for event in suite.events("watcher") if event["event"] == "root_absent"]
    suite.run("scan", config=True)
    suite.until(lambda: suite.findings("root_replaced"), "the worker tells of it")

    suite.configure([{"name": "tree"}], {})
    for process in suite.processes.values():
        process.send_signal(signal.SIGHUP)
    suite.until(lambda: not suite.findings("root_replaced"), "nobody looks for it any more")
    suite.until(lambda: suite.run("coverage", "--json").json["now"] == [], "nor misses it")
    assert suite.run("coverage", "--json").json["unconfigured"] == [{"root": "gone", "files": 1}]


def test_services_without_a_root_wait_for_one(make_suite: Callable[..., Suite]) -> None:
    suite = make_suite()
    suite.config.write_text("")
    suite.start()
    assert "autoops root add" in suite.run("status").out
    suite.run("root", "add", suite.root, config=True)
    for process in suite.processes.values():
        process.send_signal(signal.SIGHUP)
    (suite.root / "a").write_text("the first root\n")
    suite.until(lambda: (str(suite.root), b"a") in suite.active(), "it is registered")
