"""`autoops-health`: what it tells when something is wrong, and whom: Prometheus, a heartbeat address, a canary's registry."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from running import PROJECT, Answer, Suite, environment
from suites import tmpfs

Make = Callable[..., Suite]
OK, WARNING, CRITICAL, UNKNOWN = range(4)
CANARY = ".autoops-canary"


def check(suite: Suite, *arguments: str, config: bool = True) -> Answer:
    """Run the program, as the unit does."""
    command = [sys.executable, str(PROJECT / "bin" / "autoops-health"), "--state", str(suite.state), *arguments]
    command += ["--config", str(suite.config)] if config else []
    run = subprocess.run(command, env=environment(**suite.environment), capture_output=True, text=True, timeout=120)
    assert "Traceback" not in run.stderr, run.stderr
    return Answer(run.returncode, run.stdout, run.stderr)


def found(suite: Suite) -> dict[str, dict[str, Any]]:
    """Return what each check found, by its name."""
    return {one["name"]: one for one in check(suite, "--json").json["checks"]}


def level(suite: Suite, name: str) -> str:
    return str(found(suite)[name]["level"])


# the program


def test_it_says_what_autoops_health_says(shared: Suite) -> None:
    answer, other = check(shared, "--verbose", config=False), shared.run("health", "--verbose", code=None)
    assert answer.code == other.code == OK and answer.err == ""
    assert [line.split(":")[0] for line in answer.out.splitlines()] == [line.split(":")[0] for line in other.out.splitlines()]


def test_wrong_usage_is_unknown_and_not_critical(shared: Suite) -> None:
    answer = check(shared, "--frobnicate")
    assert answer.code == UNKNOWN and "frobnicate" in answer.err and answer.out == ""


def test_what_is_well_again_is_no_news_for_cron(make_suite: Make) -> None:
    suite = make_suite()
    suite.start()
    suite.run("note-failure", "autoops-worker.service")
    suite.stop("worker")
    suite.start("worker")
    suite.until(lambda: check(suite).code == OK, "all is well again")
    suite.run("note-failure", "autoops-health.service")
    answer = check(suite)
    assert (answer.code, answer.err) == (OK, "")


def test_what_it_found_is_kept_for_others(still: Suite) -> None:
    facts = check(still, "--json").json
    assert json.loads((still.state / "queue" / "last-health.json").read_text()) == facts


def test_the_limits_are_the_configurations(make_suite: Make) -> None:
    suite = make_suite(tables={"health": {"disk_warning": 0, "memory_warning": 0, "memory_critical": 0}})
    suite.once()
    checks = found(suite)
    assert (checks["disk"]["level"], checks["memory"]["level"], checks["inodes"]["level"]) == ("WARNING", "CRITICAL", "OK")
    assert checks["disk"]["remedy"] == "RUNBOOK, 'Disk full'"


def test_backups_on_another_disk_have_that_one_looked_at_too(make_suite: Make, tmp_path: Path) -> None:
    other = Path(tempfile.mkdtemp(prefix="autoops-test-", dir="/dev/shm"))
    try:
        if other.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is one file system only")
        suite = make_suite(tables={"backup": {"directory": str(other)}})
        suite.once()
        labels = {one["label"]: one["value"] for one in found(suite)["disk"]["figures"]}
        assert 0 <= labels["backup_disk_used"] <= 100 and labels.keys() >= {"disk_used", "backup_disk_free"}
        other.rmdir()
        assert found(suite)["disk"]["level"] == "OK" and "backups" not in found(suite)["disk"]["text"]
    finally:
        shutil.rmtree(other, ignore_errors=True)


# the truth, when something is wrong


def test_a_worker_that_died_makes_the_digest_old_in_time(make_suite: Make) -> None:
    suite = make_suite(tables={"health": {"digest_age_warning_s": 1, "digest_age_critical_s": 2}})
    suite.start()
    suite.idle()
    suite.kill("worker")
    (suite.root / "never registered.txt").write_text("x\n")
    suite.until(lambda: level(suite, "digest") == "CRITICAL", "the digest is old")
    checks = found(suite)
    assert checks["worker"]["level"] == "CRITICAL" and checks["watcher"]["level"] == "OK"
    suite.start("worker")
    suite.idle()
    assert found(suite)["worker"]["level"] == "OK"


def test_commits_without_a_checkpoint_make_the_digest_old(still: Suite) -> None:
    assert level(still, "digest") == "OK"
    lines = still.state / "registry" / "checkpoints.jsonl"
    good = lines.read_bytes()
    lines.write_bytes(b"")
    still.config.write_text(still.config.read_text() + "digest_age_warning_s = 1\n")
    still.until(lambda: level(still, "digest") == "WARNING", "the commits are old enough")
    assert "commits have no checkpoint" in found(still)["digest"]["text"]
    lines.write_bytes(good)


def test_an_older_copy_of_the_registry_is_critical_at_once(make_suite: Make) -> None:
    suite = make_suite()
    suite.once()
    path = suite.state / "registry" / "registry.db"
    old = path.read_bytes()
    (suite.root / "b.txt").write_text("b\n")
    suite.once()
    assert level(suite, "registry") == "OK"
    new = path.read_bytes()
    path.write_bytes(old)
    said = found(suite)["registry"]
    assert said["level"] == "CRITICAL" and "older copy" in said["text"]
    path.write_bytes(new)


@pytest.mark.parametrize("name", ["queue", "registry"])
def test_a_malformed_database_keeps_no_other_check_from_its_answer(still: Suite, name: str) -> None:
    path = still.state / name / f"{name}.db"
    good = path.read_bytes()
    path.write_bytes(b"not a database" * 1000)
    try:
        checks = found(still)
        assert checks["database" if name == "queue" else "registry"]["level"] == "CRITICAL"
        for one in ("disk", "inodes", "memory", "load", "clock", "key", "certificates", "permissions", "suspect", "configuration"):
            assert checks[one]["level"] == "OK", checks[one]
        assert not any("the check itself failed" in one["text"] for one in checks.values())
    finally:
        path.write_bytes(good)


def test_a_sign_of_life_from_the_future_is_a_clock_that_was_set_back(still: Suite) -> None:
    assert level(still, "clock") == "OK"
    with contextlib.closing(sqlite3.connect(still.state / "queue" / "queue.db", isolation_level=None)) as queue:
        queue.execute("UPDATE heartbeat SET at_s = at_s + 86400")
    said = found(still)["clock"]
    assert said["level"] == "CRITICAL" and "before the last sign of life" in said["text"]


def test_a_full_disk_is_critical_and_is_made_no_worse(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", "24m") as small:
        suite = Suite(tmp_path / "suite", tables={"health": {"disk_warning": 80, "disk_critical": 95}})
        suite.state = small / "state"
        suite.once()
        assert found(suite)["disk"]["level"] == "OK"
        with (small / "ballast").open("wb") as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(1 << 16))
                ballast.flush()
        checks = found(suite)
        assert checks["disk"]["level"] == "CRITICAL"
        assert checks["registry"]["level"] == checks["database"]["level"] == checks["suspect"]["level"] == "OK"
        assert check(suite).code == CRITICAL
        assert not list(suite.state.rglob("*.suspect")) and not list(suite.state.rglob("*.tmp"))
        (small / "ballast").unlink()
        assert found(suite)["disk"]["level"] == "OK"
        suite.require_proven()


def test_in_a_window_nothing_is_written(still: Suite) -> None:
    check(still)
    flag = still.state / ".maintenance"
    flag.touch()
    before = {path: path.stat().st_mtime_ns for path in still.state.rglob("*.db*") if not path.name.endswith("-shm")}
    assert check(still).code in (OK, CRITICAL)
    assert {path: path.stat().st_mtime_ns for path in still.state.rglob("*.db*") if not path.name.endswith("-shm")} == before
    flag.unlink()


# Prometheus


def samples(path: Path) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Read a textfile with Prometheus' own parser."""
    read: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(path.read_text()):
        for one in family.samples:
            read.setdefault(one.name, []).append((one.labels, one.value))
    return read


