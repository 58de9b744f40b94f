"""The tailer on real checkpoint files: lines that lie, files that rotate, providers that fail, and how soon it is told."""

from __future__ import annotations

import http.server
import json
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from running import Suite, environment, program

from autoops.core.signing import Verifier
from autoops.core.spoken import counted
from autoops.errors import StorageBusy
from autoops.state import State
from autoops.store.database import Database
from autoops.store.queue import SCHEMA as QUEUE
from autoops.tail.notes import Notes
from autoops.tail.own import OwnFile

OTHER = "ab" * 32


@pytest.fixture
def tailed(make_suite: Callable[..., Suite]) -> Suite:
    """A suite with a file registered, and the tailer running."""
    suite = make_suite()
    (suite.root / "a.txt").write_text("a\n")
    suite.start()
    suite.idle()
    suite.start("tailer")
    return suite


def test_a_queue_that_is_locked_is_the_queues_trouble_and_costs_no_line(make_suite: Callable[..., Suite], tmp_path: Path) -> None:
    suite = make_suite()
    (suite.root / "a.txt").write_text("a\n")
    suite.once()
    state = State(suite.state)

    def opened() -> closing[Database]:
        return closing(Database.open(state.queue_db, QUEUE, synchronous="NORMAL", guard=True, busy_s=0.05))

    with opened() as database, opened() as other:
        key = Verifier(bytes.fromhex((suite.state / "ledger.pub").read_text()))
        own = OwnFile(state.checkpoints, tmp_path / "tail.json", state.registry_db, key, Notes(database))
        own.begin(0.0, anew=False)
        with other.transaction(), pytest.raises(StorageBusy):
            own.follow(time.time())
        assert (own.trouble, own.memory.position.lines) == ("", 0)
        own.follow(time.time())
        assert own.memory.position.lines == len(lines_of(suite).read_bytes().splitlines()) > 0
        own.close()


def lines_of(suite: Suite) -> Path:
    return suite.state / "registry" / "checkpoints.jsonl"


def status(suite: Suite) -> dict[str, Any]:
    return dict(suite.run("checkpoints", "status", "--json").json)


def change(suite: Suite, text: str) -> None:
    """Make a commit, and with it a checkpoint line."""
    (suite.root / "a.txt").write_text(text)
    suite.idle()


def caught_up(suite: Suite) -> bool:
    """Tell whether all of the file is read, up to the registry's last commit."""
    facts = status(suite)
    return bool(
        facts["position"]["offset"] == facts["size_bytes"] and facts["sequence"] == suite.run("status", "--json").json["sequence"]
    )


def mismatch(suite: Suite) -> dict[str, Any]:
    """Return the finding about our own file, {} when there is none."""
    found = suite.findings("checkpoint_mismatch")
    return dict(found[0]["detail"]) if found else {}


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as out:
        out.write(data)


def mend(suite: Suite, whole: bytes) -> None:
    """Take what the test wrote out of the file again, so that it verifies in the end."""
    lines_of(suite).write_bytes(whole)


def test_good_lines_are_checked_within_a_moment_and_how_soon_is_told(tailed: Suite) -> None:
    tailed.until(lambda: caught_up(tailed), "the lines from before are checked")
    assert status(tailed)["samples"]["checkpoint_latency_s"] is None, "lines from before it ran say nothing about how soon"
    for number in range(5):
        change(tailed, f"{number}\n")
    tailed.until(lambda: caught_up(tailed), "the new lines are checked")
    facts = status(tailed)
    taken = facts["samples"]["checkpoint_latency_s"]
    assert taken["total"] >= 5 and 0 <= taken["p50"] <= taken["p95"] <= taken["p99"]
    assert facts["running"] and facts["faults"] == 0 and facts["findings"] == {}
    assert tailed.run("checkpoints", "verify", "--json").json == {"faults": [], "good": True, "total": 0}
    assert "p99" in tailed.run("checkpoints", "status").out


