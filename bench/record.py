"""The results of record: what was measured last at full size, beside all peers, and what moved since.

`results/` has one file of lines for each workload, the first of them the machine's; `RESULTS.md` is made of these. Reads /proc and
`results/`; writes `results/` and `RESULTS.md`.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results", HERE / "RESULTS.md"
MOVED = 1.25  # by less than this ratios of two runs differ on a machine that nobody else uses

Line = dict[str, Any]


class Shift(NamedTuple):
    """One ratio, as it is on record and as it is now. None: not measured."""

    workload: str
    name: str
    before: float | None
    now: float | None
    limit: float
    met: bool
    at_least: bool = False

    @property
    def word(self) -> str:
        """Say where it went."""
        if self.before is None or self.now is None:
            return "not measured" if self.now is None else "new"
        if self.before == self.now:
            return "as before"
        worse, better = (self.before, self.now) if self.at_least else (self.now, self.before)
        if worse > better * MOVED:
            return "worse"
        return "better" if better > worse * MOVED else "as before"


def shifts(before: Iterable[Line], now: Iterable[Line]) -> list[Shift]:
    """Return every ratio that was taken now, beside the one of record. Pure."""
    known = {(line["workload"], target["name"]): target["ratio"] for line in before for target in line.get("targets", ())}
    return [
        Shift(
            line["workload"],
            target["name"],
            known.get((line["workload"], target["name"])),
            target["ratio"],
            target["target"],
            target["met"],
            target["sense"] == "at least",
        )
        for line in now
        for target in line.get("targets", ())
    ]


def comparison(found: Sequence[Shift]) -> str:
    """Return a table of what moved. Pure."""
    rows = [("workload", "ratio", "record", "now", "limit", "")]
    for one in found:
        verdict = one.word if one.met or one.now is None else f"{one.word}, missed"
        limit = f"{'>=' if one.at_least else '<='} {_figure(one.limit)}"
        rows.append((one.workload, one.name, _figure(one.before), _figure(one.now), limit, verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def machine(scratch: Path) -> Line:
    """Describe what is measured on."""
    cpus = [line.partition(":")[2].strip() for line in _words("/proc/cpuinfo") if line.startswith("model name")]
    memory_kib = next(int(line.split()[1]) for line in _words("/proc/meminfo") if line.startswith("MemTotal"))
    mounts = [line.split()[1:3] for line in _words("/proc/mounts")]
    below = [(point, kind) for point, kind in mounts if scratch.is_relative_to(point)]
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processors": f"{len(cpus) or os.cpu_count()} x {cpus[0] if cpus else platform.machine()}",
        "memory_gib": round(memory_kib / (1 << 20), 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "file_system": max(below, key=lambda one: len(one[0]))[1],
    }


def known() -> dict[str, list[Line]]:
    """Return the lines of record by workload, as they were measured."""
    return {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in sorted(RESULTS.glob("*.jsonl"))}


def keep(where: Line, lines: Sequence[Line], order: Sequence[str]) -> None:
    """Make the lines of some workloads the ones of record, and the page anew."""
    for workload in {line["workload"] for line in lines}:
        own = [{"machine": where}, *(line for line in lines if line["workload"] == workload)]
        (RESULTS / f"{workload}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in own))
    PAGE.write_text(page(known(), order))


def page(results: dict[str, list[Line]], order: Sequence[str]) -> str:
    """Return RESULTS.md. Pure."""
    parts = [
        "# Results",
        "What `./dev bench --record` measured last; [README.md](README.md) says what is measured and what is not equal. A ratio is"
        " taken within one run, on one machine; figures of different tables do not compare.",
    ]
    for workload in [name for name in order if name in results]:
        first, *lines = results[workload]
        parts += [f"## {workload}", _described(first["machine"]), _ratios(lines), *_figures(lines)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _described(where: Line) -> str:
    return (
        f"{where['at']}, {where['processors']}, {where['memory_gib']} GiB, Linux {where['kernel']}, {where['file_system']},"
        f" Python {where['python']}, SQLite {where['sqlite']}."
    )


def _ratios(lines: Iterable[Line]) -> str:
    targets = [target for line in lines for target in line.get("targets", ())]
    if not targets:
        return ""
    rows = [(one["name"], _figure(one["ratio"]), f"{one['sense']} {_figure(one['target'])}", one["met"]) for one in targets]
    said = [f"| {name} | {ratio} | {wanted} | {'yes' if met else '**no**'} |" for name, ratio, wanted, met in rows]
    return "\n".join(["| ratio | measured | wanted | met |", "|---|---|---|---|", *said])


def _figures(lines: Sequence[Line]) -> list[str]:
    """Return a table for each kind of line: those that have the same figures."""
    tables: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        if "targets" not in line and "missing" not in line:
            tables.setdefault(tuple(key for key in line if key != "workload"), []).append(line)
    missing = sorted({name for line in lines for name in line.get("missing", ())})
    said = [f"Not installed: {', '.join(missing)}."] if missing else []
    return [_table(keys, rows) for keys, rows in tables.items()] + said


def _table(keys: Sequence[str], rows: Iterable[Line]) -> str:
    head = f"| {' | '.join(keys)} |\n|{'---|' * len(keys)}"
    return "\n".join([head, *(f"| {' | '.join(_cell(row[key]) for key in keys)} |" for row in rows)])


def _cell(value: Any) -> str:
    if isinstance(value, dict) and "median" in value:
        return f"{_figure(value['median'])} ({_figure(value['min'])}-{_figure(value['max'])})"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(one)}" for key, one in value.items())
    return _figure(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value).replace("|", "/")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 10000 else f"{value:,.0f}"


def _words(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
