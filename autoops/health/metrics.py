"""A run as Prometheus reads it: text format 0.0.4, for the textfile collector of node_exporter.

prometheus.io/docs/instrumenting/exposition_formats and /docs/practices/naming: base units (seconds, bytes, ratios from 0 to 1),
counters end in _total, what others name is a label and never a name. `text` is pure; `counted` reads queue.db.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from autoops import __version__, names
from autoops.errors import AutoopsError
from autoops.health.machine import RECENT_S
from autoops.health.report import level_of
from autoops.health.result import Figure, Result
from autoops.health.sources import Sources
from autoops.store.backlog import Backlog
from autoops.store.findings import Findings
from autoops.store.operations import Gaps
from autoops.store.samples import Samples

Labels = Mapping[str, str]
_UNITS = {"s": ("_seconds", 1.0), "%": ("_ratio", 0.01), "B": ("_bytes", 1.0), "c": ("_total", 1.0), "": ("", 1.0)}
_QUANTILES = ("p50", "p95", "p99")


class Family(NamedTuple):
    """All values of one name, by their labels."""

    name: str
    help: str
    values: Sequence[tuple[Labels, float]]
    kind: str = "gauge"


def text(results: Sequence[Result], counted: Iterable[Family], now_s: float, took_s: float) -> str:
    """Return the file of one run."""
    checks = [({"check": result.name}, float(result.level)) for result in results]
    figures = [_of_figure(result, figure) for result in results for figure in result.figures]
    families = (
        Family("autoops_build_info", "The version of autoops that checked.", [({"version": __version__}, 1.0)]),
        Family("autoops_health_status", f"The whole: {_LEVELS}.", [({}, float(level_of(results)))]),
        Family("autoops_health_check_status", f"What each check found: {_LEVELS}.", checks),
        Family("autoops_health_last_run_timestamp_seconds", "When it was checked last.", [({}, now_s)]),
        Family("autoops_health_duration_seconds", "How long that took.", [({}, took_s)]),
        *figures,
        *counted,
    )
    return "".join(line + "\n" for family in families for line in _lines(family))


_LEVELS = "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN"


def counted(sources: Sources, now_s: float) -> list[Family]:
    """Return what no check has a figure for; nothing where queue.db cannot be read."""
    with contextlib.suppress(AutoopsError):
        database, samples = sources.queue_db, Samples(sources.queue_db)
        gaps: dict[tuple[str, str], int] = {}
        for gap in Gaps(database).open_gaps():
            gaps[gap.root, gap.reason] = gaps.get((gap.root, gap.reason), 0) + 1
        took = {name: samples.percentiles(name, int(now_s) - RECENT_S) for name in samples.names()}
        jobs = [({"state": state}, count) for state, count in Backlog(database).counts().items() if state != "completed"]
        findings = [({"kind": kind}, count) for kind, count in Findings(database).counts().items()]
        return [
            Family("autoops_jobs", "Jobs by state.", jobs),
            Family("autoops_findings_open", "Findings that stand.", findings),
            Family(
                "autoops_coverage_gaps",
                "Places that are not watched.",
                [({"root": root, "reason": reason}, count) for (root, reason), count in gaps.items()],
            ),
            Family(
                "autoops_sample_seconds",
                "What was measured in the last hour.",
                [
                    ({"name": name.removesuffix("_s"), "quantile": f"0.{quantile[1:]}"}, getattr(found, quantile))
                    for name, found in took.items()
                    if found
                    for quantile in _QUANTILES
                ],
            ),
        ]
    return []


def _of_figure(result: Result, figure: Figure) -> Family:
    ending, factor = _UNITS[figure.unit]
    kind = "counter" if figure.unit == "c" else "gauge"
    return Family(f"autoops_{figure.label}{ending}", f"From the check {result.name}.", [({}, figure.value * factor)], kind)


def _lines(family: Family) -> Iterable[str]:
    if not family.values:
        return
    yield f"# HELP {family.name} {family.help}"
    yield f"# TYPE {family.name} {family.kind}"
    for labels, value in family.values:
        shown = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
        yield f"{family.name}{{{shown}}} {float(value)!r}" if shown else f"{family.name} {float(value)!r}"


def _escaped(label: str) -> str:
    """Return the value of a label, which may be a name that a stranger chose."""
    return names.show(label).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
