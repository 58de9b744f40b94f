"""The command line contract, line by line, against a running suite."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
import typer
from running import DEADLINE_S, PROJECT, Suite, environment, program

from autoops.cli import main
from autoops.cli.context import Context
from autoops.cli.live import Eyes
from autoops.errors import StorageMissing
from autoops.model import Work
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue

Make = Callable[..., Suite]


@pytest.fixture(scope="module")
def shared(make_shared: Make) -> Suite:
    suite = make_shared()
    (suite.root / "sub").mkdir()
    for name in ("a.txt", "b.py", "sub/c.md"):
        (suite.root / name).write_text(f"# {name}\n")
    suite.start()
    suite.idle()
    return suite


# what it prints


def test_validate_registry_prints_the_hash_and_the_verdict(shared: Suite) -> None:
    lines = shared.run("validate-registry").out.splitlines()
    assert lines == [f"Registry hash: {shared.digest()[:16]}...", "Validation: PASSED"]


def test_queue_status_prints_a_line_for_each_state(shared: Suite) -> None:
    lines = shared.run("queue-status").out.splitlines()
    assert lines[0] == "Queue Status:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["queued", "running", "completed", "failed", "dead_letter"]
    assert all(re.fullmatch(r"  \w+: \d+", line) for line in lines[1:])


def test_the_export_is_one_canonical_entry_a_line_sorted_by_id(shared: Suite) -> None:
    lines = shared.run("export", "--format", "jsonl").out.splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["id"] for entry in entries] == sorted(entry["id"] for entry in entries) and len(entries) >= 3
    for line, entry in zip(lines, entries, strict=True):
        assert line == json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert re.fullmatch(r"\d{16}", entry["id"])


def test_the_hashdeep_export_has_hashdeeps_form(shared: Suite) -> None:
    lines = shared.run("export", "--format", "hashdeep").out.splitlines()
    assert lines[:2] == ["%%%% HASHDEEP-1.0", "%%%% size,sha256,filename"]
    entry = shared.entry("a.txt")
    assert f"8,{entry['observation']['sha256']},{shared.root}/a.txt" in lines


def test_a_format_that_is_not_there_is_a_usage_error(shared: Suite) -> None:
    assert "jsonl, ledger and hashdeep" in shared.run("export", "--format", "xml", code=2).err


READS = (
    "list", "show a.txt", "explain a.txt", "queue-status", "status", "coverage", "findings", "validate-registry", "verify",
    "verify --deep", "queue list", "report dry-run", "wait-idle", "scan --dry-run", "reconcile --report", "findings list",
    "scrub --dry-run",
)  # fmt: skip


@pytest.mark.parametrize("command", READS)
def test_every_read_speaks_json_and_prints_nothing_else(shared: Suite, command: str) -> None:
    answer = shared.run(*command.split(), "--json")
    values = [json.loads(line) for line in answer.out.splitlines()]
    assert values and answer.err == ""
    assert shared.run(*command.split()).out.strip() != "" or command == "wait-idle"


def test_a_document_is_found_by_id_by_path_and_by_its_place_on_the_disk(shared: Suite) -> None:
    entry = shared.entry("sub/c.md")
    for what in (entry["id"], "sub/c.md", str(shared.root / "sub" / "c.md")):
        assert shared.run("show", what, "--json").json == entry
    answer = shared.run("show", "no/such", code=1)
    assert "no/such" in answer.err and "hint:" in answer.err
    assert shared.run("explain", "2020010100000001", code=1).err.startswith("autoops: Nothing in the registry")


def test_a_name_that_looks_like_what_is_shown_of_its_twin_is_told_from_it(make_suite: Make) -> None:
    suite = make_suite()
    literal, raw = rb"lit\xff.txt", b"lit\xff.txt"
    for name, said in ((literal, "literal"), (raw, "raw byte")):
        (suite.root / os.fsdecode(name)).write_text(said)
    suite.once()
    shown = {one["path"]: one for one in map(json.loads, suite.run("list", "--json").out.splitlines())}
    assert set(shown) == {r"lit\\xff.txt", r"lit\xff.txt"}
    for name, stored in ((literal, r"lit\\xff.txt"), (raw, r"lit\xff.txt")):
        for what in (name, os.path.join(os.fsencode(suite.root), name)):
            assert suite.run("show", os.fsdecode(what), "--json").json == shown[stored]
    assert suite.run("show", r"lit\\xff.txt", "--json").json == shown[r"lit\\xff.txt"]


@pytest.mark.parametrize(
    "command", ["list", "list --json", "export", "export --format hashdeep", "export --format ledger", "report dry-run"]
)
def test_a_root_that_there_is_not_is_a_fault_of_usage_and_those_there_are_are_named(shared: Suite, command: str) -> None:
    answer = shared.run(*command.split(), "--in", "nowhere", code=2)
    assert (answer.out, "the roots there are: tree" in answer.err) == ("", True)
    assert shared.run(*command.split(), "--in", "tree").err == ""


@pytest.mark.parametrize("command", ["collect --out", "keys make --key", "backup restore --latest --to", "backup archive --fetch"])
def test_what_cannot_go_to_standard_output_is_refused_and_no_file_is_called_so(
    shared: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    option = command.rsplit(maxsplit=1)[-1]
    assert f"{option} cannot be standard output" in shared.run(*command.split(), "-", code=2).err
    assert list(tmp_path.iterdir()) == []


def test_explain_tells_who_when_why_and_that_the_signature_is_good(shared: Suite) -> None:
    steps = shared.run("explain", "a.txt", "--json").json
    assert [step["rev"] for step in steps] == list(range(1, len(steps) + 1))
    assert (
        steps[0]["evidence"]["kind"] == "new"
        and steps[0]["actor"] == "worker"
        and steps[0]["source"].startswith(("scan:", "path:"))
    )
    assert all(step["signature_good"] for step in steps)


@pytest.mark.parametrize(
    ("command", "known"),
    [
        ("list --status activ", "active, missing, retired"),
        ("queue list --in-state completed", "queued, running, failed, dead_letter"),
        ("queue list --kind paths", "path, scan, "),
        ("wait-idle --stage registr", "register, all"),
        ("report weekly --format pdf", "text, json, html"),
    ],
)
def test_a_word_that_there_is_not_is_a_fault_of_usage_and_those_there_are_are_named(
    shared: Suite, command: str, known: str
) -> None:
    answer = shared.run(*command.split(), code=2)
    assert answer.out == "" and f"must be one of {known}" in answer.err


def test_jobs_are_named_by_number_or_by_state_and_a_dry_run_counts_those_that_would_be_changed(make_suite: Make) -> None:
    suite = make_suite()
    suite.once()
    suite.run("scan", config=True)
    (job,) = suite.run("queue", "list", "--json").json
    for verb, told in (("retry", "would retry 0 jobs"), ("purge", "would purge 1 job")):
        assert "one of both" in suite.run("queue", verb, job["id"], "--in-state", "queued", code=2).err
        assert told in suite.run("queue", verb, job["id"], "--dry-run").out
    assert len(suite.run("queue", "list", "--json").json) == 1
    suite.once()


def test_an_unknown_command_or_option_is_a_usage_error(shared: Suite) -> None:
    assert shared.run("frobnicate", code=2).err
    assert shared.run("list", "--frobnicate", code=2).err


# what it changes


def test_a_dry_run_of_any_change_changes_nothing(shared: Suite) -> None:
    entry = shared.entry("a.txt")
    patch = shared.base / "dry.json"
    patch.write_text(json.dumps({"changes": {entry["id"]: {"class": "policy"}}, "revs": {entry["id"]: entry["rev"]}}))
    before = (shared.digest(), shared.run("queue", "list", "--json").json, shared.run("export", "--format", "ledger").out)
    for command in (
        ["submit", patch, "--dry-run"],
        ["rollback", entry["id"], "--dry-run"],
        ["rollback", "1", "--dry-run"],
        ["scan", "--dry-run"],
        ["scrub", "--until-done", "--dry-run"],
        ["migrate", "--dry-run"],
        ["queue", "retry", "--in-state", "failed", "--dry-run"],
        ["queue", "purge", "--in-state", "dead_letter", "--dry-run"],
    ):
        answer = shared.run(*command, code=None)
        assert answer.code in (0, 4) and "Traceback" not in answer.err, (command, answer)
    after = (shared.digest(), shared.run("queue", "list", "--json").json, shared.run("export", "--format", "ledger").out)
    assert after == before
    assert "policy" in shared.run("submit", patch, "--dry-run").out


def test_migrating_dry_makes_nothing(tmp_path: Path) -> None:
    run = subprocess.run([*program(), "migrate", "--dry-run", "--state", tmp_path / "s"], env=environment(), capture_output=True)
    assert run.returncode == 0 and b"queue.db" in run.stdout and not (tmp_path / "s").exists()


def test_a_patch_is_applied_and_rolled_back_by_sequence_and_by_id(shared: Suite) -> None:
    entry = shared.entry("b.py")
    patch = shared.base / "patch.json"

    def submit(name: str) -> int:
        now = shared.entry("b.py")
        text = json.dumps({"changes": {now["id"]: {"class": name}}, "revs": {now["id"]: now["rev"]}, "reason": f"it is {name}"})
        patch.write_text(text)
        return int(shared.run("submit", patch, "--wait", "--json").json["sequence"])

    sequence = submit("policy")
    patched = shared.entry("b.py")
    assert (patched["class"], patched["rev"]) == ("policy", entry["rev"] + 1)
    assert shared.run("explain", "b.py", "--json").json[-1]["reason"] == "it is policy"
    assert "wanted rev" in shared.run("submit", patch, "--wait", code=4).err  # the rev has moved on
    assert "applied as commit" in shared.run("rollback", sequence, "--wait").out
    assert {**shared.entry("b.py"), "rev": entry["rev"]} == entry
    submit("record")
    shared.run("rollback", entry["id"], "--wait")
    assert {**shared.entry("b.py"), "rev": entry["rev"]} == entry
    assert shared.run("rollback", sequence, "--wait", code=4).err.startswith("autoops: Refused")
    assert shared.run("rollback", "999999", code=1).err and shared.run("rollback", "yesterday", code=2).err


def test_the_ledger_names_the_person_behind_sudo(make_suite: Make) -> None:
    suite = make_suite()
    (suite.root / "f").write_text("f\n")
    suite.once()
    entry = suite.entry("f")
    suite.environment["SUDO_USER"] = "ann"
    suite.run("submit", "-", stdin=json.dumps({"changes": {entry["id"]: {"class": "x"}}, "revs": {entry["id"]: entry["rev"]}}))
    suite.once()
    assert suite.run("explain", "f", "--json").json[-1]["actor"] == suite.entry("f")["class_rule"] == "operator:ann"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody whom nobody knows")
def test_somebody_without_a_name_is_a_number() -> None:
    env = {key: value for key, value in environment().items() if key not in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER")}
    code = "import os; from autoops.cli.caller import caller; os.setuid(54321); print(caller())"
    assert subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True).stdout == "user 54321\n"


def test_a_submission_is_waited_for_however_many_come_after_it(make_suite: Make) -> None:
    suite = make_suite()
    (suite.root / "f").write_text("f\n")
    suite.once()
    entry = suite.entry("f")
    text = json.dumps({"changes": {entry["id"]: {"tags": ["x"]}}, "revs": {entry["id"]: entry["rev"]}})
    command = [*program(), "submit", "-", "--wait", "--timeout", "5", "--state", str(suite.state)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), text=True, **pipes) as waiting:  # type: ignore[call-overload]
        waiting.stdin.write(text)
        waiting.stdin.close()
        suite.until(lambda: suite.queue()["queued"] == 1, "it is enqueued")
        with Database.open(suite.state / "queue" / "queue.db", SCHEMA, guard=True) as database:
            Queue(database).enqueue(
                [Work("patch", b"%d" % number, facts={"patch": "{}", "actor": "x"}) for number in range(10_001)]
            )
        out, err = waiting.stdout.read(), waiting.stderr.read()
    assert (waiting.returncode, out) == (3, "") and "was not answered" in err
    suite.run("queue", "purge", "--in-state", "queued")


def test_a_patch_is_read_from_standard_input_too(shared: Suite) -> None:
    entry = shared.entry("sub/c.md")
    text = json.dumps({"operations": [{"op": "add", "path": f"/{entry['id']}/tags/-", "value": "seen"}], "digest": shared.digest()})
    assert "applied as commit" in shared.run("submit", "-", "--wait", stdin=text).out
    assert shared.entry("sub/c.md")["tags"] == [*entry["tags"], "seen"]


def test_a_submission_that_is_not_waited_for_is_told_by_name(shared: Suite) -> None:
    entry = shared.entry("a.txt")
    text = json.dumps({"changes": {entry["id"]: {"tags": ["later"]}}, "revs": {entry["id"]: entry["rev"]}})
    assert "submitted as" in shared.run("submit", "-", stdin=text).out
    shared.idle()
    assert shared.entry("a.txt")["tags"] == ["later"]


def test_a_submission_without_a_worker_cannot_tell_and_is_applied_later(make_suite: Make) -> None:
    suite = make_suite()
    (suite.root / "f").write_text("f\n")
    suite.once()
    entry = suite.entry("f")
    text = json.dumps({"changes": {entry["id"]: {"tags": ["kept"]}}, "revs": {entry["id"]: entry["rev"]}})
    assert "enqueued" in suite.run("submit", "-", "--wait", "--timeout", 0.2, stdin=text, code=3).err
    suite.once()
    assert suite.entry("f")["tags"] == ["kept"]


def test_a_scan_by_hand_finds_what_no_event_told(make_suite: Make) -> None:
    suite = make_suite()
    (suite.root / "f").write_text("one\n")
    suite.once()
    (suite.root / "g").write_text("two\n")
    dry = suite.run("scan", "--dry-run", code=1, config=True)
    assert "unregistered: tree/g" in dry.out and len(suite.export()) == 1
    found = os.stat(suite.root / "f")
    (suite.root / "f").write_text("ONE\n")
    os.utime(suite.root / "f", ns=(found.st_atime_ns, found.st_mtime_ns))
    suite.start("worker")
    assert "enqueued 1 scan" in suite.run("scan", "--hash", config=True).out
    suite.until(lambda: len(suite.active()) == 2, "the scan is over")
    suite.stop()
    suite.require_disk_registered()


def test_what_was_tampered_with_fails_validation_with_exit_code_one(make_suite: Make) -> None:
    import sqlite3

    suite = make_suite()
    (suite.root / "f").write_text("f\n")
    suite.once()
    registry = suite.state / "registry" / "registry.db"
    good = registry.read_bytes()
    with sqlite3.connect(registry) as connection:
        assert connection.execute("UPDATE entry SET rev = rev + 7").rowcount == 1
    connection.close()
    answer = suite.run("validate-registry", code=1)
    assert answer.out.splitlines()[-1] == "Validation: FAILED" and suite.entry("f")["id"] in answer.out
    assert suite.run("validate-registry", "--json", code=1).json["passed"] is False
    assert suite.run("verify", code=1).out.splitlines()[-1] == "Verification: FAILED"
    registry.write_bytes(good)
    (suite.root / "f").write_text("changed behind its back\n")
    assert "modified: tree/f" in suite.run("verify", "--deep", code=1, config=True).out
    suite.once()


def test_a_paused_suite_is_told_by_exit_code_five_and_goes_on_after_it(make_suite: Make) -> None:
    suite = make_suite()
    suite.start()
    suite.idle()
    (suite.state / ".maintenance").touch()
    assert ".maintenance" in suite.run("wait-idle", code=5).err
    (suite.root / "f").write_text("written while paused\n")
    (suite.state / ".maintenance").unlink()
    suite.idle()
    suite.require_disk_registered()


# how it is started


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start programs that no failing test leaves behind."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen([*program(), *arguments], cwd=cwd, env=environment(), text=True, **pipes))  # type: ignore[call-overload]
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.terminate()  # `up` ends its children too
            process.communicate(timeout=DEADLINE_S)


Start = Callable[..., subprocess.Popen[str]]


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out + err


def first_line(process: subprocess.Popen[str], sign: str) -> Iterator[str]:
    assert process.stdout
    for line in process.stdout:
        yield line
        if sign in line:
            return


def test_up_makes_its_state_says_where_it_is_and_ends_with_ctrl_c(tmp_path: Path, start: Start) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("a\n")
    process = start("up", "--root", "docs", cwd=tmp_path)
    said = "".join(first_line(process, "files registered"))
    assert "ledger.pub" in said and str(tmp_path / ".autoops") in said
    end_s = time.monotonic() + DEADLINE_S
    waited = 3  # cannot tell: the services are still on their way
    while waited == 3 and time.monotonic() < end_s:
        waited = subprocess.run([*program(), "wait-idle"], cwd=tmp_path, env=environment(), capture_output=True).returncode
    assert waited == 0
    listed = subprocess.run([*program(), "list"], cwd=tmp_path, env=environment(), capture_output=True, text=True)  # ./.autoops
    assert "a.txt" in listed.stdout
    code, rest = interrupt(process)
    assert code == 0 and "stopped" in rest and "Traceback" not in rest
    verified = subprocess.run([*program(), "verify", "--deep"], cwd=tmp_path, env=environment(), capture_output=True)
    assert verified.returncode == 0
    assert (tmp_path / ".autoops").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / ".autoops" / "ledger.key").stat().st_mode & 0o777 == 0o600


def test_up_runs_reconciler_and_scrub_at_their_intervals(tmp_path: Path, start: Start) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("a\n")
    config, state = tmp_path / "autoops.toml", tmp_path / "s"
    config.write_text(f'[[root]]\npath = "{tmp_path}/docs"\n[reconcile]\ninterval_s = 1\n[scrub]\ninterval_s = 1\nmax_load = 0\n')
    process = start("up", "--config", str(config), "--state", str(state), cwd=tmp_path)
    "".join(first_line(process, "1 file registered"))

    def told(name: str, event: str) -> int:
        path = state / "log" / f"{name}.log"
        return path.read_text().count(f'"event": "{event}"') if path.exists() else 0

    def until(condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end_s and process.poll() is None
            time.sleep(0.05)

    until(lambda: told("reconciler", "reconciled") >= 2 and told("scrub", "scrub_finished") >= 2)
    assert json.loads((state / "queue" / "rounds.json").read_text()).keys() == {"reconciler", "scrub"}
    code, rest = interrupt(process)
    assert code == 0 and "stopped" in rest and "ended with status" not in rest and "Traceback" not in rest
    logs = {name: (state / "log" / f"{name}.log").read_text() for name in ("reconciler", "scrub")}
    assert not any("Traceback" in text or "all agree" in text for text in logs.values()), "records, and no more"


def test_up_goes_on_when_what_it_runs_now_and_then_can_have_no_log(tmp_path: Path, start: Start) -> None:
    (tmp_path / "docs").mkdir()
    config, log = tmp_path / "autoops.toml", tmp_path / "s" / "log"
    log.mkdir(parents=True)
    (log / "reconciler.log").mkdir()
    os.mkfifo(log / "scrub.log")
    config.write_text(f'[[root]]\npath = "{tmp_path}/docs"\n[reconcile]\ninterval_s = 1\n[scrub]\ninterval_s = 1\nmax_load = 0\n')
    process = start("up", "--config", str(config), "--state", "s", cwd=tmp_path)
    ended, end_s = tmp_path / "s" / "queue" / "rounds.json", time.monotonic() + DEADLINE_S
    while not (ended.exists() and json.loads(ended.read_text()).keys() == {"reconciler", "scrub"}):
        assert time.monotonic() < end_s and process.poll() is None
        time.sleep(0.05)
    code, rest = interrupt(process)
    assert code == 0 and "stopped" in rest and "Traceback" not in rest


def test_a_damaged_record_is_told_by_explain_and_ends_no_live_view(make_suite: Make) -> None:
    suite = make_suite()
    (suite.root / "a.txt").write_text("a\n")
    suite.once()
    with closing(sqlite3.connect(suite.state / "registry/registry.db", isolation_level=None)) as con:
        kept = con.execute("SELECT sequence, record, hash, signature FROM ledger ORDER BY sequence LIMIT 1").fetchone()
        for damage in ("UPDATE ledger SET record = '{\"patches\":[]}' WHERE sequence = 1", "DELETE FROM ledger WHERE sequence = 1"):
            con.execute(damage)
            told = suite.run("explain", "a.txt", code=6)
            assert "the record of commit 1 cannot be read" in told.err and "Traceback" not in told.err
        con.execute("INSERT INTO ledger (sequence, record, hash, signature) VALUES (?, ?, ?, ?)", kept)
        with closing(Eyes(Context.of(suite.state, suite.config))) as eyes:
            (suite.root / "b.txt").write_text("b\n")
            suite.once()
            (newest, record) = con.execute("SELECT sequence, record FROM ledger ORDER BY sequence DESC LIMIT 1 OFFSET 1").fetchone()
            con.execute("UPDATE ledger SET record = '{}' WHERE sequence = ?", (newest,))
            assert f"commit {newest}: its record cannot be read" in eyes.look().latest
            con.execute("UPDATE ledger SET record = ? WHERE sequence = ?", (record, newest))


def test_the_live_view_meets_another_registry_and_none_and_goes_on(make_suite: Make) -> None:
    suite = make_suite()
    (suite.root / "a.txt").write_text("a\n")
    suite.once()
    registry, aside = suite.state / "registry" / "registry.db", suite.base / "aside.db"
    with closing(Eyes(Context.of(suite.state, suite.config))) as eyes:
        assert eyes.look().entries == 1
        registry.rename(aside)
        for _ in range(2):
            with pytest.raises(StorageMissing):
                eyes.look()
        shutil.copy2(aside, registry)
        assert eyes.look().entries == 1


def test_up_ends_with_an_error_when_one_of_its_programs_dies(tmp_path: Path, start: Start) -> None:
    (tmp_path / "docs").mkdir()
    process = start("up", "--root", "docs", "--state", "s", cwd=tmp_path)
    "".join(first_line(process, "files registered"))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 4
    os.kill(int(children[0]), signal.SIGKILL)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1 and "autoops-worker ended with status -9" in err


def test_up_ends_what_it_started_when_it_cannot_start_the_rest(tmp_path: Path, start: Start) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "s" / "log" / "watcher.log").mkdir(parents=True)
    process = start("up", "--root", "docs", "--state", "s", cwd=tmp_path)
    _, err = process.communicate(timeout=DEADLINE_S)
    left = [path.parent for path in Path("/proc").glob("[0-9]*/cmdline") if os.fsencode(tmp_path / "s") in content(path)]
    for one in left:
        os.kill(int(one.name), signal.SIGKILL)
    assert left == [] and process.returncode == 4 and "watcher.log cannot be written" in err and "Traceback" not in err


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""


def test_start_watcher_takes_paths_and_ends_with_ctrl_c(tmp_path: Path, start: Start) -> None:
    (tmp_path / "docs").mkdir()
    state = ["--state", str(tmp_path / "s")]
    subprocess.run([*program(), "migrate", *state], env=environment(), check=True, capture_output=True)
    process = start("start-watcher", "--paths", "docs", *state, cwd=tmp_path)
    end_s = time.monotonic() + DEADLINE_S
    jobs: list[dict[str, object]] = []
    while not jobs and time.monotonic() < end_s:
        listed = subprocess.run([*program(), "queue", "list", "--json", *state], env=environment(), capture_output=True, text=True)
        jobs = json.loads(listed.stdout)
    assert [(job["kind"], job["key"]) for job in jobs] == [("scan", f"{tmp_path}/docs/")]
    code, rest = interrupt(process)
    assert code == 0 and "Traceback" not in rest


def test_a_good_configuration_is_counted_table_by_table(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    config = tmp_path / "autoops.toml"
    config.write_text(
        f'[[root]]\npath = "{tmp_path}/docs"\n[[catalog]]\nname = "a"\n[[catalog]]\nname = "b"\n'
        f'[[replica]]\nname = "c"\nwhere = "{tmp_path}/copy.db"\n'
        '[[playbook]]\nname = "d"\nwhen = "health:queue"\nremedy = "reset-jobs"\n'
    )
    run = subprocess.run([*program(), "config", "check", "--config", config], env=environment(), capture_output=True, text=True)
    counts = "1 root, 0 classification rules, 2 catalogs, 1 replica, 0 foreign checkpoints, 0 channels, 1 playbook"
    assert (run.returncode, run.stdout) == (0, f"the configuration is good: {counts}\n")


def test_a_service_without_a_state_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("start-worker", "start-watcher", "start-tailer", "start-shipper"):
        command = [*program(), name, "--root", tmp_path / "docs", "--state", tmp_path / "s"]
        run = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        assert run.returncode == 6 and "autoops migrate" in run.stderr and "Traceback" not in run.stderr, run
        assert not (tmp_path / "s").exists()


INSTALLED = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]


@pytest.mark.parametrize("name", INSTALLED)
def test_the_programs_in_bin_are_those_that_are_installed(name: str) -> None:
    path = PROJECT / "bin" / name
    module, _, function = INSTALLED[name].partition(":")
    assert f"from {module} import {function}\n\n{function}()\n" in path.read_text()
    run = subprocess.run([sys.executable, path, "--help"], env=environment(), capture_output=True, text=True, check=False)
    assert run.returncode == 0 and "--help" in run.stdout


def test_a_reader_that_stops_reading_is_no_error(shared: Suite) -> None:
    command = f"'{sys.executable}' -m autoops export --format ledger --state '{shared.state}' | head -c 1; echo ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", command], env=environment(), capture_output=True, text=True, check=False)
    assert run.stdout == "{0\n" and run.stderr == ""


def test_each_command_is_found_in_the_module_that_has_it() -> None:
    whole = typer.main.get_command(main.program())
    assert isinstance(whole, click.Group)
    table = [name for names in main.COMMANDS.values() for name in names]
    assert sorted(whole.commands) == sorted(table)
    for name in table:
        alone = typer.main.get_command(main.program(name))
        assert isinstance(alone, click.Group) and name in alone.commands
        assert set(alone.commands) < set(whole.commands)


def test_no_help_has_words_in_brackets_that_the_terminal_takes_for_markup() -> None:
    """`[backup]` in a text is gone when it is shown."""
    texts = [
        text
        for path in (PROJECT / "autoops/cli").glob("*.py")
        for text in re.findall(r'(?:help="|^    """)([^"]*)"', path.read_text(), re.M)
    ]
    assert len(texts) > 100
    shown = [text for text in texts if re.search(r"\[[a-z_]+\]", text)]
    assert [text for text in shown if "heartbeat_url" not in text] == []  # that one is argparse's, which shows it
