"""Names of any bytes, in everything that is said: journal, STATUS=, JSON, CSV, Markdown, HTML, SVG, metrics, terminal.

A name is told so that it can be found again, and does nothing where it is told. The control says each name as it is.
"""

from __future__ import annotations

import csv
import json
import os
import re
import socket
import subprocess
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from changing import changed
from judge import require_whole
from running import Suite, environment, path_of, program

Make = Callable[..., Suite]
HOSTILE = (
    b"new\nline", b"tab\tand\rreturn", b"it's \"quoted\"", b"\x1b[2J\x1b]0;title\x07", b"caf\xe9", b"\xff\xfe", b"\xc0\xaf..",
    b"-rf", b"--help", b"=cmd|'calc'!A1", b"+1", b"@x", b"back\\slash", b"\\x41", b"\\", b"%s%n", b"$(id)", b"`id`", b"*",
    b" leading", b"trailing ", b".hidden", b"...", "a\u202egpj.exe".encode(), "e\u0301".encode(), "\u00e9".encode(),
    "\u2028line".encode(), "\U0001f600".encode(), b"\xed\xa0\x80", b"n" * 255, ("\u20ac" * 85).encode(), b"\x7f", b"\x01",
    "\u009b31m".encode(), b"<img src=x onerror=alert(1)>", b"<script>alert(1)<!--", b"[x](http:y)", b"| a | b |",
)  # fmt: skip
READERS = (
    *(("list",), ("status",), ("findings", "list"), ("coverage",), ("queue", "list"), ("queue-status",), ("health",), ("logs",)),
    *(("reconcile", "--report"), ("report", "errors"), ("report", "capacity"), ("report", "weekly"), ("catalog", "status")),
    *(("scan", "--dry-run"), ("root", "list"), ("backup", "list"), ("doctor",), ("config", "show")),
)
WITH_CONFIG = {"coverage", "health", "reconcile", "scan", "root", "backup", "doctor", "config", "catalog", "report"}
IN_JSON = ("list", "status", "findings", "coverage", "queue", "health", "reconcile", "scan")
CATALOGS = ("jsonl", "csv", "markdown", "html", "hashdeep", "bagit")
# What a spreadsheet calculates (OWASP, "CSV Injection")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
SCRIPTS, FOREIGN = 3, {"img", "iframe", "object", "form", "base"}  # in a page of a catalog; and what none has
PLAIN = """
from autoops import names
names.show = lambda path: path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
"""


@pytest.fixture(scope="module")
def suite(make_shared: Make) -> Iterator[Suite]:
    """A suite in which each name is that of two files."""
    suite = make_shared()
    (suite.root / "-d\n=").mkdir()
    for name in HOSTILE:
        for directory in (b"", b"-d\n="):
            (Path(os.fsdecode(os.path.join(os.fsencode(suite.root), directory, name)))).write_bytes(b"named " + name)
    suite.start()
    suite.idle()
    yield suite


def said(suite: Suite, *command: str) -> str:
    """Return all that a command says, whatever it finds."""
    answer = suite.run(*command, config=command[0] in WITH_CONFIG, code=None)
    assert answer.code in (0, 1, 2, 3) and "Traceback" not in answer.err, (command, answer)
    return answer.out + answer.err


def unprintable(text: str) -> list[str]:
    """Return the lines that would do something to a terminal."""
    return [line for line in text.split("\n") if not line.isprintable()]


def test_they_are_registered_and_exported_reversibly(suite: Suite) -> None:
    suite.require_disk_registered()
    assert len(suite.active()) == 2 * len(HOSTILE)
    hashdeep = suite.run("export", "--format", "hashdeep").out
    assert sum(line[0].isdigit() for line in hashdeep.splitlines() if line) >= 2 * len(HOSTILE)


def test_no_command_says_one_as_it_is(suite: Suite) -> None:
    ids = [entry["id"] for entry in suite.active().values()]
    for command in (*READERS, *((verb, one) for one in ids[::20] for verb in ("show", "explain"))):
        assert unprintable(said(suite, *command)) == [], command
    assert len(suite.run("list").out.splitlines()) == 2 * len(HOSTILE)


def test_what_programs_read_is_json(suite: Suite) -> None:
    for command in (command for command in READERS if command[0] in IN_JSON):
        answer = suite.run(*command, "--json", config=command[0] in WITH_CONFIG, code=None)
        assert json_lines(answer.out), command
        assert command[0] == "list" or unprintable(answer.out) == [], command


def test_lines_of_json_are_the_stored_ones_and_on_a_terminal_they_print(suite: Suite) -> None:
    for command in (("list", "--json"), ("export",), ("export", "--format", "ledger")):
        piped, shown = suite.run(*command).out, on_a_terminal(suite, *command)
        assert unprintable(piped) and unprintable(shown) == [], command
        assert json_lines(piped) == json_lines(shown), command
    one = suite.entry("\u009b31m")["id"]
    assert unprintable(on_a_terminal(suite, "show", one, "--json")) == []


def json_lines(text: str) -> list[object]:
    return [json.loads(line) for line in text.split("\n") if line]


