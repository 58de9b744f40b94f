"""How much there is, how it grows, and when a disk will be full. Pure but for `gathered`, which reads queue.db."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence

from autoops.core.ledger import utc
from autoops.core.spoken import counted, sized
from autoops.model import JSON
from autoops.report import forecast
from autoops.report.forecast import DAY_S, Fit, Point, TooLittle, When
from autoops.report.page import Curve, Page, Section, table
from autoops.store.database import Database
from autoops.store.extents import BACKUP, BACKUPS, DATABASE, DISK, ROOT, STATE, Extent, Extents

LIMITS = (80, 95)  # percent of a disk
_BACK_DAYS = 366
_MONTH_DAYS = 30
_BAND_DAYS = 90


def gathered(database: Database, roots: Collection[str], now_s: int) -> JSON:
    """Return sizes, growth and forecasts, as JSON. roots: that are configured; others are told of no more. Raises StorageError."""
    there = {*roots, STATE, BACKUPS}
    found = [
        one
        for one in Extents(database).since(now_s - _BACK_DAYS * int(DAY_S))
        if one.at_s <= now_s and (one.what not in (ROOT, DISK) or one.subject in there)
    ]
    things = [_thing(list(some), now_s) for _, some in itertools.groupby(found, key=lambda one: (one.what, one.subject))]
    return {
        "report": "capacity",
        "at": utc(now_s),
        "at_s": now_s,
        "things": things,
        "total": _total([one for one in things if one["what"] == ROOT]),
        "record": [] if things else [NOTHING],
    }


NOTHING = "nothing was measured yet: the reconciler measures once a day (roots, databases, disks), each snapshot the backups"


def _thing(series: Sequence[Extent], now_s: int) -> JSON:
    last = series[-1]
    found = forecast.fit([Point(one.at_s, one.size_bytes) for one in series], now_s)
    facts: JSON = {
        "what": last.what,
        "subject": last.subject,
        "bytes": last.size_bytes,
        "files": last.files,
        "limit_bytes": last.limit_bytes,
        "measured": utc(last.at_s),
        "days": len(series),
        "month_bytes": _since(series, now_s - _MONTH_DAYS * DAY_S),
        "growth": _growth(found),
        "series": [[one.at_s, one.size_bytes] for one in series],
    }
    if last.limit_bytes:
        facts["used_percent"] = round(100 * last.size_bytes / last.limit_bytes, 1)
        facts["forecast"] = _forecasts(found, last.limit_bytes, now_s)
        facts["band"] = [list(one) for one in forecast.band(found, now_s, _BAND_DAYS)] if isinstance(found, Fit) else []
    return facts


def _since(series: Sequence[Extent], since_s: float) -> JSON | None:
    """Return how much it has grown since a time, and since when that really is; None for one day."""
    first = next(one for one in series if one.at_s >= since_s or one is series[-1])
    return None if first is series[-1] else {"bytes": series[-1].size_bytes - first.size_bytes, "since": utc(first.at_s)}


def _growth(found: Fit | TooLittle) -> JSON:
    if isinstance(found, TooLittle):
        return {"why": str(found)}
    cleaned = {"cleaned": utc(found.cleaned_s)} if found.cleaned_s is not None else {}
    a_day = {"bytes_a_day": found.growth, "least_bytes_a_day": found.least_growth, "most_bytes_a_day": found.most_growth}
    return {**a_day, "days": found.days, **cleaned}


def _forecasts(found: Fit | TooLittle, limit_bytes: int, now_s: int) -> list[JSON]:
    if isinstance(found, TooLittle):
        return [{"percent": percent, "why": str(found)} for percent in LIMITS]
    return [_forecast(percent, forecast.when(found, limit_bytes * percent / 100, now_s)) for percent in LIMITS]


def _forecast(percent: int, met: When) -> JSON:
    dates = {
        name: utc(at_s)[:10] if at_s is not None else None
        for name, at_s in zip(("earliest", "likely", "latest"), met[1:], strict=True)
    }
    return {"percent": percent, "is_met": met.is_met, **dates}


def _total(roots: Sequence[JSON]) -> JSON:
    grown = [one["growth"].get("bytes_a_day") for one in roots]
    return {
        "roots": len(roots),
        "bytes": sum(one["bytes"] for one in roots),
        "files": sum(one["files"] or 0 for one in roots),
        "bytes_a_day": sum(filter(None, grown)) if roots and None not in grown else None,
    }


# telling


def page(facts: JSON) -> Page:
    """Return the report as a page."""
    return Page(f"autoops capacity, {facts['at']}", (), list(sections(facts)))


def sections(facts: JSON, *, pictures: bool = True) -> Iterator[Section]:
    """Yield the sections of the report."""
    by_what = {what: [one for one in facts["things"] if one["what"] == what] for what in (DISK, ROOT, DATABASE, BACKUP)}
    disks = _merged(by_what[DISK])
    yield Section("Disks", [*facts["record"], *map(_disk_sentence, disks)], (), [_curve(one) for one in disks if pictures])
    total = facts["total"]
    if by_what[ROOT]:
        grows = f", {sized(total['bytes_a_day'])} a day more" if total["bytes_a_day"] is not None else ""
        said = [f"{counted(total['roots'], 'root')}: {counted(total['files'], 'file')}, {sized(total['bytes'])}{grows}"]
        yield Section("Roots", said, table(_HEADS, [_row(one) for one in by_what[ROOT]], 50))
    rest = [*by_what[DATABASE], *by_what[BACKUP]]
    if rest:
        yield Section("Databases and backups", (), table(_HEADS, [_row(one) for one in rest], 50))


_HEADS = ("what", "size", "files", "grew", "a day (95 %)", "measured")


def _row(one: JSON) -> Sequence[str]:
    month = one["month_bytes"]
    grew = f"{sized(month['bytes'])} since {month['since'][:10]}" if month else ""
    files = f"{one['files']:,}" if one["files"] is not None else ""
    return one["subject"], sized(one["bytes"]), files, grew, growth_said(one["growth"]), one["measured"][:10]


def growth_said(growth: JSON) -> str:
    """Return a growth for people, with its interval."""
    if "why" in growth:
        return str(growth["why"])
    said = f"{sized(growth['bytes_a_day'])} ({sized(growth['least_bytes_a_day'])} to {sized(growth['most_bytes_a_day'])})"
    return f"{said}; cleaned up before {growth['cleaned'][:10]}" if "cleaned" in growth else said


def _merged(disks: Sequence[JSON]) -> list[JSON]:
    """Return the disks, one for all that lie on it: their figures are the same to the byte."""
    merged: dict[tuple[int, int, str], JSON] = {}
    for one in disks:
        same = (one["bytes"], one["limit_bytes"], one["measured"])
        known = merged.get(same)
        longest = one if known is None or one["days"] > known["days"] else known
        merged[same] = longest | {"subject": f"{known['subject']}, {one['subject']}" if known else one["subject"]}
    return list(merged.values())


def _disk_sentence(one: JSON) -> str:
    used = f"{one['used_percent']:.0f} % of {sized(one['limit_bytes'])} used"
    return f"disk of {one['subject']}: {used}; " + "; ".join(map(forecast_said, one["forecast"]))


def forecast_said(one: JSON) -> str:
    """Return a forecast for people."""
    head = f"{one['percent']} %"
    if "why" in one:
        return f"{head}: no forecast, {one['why']}"
    if one["is_met"]:
        return f"{head}: reached"
    if one["earliest"] is None:
        return f"{head}: not within 5 years"
    if one["latest"] is None:
        likely = f", most likely {one['likely']}" if one["likely"] else ""
        return f"{head}: not before {one['earliest']}{likely}, maybe not within 5 years"
    if one["earliest"] == one["latest"]:
        return f"{head}: {one['likely']}"
    return f"{head}: between {one['earliest']} and {one['latest']}, most likely {one['likely']}"


def _curve(one: JSON) -> Curve:
    full = one["limit_bytes"]
    limits = [(full * percent / 100, f"{percent} %") for percent in LIMITS]
    band = [(at_s, min(low, full), min(high, full)) for at_s, low, high in one["band"]]  # what is drawn ends where the disk does
    return Curve(f"disk of {one['subject']}", one["series"], band, limits)
