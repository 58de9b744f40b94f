"""Catalogs made by external programs: what they are given, what they may take, and that their failures cost nothing."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoops.catalog import command
from autoops.config import CatalogConfig
from autoops.errors import CatalogFailed
from autoops.runtime import confined

HEAD = f"#!{sys.executable} -I\nimport json, os, resource, socket, subprocess, sys, time\n"
LINES = [b'{"id":"%016d"}\n' % number for number in range(20_000)]


def program(place: Path, text: str) -> tuple[str, ...]:
    path = place / "program"
    path.write_text(HEAD + text)
    path.chmod(0o755)
    return (str(path), "an argument")


def made(tmp_path: Path, text: str, lines: list[bytes] = LINES, **limits: float) -> list[str]:
    """Run a program as a catalog's; return the names of its files."""
    table = CatalogConfig("c", "command", command=program(tmp_path, text), **limits)  # type: ignore[arg-type]
    directory = tmp_path / "new"
    directory.mkdir()
    return command.make(table, iter(lines), directory, lambda: None)


def refused(tmp_path: Path, text: str, **limits: float) -> str:
    with pytest.raises(CatalogFailed) as caught:
        made(tmp_path, text, **limits)
    assert caught.value.exit_code == 1 and "docs/formats.md" in caught.value.advice
    return str(caught.value)


def test_it_gets_every_line_and_its_files_are_the_catalog(tmp_path: Path) -> None:
    text = "lines = sys.stdin.readlines()\nopen('count', 'w').write(str(len(lines)))\nopen('last', 'w').write(lines[-1])\n"
    assert made(tmp_path, text) == ["count", "last"]
    assert (tmp_path / "new" / "count").read_text() == "20000"
    assert (tmp_path / "new" / "last").read_bytes() == LINES[-1]


def test_the_example_of_the_documents_does_what_it_says(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    (example,) = re.findall(r"^```python\n(#!.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    lines = [json.dumps({"class": name, "observation": {"size_bytes": 5}}) for name in ("a", "a", None)]
    table = CatalogConfig("c", "command", command=(sys.executable, "-c", example))
    directory = tmp_path / "new"
    directory.mkdir()
    assert command.make(table, [f"{line}\n".encode() for line in lines], directory, lambda: None) == ["sums.json"]
    assert json.loads((directory / "sums.json").read_text()) == {"a": 10, "unknown": 5}


def test_it_need_not_read_them(tmp_path: Path) -> None:
    assert made(tmp_path, "open('made', 'w').close()\n") == ["made"]


def test_it_has_nothing_of_our_environment_and_lives_in_its_own_group_with_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    text = """
limits = {name: resource.getrlimit(getattr(resource, name)) for name in ("RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_NOFILE")}
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
facts = {"environment": dict(os.environ), "group": os.getpgid(0) == os.getpid(), "limits": limits, "arguments": sys.argv[1:],
    "no_new_privileges": status["NoNewPrivs"].strip(), "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))}
json.dump(facts, open("facts", "w"))
"""
    made(tmp_path, text, max_bytes=5000)
    facts = json.loads((tmp_path / "new" / "facts").read_text())
    facts["environment"].pop("LC_CTYPE", None)  # Python sets it for itself
    assert facts["environment"] == {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    assert facts["group"] and facts["no_new_privileges"] == "1" and facts["arguments"] == ["an argument"]
    assert facts["limits"] == {"RLIMIT_CORE": [0, 0], "RLIMIT_FSIZE": [5000, 5000], "RLIMIT_NOFILE": [256, 256]}
    assert len(facts["descriptors"]) <= 5, "0, 1, 2, what it opened, and nothing of ours"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sys.exit(3)", "ended with status 3"),
        ("print('the reason', file=sys.stderr); sys.exit(1)", "it said: the reason"),
        ("os.kill(os.getpid(), 11)", "killed by signal 11"),
        ("os.symlink('/etc/passwd', 'a')", "made a, which is no plain file"),
        ("os.mkfifo('a\\nb')", "made a\\x0ab, which is no plain file"),
        ("os.mkdir('d')", "made d, which is no plain file"),
        ("open('a', 'w').close(); os.link('a', 'b')", "made a, which is no plain file"),
        ("open('metadata.json', 'w').close()", "metadata.json"),
    ],
)
def test_how_it_fails_is_told(tmp_path: Path, text: str, why: str) -> None:
    assert why in refused(tmp_path, text)


def test_of_what_it_says_the_end_is_kept_and_nothing_of_it_reaches_a_terminal_as_it_is(tmp_path: Path) -> None:
    said = refused(tmp_path, "sys.stderr.write('x' * 1_000_000 + '\\x1b[31mthe end\\n'); sys.exit(1)")
    assert len(said) < 2 * confined.SAID_BYTES and "\\x1b[31mthe end" in said and "\x1b" not in said


@pytest.mark.parametrize(
    ("text", "limits", "why"),
    [
        ("time.sleep(600)", {"timeout_s": 0.5}, "longer than 0.5 s"),
        ("sys.stdin.close(); sys.stderr.close(); os.close(0); os.close(2); time.sleep(600)", {"timeout_s": 0.5}, "longer than"),
        ("\nwhile True: sys.stderr.write('x' * 4096)", {"timeout_s": 0.5}, "longer than"),
        ("open('a', 'wb').write(b'x' * 10_000)", {"max_bytes": 4096}, "ended with status 1|too large"),
        ("\nfor n in range(9): open(str(n), 'wb').write(b'x' * 1000)", {"max_bytes": 4096}, "larger than 4096 bytes"),
        (
            "os.mkdir('d')\nfor n in range(9): open(f'd/{n}', 'wb').write(b'x' * 1000)\ntime.sleep(600)",
            *({"max_bytes": 8192, "timeout_s": 5}, "larger than 8192 bytes"),
        ),
        ("\nfor n in range(10_001): open(str(n), 'wb').close()", {}, "more than 10000 files"),
    ],
)
def test_what_it_may_not_take_ends_it(tmp_path: Path, text: str, limits: dict[str, float], why: str) -> None:
    said = refused(tmp_path, text, **limits)
    assert any(one in said for one in why.split("|")), said


@pytest.mark.parametrize("ending", ["", "time.sleep(600)"])
def test_whatever_it_started_ends_with_it(tmp_path: Path, ending: str) -> None:
    text = f"child = subprocess.Popen(['/bin/sleep', '600'])\nopen('{tmp_path}/pid', 'w').write(str(child.pid))\n{ending}\n"
    if ending:
        refused(tmp_path, text, timeout_s=2.0)
    else:
        made(tmp_path, text)
    pid = int((tmp_path / "pid").read_text())
    end_s = time.monotonic() + 30
    while lives(pid):
        assert time.monotonic() < end_s, "it lives on"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_lines_that_cannot_be_read_end_it_and_are_told_as_what_they_are(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield from LINES
        raise OSError(5, "the disk")

    table = CatalogConfig("c", "command", command=program(tmp_path, "sys.stdin.read()"))
    with pytest.raises(CatalogFailed, match="the disk"):
        command.make(table, broken(), tmp_path, lambda: None)


def test_a_program_that_is_none_is_told(tmp_path: Path) -> None:
    table = CatalogConfig("c", "command", command=(str(tmp_path / "none"),))
    with pytest.raises(CatalogFailed, match="cannot be started: No such file"):
        command.make(table, iter(LINES), tmp_path, lambda: None)
    assert os.listdir(tmp_path) == []
