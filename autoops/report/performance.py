"""How fast everything was, and how much of it there was. Pure but for `gathered`, which reads queue.db."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from autoops.core.histogram import Summary
from autoops.core.ledger import utc
from autoops.core.spoken import sized
from autoops.model import JSON
from autoops.report.errors import Asked, bucket_of
from autoops.report.page import HOUR_S, Bars, Page, Section, labels_of, table
from autoops.store.database import Database
from autoops.store.measured import (
    CATALOG,
    CHANGE,
    COMMIT,
    DEPTH,
    DETECT,
    ENTRIES,
    EXTRACTOR,
    HASHED,
    LOOK,
    SCAN,
    WAIT,
    Hour,
    Measured,
)
from autoops.store.samples import Samples
from autoops.store.troubles import Troubles

# stages in their order, and what each is, for people
STAGES: Mapping[str, str] = {
    DETECT: "from an edit on the disk until its job is due: noticing, coalescing, settling",
    WAIT: "a due job waits to be claimed",
    LOOK: "files are looked at: stat, read, hashed",
    SCAN: "one scan, from its beginning to its end",
    COMMIT: "one commit",
    CHANGE: "from an edit on the disk until it is committed",
    "checkpoint_latency_s": "from a checkpoint line until the tailer has checked it",
    "drift_detection_s": "from a wrong checkpoint line until it is found",
    "shipping_latency_s": "from a commit until it is on the disk of the backups",
    CATALOG: "one build of a catalog",
    "delivery_s": "from a message until a channel has taken it",
    "queue_read_s": "one read of the queue, by the health check",
    "queue_write_s": "one write of the queue, by the health check",
}
_SAMPLED = ("checkpoint_latency_s", "drift_detection_s", "shipping_latency_s", "queue_read_s", "queue_write_s")
_SLOWEST = 10


class Spread(NamedTuple):
    """How long something took, in seconds."""

    times: int
    p50: float
    p95: float
    p99: float
    most: float | None  # None: it is not kept


def gathered(database: Database, asked: Asked) -> JSON:
    """Return the figures of a time, as JSON. Raises StorageError."""
    measured = Measured(database)
    found, begun_s = measured.summaries(*asked), measured.begun_s()
    spreads = {name: _spread(one) for name, one in found.items() if name in STAGES} | _sampled(database, asked)
    hours = max(1.0, (asked.until_s - max(asked.since_s, begun_s or asked.until_s)) / HOUR_S)
    return {
        "report": "performance",
        "since": utc(asked.since_s),
        "since_s": asked.since_s,
        "at": utc(asked.until_s),
        "at_s": asked.until_s,
        "stages": [{"stage": name, "what": STAGES[name], **spreads[name]._asdict()} for name in STAGES if name in spreads],
        "throughput": _throughput(found, hours),
        "extractors": _extractors(found),
        "deepest_queue": int(found[DEPTH].most) if DEPTH in found else None,
        "hours": _by_time(measured, asked),
        "record": _record(begun_s, asked),
    }


def _spread(one: Summary) -> Spread:
    return Spread(one.times, one.p50, one.p95, one.p99, one.most)


def _sampled(database: Database, asked: Asked) -> dict[str, Spread]:
    samples = Samples(database)
    found = {name: samples.percentiles(name, asked.since_s) for name in _SAMPLED}
    spreads = {name: Spread(*one, None) for name, one in found.items() if one}
    took_s = sorted(Troubles(database).deliveries_s(*asked))
    if took_s:
        p50, p95, p99 = (float(took_s[-(-len(took_s) * percent // 100) - 1]) for percent in (50, 95, 99))
        spreads["delivery_s"] = Spread(len(took_s), p50, p95, p99, float(took_s[-1]))
    return spreads


def _throughput(found: Mapping[str, Summary], hours: float) -> JSON:
    """Return how much was done, and how much of it in an hour on the average. hours: of which something is known."""
    jobs, commits, entries, hashed = (found.get(name) for name in (WAIT, COMMIT, ENTRIES, HASHED))
    sums = {
        "jobs": jobs.times if jobs else 0,
        "commits": commits.times if commits else 0,
        "entries": int(entries.total) if entries else 0,
        "bytes_hashed": int(hashed.total) if hashed else 0,
    }
    return sums | {f"{name}_an_hour": round(total / hours, 1) for name, total in sums.items()} | {"hours": round(hours, 1)}


def _extractors(found: Mapping[str, Summary]) -> list[JSON]:
    """Return the extractors, those that took most in all first."""
    some = [(name.removeprefix(EXTRACTOR), one) for name, one in found.items() if name.startswith(EXTRACTOR)]
    some.sort(key=lambda pair: -pair[1].total)
    return [{"extractor": name, "total_s": round(one.total, 6), **_spread(one)._asdict()} for name, one in some]


def _by_time(measured: Measured, asked: Asked) -> JSON:
    """Return jobs claimed, bytes hashed and the deepest queue by hour or day."""
    bucket_s = bucket_of(asked)
    parts = max(1, -(-(asked.until_s - asked.since_s) // bucket_s))
    jobs, hashed, depths = (measured.hours(name, *asked) for name in (WAIT, HASHED, DEPTH))

    def numbers(some: Sequence[Hour], of: str) -> list[float]:
        found = [0.0] * parts
        for one in some:
            number = min(parts - 1, max(0, (one.at_s - asked.since_s) // bucket_s))
            value = float(getattr(one, of))
            found[number] = max(found[number], value) if of == "most" else found[number] + value
        return found

    return {
        "bucket_s": bucket_s,
        "starts_s": [asked.since_s + number * bucket_s for number in range(parts)],
        "jobs": numbers(jobs, "times"),
        "bytes_hashed": numbers(hashed, "total"),
        "deepest_queue": numbers(depths, "most"),
    }


def _record(begun_s: int | None, asked: Asked) -> list[str]:
    if begun_s is None:
        return ["nothing was measured yet: the worker keeps its figures once a minute"]
    return [f"nothing was measured before {utc(begun_s)}"] if begun_s > asked.since_s else []


# telling


def page(facts: JSON) -> Page:
    """Return the report as a page."""
    return Page(f"autoops performance, {facts['since']} to {facts['at']}", (), list(sections(facts)))


def sections(facts: JSON, *, pictures: bool = True) -> Iterator[Section]:
    """Yield the sections of the report."""
    rows = [_row(one) for one in facts["stages"]]
    said = [*facts["record"], "half, 95 and 99 of 100 took at most so long; what the worker measures is told up to 19 % too high"]
    yield Section("Stages", said, table(("stage", "times", "p50", "p95", "p99", "longest", "what it is"), rows, 50))
    done = facts["throughput"]
    deepest = facts["deepest_queue"]
    said = [
        f"{done['jobs']:,} jobs ({done['jobs_an_hour']:,} an hour), {done['commits']:,} commits"
        f" ({done['commits_an_hour']:,} an hour) of {done['entries']:,} changes",
        f"{sized(done['bytes_hashed'])} hashed ({sized(done['bytes_hashed_an_hour'])} an hour)",
        f"the deepest queue: {deepest:,} jobs" if deepest is not None else "how deep the queue was is not known",
    ]
    yield Section("Throughput", said, (), list(_pictures(facts["hours"])) if pictures else ())
    slow = [
        (one["extractor"], f"{one['times']:,}", lasted(one["total_s"]), *map(lasted, (one["p50"], one["p95"], one["most"])))
        for one in facts["extractors"]
    ]
    heads = ("extractor", "files", "in all", "p50", "p95", "longest")
    yield Section("Slowest extractors", () if slow else ("no file was described",), table(heads, slow, _SLOWEST))


def _row(one: JSON) -> Sequence[str]:
    spread = map(lasted, (one["p50"], one["p95"], one["p99"], one["most"]))
    return one["stage"].removesuffix("_s"), f"{one['times']:,}", *spread, one["what"]


def _pictures(hours: JSON) -> Iterator[Bars]:
    labels = labels_of(hours["starts_s"], hours["bucket_s"])
    for name, title in (("jobs", "jobs claimed"), ("bytes_hashed", "bytes hashed"), ("deepest_queue", "deepest queue")):
        values = hours[name]
        if any(values):
            said = [sized(value) if name == "bytes_hashed" else f"{value:,.0f}" for value in values]
            yield Bars(title, labels, values, said)


def lasted(seconds: float | None) -> str:
    """Return how long something took, for people."""
    if seconds is None:
        return ""
    if seconds >= 120:
        return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f} µs"