@pytest.mark.parametrize(
    "line",
    [
        b"rubbish",
        b"\x00\xff" * 100,
        b"{}",
        b"[" * 4000,
        b"x" * 100_000,
        b'{"at":"2026-01-31T12:04:01.750Z","digest":"%s","entries":1,"hash":"%s","sequence":1,"signature":"00"}'
        % (b"a" * 64, b"b" * 64),
    ],
    ids=["text", "bytes", "empty", "nested", "long", "unsigned"],
)
def test_a_hostile_line_is_found_and_stops_nothing(tailed: Suite, line: bytes) -> None:
    whole = lines_of(tailed).read_bytes()
    append(lines_of(tailed), line + b"\n")
    tailed.until(lambda: mismatch(tailed), "the line is found")
    assert mismatch(tailed)["fault"].startswith(f"line {len(whole.splitlines()) + 1}: not ")
    change(tailed, "after\n")
    tailed.until(lambda: caught_up(tailed), "the next line is checked")
    assert mismatch(tailed)["faults"] == 1
    assert tailed.run("checkpoints", "verify", code=1).out.endswith("FAILED (1 fault)\n")
    assert status(tailed)["samples"]["drift_detection_s"]["total"] == 1
    good = [one for one in lines_of(tailed).read_bytes().splitlines(keepends=True) if one.rstrip(b"\n") != line]
    mend(tailed, b"".join(good))
    tailed.until(lambda: not mismatch(tailed), "the finding is closed: the file was written over, and is good now")


def test_a_thousand_hostile_lines_are_one_finding(tailed: Suite) -> None:
    whole = lines_of(tailed).read_bytes()
    append(lines_of(tailed), b"rubbish\n" * 1000)
    tailed.until(lambda: mismatch(tailed).get("faults") == 1000, "all are counted")
    assert len(tailed.findings("checkpoint_mismatch")) == 1
    mend(tailed, whole)


def test_a_ledger_that_was_rewritten_is_found_by_the_lines_of_before(make_suite: Callable[..., Suite]) -> None:
    """A line that our key signed, about a commit that the ledger has no more."""
    suite = make_suite()
    (suite.root / "a.txt").write_text("a\n")
    suite.once()
    db = suite.state / "registry" / "registry.db"
    with sqlite3.connect(db) as con:
        (kept,) = con.execute("SELECT record FROM ledger WHERE sequence = 1").fetchone()
        con.execute('UPDATE ledger SET record = replace(record, \'"digest_after":"\', \'"digest_after":"0\') WHERE sequence = 1')
    con.close()
    suite.start("tailer")
    suite.until(lambda: mismatch(suite), "it is found")
    assert "the ledger was rewritten" in mismatch(suite)["fault"] or "was cut" in mismatch(suite)["fault"]
    suite.stop("tailer")
    with sqlite3.connect(db) as con:
        con.execute("UPDATE ledger SET record = ? WHERE sequence = 1", (kept,))
    con.close()


def test_rotation_truncation_and_disappearance_are_survived(tailed: Suite) -> None:
    path = lines_of(tailed)
    path.rename(path.with_name("checkpoints.jsonl.1"))
    change(tailed, "rotated\n")
    tailed.until(lambda: caught_up(tailed), "the new file is followed")
    inode = status(tailed)["position"]["inode"]
    assert inode == path.stat().st_ino
    os.truncate(path, 0)
    change(tailed, "truncated\n")
    tailed.until(lambda: caught_up(tailed), "it goes on from the beginning")
    path.unlink()
    change(tailed, "gone\n")
    tailed.until(lambda: caught_up(tailed), "another file came")
    assert tailed.findings() == [] and tailed.processes["tailer"].poll() is None


def test_the_status_tells_the_file_that_was_read_from_the_one_that_stands_there(tailed: Suite) -> None:
    tailed.until(lambda: caught_up(tailed), "all is read")
    tailed.stop("tailer")
    path = lines_of(tailed)
    size_bytes, lines = path.stat().st_size, len(path.read_bytes().splitlines())
    read = counted(lines, "line")

    def told() -> str:
        return next(line for line in tailed.run("checkpoints", "status").out.splitlines() if line.startswith("read: "))

    assert told() == f"read: {read}, {size_bytes:,} of {size_bytes:,} bytes"
    path.rename(path.with_name("checkpoints-1.jsonl"))
    assert told() == f"read: {read} of a file that is gone; the next commit begins one"
    change(tailed, "rotated\n")
    there = path.stat().st_size
    assert told() == f"read: nothing yet of the {there:,} bytes that are there; {read} of the file before it"
    tailed.start("tailer")
    tailed.until(lambda: caught_up(tailed), "it goes on with the new file")
    assert told() == f"read: {counted(len(path.read_bytes().splitlines()), 'line')}, {there:,} of {there:,} bytes"


