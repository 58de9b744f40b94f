"""W1-describe: descriptors of Python files, stage two, beside one core that does nothing but ast.parse.

The tree is registered beforehand, untimed: what is timed is the start of the program, a look at a tree that has not changed,
and the descriptors. A second part counts how many contents are described again when nothing changed, or when files were copied.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from bench import peers
from bench.measure import Case, Target, case_ratio, run_cases, summarize, write_cases
from bench.setting import Setting, autoops
from bench.tree import cached_tree, empty, write_tree

NAME = "W1-describe"
NEEDS = {"ast-parse": "", "autoops": "autoops"}
COPIED_FILES = 300


def measure(setting: Setting) -> None:
    """Describe the same Python files with one core and with autoops."""
    files = setting.size(4_000, 200)
    tree = cached_tree(setting.scratch, files, "python")
    names = setting.taking_part(NAME, NEEDS)
    work = setting.folder("w1-describe")
    cases = [case for case in _cases(tree, work, setting.environment()) if case.name in names]
    if not cases:
        return
    run_cases(cases, setting.rounds(5), setting.quiet_s, setting.environment())
    write_cases(setting.lines, NAME, cases, "ast-parse", files=files)
    again = _again(setting) if "autoops" in names else None
    speedup = case_ratio(cases, "ast-parse", "autoops")
    promised = [
        Target("speed / ast-parse on one core", speedup, 1.8, at_least=True),
        Target("contents described again / contents", again, 0.0),
    ]
    summarize(setting.lines, NAME, promised, files=files)


def _cases(tree: Path, work: Path, environment: dict[str, str]) -> list[Case]:
    registered, state = work / "registered", work / "state"

    def register_once() -> None:
        command = autoops("up", "--once", "--register-only", "--root", tree, "--state", registered)
        subprocess.run(command, env=environment, check=True, capture_output=True)

    def take_copy() -> None:
        shutil.copytree(registered, empty(state), dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))

    own = autoops("up", "--once", "--root", tree, "--state", state)
    return [Case("ast-parse", peers.floor("parse", tree)), Case("autoops", own, take_copy, register_once)]


def _again(setting: Setting) -> float | None:
    """Return the share of contents that were described twice; None if the program did not say how many it described."""
    place = setting.folder("w1-describe-again")
    tree, state = place / "tree", place / "state"
    write_tree(tree / "first", COPIED_FILES, "python", seed=3)
    counts = [_describe(setting, tree, state), _describe(setting, tree, state)]
    shutil.copytree(tree / "first", tree / "copies")
    counts.append(_describe(setting, tree, state))
    first, unchanged, copied = counts
    if first is None or unchanged is None or copied is None:
        setting.lines.write(NAME, peer="autoops", fault="status --json has no described_total")
        return None
    facts = {
        "contents": COPIED_FILES,
        "described": first,
        "after_nothing": unchanged - first,
        "after_copies": copied - unchanged,
    }
    setting.lines.write(NAME, peer="autoops", **facts)
    return (copied - first) / COPIED_FILES if first == COPIED_FILES else None  # whoever describes nothing repeats nothing


def _describe(setting: Setting, tree: Path, state: Path) -> int | None:
    """Bring the registry up to date and return how many contents were described since it began."""
    environment = setting.environment()
    subprocess.run(autoops("up", "--once", "--root", tree, "--state", state), env=environment, capture_output=True, check=True)
    said = subprocess.run(autoops("status", "--json", "--state", state), env=environment, capture_output=True, check=False)
    try:
        return find_count(json.loads(said.stdout), "described_total")
    except ValueError:
        return None


def find_count(value: Any, key: str) -> int | None:
    """Return the whole number that stands under `key` anywhere in a JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get(key), int):
            return int(value[key])
        value = list(value.values())
    found = (find_count(item, key) for item in value) if isinstance(value, list) else ()
    return next((count for count in found if count is not None), None)
