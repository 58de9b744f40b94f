"""A third party's extractor, made from docs/extractors.md itself, works in a fresh process; a broken one harms nobody."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "extractors.md").read_text()
CALENDAR = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Audit\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
GOOD = "NAME = 'calendar'\nVERSION = 2\nTYPES = ('text/calendar',)\n"
ASK = """
import json, sys
from autoops.describe.extract import describe, faults, versions
descriptor = describe(b"a.ics", sys.argv[1], sys.argv[2].encode(), False)
print(json.dumps({"descriptor": descriptor, "faults": faults(), "versions": versions()}))
"""


def block(language: str) -> str:
    """Return the one code block of the page in this language."""
    (code,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return code


def install(place: Path, module: str, source: str, points: dict[str, str]) -> None:
    """Do what an installer does with a package of one module."""
    (place / f"{module}.py").write_text(source)
    info = place / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {target}\n" for name, target in points.items())
    (info / "entry_points.txt").write_text(f"[autoops.extractors]\n{lines}")


def ask(place: Path, mime: str = "text/calendar", content: str = CALENDAR) -> dict[str, Any]:
    path = os.pathsep.join([str(place), str(Path(__file__).parents[2])])
    command = [sys.executable, "-c", ASK, mime, content]
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def test_the_example_of_the_documentation_works_in_a_fresh_process(tmp_path: Path) -> None:
    points = tomllib.loads(block("toml"))["project"]["entry-points"]["autoops.extractors"]
    install(tmp_path, "calendar_extractor", block("python"), points)
    answer = ask(tmp_path)
    assert answer["descriptor"] == json.loads(block("json"))
    assert answer["versions"]["calendar"] == 1 and answer["faults"] == []
    assert ask(tmp_path, content="SUMMARY:x")["descriptor"]["error"]["line"] == 1
    assert ask(tmp_path, "text/plain")["descriptor"]["extractor"] == "text/1"


@pytest.mark.parametrize(
    ("extract", "message"),
    [
        ("def extract(data, truncated): raise KeyError('lost')", "KeyError: 'lost'"),
        ("def extract(data, truncated): return ['a']", "TypeError: extract returned list, not a dict"),
        ("def extract(data, truncated): import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def extract(data): return {}", "TypeError: extract() takes 1 positional argument but 2 were given"),
        ("def extract(data, truncated): return extract(data, truncated)", "RecursionError"),
        (
            "class Evil:\n def __str__(self): raise OSError('x')\ndef extract(data, truncated): return {'a': Evil()}",
            "OSError: x",
        ),
        ("def extract(data, truncated): raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_an_extractor_that_fails_is_named_and_the_builtin_one_does_the_work(tmp_path: Path, extract: str, message: str) -> None:
    install(tmp_path, "broken", GOOD + extract, {"broken": "broken"})
    descriptor = ask(tmp_path)["descriptor"]
    assert descriptor["error"]["extractor"] == "calendar" and descriptor["error"]["message"].startswith(message)
    assert (descriptor["extractor"], descriptor["lines"]) == ("text/1", 5)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("NAME = 'a b'", "NAME must be"),
        (GOOD.replace("calendar", "python", 1), "the name python is taken"),
        (GOOD.replace("2", "'2'"), "VERSION must be an integer"),
        ("NAME = 'x'\nVERSION = 1\nTYPES = 'text/plain'\n", "TYPES must be a tuple"),
        (GOOD, "extract is not callable"),
    ],
)
def test_an_extractor_that_cannot_be_loaded_is_told_and_the_builtin_ones_work(tmp_path: Path, source: str, message: str) -> None:
    install(tmp_path, "broken", source, {"entry": "broken"})
    answer = ask(tmp_path)
    ((entry, reason),) = answer["faults"]
    assert entry == "entry" and reason.startswith(message)
    assert answer["descriptor"]["error"] == {"extractor": "entry", "message": reason}
    assert (answer["descriptor"]["extractor"], answer["descriptor"]["lines"]) == ("text/1", 5)


def test_an_extractor_cannot_exceed_the_bounds_or_speak_for_another(tmp_path: Path) -> None:
    returned = "{'kind': 'big', 'extractor': 'python/9', 'x': [1.5, b'raw', 2**70], 'y': ['\\ud800' * 999] * 999, 3: {4: object}}"
    install(tmp_path, "big", f"{GOOD}def extract(data, truncated): return {returned}", {"big": "big"})
    descriptor = ask(tmp_path)["descriptor"]
    assert (descriptor["kind"], descriptor["extractor"]) == ("big", "calendar/2")
    assert descriptor["x"] == ["1.5", "b'raw'", "0x400000000000000000"]
    assert descriptor["y_total"] == 999 and len(json.dumps(descriptor, ensure_ascii=False).encode()) <= 16 * 1024