def test_a_line_is_not_read_before_it_is_whole(tailed: Suite) -> None:
    change(tailed, "more\n")
    tailed.until(lambda: caught_up(tailed), "all is read")
    path = lines_of(tailed)
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    read = status(tailed)["position"]["lines"]
    append(path, last[:40])
    append(path, last[40:])
    tailed.until(lambda: status(tailed)["position"]["lines"] == read + 1, "it is one line")
    append(path, last[:40])
    tailed.stop("tailer")
    tailed.start("tailer")
    append(path, last[40:])
    tailed.until(lambda: status(tailed)["position"]["lines"] == read + 2, "it is one line after a restart too")
    assert status(tailed)["faults"] == 0


def test_a_link_in_the_place_of_the_file_is_told_and_never_followed(tailed: Suite, tmp_path: Path) -> None:
    path = lines_of(tailed)
    whole = path.read_bytes()
    (tmp_path / "elsewhere").write_bytes(b"secret\n")
    tailed.stop("worker")  # it would not write through the link either, and say so
    path.rename(tmp_path / "kept")
    path.symlink_to(tmp_path / "elsewhere")
    tailed.until(lambda: mismatch(tailed).get("fault") == "it is no plain file", "it is told")
    path.unlink()
    path.write_bytes(whole)
    tailed.until(lambda: not mismatch(tailed), "it is settled")


def test_a_restart_goes_on_where_it_was_and_a_kill_loses_no_line(tailed: Suite) -> None:
    tailed.until(lambda: caught_up(tailed), "all is read")
    tailed.kill("tailer")
    change(tailed, "while nobody looked\n")
    whole = lines_of(tailed).read_bytes()
    append(lines_of(tailed), b"rubbish\n")
    tailed.start("tailer")
    tailed.until(lambda: mismatch(tailed), "the line that came meanwhile is found")
    tailed.stop("tailer")
    mend(tailed, whole)


def test_in_a_window_it_lets_go_and_afterwards_it_reads_all_again(tailed: Suite) -> None:
    tailed.until(lambda: caught_up(tailed), "all is read")
    said = tailed.run("pause", "--why", "a test").out
    assert "autoops-tailer" in said
    assert tailed.run("status", "--json").json["processes"]["tailer"]["state"] == "paused"
    tailed.run("resume")
    change(tailed, "after\n")
    tailed.until(lambda: caught_up(tailed), "it goes on")
    assert tailed.findings() == []


def test_up_runs_it_too_and_ends_it(make_suite: Callable[..., Suite]) -> None:
    suite = make_suite()
    (suite.root / "a.txt").write_text("a\n")
    command = [*program(), "up", "--state", str(suite.state), "--config", str(suite.config)]
    up = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        suite.until(lambda: suite.state.joinpath("queue", "tail.json").exists(), "a line was read")
        suite.until(lambda: suite.run("checkpoints", "status", "--json").json["running"], "it is alive")
        up.terminate()
        assert up.communicate(timeout=60)[0].endswith("stopped\n") and up.returncode == 0
    finally:
        up.kill()
        up.wait()
    assert not status(suite)["running"]


# checkpoints of others


class Mirror:
    """A foreign checkpoint file and its provider, in a suite that follows it."""

    def __init__(self, suite: Suite, tables: dict[str, Any], **keys: Any) -> None:
        self.suite, self.file = suite, suite.base / "mirror.jsonl"
        self.keys = {"name": "mirror", "file": str(self.file), "interval_s": 1, "timeout_s": 20, **keys}
        self.tables = tables

    def start(self) -> None:
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in self.keys.items())
        self.suite.config.write_text(self.suite.config.read_text() + "\n[[checkpoint]]\n" + lines)
        for name, table in self.tables.items():
            body = "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
            self.suite.config.write_text(self.suite.config.read_text() + f"\n[{name}]\n" + body)
        if not self.suite.processes.get("tailer"):
            self.suite.start("tailer")

    def say(self, digest: str, **more: object) -> None:
        append(self.file, json.dumps({"digest": digest, **more}).encode() + b"\n")

    def found(self, kind: str) -> dict[str, Any]:
        found = self.suite.findings(kind)
        return dict(found[0]["detail"]) if found else {}


@pytest.fixture
def mirrored(make_suite: Callable[..., Suite]) -> Callable[..., Mirror]:
    """Make a suite whose tailer follows a foreign file."""

    def make(tables: dict[str, Any] | None = None, **keys: Any) -> Mirror:
        suite = make_suite()
        (suite.root / "a.txt").write_text("a\n")
        suite.once()
        return Mirror(suite, tables or {}, **keys)

    return make