def test_the_textfile_is_one_that_another_user_reads_and_prometheus_understands(make_suite: Make, tmp_path: Path) -> None:
    path = tmp_path / "metrics" / "autoops.prom"
    path.parent.mkdir()
    suite = make_suite(tables={"health": {"textfile": str(path)}})
    suite.once()
    check(suite)
    check(suite)  # what a run measured the next one knows
    read = samples(path)
    assert path.stat().st_mode & 0o777 == 0o644 and [one.name for one in path.parent.iterdir()] == ["autoops.prom"]
    assert read["autoops_health_status"][0][1] == CRITICAL
    status = {labels["check"]: value for labels, value in read["autoops_health_check_status"]}
    assert status["worker"] == CRITICAL and status["queue"] == OK
    assert {labels["state"] for labels, _ in read["autoops_jobs"]} == {"queued", "running", "failed", "dead_letter"}
    assert {(one["name"], one["quantile"]) for one, _ in read["autoops_sample_seconds"]} >= {("queue_write", "0.95")}
    assert time.time() - read["autoops_health_last_run_timestamp_seconds"][0][1] < 60


def test_hostile_names_stay_labels(make_suite: Make, tmp_path: Path) -> None:
    path = tmp_path / "autoops.prom"
    suite = make_suite(tables={"health": {"textfile": str(path)}})
    suite.once()
    name = 'a"} 1\nautoops_health_status 0\\'
    with contextlib.closing(sqlite3.connect(suite.state / "queue" / "queue.db", isolation_level=None)) as queue:
        queue.execute("INSERT INTO gap (root, path, reason, detail, since_s) VALUES (?, x'', 'unmounted', '', 1)", (name,))
        columns = "kind, subject, detail, first_seen_s, last_seen_s"
        queue.execute(f"INSERT INTO finding ({columns}) VALUES (?, x'ff0a', '{{}}', 1, 1)", (name,))
    out = check(suite).out
    assert "\x1b" not in out and [line.split()[0] for line in out.splitlines()[1:]] == ["CRITICAL"] * 3 + ["WARNING"]
    read = samples(path)
    assert [value for _, value in read["autoops_health_status"]] == [CRITICAL]
    assert [labels["root"] for labels, _ in read["autoops_coverage_gaps"]] == [name.replace("\n", r"\x0a")]