def on_a_terminal(suite: Suite, *command: str) -> str:
    """Return what a command says to a terminal."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    whole = [*program(), *command, "--state", str(suite.state)]
    with subprocess.Popen(whole, stdout=theirs, stdin=subprocess.DEVNULL, env=environment()) as running:
        os.close(theirs)
        with open(ours, "rb") as terminal, suppress(OSError):  # noqa: PTH123 - EIO is how a terminal ends
            said = b""
            while part := terminal.read1():
                said += part
    assert running.returncode == 0
    return said.decode()


def test_control_said_as_they_are_they_reach_the_terminal(suite: Suite) -> None:
    with changed(suite, PLAIN):
        assert unprintable(said(suite, "list"))


def test_they_are_found_as_they_are_and_as_they_are_listed(suite: Suite) -> None:
    for line in suite.run("list").out.splitlines()[::13]:
        entry_id, shown = line.split()[0], line[52:]
        found = suite.run("show", "--json", last=shown).json
        assert found["id"] == entry_id, shown
        raw = os.fsdecode(os.path.join(os.fsencode(suite.root), path_of(found["path"])))
        assert suite.run("show", "--json", raw).json["id"] == entry_id


def test_a_name_that_looks_like_another_one_as_it_is_shown_is_found_by_its_own(make_suite: Make) -> None:
    suite = make_suite()
    suite.start()
    for name in (b"lit\xff.txt", b"lit\\xff.txt"):
        with open(os.path.join(os.fsencode(suite.root), name), "wb") as out:  # noqa: PTH123 - bytes
            out.write(b"named " + name)
    suite.idle()
    shown = {path_of(entry["path"]): entry["id"] for entry in suite.active().values()}
    for name, entry_id in shown.items():
        raw = os.fsdecode(os.path.join(os.fsencode(suite.root), name))
        for typed in (raw, os.fsdecode(name)):
            assert suite.run("show", "--json", typed).json["id"] == entry_id, typed


# what is written for others


class Page(HTMLParser):
    """What a browser would make of a page: its elements and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements, self.attributes = list[str](), set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}


def test_catalogs_are_tables_and_pages_and_nothing_else(suite: Suite) -> None:
    config, tables = suite.config, (f'\n[[catalog]]\nname = "{kind}"\nformat = "{kind}"\n' for kind in CATALOGS)
    suite.config = suite.base / "catalogs.toml"
    suite.config.write_text(config.read_text() + "".join(tables))
    suite.run("catalog", "build", "--all", config=True)
    suite.run("catalog", "verify", config=True)
    suite.config = config
    built = {kind: [path for path in (suite.state / "catalogs" / kind).rglob("*") if path.is_file()] for kind in CATALOGS}
    texts = {kind: "".join(path.read_text(errors="replace") for path in sorted(files)) for kind, files in built.items()}
    for kind in ("csv", "markdown", "html"):
        assert unprintable(texts[kind].replace("\r\n", "\n")) == [], kind
    for path in built["csv"]:
        if path.suffix == ".csv":
            with path.open(newline="") as file:
                assert not [cell for row in csv.reader(file) for cell in row if cell.startswith(FORMULA)]
    for path in built["html"]:
        if path.suffix == ".html":
            page = Page(path.read_text())
            assert page.elements.count("script") == SCRIPTS and not FOREIGN & {*page.elements}
            assert not [name for name in page.attributes if name.startswith("on")]
    assert r"\<img" in texts["markdown"] and not re.search(r"(?<!\\)(<img|\[x)", texts["markdown"])


def test_pages_and_pictures_hold_them_as_text(suite: Suite, tmp_path: Path) -> None:
    suite.run("coverage", "--svg", tmp_path / "picture.svg", config=True)
    picture = ElementTree.fromstring((tmp_path / "picture.svg").read_text())
    assert {element.tag.partition("}")[2] for element in picture.iter()} <= {"svg", "title", "style", "rect", "text", "line", "g"}
    page = Page(suite.run("report", "weekly", "--format", "html", config=True).out)
    assert not {"script", *FOREIGN} & {*page.elements}


# what services say


def test_they_are_logged_on_one_line_each_and_told_to_systemd_as_one(suite: Suite, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        suite.stop()
        suite.environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        suite.start()
        suite.environment = {}
        before = suite.entry(b"new\nline")["id"]
        (suite.root / "new\nline").rename(suite.root / "READY=1\nSTATUS=hacked")
        suite.idle()
        assert suite.entry(b"READY=1\nSTATUS=hacked")["id"] == before
        (suite.root / "READY=1\nSTATUS=hacked").rename(suite.root / "new\nline")
        suite.idle()
        told = list(received(systemd))
    assert any(line.startswith("STATUS=") for line in told)
    words = {line.partition("=")[0] for line in told if line}
    assert words <= {"READY", "STATUS", "WATCHDOG", "EXTEND_TIMEOUT_USEC", "MAINPID", "FDSTORE", "FDNAME", "STOPPING"}, words
    assert "STATUS=hacked" not in told and not [line for line in told if not line.isprintable()]
    for name in ("worker", "watcher"):
        spoken = [line for line in suite.log(name).splitlines() if not line.startswith(("Starting ", "Press Ctrl+C"))]
        assert len(suite.events(name)) == len(spoken)


def received(told: socket.socket) -> Iterator[str]:
    """Yield the lines that came."""
    told.setblocking(False)
    while True:
        try:
            yield from told.recv(65536).decode().split("\n")
        except BlockingIOError:
            return


# and after all that


def test_nothing_is_left_of_it(suite: Suite) -> None:
    require_whole(suite)