def test_a_digest_that_its_provider_confirms_is_no_finding_and_one_it_denies_is(
    mirrored: Callable[..., Mirror], tmp_path: Path
) -> None:
    answer = tmp_path / "answer"
    answer.write_text(OTHER + "\n")
    mirror = mirrored(command=["/bin/cat", str(answer)])
    mirror.say("cd" * 32)
    mirror.start()
    mirror.suite.until(lambda: mirror.found("registry_mismatch"), "it is denied")
    detail = mirror.found("registry_mismatch")
    assert (detail["line"], detail["provider"]) == ("cd" * 32, OTHER)
    assert status(mirror.suite)["samples"]["drift_detection_s"]["total"] == 1
    mirror.say(OTHER)
    mirror.suite.until(lambda: not mirror.found("registry_mismatch"), "a later line agrees")
    answer.write_text(json.dumps({"digest": "ef" * 32}))
    mirror.suite.until(lambda: mirror.found("registry_mismatch"), "the provider has changed its mind, in JSON")
    assert mirror.suite.findings("registry_provider_error") == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 7", "exit status 7"),
        ("echo out of order >&2; exit 1", "out of order"),
        ("echo hello", "no digest in its answer: hello"),
        ("exec sleep 1000", "did not answer within 1 s"),
        ("exec cat /dev/zero", "more than 1048576 bytes"),
        ("kill -9 $$", "killed by signal 9"),
        ("exec 1>&-; exec sleep 1000", "did not answer within 1 s"),
    ],
)
def test_a_provider_that_fails_is_told_and_nothing_waits_for_it(mirrored: Callable[..., Mirror], script: str, said: str) -> None:
    mirror = mirrored(command=["/bin/sh", "-c", script], timeout_s=1)
    mirror.say(OTHER)
    mirror.start()
    mirror.suite.until(lambda: mirror.found("registry_provider_error"), "it is told")
    assert said in mirror.found("registry_provider_error")["error"]
    assert mirror.suite.findings("registry_mismatch") == []


def test_a_provider_that_cannot_be_run_is_told(mirrored: Callable[..., Mirror]) -> None:
    mirror = mirrored(command=["/nowhere/at/all"])
    mirror.say(OTHER)
    mirror.start()
    mirror.suite.until(lambda: mirror.found("registry_provider_error"), "it is told")
    assert "No such file" in mirror.found("registry_provider_error")["error"]


@pytest.mark.parametrize("lines", ["", "rubbish\n", '{"digest":"short"}\n', '{"other":1}\n[]\n"x"\n'])
def test_a_file_without_a_digest_is_stale_until_it_has_one(mirrored: Callable[..., Mirror], lines: str) -> None:
    mirror = mirrored(command=["/bin/echo", OTHER])
    if lines:
        mirror.file.write_text(lines)
    mirror.start()
    mirror.suite.until(lambda: mirror.found("digest_stale"), "it is told")
    mirror.say(OTHER)
    mirror.suite.until(lambda: not mirror.found("digest_stale"), "it has one")


def test_an_old_line_is_stale_by_its_own_time_and_another_key_is_read(mirrored: Callable[..., Mirror]) -> None:
    mirror = mirrored(command=["/bin/echo", OTHER], digest_key="sum")
    mirror.say("", sum=OTHER, at="2020-01-01T00:00:00.000Z")
    mirror.start()
    mirror.suite.until(lambda: "older than" in mirror.found("digest_stale").get("reason", ""), "it is told")
    mirror.say("", sum=OTHER.upper())
    mirror.suite.until(lambda: not mirror.found("digest_stale"), "a new line came")


def test_what_differs_is_listed_when_the_provider_has_a_tree(mirrored: Callable[..., Mirror]) -> None:
    mirror = mirrored(export="/nowhere")
    entries = mirror.suite.export()
    other = mirror.suite.base / "export.jsonl"
    gone = dict(entries[0], id="2020010100000001", path="only there")
    other.write_text("".join(json.dumps(entry) + "\n" for entry in [gone]))
    mirror.keys["export"] = str(other)
    mirror.say(mirror.suite.digest())
    mirror.start()
    mirror.suite.until(lambda: mirror.found("registry_mismatch"), "it is told")
    detail = mirror.found("registry_mismatch")
    assert detail["missing"] == ["2020010100000001 tree:only there"] and detail["missing_total"] == 1
    assert detail["unexpected"] == [f"{entry['id']} tree:{entry['path']}" for entry in entries]
    other.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    mirror.suite.until(lambda: not mirror.found("registry_mismatch"), "the export is the same now")


