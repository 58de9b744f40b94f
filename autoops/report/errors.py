"""What went wrong in a time, and whether that is more than in the time before. Pure but for `gathered`, which reads queue.db."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from autoops import names
from autoops.core.drift import severity_of
from autoops.core.ledger import utc
from autoops.core.redact import redact
from autoops.core.spoken import counted
from autoops.files.last import Last
from autoops.model import JSON
from autoops.report.page import DAY_S, HOUR_S, Bars, Page, Section, labels_of, table
from autoops.store.database import Database
from autoops.store.playbooks import Playbooks
from autoops.store.troubles import COVERAGE, DELIVERIES, FINDINGS, JOBS, PLAYBOOKS, Group, Troubles

BACKUPS = "backup"
_BY_HOUR_S = 2 * DAY_S  # a time that is not longer is told by the hour
_RANKS = ("critical", "warning", "info")
_REASON_CHARACTERS = 300
_WORDS = ("blame", "said", "result", "reason", "fault", "detail")  # the keys of a finding's detail that say most


class Asked(NamedTuple):
    """Which time is told of."""

    since_s: int
    until_s: int

    @property
    def before(self) -> Asked:
        """The time before, as long as this one."""
        return Asked(max(0, 2 * self.since_s - self.until_s), self.since_s)


def gathered(database: Database, asked: Asked, lasts: Mapping[str, Last | None], begun_s: int | str | None, *, trend: bool) -> JSON:
    """Return what went wrong, as JSON. Raises StorageError.

    lasts: how backups ended last, by name; begun_s: when the first commit was made, None before it, or why nobody knows.
    """
    troubles = Troubles(database)
    told = [_trouble(group) for group in troubles.groups(*asked)] + _failed(lasts, asked)
    told.sort(key=lambda one: (_RANKS.index(one["severity"]), -one["count"], one["source"], one["kind"]))
    facts: JSON = {
        "report": "errors",
        "since": utc(asked.since_s),
        "since_s": asked.since_s,
        "at": utc(asked.until_s),
        "at_s": asked.until_s,
        "troubles": told,
        "counts": _counts(troubles, lasts, asked),
        "playbooks": [one._asdict() for one in Playbooks(database).accounts(*asked)],
        "record": _record(troubles.known_since(), begun_s, asked),
    }
    if not trend:
        return facts
    lacks = _record(troubles.known_since(), begun_s, asked.before)
    return facts | {"trend": _trend(troubles, lasts, asked) | {"is_before_known": not lacks}}


def _trouble(group: Group) -> JSON:
    severity = severity_of(group.kind) if group.source == FINDINGS else "warning"
    why = group.reason or str(next((_said(group.detail[key]) for key in _WORDS if key in group.detail), ""))
    return {
        "source": group.source,
        "kind": group.kind,
        "state": group.state,
        "severity": severity,
        "count": group.times,
        "open": group.open,
        "first": utc(group.first_s),
        "first_s": group.first_s,
        "last": utc(group.last_s),
        "last_s": group.last_s,
        "example": names.text(group.example.replace(b"\0", b"/")),
        "why": names.show(redact(why[:_REASON_CHARACTERS])),
    }


def _said(value: object) -> object:
    return value.get("said", "") if isinstance(value, dict) else value


def _failed(lasts: Mapping[str, Last | None], asked: Asked) -> list[JSON]:
    """Return what failed of the backups: of each kind it is known how the last run ended."""
    failed = [(name, last) for name, last in lasts.items() if last and last.fault and asked.since_s <= last.at_s < asked.until_s]
    return [_trouble(Group(BACKUPS, name, "", last.fault, 1, 1, int(last.at_s), int(last.at_s), b"", {})) for name, last in failed]


def _counts(troubles: Troubles, lasts: Mapping[str, Last | None], asked: Asked) -> dict[str, int]:
    return troubles.counts(*asked) | {BACKUPS: len(_failed(lasts, asked))}


def _record(known_since: Mapping[str, int], begun_s: int | str | None, asked: Asked) -> list[str]:
    """Return what the record does not reach back to, as sentences."""
    said = [
        f"of {_SOURCES[source]} only what came after {utc(at_s)} is kept whole"
        for source, at_s in known_since.items()
        if at_s > asked.since_s
    ]
    if begun_s is None:
        said.append("nothing was committed yet")
    elif isinstance(begun_s, str):
        said.append(f"when the first commit was made is not known: {names.show(begun_s)}")
    elif begun_s > asked.since_s:
        said.append(f"the first commit was at {utc(begun_s)}: before it there is nothing to tell")
    return said


_SOURCES = {
    FINDINGS: "findings",
    JOBS: "failed jobs",
    DELIVERIES: "deliveries",
    COVERAGE: "gaps of coverage",
    PLAYBOOKS: "failed playbooks",
    BACKUPS: "backups",
}


# the trend


def bucket_of(asked: Asked) -> int:
    """Return how long the parts are in which a time is told, in seconds."""
    return HOUR_S if asked.until_s - asked.since_s <= _BY_HOUR_S else DAY_S


def _trend(troubles: Troubles, lasts: Mapping[str, Last | None], asked: Asked) -> JSON:
    bucket_s = bucket_of(asked)
    parts = max(1, -(-(asked.until_s - asked.since_s) // bucket_s))
    found = troubles.buckets(*asked, bucket_s)
    return {
        "bucket_s": bucket_s,
        "starts_s": [asked.since_s + number * bucket_s for number in range(parts)],
        "counts": {source: [some.get(number, 0) for number in range(parts)] for source, some in found.items()},
        "before": _counts(troubles, lasts, asked.before),
        "before_since": utc(asked.before.since_s),
    }


def change(now: int, before: int) -> str:
    """Return a change for people: as a share where there was something before."""
    if now == before:
        return "as before"
    if not before:
        return f"{now} more: there were none before"
    return f"{100 * (now - before) / before:+.0f} %"


# telling


def page(facts: JSON) -> Page:
    """Return the report as a page."""
    title = f"autoops errors, {facts['since']} to {facts['at']}"
    return Page(title, (), list(sections(facts)))


def sections(facts: JSON, shown: int = 50) -> Iterator[Section]:
    """Yield the sections of the report."""
    told = facts["troubles"]
    said = [_headline(facts), *facts["record"]]
    heads = ("severity", "what", "times", "stand now", "first", "last", "example", "why")
    yield Section("What went wrong", said, table(heads, [_row(one) for one in told], shown))
    if "trend" in facts:
        yield _trend_section(facts["counts"], facts["trend"])
    if facts["playbooks"]:
        yield Section("Playbooks", (), table(_PLAYED, [_played(one) for one in facts["playbooks"]], shown))


def _headline(facts: JSON) -> str:
    some = ", ".join(f"{_SOURCES[source]}: {count:,}" for source, count in facts["counts"].items() if count)
    return f"in all: {some}" if some else "nothing went wrong"


def _row(one: JSON) -> Sequence[str]:
    what = " ".join(filter(None, (one["source"], one["kind"], _STATES.get(one["state"], one["state"]))))
    return (
        one["severity"],
        what,
        f"{one['count']:,}",
        f"{one['open']:,}",
        one["first"][:16],
        one["last"][:16],
        one["example"],
        one["why"],
    )


_PLAYED = ("playbook", "runs", "helped", "failed", "last", "for", "now")


def _played(one: JSON) -> Sequence[str]:
    counts = (f"{one[key]:,}" for key in ("runs", "good", "failed"))
    last = utc(one["last_s"])[:16] if one["last_s"] is not None else ""
    return one["playbook"], *counts, last, one["cause"], f"held: {one['held']}" if one["held"] else ""


_STATES = {"dead_letter": "given up", "failed": "tried again", "queued": "tried again"}


def _trend_section(counts: Mapping[str, int], trend: JSON) -> Section:
    rows = [
        (_SOURCES[source], f"{count:,}", f"{trend['before'].get(source, 0):,}", change(count, trend["before"].get(source, 0)))
        for source, count in counts.items()
    ]
    labels = labels_of(trend["starts_s"], trend["bucket_s"])
    pictures = [
        Bars(_SOURCES[source], labels, values, [counted(value, "time") for value in values])
        for source, values in trend["counts"].items()
        if any(values)
    ]
    each = "hour" if trend["bucket_s"] < DAY_S else "day"
    said = [f"by the {each}; before: as long a time, since {trend['before_since']}"]
    if not trend["is_before_known"]:
        said.append("of the time before not everything is known, so that a change may be none")
    return Section("Trend", said, table(("of", "now", "before", "change"), rows), pictures)