def test_a_textfile_that_cannot_be_written_is_a_warning_and_nothing_else(make_suite: Make, tmp_path: Path) -> None:
    suite = make_suite(tables={"health": {"textfile": str(tmp_path / "none" / "a.prom")}})
    suite.once()
    assert found(suite)["textfile"]["level"] == "WARNING"


# heartbeats


class Listener(BaseHTTPRequestHandler):
    """Somebody far away."""

    heard: list[tuple[str, str]]
    answer: tuple[int, str] = (200, "")
    silence: threading.Event | None = None

    def do_POST(self) -> None:
        self.heard.append((self.path, self.rfile.read(int(self.headers["Content-Length"])).decode()))
        if self.silence:
            self.silence.wait(60)
        self.send_response(self.answer[0])
        if self.answer[1]:
            self.send_header("Location", self.answer[1])
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def listener() -> Iterator[tuple[type[Listener], str]]:
    """Return somebody to tell, and his address."""
    kind = type("Here", (Listener,), {"heard": []})
    server = HTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield kind, f"http://127.0.0.1:{server.server_address[1]}/secret-id"
    if kind.silence:
        kind.silence.set()
    server.shutdown()
    server.server_close()


def test_a_run_is_told_from_beginning_to_end(make_suite: Make, listener: tuple[type[Listener], str]) -> None:
    kind, url = listener
    suite = make_suite(tables={"health": {"heartbeat_url": url}})
    suite.once()
    assert check(suite, "--heartbeat", "run").code == CRITICAL
    assert kind.heard == [("/secret-id/start", ""), ("/secret-id/2", "AUTOOPS CRITICAL: watcher, worker")]
    kind.heard.clear()
    assert check(suite, "--heartbeat", "start").code == check(suite, "--heartbeat", "end").code == 0
    assert [path for path, _ in kind.heard] == ["/secret-id/start", "/secret-id/2"]
    assert check(suite).code == CRITICAL and len(kind.heard) == 2, "nobody is told unless it is asked for"


@pytest.mark.parametrize(
    ("answer", "said"), [((500, ""), "it answers 500"), ((302, "/elsewhere"), "it answers 302"), ((404, ""), "it answers 404")]
)
def test_who_cannot_be_told_is_named_and_changes_nothing(
    make_suite: Make, listener: tuple[type[Listener], str], answer: tuple[int, str], said: str
) -> None:
    kind, url = listener
    kind.answer = answer
    suite = make_suite(tables={"health": {"heartbeat_url": url}})
    suite.once()
    run = check(suite, "--heartbeat", "run")
    assert run.code == CRITICAL and run.err.count(said) == 2
    assert "secret-id" not in run.err + run.out and "http://127.0.0.1/..." in run.err
    assert "/elsewhere" not in [path for path, _ in kind.heard], "no redirection is followed"


def test_who_never_answers_holds_nobody_up(make_suite: Make, listener: tuple[type[Listener], str]) -> None:
    kind, url = listener
    kind.silence = threading.Event()
    suite = make_suite(tables={"health": {"heartbeat_url": url, "heartbeat_timeout_s": 0.2}})
    suite.once()
    run = check(suite, "--heartbeat", "start")
    assert run.code == 0 and "no answer within 0.2 s" in run.err


