"""How figures are taken: a quiet machine first, contestants in turn, ratios round by round, one JSON object a line.

Reads /proc; writes lines to standard output and, if asked, to a file. Nothing here knows a workload.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from bench.processes import family, proportional_mib

BUSY_SHARE = 0.12  # of all processors; above it another program disturbs the run
QUIET_SAMPLE_S = 0.3
MEMORY_SAMPLE_S = 0.05
MIB = 1 << 20


class Lines:
    """Where measurements go: standard output and perhaps a file, one JSON object a line, in the order they were taken."""

    def __init__(self, out: Path | None = None) -> None:
        self.taken: list[dict[str, Any]] = []
        self._file: TextIO | None = out.open("a") if out else None

    def write(self, workload: str, **facts: Any) -> None:
        """Write one object."""
        self.taken.append({"workload": workload, **facts})
        line = json.dumps(self.taken[-1])
        print(line, flush=True)
        if self._file:
            self._file.write(line + "\n")
            self._file.flush()


class Target(NamedTuple):
    """One promise about a ratio: at most `limit` times the peer, or with `at_least` no less."""

    name: str
    ratio: float | None  # None: one of the two was not measured
    limit: float
    at_least: bool = False

    def facts(self) -> dict[str, Any]:
        """Return the object that goes into a summary. A ratio nobody measured meets nothing."""
        met = self.ratio is not None and (self.ratio >= self.limit if self.at_least else self.ratio <= self.limit)
        sense = "at least" if self.at_least else "at most"
        return {"name": self.name, "ratio": rounded(self.ratio), "target": self.limit, "sense": sense, "met": met}


def summarize(lines: Lines, workload: str, targets: Iterable[Target], **facts: Any) -> None:
    """Write the summary line of a workload."""
    lines.write(workload, **facts, targets=[target.facts() for target in targets])


def rounded(value: float | None, digits: int = 4) -> float | None:
    """Round to significant digits, so that 0.00004 keeps its meaning."""
    if value is None or value == 0 or not math.isfinite(value):
        return value
    return float(f"{value:.{digits}g}")


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return median, least and greatest of one figure's runs."""
    return {
        "median": rounded(statistics.median(values)),
        "min": rounded(min(values)),
        "max": rounded(max(values)),
        "n": len(values),
    }


def quantile(values: Sequence[float], percent: float) -> float:
    """Return the value below which `percent` of the values lie (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def quantiles(values: Sequence[float]) -> dict[str, Any]:
    """Return p50, p95, p99 and the greatest value; of nothing, only n = 0."""
    if not values:
        return {"n": 0}
    points = {f"p{percent}": rounded(quantile(values, percent)) for percent in (50, 95, 99)}
    return {**points, "max": rounded(max(values)), "n": len(values)}


def ratio_by_round(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return the median of ours/theirs taken round by round, so that a slow minute hits both sides; None if a side is missing.

    A peer's 0 (no processor time seen, say) gives infinity, or 1 when ours is 0 too.
    """
    pairs = [_ratio(a, b) for a, b in zip(ours, theirs, strict=False)]
    return statistics.median(pairs) if pairs else None


def _ratio(ours: float, theirs: float) -> float:
    if theirs:
        return ours / theirs
    return math.inf if ours else 1.0


def busy_ticks(line: str) -> tuple[int, int]:
    """Return (all ticks, idle ticks) of the first line of /proc/stat; waiting for the disk counts as idle (proc_stat(5))."""
    ticks = [int(word) for word in line.split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


def _ticks() -> tuple[int, int]:
    with Path("/proc/stat").open() as file:
        return busy_ticks(file.readline())


def wait_quiet(limit_s: float) -> bool:
    """Wait until the machine is nearly idle, at most `limit_s`; with 0 do not even look. False: it never was."""
    if not limit_s:
        return True
    deadline = time.monotonic() + limit_s
    while True:
        total, idle = _ticks()
        time.sleep(QUIET_SAMPLE_S)
        total_after, idle_after = _ticks()
        if 1 - (idle_after - idle) / max(1, total_after - total) < BUSY_SHARE:
            return True
        if time.monotonic() > deadline:
            return False


class Run(NamedTuple):
    """One timed run of a command."""

    wall_s: float
    cpu_s: float  # user and system, of the command and of the children it waited for
    largest_mib: float  # resident peak of its largest single process, never less than the harness's own
    exit_code: int


def run_timed(command: Sequence[str], environment: dict[str, str]) -> Run:
    """Run a command to its end, its output thrown away, and return what it cost (wait4(2))."""
    start = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode)


