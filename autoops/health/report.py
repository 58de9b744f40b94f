"""How the results of a run are told: the line and the figures of monitoring plugins, lines for people, JSON.

monitoring-plugins.org/doc/guidelines.html: one line of text, "|", then 'label'=value[unit];[warning];[critical], separated by
spaces. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from autoops import names
from autoops.health.result import Figure, Level, Result, worst
from autoops.model import JSON

_LINE_CHARACTERS = 1000  # what several monitoring systems keep of a line


def level_of(results: Sequence[Result]) -> Level:
    """Return the level of a whole run."""
    return worst(result.level for result in results)


def problems(results: Sequence[Result]) -> list[Result]:
    """Return what is not well, the gravest first."""
    bad = [result for result in results if result.level != Level.OK]
    return sorted(bad, key=lambda result: (result.level != worst((result.level, Level.CRITICAL)), result.name))


def headline(results: Sequence[Result]) -> str:
    """Return the first line of a monitoring plugin: level, what is wrong, and every figure."""
    bad = problems(results)
    said = "; ".join(f"{result.name}: {result.text}" for result in bad) or f"{len(results)} checks"
    figures = " ".join(_figure(figure) for result in results for figure in result.figures)
    line = f"AUTOOPS {level_of(results).name}: {_shown(said)[:_LINE_CHARACTERS]}"
    return f"{line} | {figures}" if figures else line


def line(result: Result) -> str:
    """Return one result as a line."""
    return _shown(f"{result.level.name} {result.name}: {result.text}" + (f" ({result.remedy})" if result.remedy else ""))


def as_facts(results: Sequence[Result], at: str) -> JSON:
    """Return a run as JSON: {"at", "level", "code", "checks": [{"name", "level", "text", "remedy", "figures"}]}."""
    level = level_of(results)
    checks = [
        {
            "name": result.name,
            "level": result.level.name,
            "text": names.show(result.text),
            "remedy": names.show(result.remedy),
            "figures": [figure._asdict() for figure in result.figures],
        }
        for result in results
    ]
    return {"at": at, "level": level.name, "code": int(level), "checks": checks}


def _figure(figure: Figure) -> str:
    limits = ";".join("" if limit is None else _number(limit) for limit in (figure.warning, figure.critical))
    return f"'{figure.label}'={_number(figure.value)}{figure.unit};{limits}".rstrip(";")


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _shown(text: str) -> str:
    """Return text for a line of a monitoring system, where | begins the figures."""
    return names.show(text).replace("|", r"\x7c")
