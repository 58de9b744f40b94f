"""Events: one record each, in the form that its reader wants, whatever a file is called."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoops import journal, log

HOSTILE = b"a\nPRIORITY=0\n\x1b[2J\xff"
SHOWN = r"a\x0aPRIORITY=0\x0a\x1b[2J\xff"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    log.configure()


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "socket"))
        server.settimeout(10)
        yield server


def decode(record: bytes) -> dict[str, str]:
    """Read a record of the native protocol, as journald does."""
    fields: dict[str, str] = {}
    while record:
        line, _, record = record.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(record[:8], "little")
            value, end, record = record[8 : 8 + size], record[8 + size : 9 + size], record[9 + size :]
            assert end == b"\n"
        assert name.decode() not in fields
        fields[name.decode()] = value.decode()
    return fields


def test_every_event_is_past_tense_snake_case_with_a_known_level() -> None:
    for event, (level, keys) in log.EVENTS.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", event)
        assert level in log.LEVELS
        assert not {"event", "level", "program", "timestamp", "exception"} & set(keys)
        assert all(re.fullmatch(r"[a-z][a-z_]*", key) for key in keys), "must be a journal field name in capitals"


def test_an_event_that_is_not_in_the_catalogue_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="not in"):
        log.emit("file_eaten", path=b"x")


def test_an_event_that_lacks_a_key_is_a_bug() -> None:
    with pytest.raises(AssertionError, match=r"entry_created lacks \['path'\]"):
        log.emit("entry_created", id="1")


def test_what_is_emitted_can_be_collected_at_every_level() -> None:
    with log.captured() as events:
        log.emit("file_unsettled", path=HOSTILE, more=2)
    assert events == [{"event": "file_unsettled", "level": "debug", "path": HOSTILE, "more": 2}]


def test_a_text_line_stays_one_line_and_no_value_looks_like_a_fact(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("debug", "text")
    log.emit("finding_opened", kind="k", path=HOSTILE, detail='x", path="/etc/shadow')
    (line,) = capsys.readouterr().err.splitlines()
    assert line[9:] == rf'warning  finding opened: kind=k, path="{SHOWN}", detail="x\x22, path=\x22/etc/shadow"'


def test_a_json_line_has_time_program_level_and_every_fact(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("debug", "json", "autoops-worker")
    log.emit("entry_moved", id="1", path=HOSTILE, was=["é", b"\xff"], evidence={"kind": b"x", "confidence": 80, "n": None})
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", record.pop("timestamp"))
    assert record == {
        "program": "autoops-worker",
        "level": "info",
        "event": "entry_moved",
        "id": "1",
        "path": SHOWN,
        "was": ["é", r"\xff"],
        "evidence": {"kind": "x", "confidence": 80, "n": None},
    }


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("warning", "json")
    log.emit("resumed", flag="f")
    log.emit("watch_overflowed", root="r")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["watch_overflowed"]


def test_a_value_that_no_encoding_has_is_written_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    log.emit("patch_refused", key="k", reason="half a pair: \ud83d")
    assert json.loads(capsys.readouterr().err)["reason"] == r"half a pair: \xed\xa0\xbd"


def test_a_long_value_is_cut_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    log.emit("patch_refused", key="k", reason="x" * 100_000)
    said = json.loads(capsys.readouterr().err)["reason"]
    assert len(said) < log.VALUE_LIMIT + 100
    assert said.endswith("… (cut, 100000 characters)")


def test_a_journal_record_has_priority_identifier_and_a_field_for_each_fact(journald: socket.socket) -> None:
    log.configure("info", "journal", "autoops-watcher", journald.getsockname())
    log.emit("watch_gap_opened", root="docs", path=HOSTILE, reason="no watches left")
    assert decode(journald.recv(65536)) == {
        "MESSAGE": f'watch gap opened: root=docs, path="{SHOWN}", reason="no watches left"',
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "autoops-watcher",
        "AUTOOPS_EVENT": "watch_gap_opened",
        "AUTOOPS_ROOT": "docs",
        "AUTOOPS_PATH": SHOWN,
        "AUTOOPS_REASON": "no watches left",
    }


def test_an_id_says_in_the_journal_that_it_is_a_documents(journald: socket.socket) -> None:
    log.configure("debug", "journal", address=journald.getsockname())
    log.emit("entry_created", id="2026013112000001", path="a")
    assert decode(journald.recv(65536))["AUTOOPS_DOC_ID"] == "2026013112000001"


def test_a_traceback_stays_one_journal_record(journald: socket.socket) -> None:
    log.configure("info", "journal", address=journald.getsockname())
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        log.emit("service_failed", service="s", reason="r", exc_info=True)
    record = decode(journald.recv(65536))
    assert record["PRIORITY"] == "3"
    assert record["AUTOOPS_EXCEPTION"].startswith("Traceback (most recent call last):\n")
    assert record["MESSAGE"].endswith("ValueError: first\nsecond")


def test_a_record_with_every_value_at_its_longest_still_fits_a_datagram(journald: socket.socket) -> None:
    log.configure("debug", "journal", address=journald.getsockname())
    log.emit("entry_moved", id="1", path=b"\xff" * 4096, was=b"\xff" * 4096, evidence="e" * 99999)
    assert decode(journald.recv(1 << 20))["AUTOOPS_PATH"] == r"\xff" * 4096


@pytest.mark.parametrize("missing", ["no socket", "nobody listens"])
def test_a_journal_that_is_not_there_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    address = tmp_path / "socket"
    if missing == "nobody listens":
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
            gone.bind(str(address))
    log.configure("info", "journal", address=str(address))
    log.emit("storage_suspect", database="queue.db", detail="d")
    line = capsys.readouterr().err
    assert line.startswith("<2>{")
    assert json.loads(line[3:])["event"] == "storage_suspect"


def test_standard_error_is_the_journal_only_when_device_and_inode_agree(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        there = os.fstat(file.fileno())
        assert journal.is_journal(f"{there.st_dev}:{there.st_ino}", file)
        assert not journal.is_journal(f"{there.st_dev}:{there.st_ino + 1}", file)
        assert not journal.is_journal("", file)
    assert not journal.is_journal(f"{there.st_dev}:{there.st_ino}", file), "closed"


EMIT = "from autoops import log; log.emit('resumed', flag='f')"


def test_a_terminal_gets_text_and_a_pipe_json() -> None:
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", EMIT], stderr=theirs, check=True)
    assert os.read(ours, 4096).decode().rstrip()[9:] == "info     resumed: flag=f"
    os.close(ours)
    os.close(theirs)
    piped = subprocess.run([sys.executable, "-c", EMIT], capture_output=True, check=True)
    assert json.loads(piped.stderr)["event"] == "resumed"


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    script = f"{EMIT}; log.emit('resumed', flag='g'); print('goes on')"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=full)
    assert (done.returncode, done.stdout) == (0, b"goes on\n")


def test_outside_of_tests_an_unknown_event_is_logged_plainly() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_VERSION"}
    run = [sys.executable, "-c", "from autoops import log; log.emit('file_eaten', path=b'x'); log.emit('resumed')"]
    done = subprocess.run(run, capture_output=True, check=True, env=environment)
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["file_eaten", "resumed"]
    strict = subprocess.run(run, capture_output=True, env=environment | {"AUTOOPS_STRICT_EVENTS": "1"})
    assert b"AssertionError" in strict.stderr


def test_logging_does_not_bring_rich_in_and_leaves_it_to_who_wants_it() -> None:
    code = f"{EMIT}; import sys; assert 'rich' not in sys.modules; import rich.console; assert rich.console.Console"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    before = "import sys, rich, structlog; assert sys.modules['rich'] is rich"
    subprocess.run([sys.executable, "-c", f"import rich; {EMIT}; {before}"], check=True, capture_output=True)


def test_importing_the_log_alone_is_light() -> None:
    code = "import sys, autoops.log; assert not {'structlog', 'asyncio', 'logging'} & set(sys.modules), 'pool children import it'"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
