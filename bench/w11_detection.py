"""W11: how soon a checkpoint line that is not what the registry says is found, with the tailer running.

Lines that nobody signed are appended to `checkpoints.jsonl`, one at a time; the clock runs from the write until the tailer's own
record of it, as `autoops checkpoints status` gives it. There is no peer: AIDE and its like compare when they are run.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from bench import service
from bench.measure import Target, rounded, summarize, wait_quiet
from bench.setting import Setting, autoops, environment
from bench.w10_health import made_state

NAME = "W11"
NEEDS = {"autoops-tailer": "autoops"}
LIMIT_S = 1.0
_PATIENCE_S = 60.0
_LINE = b'{"at":"2026-01-31T12:04:01.750Z","digest":"%s","entries":1,"hash":"%s","sequence":1,"signature":"00"}\n'


def measure(setting: Setting) -> None:
    """Append so many wrong lines, and say how soon they were found."""
    if not setting.taking_part(NAME, NEEDS):
        return
    lines = setting.size(300, 10)
    place = setting.folder("w11")
    state = made_state(place, 2_000)
    (place / "tree").mkdir()
    tailer = service.begin("autoops-tailer", state, service.write_config(place / "bench.toml", place / "tree"), place)
    try:
        service.wait_ready(tailer, _PATIENCE_S)
        wait_quiet(setting.quiet_s)
        found = detected(state, lines)
    finally:
        service.end(tailer)
    setting.lines.write(NAME, peer="autoops-tailer", wrong=lines, **{key: rounded(found[key]) for key in ("p50", "p95", "p99")})
    summarize(setting.lines, NAME, [Target("a wrong checkpoint line is found, p99, seconds", found["p99"], LIMIT_S)], wrong=lines)
    shutil.rmtree(place)


def detected(state: Path, lines: int) -> dict[str, Any]:
    """Append the lines, at moments of no rhythm, and return the quantiles of how many seconds each took."""
    chance = random.Random(lines)
    for number in range(lines):
        with (state / "registry" / "checkpoints.jsonl").open("ab") as out:
            out.write(_LINE % (b"%064x" % number, b"%064x" % chance.getrandbits(256)))
        time.sleep(chance.uniform(0.02, 0.3))
    deadline_s = time.monotonic() + _PATIENCE_S
    while (taken := samples(state)) is None or taken["total"] < lines:
        assert time.monotonic() < deadline_s, f"of {lines} lines these were found: {taken}"
        time.sleep(0.2)
    return taken


def samples(state: Path) -> dict[str, Any] | None:
    """Return what the tailer measured."""
    command = autoops("checkpoints", "status", "--json", "--state", state)
    said = subprocess.run(command, env=environment(), check=True, capture_output=True).stdout
    found: dict[str, Any] | None = json.loads(said)["samples"]["drift_detection_s"]
    return found
