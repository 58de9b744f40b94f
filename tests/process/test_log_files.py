"""`autoops logs` on the files that `autoops up` writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from running import environment, program


def record(second: int, event: str, service: str) -> str:
    at = f"2026-05-01T12:00:0{second}.000+00:00"
    facts = {"timestamp": at, "program": "p", "level": "info", "event": f"service_{event}", "service": service}
    return json.dumps(facts) + "\n"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    log = tmp_path / "s" / "log"
    log.mkdir(parents=True)
    (log / "worker.log").write_text(record(1, "started", "worker") + "no record\n" + record(4, "stopped", "worker"))
    (log / "watcher.log").write_text(record(2, "started", "watcher") + record(3, "stopped", "watcher"))
    return tmp_path / "s"


def logs(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*program(), "logs", *arguments, "--state", str(state)]
    return subprocess.run(command, env=environment(TZ="UTC"), capture_output=True, text=True, timeout=60)


def test_lines_of_all_services_come_in_the_order_of_their_times(state: Path) -> None:
    run = logs(state)
    assert run.returncode == 0 and run.stderr == ""
    assert run.stdout.splitlines() == [
        "May 01 12:00:01 worker info: service started: service=worker",
        "worker: no record",
        "May 01 12:00:02 watcher info: service started: service=watcher",
        "May 01 12:00:03 watcher info: service stopped: service=watcher",
        "May 01 12:00:04 worker info: service stopped: service=worker",
    ]


def test_one_service_the_last_lines_and_a_beginning_can_be_chosen(state: Path) -> None:
    assert len(logs(state, "worker").stdout.splitlines()) == 3
    assert logs(state, "autoops-watcher.service", "-n", "1").stdout.count("service stopped: service=watcher") == 1
    assert len(logs(state, "--since", "2026-05-01T12:00:03Z").stdout.splitlines()) == 2
    assert logs(state, "-n", "0").stdout == ""


@pytest.mark.parametrize(("arguments", "code"), [(["none"], 3), (["../x"], 2), (["--since", "soon"], 2)])
def test_what_is_not_there_or_not_understood_is_said(state: Path, arguments: list[str], code: int) -> None:
    run = logs(state, *arguments)
    assert run.returncode == code and run.stderr.startswith("autoops: ") and "Traceback" not in run.stderr


def test_what_is_no_file_or_is_elsewhere_is_neither_read_nor_cut(state: Path, tmp_path: Path) -> None:
    (state / "log" / "odd.log").mkdir()
    run = logs(state)
    assert run.returncode == 3 and "odd.log" in run.stderr and "Traceback" not in run.stderr
    assert logs(state, "--vacuum", "0").returncode == 4
    (state / "log" / "odd.log").rmdir()
    if os.geteuid() == 0:  # whoever owns the state leads us no further than he goes
        elsewhere = tmp_path / "elsewhere"
        (state / "log").rename(elsewhere)
        (state / "log").symlink_to(elsewhere)
        os.chown(state / "log", 54321, 54321, follow_symlinks=False)
        assert logs(state, "--vacuum", "0").returncode == 4
        assert all(path.stat().st_size for path in elsewhere.iterdir())


@pytest.mark.parametrize("what", ["link", "fifo"])
def test_what_stands_in_the_place_of_a_log_is_neither_followed_nor_waited_for(state: Path, tmp_path: Path, what: str) -> None:
    secret, odd = tmp_path / "secret", state / "log" / "odd.log"
    secret.write_text("secret\n")
    odd.symlink_to(secret) if what == "link" else os.mkfifo(odd)
    run = logs(state)
    assert run.returncode == 3 and "odd.log" in run.stderr and "Traceback" not in run.stderr and "secret\n" not in run.stdout
    assert logs(state, "worker").returncode == 0, "the others are shown when they are named"


def test_a_state_without_logs_cannot_tell(tmp_path: Path) -> None:
    run = logs(tmp_path)
    assert run.returncode == 3 and "autoops up" in run.stderr


def test_following_shows_what_comes_until_it_is_interrupted(state: Path) -> None:
    # by env, for the background jobs of a shell ignore the signal, and so would the program
    command = ["env", "--default-signal=INT", *program(), "logs", "-f", "-n", "1", "--state", str(state)]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert "stopped" in process.stdout.readline()
    with (state / "log" / "worker.log").open("a") as out:
        out.write("first\n")
    while "first" not in (line := process.stdout.readline()):  # it may have been written before it was followed
        assert line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