def test_a_disagreement_is_refreshed_for_once_and_told_only_if_it_stays(mirrored: Callable[..., Mirror], tmp_path: Path) -> None:
    """The refresh command brings the provider up to date: then there is nothing to tell."""
    answer, runs = tmp_path / "answer", tmp_path / "runs"
    answer.write_text("cd" * 32)
    command = ["/bin/sh", "-c", f"echo x >>{runs}; echo {OTHER} >{answer}"]
    mirror = mirrored({"refresh": {"enabled": True, "command": command, "wait_s": 30}}, command=["/bin/cat", str(answer)])
    (mirror.suite.root / "b.txt").write_text("not yet registered\n")
    mirror.suite.start("worker")
    mirror.say(OTHER)
    mirror.start()
    mirror.suite.until(runs.exists, "the command is run")
    assert ("tree", b"b.txt") in mirror.suite.active(), "every root was scanned before"
    mirror.suite.until(lambda: any(one["event"] == "refresh_started" for one in mirror.suite.events("tailer")), "it is reported")
    assert mirror.suite.findings("registry_mismatch") == []
    mirror.say("ef" * 32)
    mirror.suite.until(lambda: mirror.found("registry_mismatch"), "the next one stays, after a refresh of its own")
    assert mirror.found("registry_mismatch")["refresh"] == "scanned, and the command run"
    mirror.say("12" * 32)
    mirror.suite.until(lambda: mirror.found("registry_mismatch")["line"] == "12" * 32, "the detail follows")
    assert runs.read_text() == "x\nx\n", "once for each disagreement"
    mirror.say(OTHER)
    mirror.suite.until(lambda: not mirror.found("registry_mismatch"), "it agrees")


def test_findings_of_a_checkpoint_that_is_no_longer_configured_are_closed(mirrored: Callable[..., Mirror]) -> None:
    mirror = mirrored(command=["/bin/false"])
    mirror.say(OTHER)
    before = mirror.suite.config.read_text()
    mirror.start()
    mirror.suite.until(lambda: mirror.found("registry_provider_error"), "it is told")
    mirror.suite.config.write_text(before)
    mirror.suite.processes["tailer"].send_signal(1)
    mirror.suite.until(lambda: not mirror.found("registry_provider_error"), "it is closed")


class Web(http.server.BaseHTTPRequestHandler):
    """Answers, in every way one can."""

    def do_GET(self) -> None:
        match self.path:
            case "/good":
                self._answer(json.dumps({"digest": OTHER}).encode())
            case "/garbage":
                self._answer(os.urandom(2000))
            case "/huge":
                self._answer(b"x" * 3_000_000)
            case "/here":
                self._send_to("/good")
            case "/away":
                self._send_to(f"http://localhost:{self.server.server_address[1]}/good")
            case "/file":
                self._send_to("file:///etc/passwd")
            case "/circle":
                self._send_to("/circle")
            case "/never":
                time.sleep(30)
            case "/drip":
                self.send_response(200)
                self.flush_headers()
                for _ in range(300):
                    self.wfile.write(b"X-Slow: yes\r\n")
                    time.sleep(0.1)
            case _:
                self.send_error(503)

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _send_to(self, where: str) -> None:
        self.send_response(302)
        self.send_header("Location", where)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.daemon_threads = True
    server.block_on_close = False
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/good", ""),
        ("/here", ""),
        ("/garbage", "no digest in its answer"),
        ("/huge", "more than 65536 bytes"),
        ("/away", "another host"),
        ("/file", "file"),
        ("/circle", "redirect"),
        ("/never", "did not answer within 2 s"),
        ("/drip", "did not answer within 2 s"),
        ("/error", "503"),
    ],
)
def test_an_address_answers_or_is_told_not_to(mirrored: Callable[..., Mirror], web: str, path: str, said: str) -> None:
    mirror = mirrored(url=web + path, timeout_s=2)
    mirror.say("cd" * 32)
    mirror.start()
    if said:
        mirror.suite.until(lambda: mirror.found("registry_provider_error"), "it is told")
        assert said in mirror.found("registry_provider_error")["error"]
    else:
        mirror.suite.until(lambda: mirror.found("registry_mismatch"), "it has answered")
        assert mirror.found("registry_mismatch")["provider"] == OTHER
