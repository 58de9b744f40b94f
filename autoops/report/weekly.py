"""One page a week: what changed, what went wrong, how it grows, how fast it is, who may do what. Pure but for `gathered`.

Each part is gathered by itself: what cannot be read is told in its place, and keeps no other part from the page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from autoops import names
from autoops.core.ledger import utc
from autoops.core.spoken import age, counted
from autoops.errors import AutoopsError
from autoops.files.last import Last
from autoops.model import JSON
from autoops.report import capacity, changes, errors, performance
from autoops.report.errors import Asked
from autoops.report.page import Page, Section, table
from autoops.store.database import Database
from autoops.store.registry import Registry
from autoops.store.troubles import Troubles

WEEK_S = 7 * 86400
_ROOTS = 30
_TROUBLES = 10
_NOTES = 10
_UNWATCHED = 10
MISSING = "cannot"  # the key of a part that could not be gathered


class Judged(NamedTuple):
    """What a check found, of whatever kind."""

    name: str
    level: str  # "OK", "WARNING", "CRITICAL", "UNKNOWN"
    text: str


class Sources(NamedTuple):
    """What a page is made of. What opens may raise AutoopsError: then the page says why, where that part would be."""

    queue: Callable[[], Database]
    registry: Callable[[], Registry]
    coverage: Callable[[], JSON]  # the report of coverage of that week
    security: Callable[[], Sequence[Judged]]
    roots: Collection[str]  # that are configured
    lasts: Mapping[str, Last | None]  # how backups and drills ended last
    paused: str  # why, "" when no window is open
    host: str


def gathered(sources: Sources, asked: Asked) -> JSON:
    """Return everything that the page tells, as JSON. A part that cannot be told is {"cannot": why}."""
    begun = _part(lambda: {"begun_s": sources.registry().began_s()})
    begun_s = begun.get("begun_s", begun.get(MISSING))
    return {
        "report": "weekly",
        "host": names.show(sources.host),
        "since": utc(asked.since_s),
        "since_s": asked.since_s,
        "at": utc(asked.until_s),
        "at_s": asked.until_s,
        "paused": names.show(sources.paused),
        "changes": _part(lambda: _changes(changes.told(sources.registry(), *asked))),
        "errors": _part(lambda: errors.gathered(sources.queue(), asked, sources.lasts, begun_s, trend=True)),
        "findings": _part(lambda: Troubles(sources.queue()).findings(*asked)._asdict()),
        "backups": [_last(name, last) for name, last in sources.lasts.items()],
        "coverage": _part(sources.coverage),
        "capacity": _part(lambda: capacity.gathered(sources.queue(), sources.roots, asked.until_s)),
        "performance": _part(lambda: performance.gathered(sources.queue(), asked)),
        "security": _part(lambda: {"checks": [one._asdict() for one in sources.security()]}),
    }


def _part(gather: Callable[[], JSON]) -> JSON:
    try:
        return gather()
    except AutoopsError as error:
        return {MISSING: names.show(str(error)), "hint": names.show(error.advice)}
    except OSError as error:
        return {MISSING: names.show(f"{error.strerror}: {error.filename}"), "hint": ""}


def missing(facts: JSON) -> list[str]:
    """Return why each part that is not told is not, each reason once."""
    return sorted({part[MISSING] for part in facts.values() if isinstance(part, dict) and MISSING in part})


def _changes(told: changes.Told) -> JSON:
    return {
        "commits": told.commits,
        "roots": {root: {action: count[action] for action in changes.ACTIONS} for root, count in sorted(told.roots.items())},
        "people": dict(told.people.most_common()),
        "by_hand": told.by_hand,
        "undeclared": told.undeclared,
        "notes": [note._asdict() for note in told.notes],
    }


def _last(name: str, last: Last | None) -> JSON:
    if last is None:
        return {"name": name, "never": True}
    good = utc(last.good_s) if last.good_s else None
    return {"name": name, "never": False, "at": utc(last.at_s), "fault": names.show(last.fault), "good": good, "of": last.name}


# telling


def page(facts: JSON) -> Page:
    """Return the report as a page."""
    title = f"autoops on {facts['host']}: the week from {facts['since'][:10]} to {facts['at'][:10]}"
    return Page(title, list(_headlines(facts)), list(_sections(facts)))


def _headlines(facts: JSON) -> Iterator[str]:
    """Yield what somebody with half a minute reads."""
    if facts["paused"]:
        yield f"a maintenance window is open: {facts['paused']}"
    lost = missing(facts)
    if lost:
        yield f"not all of it can be told: {'; '.join(lost)}"
    found = facts["findings"]
    if MISSING not in found:
        yield f"findings: {found['opened']} opened, {found['closed']} closed, {found['standing']} stand"
    bad = [one["name"] for one in facts["security"].get("checks", ()) if one["level"] in ("WARNING", "CRITICAL")]
    failed = [one["name"] for one in facts["backups"] if one.get("fault")]
    yield "security: " + (
        f"look at {', '.join(bad)}"
        if bad
        else "nothing is wrong with what was looked at"
        if _is_told(facts, "security")
        else "not known"
    )
    held = [one["playbook"] for one in facts["errors"].get("playbooks", ()) if one["held"]]
    if held:
        yield f"playbooks that are held until a person releases them: {', '.join(held)}"
    if failed:
        yield f"failed last: {', '.join(failed)}"


def _is_told(facts: JSON, part: str) -> bool:
    return MISSING not in facts[part]


def _sections(facts: JSON) -> Iterator[Section]:
    parts: Mapping[str, tuple[str, Callable[[JSON], Iterator[Section]]]] = {
        "changes": ("Changes", _changes_sections),
        "errors": ("What went wrong", lambda part: errors.sections(part, _TROUBLES)),
        "coverage": ("Coverage", _coverage_sections),
        "capacity": ("Capacity", capacity.sections),
        "performance": ("Performance", performance.sections),
        "security": ("Security", _security_sections),
    }
    for name, (title, sections) in parts.items():
        part = facts[name]
        if MISSING in part:
            yield Section(title, list(filter(None, (f"cannot be told: {part[MISSING]}", part.get("hint", "")))))
            continue
        yield from sections(part)
        if name == "errors":
            yield _backups_section(facts)


def _changes_sections(told: JSON) -> Iterator[Section]:
    shown = ("added", "modified", "moved", "returned", "removed", "retired", "described")
    rows = [(root, *(f"{count[action]:,}" for action in shown)) for root, count in told["roots"].items()]
    said = [counted(told["commits"], "commit")]
    if told["people"]:
        people = ", ".join(f"{name} {count:,}" for name, count in told["people"].items())
        said.append(f"changes by people: {people}")
    if told["by_hand"]:
        said.append(f"edited by hand: {counted(told['by_hand'], 'change')}, {told['undeclared']:,} of them not declared")
    yield Section("Changes", said, table(("root", *shown), rows, _ROOTS))


def _backups_section(facts: JSON) -> Section:
    rows = []
    for one in facts["backups"]:
        if one["never"]:
            rows.append((one["name"], "never", "", ""))
        else:
            rows.append((one["name"], one["at"][:16], (one["good"] or "never")[:16], one["fault"] or "good"))
    said = [f"{note['at'][:16]} {note['actor']}: {note['reason']}" for note in facts["changes"].get("notes", ())[-_NOTES:]]
    return Section("Backups and drills", said, table(("what", "last", "last good", "ended"), rows))


def _coverage_sections(told: JSON) -> Iterator[Section]:
    now, checked = told["now"], told["verification"]
    said = [
        f"not watched now: {counted(len(now), 'place')}" if now else "everything is watched",
        f"verified within {checked['days']} days: {counted(checked['files'], 'file')}, {checked['overdue_files']:,} overdue",
    ]
    longest = sorted(told["unwatched"], key=lambda part: -part["seconds"])
    rows = [
        (part["root"], part["reason"], age(part["seconds"]), f"{part['times']:,}", "goes on" if part["still"] else "over")
        for part in longest
    ]
    yield Section("Coverage", said, table(("not watched", "why", "for", "times", "now"), rows, _UNWATCHED))


def _security_sections(told: JSON) -> Iterator[Section]:
    rows = [(_LEVELS[one["level"]], one["name"], one["text"]) for one in told["checks"]]
    yield Section("Security", (), table(("", "what", "found"), rows, 50))


_LEVELS = {"OK": "good", "WARNING": "LOOK AT IT", "CRITICAL": "WRONG", "UNKNOWN": "cannot tell"}