class Weight(NamedTuple):
    """One untimed run of a command, watched for its memory."""

    peak_mib: float  # proportional set size of all its processes together
    exit_code: int
    words: str  # the end of what it said on standard error


def run_weighed(command: Sequence[str], environment: dict[str, str]) -> Weight:
    """Run a command and sample its memory. Sampling costs time, which is why no run is timed and weighed at once."""
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
        ) as process:
            peak_mib = 0.0
            while process.poll() is None:
                peak_mib = max(peak_mib, proportional_mib(family(process.pid)))
                time.sleep(MEMORY_SAMPLE_S)
        said.seek(0)
        return Weight(peak_mib, process.returncode, said.read()[-400:].decode(errors="replace").strip())


@dataclass
class Case:
    """One command to time. `prepare` runs before each run, `once` before all of them, neither timed."""

    name: str
    command: Sequence[str]
    prepare: Callable[[], object] | None = None
    once: Callable[[], object] | None = None
    exit_codes: Sequence[int] = (0,)  # those that mean it did its work
    runs: list[Run] = field(default_factory=list)
    noisy_runs: int = 0
    peak_mib: float = 0.0
    fault: str = ""

    def walls(self) -> list[float]:
        """Return wall seconds by round; nothing if it failed, for a failure's speed means nothing."""
        return [] if self.fault else [run.wall_s for run in self.runs]


def run_cases(cases: Sequence[Case], rounds: int, quiet_s: float, environment: dict[str, str]) -> None:
    """Weigh each case once, which also warms the cache, then time them in turn, A B C A B C; one that fails stays out."""
    for case in cases:
        _guarded(case, case.once)
        _guarded(case, case.prepare)
        if not case.fault:
            weight = run_weighed(case.command, environment)
            case.peak_mib = weight.peak_mib
            if weight.exit_code not in case.exit_codes:
                case.fault = f"exit code {weight.exit_code}: {weight.words}"
    for _ in range(rounds):
        for case in cases:
            _guarded(case, case.prepare)
            if case.fault:
                continue
            case.noisy_runs += not wait_quiet(quiet_s)
            run = run_timed(case.command, environment)
            case.runs.append(run)
            if run.exit_code not in case.exit_codes:
                case.fault = f"exit code {run.exit_code}"


def _guarded(case: Case, step: Callable[[], object] | None) -> None:
    if step and not case.fault:
        try:
            step()
        except (OSError, subprocess.SubprocessError) as error:
            case.fault = f"could not be prepared: {error}"


def write_cases(lines: Lines, workload: str, cases: Sequence[Case], limit: str, **facts: Any) -> None:
    """Write a line for each case; `limit` names the one that shows what the machine can do, which all are divided by."""
    for case in cases:
        if case.fault:
            lines.write(workload, peer=case.name, **facts, fault=case.fault)
            continue
        lines.write(
            workload,
            peer=case.name,
            **facts,
            wall_s=spread(case.walls()),
            cpu_s=rounded(statistics.median(run.cpu_s for run in case.runs)),
            largest_mib=rounded(max(run.largest_mib for run in case.runs)),
            peak_mib=rounded(case.peak_mib),
            vs_limit=rounded(case_ratio(cases, case.name, limit)),
            noisy_runs=case.noisy_runs,
        )


def case_ratio(cases: Sequence[Case], ours: str, theirs: str) -> float | None:
    """Return the wall time of one case over another's, by round; None if one was not measured."""
    walls = {case.name: case.walls() for case in cases}
    return ratio_by_round(walls.get(ours, []), walls.get(theirs, []))