def test_nobody_there_and_nobody_configured_are_said(make_suite: Make) -> None:
    suite = make_suite(tables={"health": {"heartbeat_url": "http://127.0.0.1:9/secret-id"}})
    suite.once()
    run = check(suite, "--heartbeat", "end")
    assert run.code == 0 and "Connection refused" in run.err and "secret-id" not in run.err
    other = make_suite()
    other.once()
    assert "nobody is told" in check(other, "--heartbeat", "end").err


def test_a_credential_keeps_the_address_out_of_the_configuration(
    make_suite: Make, tmp_path: Path, listener: tuple[type[Listener], str]
) -> None:
    kind, url = listener
    (tmp_path / "heartbeat-url").write_text(f"{url}\n")
    suite = make_suite()
    suite.once()
    suite.environment["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    assert check(suite, "--heartbeat", "start").err == ""
    assert [path for path, _ in kind.heard] == ["/secret-id/start"]
    del suite.environment["CREDENTIALS_DIRECTORY"]


# canaries


def canary_suite(make_suite: Make, **limits: object) -> Suite:
    suite = make_suite(
        roots=[{"name": "tree", "canary": True}], tables={"health": {"canary_every_s": 1, "canary_within_s": 60, **limits}}
    )
    suite.start()
    suite.idle()
    return suite


def test_a_canary_gets_from_the_tree_into_the_registry_and_is_one_entry_for_ever(make_suite: Make) -> None:
    suite = canary_suite(make_suite)
    texts: set[str] = set()

    def is_written_anew() -> bool:
        assert level(suite, "canary") == "OK"
        texts.add((suite.root / CANARY).read_text())
        return len(texts) == 3

    suite.until(is_written_anew, "it is written again, which is done (but after a minute) when the one before was seen only")
    suite.idle()
    entries = [entry for entry in suite.export() if entry["path"] == CANARY]
    assert len(entries) == 1 and entries[0]["rev"] > 1
    written = (suite.root / CANARY).read_bytes()
    assert entries[0]["observation"]["sha256"] == hashlib.sha256(written).hexdigest()


def test_a_canary_that_nobody_hears_is_critical_until_one_is_heard(make_suite: Make) -> None:
    suite = canary_suite(make_suite, canary_within_s=1)
    suite.stop("watcher")
    suite.until(lambda: level(suite, "canary") == "CRITICAL", "it is missed")
    for _ in range(3):
        assert level(suite, "canary") == "CRITICAL"
    suite.start("watcher")
    suite.until(lambda: level(suite, "canary") == "OK", "it is heard again")


@pytest.mark.parametrize("in_the_way", ["link", "hard link", "directory", "fifo", "text"])
def test_what_stands_in_a_canarys_place_is_left_alone(make_suite: Make, tmp_path: Path, in_the_way: str) -> None:
    suite = make_suite(roots=[{"name": "tree", "canary": True}])
    victim, place = tmp_path / "victim", suite.root / CANARY
    victim.write_text("keep me\n")
    suite.once()
    if in_the_way == "link":
        place.symlink_to(victim)
    elif in_the_way == "hard link":
        place.hardlink_to(victim)
    elif in_the_way == "directory":
        place.mkdir()
    elif in_the_way == "fifo":
        os.mkfifo(place)
    else:
        place.write_text("keep me\n")
    said = found(suite)["canary"]
    assert said["level"] == "WARNING" and "cannot be written" in said["text"]
    assert victim.read_text() == "keep me\n" and (in_the_way != "text" or place.read_text() == "keep me\n")
    suite.once()


def test_no_canary_is_made_in_what_is_not_the_root_any_more(make_suite: Make) -> None:
    suite = make_suite(roots=[{"name": "tree", "canary": True}])
    (suite.root / "a").touch()
    suite.once()
    suite.root.rename(suite.root.with_name("unmounted"))
    suite.root.mkdir()
    said = found(suite)["canary"]
    assert said["level"] == "WARNING" and "not the directory that the registry knows" in said["text"]
    assert list(suite.root.iterdir()) == []
    suite.root.rmdir()
    assert level(suite, "canary") == "WARNING"
    suite.root.with_name("unmounted").rename(suite.root)
    assert level(suite, "canary") == "OK"
    suite.once()


def test_a_root_without_a_canary_is_not_written_into(still: Suite) -> None:
    before = sorted(still.root.iterdir())
    assert "no root has one" in found(still)["canary"]["text"]
    assert sorted(still.root.iterdir()) == before
